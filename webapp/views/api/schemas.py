"""What goes over the wire."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.badges.progress import Progress
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.badge import Award, Badge
from webapp.domain.people.accounts import Person, Role


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


Instant = Annotated[datetime, PlainSerializer(_iso, return_type=str)]


class ErrorAnswer(BaseModel):
    """Why a request was refused."""

    detail: str


class PersonPath(BaseModel):
    """Whom it is about."""

    user_id: UUID


class LoginBody(BaseModel):
    """A book number and its password."""

    model_config = ConfigDict(json_schema_extra={"example": {"book_no": 2, "password": "…"}})

    book_no: int
    password: str


class TokenAnswer(BaseModel):
    """A bearer token, good for ``expires_in`` seconds or until the password changes."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a word of RFC 6750
    expires_in: int


class UsersQuery(BaseModel):
    """Which people, and which page of them."""

    role: Role | None = Field(None, description="Only people of this account role.")
    page: int = Field(1, ge=1, le=1_000_000)
    per_page: int = Field(50, ge=1, le=200)


class UserAnswer(BaseModel):
    """One person."""

    id: UUID
    book_no: int
    name: str
    role: Role

    @classmethod
    def of(cls, person: Person) -> "UserAnswer":
        """As it is sent."""
        return cls(id=person.id, book_no=person.book_no, name=person.name, role=person.role)


class AttendanceBody(BaseModel):
    """A mark at today's camp, or at the one named."""

    model_config = ConfigDict(json_schema_extra={"example": {"logout": False, "camp_role": "volunteer"}})

    logout: bool = Field(False, description="Record the leaving time of someone present instead of marking.")
    camp_role: CampRole | None = Field(
        None, description="Without it, the role they signed up in stands, else volunteer."
    )
    camp_id: UUID | None = Field(
        None, description="Needed where several camps are on today and they signed up for none or several."
    )


class AttendanceState(BaseModel):
    """Where one person stands with one camp."""

    user_id: UUID
    camp_id: UUID
    camp: str
    camp_date: str
    camp_role: CampRole
    state: State
    marked_at: Instant | None
    left_at: Instant | None

    @classmethod
    def of(cls, attendance: Attendance) -> "AttendanceState":
        """As it is sent."""
        camp = attendance.camp
        return cls(
            user_id=attendance.person_id,
            camp_id=camp.id,
            camp=camp.name,
            camp_date=camp.camp_date.isoformat(),
            camp_role=attendance.camp_role,
            state=attendance.state,
            marked_at=attendance.marked_at,
            left_at=attendance.left_at,
        )

    @classmethod
    def of_fast(cls, made: FastMark) -> "AttendanceState":
        """A mark of the fast path, as it is sent."""
        at = made.facts.at
        return cls(
            user_id=made.facts.person_id,
            camp_id=at.camp_id,
            camp=at.name,
            camp_date=at.camp_date.isoformat(),
            camp_role=CampRole.VOLUNTEER,
            state=State.PRESENT,
            marked_at=made.marked_at,
            left_at=made.left_at,
        )


class BadgeAnswer(BaseModel):
    """A badge somebody earned."""

    name: str
    description: str
    earned_at: Instant

    @classmethod
    def of(cls, award: Award) -> "BadgeAnswer":
        """As it is sent."""
        return cls.new(award.badge, award.earned_at)

    @classmethod
    def new(cls, badge: Badge, earned_at: datetime) -> "BadgeAnswer":
        """A badge earned at an instant, as it is sent."""
        return cls(name=badge.name, description=badge.description, earned_at=earned_at)


class AttendanceAnswer(BaseModel):
    """The attendance as it is now, and the badges it has just earned."""

    attendance: AttendanceState
    new_badges: list[BadgeAnswer]


class BadgesAnswer(BaseModel):
    """All badges somebody has, in the order they were earned."""

    badges: list[BadgeAnswer]
    count: int


class ProgressItem(BaseModel):
    """How far somebody is. ``current`` is not capped at ``required``."""

    badge: str
    current: int
    required: int

    @classmethod
    def of(cls, progress: Progress) -> "ProgressItem":
        """As it is sent."""
        return cls(badge=progress.badge.name, current=progress.current, required=progress.required)


class ProgressAnswer(BaseModel):
    """Every active badge by value, and the first not yet earned; ``null`` when all are."""

    progress: list[ProgressItem]
    next_badge: ProgressItem | None


class EvaluationAnswer(BaseModel):
    """What an evaluation awarded."""

    message: str
    new_badges: list[BadgeAnswer]
    total_badges: int


def send(model: BaseModel) -> Response:
    """A model as the response."""
    return jsonify(model.model_dump(mode="json"))


def badge_answers(awards: Iterable[Award]) -> list[BadgeAnswer]:
    """Awards as they are sent."""
    return [BadgeAnswer.of(award) for award in awards]
