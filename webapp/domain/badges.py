"""Badges: the definitions, the rule that earns them, progress, and the awards.

Awards come and go here, and for many people at once in ``settling``. :func:`settle` is handed
:class:`History` values, so it knows nothing of attendance; ``attendance`` calls it inside its own transaction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from functools import cached_property
from uuid import UUID, uuid4

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.database import Instant, Model, choice, db, insert_rows
from webapp.domain.accounts import Person
from webapp.domain.camps import Camp
from webapp.domain.streaks import Runs


class Criteria(StrEnum):
    """What a badge counts."""

    VISITS = "visits"
    CONSECUTIVE_VISITS = "consecutive_visits"


class Badge(Model):
    """A definition. The artwork is composed: shape, metal, ribbon and emblem of one medal."""

    __tablename__ = "badge"
    __table_args__ = (CheckConstraint("criteria_value > 0", name="criteria_value_positive"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    description: Mapped[str] = mapped_column(String(200))
    criteria_type: Mapped[Criteria] = mapped_column(choice(Criteria, "criteria_type", length=24))
    criteria_value: Mapped[int]
    position: Mapped[int]
    shape: Mapped[str] = mapped_column(String(16))
    metal: Mapped[str] = mapped_column(String(16))
    ribbon: Mapped[str] = mapped_column(String(16))
    emblem: Mapped[str] = mapped_column(String(16))
    is_active: Mapped[bool] = mapped_column(default=True)


class Award(Model):
    """One badge earned by one person, once: that is its key. It is never erased, only revoked; earned
    again, it returns.
    """

    __tablename__ = "award"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    badge_id: Mapped[UUID] = mapped_column(ForeignKey("badge.id"), primary_key=True)
    camp_id: Mapped[UUID] = mapped_column(ForeignKey("camp.id"))
    earned_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    badge: Mapped[Badge] = relationship(lazy="joined", innerjoin=True)
    camp: Mapped[Camp] = relationship()


class Revocation(Model):
    """Who took an award away, when and why. It stays when the award returns."""

    __tablename__ = "revocation"
    __table_args__ = (
        ForeignKeyConstraint(["person_id", "badge_id"], ["award.person_id", "award.badge_id"]),
        Index(None, "person_id", "badge_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    person_id: Mapped[UUID]
    badge_id: Mapped[UUID]
    revoked_at: Mapped[datetime] = mapped_column(Instant)
    revoked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reason: Mapped[str] = mapped_column(String(200))
    returned_at: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True, order=True)
class HeldCamp:
    """What a history keeps of a camp; ordered by date, time and, so that every engine agrees, by id."""

    camp_date: date
    start_time: time
    camp_id: UUID
    camp_name: str
    site_id: UUID


@dataclass(frozen=True)
class History:
    """All that badges look at: one person's visits, in order, and their runs at each site."""

    visits: Sequence[HeldCamp] = ()
    runs: Mapping[UUID, Runs] = field(default_factory=dict)

    @cached_property
    def longest_streak(self) -> int:
        """The longest run of any one site, in steps."""
        return max((runs.longest for runs in self.runs.values()), default=0)

    @cached_property
    def current_streak(self) -> int:
        """The longest run of any one site that is not broken yet, in steps."""
        return max((runs.current for runs in self.runs.values()), default=0)

    def amount(self, criteria: Criteria) -> int:
        """How far the person is by these criteria, not capped."""
        return len(self.visits) if criteria is Criteria.VISITS else self.longest_streak

    def completed_by(self, criteria: Criteria, value: int) -> HeldCamp | None:
        """The visit that reached ``value``, or nothing while it is not reached."""
        if self.amount(criteria) < value:
            return None
        if criteria is Criteria.VISITS:
            return self.visits[value - 1]
        day, site_id = min(
            (runs.reached[value], site_id) for site_id, runs in self.runs.items() if value in runs.reached
        )
        return next(visit for visit in self.visits if visit.site_id == site_id and visit.camp_date == day)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one person is towards one badge. ``current`` is not capped at ``required``."""

    badge: Badge
    current: int
    earned: bool

    @property
    def required(self) -> int:
        """What the badge asks for."""
        return self.badge.criteria_value

    @property
    def missing(self) -> int:
        """How many more it takes."""
        return max(0, self.required - self.current)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one settling did, each list in the order of the definitions."""

    new: Sequence[Badge] = ()
    """Awarded for the first time: a reason to celebrate."""
    returned: Sequence[Badge] = ()
    """Revoked before and earned again: there, without a second celebration."""
    revoked: Sequence[Badge] = ()
    at: datetime = field(default_factory=clock.now)
    """When the new ones were earned, in UTC."""

    def __bool__(self) -> bool:
        return bool(self.new or self.returned or self.revoked)


