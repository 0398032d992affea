"""Awards: who has which badge, what a history makes of them, and how they come and go.

Awards of one person come and go here, and on the fast path
(:mod:`webapp.domain.attendance.fast_path`), which only ever adds; for very many people at once new ones
are added by :mod:`webapp.domain.evaluation.bulk`. What is due is decided by :func:`due` alone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import contains_eager

from webapp import clock
from webapp.database import db, insert_rows
from webapp.domain.audit import Consequence, Effect
from webapp.domain.badges.criteria import CRITERIA
from webapp.domain.badges.history import HeldCamp, History
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Requirement, Revocation
from webapp.domain.people.accounts import Person


@dataclass(frozen=True, slots=True)
class AwardChanges:
    """What became of one person's awards, each list in the order of the definitions."""

    new: Sequence[Badge] = ()
    """Awarded for the first time: a reason to celebrate."""
    returned: Sequence[Badge] = ()
    """Revoked before and earned again: there, without a second celebration."""
    revoked: Sequence[Badge] = ()
    at: datetime = field(default_factory=clock.now)
    """When the new ones were earned, in UTC."""
    found_later: Sequence[Badge] = ()
    """Awarded for the first time, but reached before: their backfill had not come here yet."""
    moved: Sequence[Badge] = ()
    """Kept as before, and completed by another camp now."""

    def __bool__(self) -> bool:
        return bool(self.new or self.returned or self.revoked or self.found_later or self.moved)

    def consequences(self, person_id: UUID) -> list[Consequence]:
        """Say the same in the words of the audit trail."""
        awarded = sorted([*self.new, *self.found_later], key=in_order)
        effects = (
            (Effect.NEW, awarded),
            (Effect.RETURNED, self.returned),
            (Effect.REVOKED, self.revoked),
        )
        return [Consequence(person_id, badge.id, effect) for effect, badges in effects for badge in badges]


class KnownAward(NamedTuple):
    """An award, revoked or not, and what was asked when it was earned."""

    award: Award
    requirement: Requirement


class Offer(NamedTuple):
    """A badge that is awarded at present, as a plain value: it is looked at for each of very many."""

    badge_id: UUID
    version: int
    requirement: Requirement


class Due(NamedTuple):
    """A badge that a history earns: the visit that completed it, under which version."""

    camp: HeldCamp
    version: int


# --- what is known -------------------------------------------------------------------------------


def definitions() -> Sequence[Badge]:
    """Read every active badge as it is now, by criteria value, then definition order."""
    query = select(Badge).where(Badge.is_active).order_by(Badge.criteria_value, Badge.position)
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def all_definitions() -> Sequence[Badge]:
    """Read every badge, retired ones too, in the same order."""
    return db.session.scalars(select(Badge).order_by(Badge.criteria_value, Badge.position)).all()


def in_order(badge: Badge) -> tuple[int, int]:
    """Give the key of the order that badges have everywhere."""
    return badge.criteria_value, badge.position


def of_person(person_id: UUID) -> Sequence[Award]:
    """Read a person's awards that stand, with their badges and camps, in the order they were earned."""
    query = (
        select(Award)
        .join(Award.camp)
        .join(Award.badge)
        .options(contains_eager(Award.camp), contains_eager(Award.badge))
        .where(Award.person_id == person_id, Award.revoked_at.is_(None))
        .order_by(Camp.camp_date, Camp.start_time, Badge.criteria_value, Badge.position)
    )
    return db.session.scalars(query).all()


