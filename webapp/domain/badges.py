"""Badges: the definitions, the rule that earns them, progress, and the awards.

Awards come and go here, and for many people at once in ``settling``. :func:`settle` is handed
:class:`History` values, so it knows nothing of attendance; ``attendance`` calls it inside its own transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

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
    case,
    false,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Mapped, contains_eager, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice, db, insert_rows
from webapp.domain.accounts import Person
from webapp.domain.audit import Consequence, Effect
from webapp.domain.camps import Camp
from webapp.domain.streaks import Runs
from webapp.infra.ids import new_id


class Criteria(StrEnum):
    """What a badge counts."""

    VISITS = "visits"
    CONSECUTIVE_VISITS = "consecutive_visits"


class Asked(NamedTuple):
    """What a badge asks for."""

    criteria_type: Criteria
    criteria_value: int


class Badge(Model):
    """A definition. The artwork is composed: shape, metal, ribbon and emblem of one medal."""

    __tablename__ = "badge"
    __table_args__ = (CheckConstraint("criteria_value > 0", name="criteria_value_positive"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
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
    # Goes up when the criteria change; see Definition.
    version: Mapped[int] = mapped_column(default=1)

    @property
    def asked(self) -> Asked:
        """What it asks for now."""
        return Asked(self.criteria_type, self.criteria_value)


class Definition(Model):
    """What a badge asked for in one of its versions. An award keeps the one under which it was earned."""

    __tablename__ = "definition"

    badge_id: Mapped[UUID] = mapped_column(ForeignKey("badge.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    criteria_type: Mapped[Criteria] = mapped_column(choice(Criteria, "criteria_type", length=24))
    criteria_value: Mapped[int]
    since: Mapped[datetime] = mapped_column(Instant, default=clock.now)

    @property
    def asked(self) -> Asked:
        """What it asked for."""
        return Asked(self.criteria_type, self.criteria_value)

    @classmethod
    def differs_from(cls, badge: Badge | type[Badge]) -> ColumnElement[bool]:
        """The condition on a definition that says it asked for something else than a badge does now."""
        return or_(cls.criteria_type != badge.criteria_type, cls.criteria_value != badge.criteria_value)


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
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    """The badge's version under which it was earned."""
    found_later: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Awarded long after the visit, by an import or a backfill, or by a mark that came before the backfill did:
    nobody celebrates it."""
    badge: Mapped[Badge] = relationship(lazy="joined", innerjoin=True)
    camp: Mapped[Camp] = relationship()


class Revocation(Model):
    """Who took an award away, when and why. It stays when the award returns."""

    __tablename__ = "revocation"
    __table_args__ = (
        ForeignKeyConstraint(["person_id", "badge_id"], ["award.person_id", "award.badge_id"]),
        Index(None, "person_id", "badge_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
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
    found: Sequence[Badge] = ()
    """Awarded for the first time, and found later: reached before, when their backfill had not come here yet."""
    moved: Sequence[Badge] = ()
    """Held as before, and completed by another camp now."""

    def __bool__(self) -> bool:
        return bool(self.new or self.returned or self.revoked or self.found or self.moved)

    def consequences(self, person_id: UUID) -> list[Consequence]:
        """The same in the words of the audit trail."""
        awarded = sorted([*self.new, *self.found], key=in_order)
        effects = ((Effect.NEW, awarded), (Effect.RETURNED, self.returned), (Effect.REVOKED, self.revoked))
        return [Consequence(person_id, badge.id, effect) for effect, badges in effects for badge in badges]


def definitions() -> Sequence[Badge]:
    """Every active badge by criteria value, then definition order."""
    query = select(Badge).where(Badge.is_active).order_by(Badge.criteria_value, Badge.position)
    return db.session.scalars(query).all()


def all_definitions() -> Sequence[Badge]:
    """Every badge, retired ones too, in the same order."""
    return db.session.scalars(select(Badge).order_by(Badge.criteria_value, Badge.position)).all()


def awards_of(person_id: UUID) -> Sequence[Award]:
    """A person's awards that stand, in the order they were earned."""
    query = (
        select(Award)
        .join(Award.camp)
        .join(Award.badge)
        .options(contains_eager(Award.camp), contains_eager(Award.badge))
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


def revocations_of(person_id: UUID) -> Sequence[Revocation]:
    """What was taken from a person, in order; of one instant, what is not given back yet last."""
    query = select(Revocation).where(Revocation.person_id == person_id)
    in_order = Revocation.revoked_at, Revocation.returned_at.is_(None), Revocation.id
    return db.session.scalars(query.order_by(*in_order)).all()


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
    and ``by``; what today's calendar would not have given before is left alone. A badge that ``before`` had
    reached already is found later: its backfill had not come to them yet. The people must be locked.
    """
    active = definitions()
    existing = _awards_by_badge([change.person_id for change in changes])
    settlements = {
        change.person_id: _settle_one(change, active, existing[change.person_id], reason, by) for change in changes
    }
    db.session.flush()
    return settlements


def _settle_one(
    change: Change, active: Sequence[Badge], awards: Mapping[UUID, "_Known"], reason: str, by: Person | None
) -> Settlement:
    now = clock.now()
    new: list[Badge] = []
    found: list[Badge] = []
    returned: list[Badge] = []
    revoked: list[Badge] = []
    moved: list[Badge] = []
    completed: dict[UUID, UUID] = {}
    retired = (known.award.badge for known in awards.values() if not known.award.badge.is_active)
    for badge in [*active, *sorted(retired, key=in_order)]:
        known = awards.get(badge.id)
        # An award is judged by what was asked when it was earned, and kept or given back by what is asked now, too.
        visit = change.after.completed_by(*(known.asked if known else badge.asked))
        if known is None:
            if visit:
                is_found = change.before and change.before.completed_by(*badge.asked)
                (found if is_found else new).append(badge)
        elif known.award.revoked_at is not None:
            if visit is None and badge.is_active:
                visit = change.after.completed_by(*badge.asked)
                known.award.version = badge.version if visit else known.award.version
            if visit:
                returned.append(badge)
        elif visit is None:
            if change.before and _costs(change, known):
                _revoke(known.award, reason, by)
                revoked.append(badge)
        elif known.award.camp_id != visit.camp_id:  # a correction moved the visit that completed it
            known.award.camp_id = visit.camp_id
            moved.append(badge)
        if visit:
            completed[badge.id] = visit.camp_id
    _award(change.person_id, new, completed, now)
    for badge in found:
        begun = db.session.get_one(Camp, completed[badge.id]).starts_at
        _award(change.person_id, [badge], completed, min(begun, now), found_later=True)
    give_back(change.person_id, [badge.id for badge in returned], completed, now)
    return Settlement(new, returned, revoked, now, found, moved)


def take_back(changes: Sequence[Change], *, reason: str) -> list[Consequence]:
    """Revoke what corrections cost, as :func:`settle` does, and award nothing yet; which awards that were."""
    existing = _awards_by_badge([change.person_id for change in changes])
    gone = []
    for change in changes:
        for known in existing[change.person_id].values():
            if known.award.revoked_at is None and _costs(change, known):
                _revoke(known.award, reason)
                gone.append(Consequence(change.person_id, known.award.badge_id, Effect.REVOKED))
    db.session.flush()
    return gone


def is_lost(change: Change, badge: Badge, asked: Asked) -> bool:
    """Whether a correction costs an award of a badge: before it, and not after it, what was ``asked`` when it
    was earned was reached, or what the badge asks for now.
    """

    def supports(history: History) -> bool:
        return bool(history.completed_by(*asked) or (badge.is_active and history.completed_by(*badge.asked)))

    assert change.before is not None
    return supports(change.before) and not supports(change.after)


def _costs(change: Change, known: "_Known") -> bool:
    """:func:`is_lost` of an award. One that only what is asked now supports any more becomes an award of now."""
    award, badge = known.award, known.award.badge
    if badge.is_active and change.after.completed_by(*known.asked) is None:
        visit = change.after.completed_by(*badge.asked)
        if visit:
            award.version, award.camp_id = badge.version, visit.camp_id
    return is_lost(change, badge, known.asked)


def asked_of_awards(person_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, Asked]]]:
    """The badges these people hold, each with what was asked when it was earned."""
    query = (
        select(Award.person_id, Award.badge_id, Definition.criteria_type, Definition.criteria_value)
        .join(Definition, own_definition())
        .where(Award.person_id.in_(person_ids), Award.revoked_at.is_(None))
    )
    held: dict[UUID, list[tuple[UUID, Asked]]] = {}
    for person_id, badge_id, *asked in db.session.execute(query):
        held.setdefault(person_id, []).append((badge_id, Asked(*asked)))
    return held


def older_of(person_id: UUID) -> dict[UUID, Asked]:
    """The badges somebody holds that asked for something else when they were earned, each with what that was."""
    query = (
        select(Award.badge_id, Definition.criteria_type, Definition.criteria_value)
        .join(Definition, own_definition())
        .join(Badge, Badge.id == Award.badge_id)
        .where(Award.person_id == person_id, Award.revoked_at.is_(None), Definition.differs_from(Badge))
    )
    return {badge_id: Asked(*asked) for badge_id, *asked in db.session.execute(query)}


@dataclass(frozen=True, slots=True)
class _Known:
    """An award, revoked or not, and what was asked when it was earned."""

    award: Award
    asked: Asked


def _awards_by_badge(person_ids: Collection[UUID]) -> dict[UUID, dict[UUID, _Known]]:
    existing: dict[UUID, dict[UUID, _Known]] = {person_id: {} for person_id in person_ids}
    query = (
        select(Award, Definition.criteria_type, Definition.criteria_value)
        .join(Definition, own_definition())
        .where(Award.person_id.in_(person_ids))
        .execution_options(populate_existing=True)
    )
    for award, *asked in db.session.execute(query):
        existing[award.person_id][award.badge_id] = _Known(award, Asked(*asked))
    return existing


def own_definition() -> ColumnElement[bool]:
    """The condition on an award and a definition that says the one was earned under the other."""
    return and_(Definition.badge_id == Award.badge_id, Definition.version == Award.version)


def in_order(badge: Badge) -> tuple[int, int]:
    """The key of the order that badges have everywhere."""
    return badge.criteria_value, badge.position


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
    for badge_id, award_of, revoked_at, is_older in found:
        if is_older:
            return None
        badge = known[badge_id]
        reached = before.visits if badge.criteria_type is Criteria.VISITS else before.longest_streak
        if badge.criteria_value <= reached or (award_of and not revoked_at):
            return None
        (returned if award_of else new).append(badge)
    completed = dict.fromkeys((badge.id for badge in [*new, *returned]), camp_id)
    _award(person_id, new, completed, now)
    give_back(person_id, [badge.id for badge in returned], completed, now)
    return Settlement(new, returned, (), now)


def _badges_reached() -> Select[tuple[UUID, UUID, datetime | None, bool]]:
    """The badges that somebody has reached and does not hold, or has reached just now; and those taken away
    that were earned when something else was asked (``is_older``), or that are not awarded any more.
    """
    just_reached = []
    reached = []
    for criteria in Criteria:
        measure = "visits" if criteria is Criteria.VISITS else "longest_streak"
        here = Badge.criteria_type == criteria
        reached.append(and_(here, Badge.criteria_value <= bindparam(measure, type_=Integer)))
        just_reached.append(and_(here, Badge.criteria_value > bindparam(f"{measure}_before", type_=Integer)))
    own = and_(Award.badge_id == Badge.id, Award.person_id == bindparam("person", type_=Uuid))
    not_held = or_(Award.person_id.is_(None), Award.revoked_at.is_not(None))
    is_older = and_(Award.revoked_at.is_not(None), or_(~Badge.is_active, Award.version != Badge.version))
    return (
        select(Badge.id, Award.person_id, Award.revoked_at, case((is_older, true()), else_=false()))
        .outerjoin(Award, own)
        .where(or_(is_older, and_(Badge.is_active, or_(*reached), or_(not_held, *just_reached))))
        .order_by(Badge.criteria_value, Badge.position)
    )


_REACHED = _badges_reached()


def _award(
    person_id: UUID,
    badges: Sequence[Badge],
    completed: Mapping[UUID, UUID],
    at: datetime,
    *,
    found_later: bool = False,
) -> None:
    """Badges for the first time; ``completed`` says by which camp each."""
    rows = [
        {
            "person_id": person_id,
            "badge_id": badge.id,
            "camp_id": completed[badge.id],
            "earned_at": at,
            "version": badge.version,
            "found_later": found_later,
        }
        for badge in badges
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
