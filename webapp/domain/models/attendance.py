"""Records: what is stored of one person at one camp, and what that is on the walk."""

from datetime import date, datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, and_, case
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice
from webapp.domain.camps.calendar import Camp
from webapp.domain.people.accounts import Person

LONGEST_REASON = 200  # characters


class Step(IntEnum):
    """What a camp was for one person. Of several on one date, the greatest makes the date's step."""

    MISSED = 0
    SKIPPED = 1  # excused, or there in another role
    VISIT = 2


class CampRole(StrEnum):
    """What somebody does at a camp. Only a volunteer's presence is a visit."""

    VOLUNTEER = "volunteer"
    DOCTOR = "doctor"
    COORDINATOR = "coordinator"


class State(StrEnum):
    """Where one person stands with one camp."""

    EXPECTED = "expected"
    PRESENT = "present"
    EXCUSED = "excused"
    ABSENT = "absent"


class Attendance(Model):
    """One person at one camp; the keys allow it once.

    Site and date are the camp's, and follow it. They stand in the key so that a person's walk is read in
    its order, and so that the table can be partitioned by site (docs/scaling.md).
    """

    __tablename__ = "attendance"
    __table_args__ = (
        ForeignKeyConstraint(
            ["camp_id", "site_id", "camp_date"], ["camp.id", "camp.site_id", "camp.camp_date"], onupdate="CASCADE"
        ),
        Index(None, "camp_id", "changed_at"),
    )

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    camp_date: Mapped[date] = mapped_column(primary_key=True)
    camp_id: Mapped[UUID] = mapped_column(primary_key=True)
    camp_role: Mapped[CampRole] = mapped_column(choice(CampRole, "camp_role"))
    state: Mapped[State] = mapped_column(choice(State, "state"))
    reason: Mapped[str | None] = mapped_column(String(LONGEST_REASON))
    # The camp role they signed up in, which a mark in another role must not make forgotten.
    signed_up_as: Mapped[CampRole | None] = mapped_column(choice(CampRole, "signed_up_as"))
    # They said themselves, before the camp, that they cannot come; a mark that is undone must not forget it.
    declined_at: Mapped[datetime | None] = mapped_column(Instant)
    # Absent because the roll call was closed, not because anybody said so.
    presumed: Mapped[bool] = mapped_column(default=False)
    marked_at: Mapped[datetime | None] = mapped_column(Instant)
    marked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    left_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant, default=clock.now)
    changed_at: Mapped[datetime] = mapped_column(Instant, default=clock.now)
    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    # By the id alone, so that a camp at hand is not read again.
    camp: Mapped[Camp] = relationship(primaryjoin=lambda: foreign(Attendance.camp_id) == Camp.id, viewonly=True)

    @classmethod
    def at(cls, camp: Camp, person: Person) -> "Attendance":
        """A new one, not yet in the session."""
        now = clock.now()
        return cls(
            person_id=person.id,
            camp_id=camp.id,
            site_id=camp.site_id,
            camp_date=camp.camp_date,
            signed_up_as=None,
            declined_at=None,
            presumed=False,
            left_at=None,
            created_at=now,
            changed_at=now,
        )

    @property
    def step(self) -> Step:
        """What it is on the walk, once it is more than a sign-up."""
        return step_of(self.state, self.camp_role)


def step_of(state: State, camp_role: CampRole) -> Step:
    """What one marked attendance is on the walk."""
    if state is State.PRESENT:
        return Step.VISIT if camp_role is CampRole.VOLUNTEER else Step.SKIPPED
    return Step.SKIPPED if state is State.EXCUSED else Step.MISSED


def step_in_sql() -> ColumnElement[int]:
    """Say :func:`step_of` in SQL, of a row of :class:`Attendance`; a test holds the two together."""
    skipped = Attendance.state.in_((State.PRESENT, State.EXCUSED))
    return case((is_visit(), int(Step.VISIT)), (skipped, int(Step.SKIPPED)), else_=int(Step.MISSED))


def is_marked() -> ColumnElement[bool]:
    """The SQL condition on :class:`Attendance` that says it is more than a sign-up."""
    return Attendance.state != State.EXPECTED


def is_visit() -> ColumnElement[bool]:
    """The SQL condition on :class:`Attendance` that makes a visit of it, at a camp that is held."""
    return and_(Attendance.state == State.PRESENT, Attendance.camp_role == CampRole.VOLUNTEER)