def of_everybody() -> Iterator[tuple[int, str, date, datetime]]:
    """Read every award that stands, by book number, then in the order earned: book number, badge,
    local date of the completing camp, and when it was earned (UTC).
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
    """Read what was taken from a person, in order; of one instant, what is not given back yet last."""
    query = select(Revocation).where(Revocation.person_id == person_id)
    by_time = Revocation.revoked_at, Revocation.returned_at.is_(None), Revocation.id
    return db.session.scalars(query.order_by(*by_time)).all()


def ever_revoked(person_id: UUID) -> set[UUID]:
    """Read the ids of the badges that were taken from a person at some time, returned or not."""
    query = select(Revocation.badge_id).where(Revocation.person_id == person_id)
    return set(db.session.scalars(query))


def older_of(person_id: UUID) -> dict[UUID, Requirement]:
    """Read the badges of a person that asked for something else when they were earned, each with
    what that was.
    """
    query = (
        select(Award.badge_id, BadgeVersion.criteria_type, BadgeVersion.criteria_value)
        .join(BadgeVersion, Award.under())
        .join(Badge, Badge.id == Award.badge_id)
        .where(
            Award.person_id == person_id,
            Award.revoked_at.is_(None),
            BadgeVersion.differs_from(Badge),
        )
    )
    return {badge_id: Requirement(*asked) for badge_id, *asked in db.session.execute(query)}


def known_of(person_ids: Collection[UUID]) -> dict[UUID, dict[UUID, KnownAward]]:
    """Read all awards of some people afresh, revoked ones too, by person and badge."""
    known: dict[UUID, dict[UUID, KnownAward]] = {person_id: {} for person_id in person_ids}
    query = (
        select(Award, BadgeVersion.criteria_type, BadgeVersion.criteria_value)
        .join(BadgeVersion, Award.under())
        .where(Award.person_id.in_(person_ids))
        .execution_options(populate_existing=True)
    )
    for award, *requirement in db.session.execute(query):
        known[award.person_id][award.badge_id] = KnownAward(award, Requirement(*requirement))
    return known


# --- what is due ---------------------------------------------------------------------------------


def completed_by(history: History, requirement: Requirement) -> HeldCamp | None:
    """Find the visit that completed what is asked, or nothing while it is not reached."""
    criteria_type, value = requirement
    if value > len(history.visits):
        return None  # as :class:`Criterion` promises; that saves asking for most of very many
    return CRITERIA[criteria_type].completed_by(history, value)


def offers(active: Iterable[Badge]) -> Sequence[Offer]:
    """Say what badges ask for now."""
    return [Offer(badge.id, badge.version, badge.requirement) for badge in active]


def due(history: History, active: Iterable[Offer], known: Mapping[UUID, KnownAward]) -> dict[UUID, Due]:
    """Work out which badges a history earns, by their ids.

    A badge is judged by what it asks for now; an award by what was asked when it was earned, and one
    that was taken away by what is asked now, too. A retired badge is not awarded any more, but an award
    of it is still judged.
    """
    earned = {}
    for badge_id, version, requirement in active:
        given = known.get(badge_id) if known else None
        if given is None:
            visit = completed_by(history, requirement)
            if visit:
                earned[badge_id] = Due(visit, version)
            continue
        visit = completed_by(history, given.requirement)
        if visit:
            earned[badge_id] = Due(visit, given.award.version)
        elif given.award.revoked_at and (visit := completed_by(history, requirement)):
            earned[badge_id] = Due(visit, version)

    for badge_id, given in known.items():
        if not given.award.badge.is_active and (visit := completed_by(history, given.requirement)):
            earned[badge_id] = Due(visit, given.award.version)
    return earned


def is_lost(before: History, after: History, badge: Badge, requirement: Requirement) -> bool:
    """Say whether a correction costs an award: before it, and not after it, what was asked when the
    award was earned (``requirement``) was reached, or what the badge asks for now.
    """

    def supports(history: History) -> bool:
        now = badge.is_active and completed_by(history, badge.requirement)
        return bool(completed_by(history, requirement) or now)

    return supports(before) and not supports(after)


# --- how they come and go ------------------------------------------------------------------------


def change(
    person_id: UUID,
    after: History,
    before: History | None,
    active: Sequence[Badge],
    known: Mapping[UUID, KnownAward],
    *,
    reason: str = "",
    by: Person | None = None,
    dated_back: bool = False,
) -> AwardChanges:
    """Bring one person's awards in line with their history, inside the caller's transaction.

    Every badge that is due is awarded, naming the camp that completes it on today's calendar. Where the
    history ``before`` a correction is given, what it costs is revoked, with ``reason`` and ``by``; what
    today's calendar would not have given before is left alone. A badge that ``before`` had reached
    already is found later, and with ``dated_back`` every new one is. The person must be locked.
    """
    now = clock.now()
    lists: dict[str, list[Badge]] = {name: [] for name in ("new", "returned", "revoked", "found_later", "moved")}
    earned = due(after, offers(active), known)
    retired = [each.award.badge for each in known.values() if not each.award.badge.is_active]

    for badge in [*active, *sorted(retired, key=in_order)]:
        known_award = known.get(badge.id)
        visit, version = earned.get(badge.id, (None, 0))
        if known_award is None:
            if visit:
                is_late = before and completed_by(before, badge.requirement)
                lists["found_later" if is_late or dated_back else "new"].append(badge)
        elif known_award.award.revoked_at is not None:
            if visit:
                known_award.award.version = version
                _give_back(known_award.award, visit, now)
                lists["returned"].append(badge)
        elif visit is None:
            if before and _is_lost_now(before, after, known_award):
                _revoke(known_award.award, reason, by)
                lists["revoked"].append(badge)
        elif known_award.award.camp_id != visit.camp_id:
            known_award.award.camp_id = visit.camp_id  # another visit completes it now
            lists["moved"].append(badge)

    changes = AwardChanges(at=now, **lists)
    rows = [_row(person_id, badge, earned[badge.id].camp, now) for badge in changes.new]
    for badge in changes.found_later:
        begun = db.session.get_one(Camp, earned[badge.id].camp.camp_id).starts_at
        rows.append(_row(person_id, badge, earned[badge.id].camp, min(begun, now), found_later=True))
    if rows:
        insert_rows(Award.__table__, rows)
    return changes


def take_back(histories: Mapping[UUID, tuple[History, History]], *, reason: str) -> list[Consequence]:
    """Revoke what corrections cost, as :func:`change` does, and award nothing yet.

    ``histories`` has each person's history before and after. Returns which awards went.
    """
    lost = []
    for person_id, known in known_of(histories.keys()).items():
        before, after = histories[person_id]
        for known_award in known.values():
            if known_award.award.revoked_at is None and _is_lost_now(before, after, known_award):
                _revoke(known_award.award, reason)
                lost.append(Consequence(person_id, known_award.award.badge_id, Effect.REVOKED))
    db.session.flush()
    return lost


def _is_lost_now(before: History, after: History, known: KnownAward) -> bool:
    """Apply :func:`is_lost`. An award that only what is asked now supports becomes one of now."""
    award, badge = known.award, known.award.badge
    if badge.is_active and completed_by(after, known.requirement) is None:
        visit = completed_by(after, badge.requirement)
        if visit:
            award.version, award.camp_id = badge.version, visit.camp_id
    return is_lost(before, after, badge, known.requirement)


def _row(
    person_id: UUID, badge: Badge, camp: HeldCamp, at: datetime, *, found_later: bool = False
) -> dict[str, object]:
    return {
        "person_id": person_id,
        "badge_id": badge.id,
        "camp_id": camp.camp_id,
        "earned_at": at,
        "version": badge.version,
        "found_later": found_later,
    }


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


def _give_back(award: Award, camp: HeldCamp, at: datetime) -> None:
    """Let a revoked award return as it was; only where another camp completes it now is it dated anew."""
    if award.camp_id != camp.camp_id:
        award.camp_id, award.earned_at = camp.camp_id, at
    award.revoked_at = None
    open_ones = (
        Revocation.person_id == award.person_id,
        Revocation.badge_id == award.badge_id,
        Revocation.returned_at.is_(None),
    )
    db.session.execute(update(Revocation).where(*open_ones).values(returned_at=at))