def definitions() -> Sequence[Badge]:
    """Every active badge by criteria value, then definition order."""
    query = select(Badge).where(Badge.is_active).order_by(Badge.criteria_value, Badge.position)
    return db.session.scalars(query).all()


def earned(history: History, badges: Iterable[Badge]) -> dict[UUID, HeldCamp]:
    """The ids of the badges a history reaches, each with the visit that completed it."""
    reached = {}
    for badge in badges:
        visit = history.completed_by(badge.criteria_type, badge.criteria_value)
        if visit is not None:
            reached[badge.id] = visit
    return reached


def awards_of(person_id: UUID) -> Sequence[Award]:
    """A person's awards that stand, in the order they were earned."""
    query = (
        select(Award)
        .join(Award.camp)
        .join(Award.badge)
        .where(Award.person_id == person_id, Award.revoked_at.is_(None))
        .order_by(Camp.camp_date, Camp.start_time, Badge.criteria_value, Badge.position)
    )
    return db.session.scalars(query).all()


def all_awards() -> Iterator[tuple[int, str, date, datetime]]:
    """Every award that stands, by book number, then in the order earned: book number, badge, local date
    of the completing camp, and when it was earned (UTC).
    """
    query = (
        select(Person.book_no, Badge.name, Camp.camp_date, Award.earned_at)
        .join_from(Award, Person, Person.id == Award.person_id)
        .join(Badge)
        .join(Camp)
        .where(Award.revoked_at.is_(None))
        .order_by(Person.book_no, Camp.camp_date, Badge.criteria_value, Badge.position)
        .execution_options(yield_per=1000)
    )
    for row in db.session.execute(query):
        yield tuple(row)


def ever_revoked(person_id: UUID) -> set[UUID]:
    """The ids of the badges that were taken from a person at some time, whether or not they returned."""
    return set(db.session.scalars(select(Revocation.badge_id).where(Revocation.person_id == person_id)))


def progress_of(history: History, awards: Iterable[Award]) -> list[Progress]:
    """Where a person stands with every active badge, in the order of :func:`definitions`."""
    held = {award.badge_id for award in awards}
    return [Progress(badge, history.amount(badge.criteria_type), badge.id in held) for badge in definitions()]


def next_of(progress: Iterable[Progress]) -> Progress | None:
    """The first badge not yet earned, or nothing when all are."""
    return next((each for each in progress if not each.earned), None)


@dataclass(frozen=True, slots=True)
class Change:
    """A person's history after something changed, and before it where that was a correction."""

    person_id: UUID
    after: History
    before: History | None = None


def settle(
    changes: Sequence[Change],
    *,
    reason: str = "",
    by: Person | None = None,
) -> dict[UUID, Settlement]:
    """Bring awards in line with histories, inside the caller's transaction.

    Every badge reached is awarded, naming the camp that completes it on today's calendar. Where the
    history ``before`` is given, the badges it reached and ``after`` does not are revoked, with ``reason``
    and ``by``; what today's calendar would not have given before is left alone. The people must be locked.
    """
    badges = definitions()
    now = clock.now()
    existing: dict[UUID, dict[UUID, Award]] = {change.person_id: {} for change in changes}
    query = select(Award).where(Award.person_id.in_(existing)).execution_options(populate_existing=True)
    for known in db.session.scalars(query):
        existing[known.person_id][known.badge_id] = known

    settlements = {}
    for change in changes:
        awards = existing[change.person_id]
        due = earned(change.after, badges)
        lost = earned(change.before, badges).keys() - due.keys() if change.before else set()
        new: list[Badge] = []
        returned: list[Badge] = []
        revoked: list[Badge] = []
        for badge in badges:
            award = awards.get(badge.id)
            if badge.id in due:
                camp_id = due[badge.id].camp_id
                if award is None:
                    new.append(badge)
                elif award.revoked_at is not None:
                    returned.append(badge)
                elif award.camp_id != camp_id:  # a correction moved the visit that completed it
                    award.camp_id = camp_id
            elif badge.id in lost and award is not None and award.revoked_at is None:
                _revoke(award, reason, by)
                revoked.append(badge)
        completed = {badge_id: visit.camp_id for badge_id, visit in due.items()}
        _award(change.person_id, [badge.id for badge in new], completed, now)
        give_back(change.person_id, [badge.id for badge in returned], completed, now)
        settlements[change.person_id] = Settlement(new, returned, revoked, now)
    db.session.flush()
    return settlements


def take_back(changes: Sequence[Change], *, reason: str) -> int:
    """Revoke what corrections cost, as :func:`settle` does, and award nothing yet; how many badges that were."""
    badges = definitions()
    number = 0
    for change in changes:
        assert change.before is not None
        lost = earned(change.before, badges).keys() - earned(change.after, badges).keys()
        query = select(Award).where(
            Award.person_id == change.person_id, Award.badge_id.in_(lost), Award.revoked_at.is_(None)
        )
        for award in db.session.scalars(query).all() if lost else ():
            _revoke(award, reason)
            number += 1
    db.session.flush()
    return number


@dataclass(frozen=True, slots=True)
class Reached:
    """How far somebody is by both criteria."""

    visits: int
    longest_streak: int


def settle_forward(person_id: UUID, camp_id: UUID, before: Reached, after: Reached) -> Settlement | None:
    """Award what one more visit reached, the latest somebody has: it takes nothing away, and completes
    whatever it reaches. Nothing is done, and nothing answered, where only the whole history can tell (see
    :func:`settle`): a badge is due that was reached before, or one stands already from an earlier calendar.
    """
    now = clock.now()
    bounds = {"person": person_id, "visits": after.visits, "longest_streak": after.longest_streak}
    bounds |= {"visits_before": before.visits, "longest_streak_before": before.longest_streak}
    found = db.session.connection().execute(_REACHED, bounds).all()
    if not found:
        return Settlement()
    known = {badge.id: badge for badge in definitions()}
    new: list[Badge] = []
    returned: list[Badge] = []
    for badge_id, award_of, revoked_at in found:
        badge = known[badge_id]
        reached = before.visits if badge.criteria_type is Criteria.VISITS else before.longest_streak
        if badge.criteria_value <= reached or (award_of and not revoked_at):
            return None
        (returned if award_of else new).append(badge)
    completed = dict.fromkeys((badge.id for badge in [*new, *returned]), camp_id)
    _award(person_id, [badge.id for badge in new], completed, now)
    give_back(person_id, [badge.id for badge in returned], completed, now)
    return Settlement(new, returned, (), now)


def _badges_reached() -> Select[tuple[UUID, UUID, datetime | None]]:
    """The badges that somebody has reached and does not hold, or has reached just now."""
    just_reached = []
    reached = []
    for criteria in Criteria:
        measure = "visits" if criteria is Criteria.VISITS else "longest_streak"
        here = Badge.criteria_type == criteria
        reached.append(and_(here, Badge.criteria_value <= bindparam(measure, type_=Integer)))
        just_reached.append(and_(here, Badge.criteria_value > bindparam(f"{measure}_before", type_=Integer)))
    own = and_(Award.badge_id == Badge.id, Award.person_id == bindparam("person", type_=Uuid))
    not_held = or_(Award.person_id.is_(None), Award.revoked_at.is_not(None))
    return (
        select(Badge.id, Award.person_id, Award.revoked_at)
        .outerjoin(Award, own)
        .where(Badge.is_active, or_(*reached), or_(not_held, *just_reached))
        .order_by(Badge.criteria_value, Badge.position)
    )


_REACHED = _badges_reached()


def _award(person_id: UUID, badge_ids: Sequence[UUID], completed: Mapping[UUID, UUID], at: datetime) -> None:
    """Badges for the first time; ``completed`` says by which camp each."""
    rows = [
        {"person_id": person_id, "badge_id": badge_id, "camp_id": completed[badge_id], "earned_at": at}
        for badge_id in badge_ids
    ]
    if rows:
        insert_rows(Award.__table__, rows)


def _revoke(award: Award, reason: str, by: Person | None = None) -> None:
    award.revoked_at = clock.now()
    db.session.add(
        Revocation(
            person_id=award.person_id,
            badge_id=award.badge_id,
            revoked_at=award.revoked_at,
            revoked_by_id=by.id if by else None,
            reason=reason,
        )
    )


def give_back(person_id: UUID, badge_ids: Sequence[UUID], completed: Mapping[UUID, UUID], at: datetime) -> None:
    """Revoked awards return as they were; only one that another camp completes now is dated anew, ``at``.

    ``completed`` says by which camp each badge is completed.
    """
    for badge_id in badge_ids:
        award = db.session.get_one(Award, (person_id, badge_id))
        if award.camp_id != completed[badge_id]:
            award.camp_id, award.earned_at = completed[badge_id], at
        award.revoked_at = None
    if badge_ids:
        ended = update(Revocation).where(
            Revocation.person_id == person_id, Revocation.badge_id.in_(badge_ids), Revocation.returned_at.is_(None)
        )
        db.session.execute(ended.values(returned_at=at))
        db.session.flush()
