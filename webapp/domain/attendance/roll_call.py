"""Rolls: the list of one camp as a whole. How it is read, called at once, and closed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ForeignKey, and_, exists, func, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.database import Instant, Model, db
from webapp.domain import audit
from webapp.domain.attendance import marking
from webapp.domain.attendance.marking import Mark, Outcome
from webapp.domain.audit import Action
from webapp.domain.badges import awards, history
from webapp.domain.badges.awards import AwardChanges
from webapp.domain.badges.history import History
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import Attendance, State, step_of
from webapp.domain.models.badge import Badge
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person


class Closing(Model):
    """A roll call that is closed: whoever was still expected is absent. Reopening takes it away."""

    __tablename__ = "closing"

    camp_id: Mapped[UUID] = mapped_column(ForeignKey("camp.id"), primary_key=True)
    closed_at: Mapped[datetime] = mapped_column(Instant)
    closed_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    closed_by: Mapped[Person] = relationship()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a roll call: a person, and what is stored of them at the camp, if anything."""

    person: Person
    attendance: Attendance | None
    at_risk: Sequence[Badge] = ()
    """What taking back a mark would take away."""
    changes: AwardChanges | None = None
    """What the mark just made did to their badges."""
    refusal: str = ""
    """Why the mark just asked for was not made."""

    @property
    def state(self) -> State | None:
        """Nothing for somebody who is not on the roll."""
        return self.attendance.state if self.attendance else None


def roll(camp: Camp, query: str = "", limit: int = 1000) -> list[Row]:
    """The roll call of a camp: everybody who is on it, by name.

    With a ``query``, whoever matches it (see :func:`accounts.search`), those on the roll first, then
    active people who did not sign up.
    """
    search = accounts.search(query)
    here = Attendance.camp_id == camp.id
    # Two questions: joined outwards, SQLite reads everybody there is for those who are on the roll.
    on_it = (
        select(Person, Attendance)
        .join(Attendance, Attendance.person_id == Person.id)
        .where(here, search.condition)
        .order_by(*search.order)
        .limit(limit)
    )
    rows = _rows(camp, db.session.execute(on_it).tuples().all())
    if not accounts.fold(query):
        return rows
    others = (
        select(Person)
        .where(search.condition, Person.is_active)
        .where(Person.id.not_in(select(Attendance.person_id).where(here)))
        .order_by(*search.order)
        .limit(limit - len(rows))
    )
    return [*rows, *(Row(person, None) for person in db.session.scalars(others))]


def row_after(camp: Camp, person: Person, outcome: Outcome | None = None) -> Row:
    """Somebody's line of a camp's roll call, after a mark if there was one."""
    return rows_of(camp, [person.id], {person.id: outcome} if outcome else {})[0]


def rows_of(
    camp: Camp,
    person_ids: Collection[UUID],
    outcomes: Mapping[UUID, Outcome] = MappingProxyType({}),
) -> list[Row]:
    """These people's lines of a camp's roll call, by name, after marks with these ``outcomes``."""
    here = and_(Attendance.person_id == Person.id, Attendance.camp_id == camp.id)
    people = select(Person, Attendance).outerjoin(Attendance, here).where(Person.id.in_(person_ids))
    found = db.session.execute(people.order_by(Person.search_name, Person.book_no)).tuples().all()
    return _rows(camp, found, outcomes)


class Changed(NamedTuple):
    """Whose line of a roll was changed, when, and who marked them."""

    person_id: UUID
    changed_at: datetime
    marked_by_id: UUID | None


def changed_since(camp: Camp, since: datetime) -> list[Changed]:
    """What was changed on a roll from an instant on. Somebody who left the roll is not among it."""
    changed = select(Attendance.person_id, Attendance.changed_at, Attendance.marked_by_id)
    query = changed.where(Attendance.camp_id == camp.id, Attendance.changed_at >= since)
    return [Changed(*row) for row in db.session.execute(query)]


def people_on(camp: Camp) -> set[UUID]:
    """The ids of everybody on a roll."""
    return set(db.session.scalars(select(Attendance.person_id).where(Attendance.camp_id == camp.id)))


def expected_on(camp: Camp) -> Sequence[UUID]:
    """The ids of everybody who is still expected."""
    here = Attendance.camp_id == camp.id, Attendance.state == State.EXPECTED
    return db.session.scalars(select(Attendance.person_id).where(*here)).all()


def size_of(camp: Camp) -> int:
    """How many people are on a roll."""
    return db.session.scalar(select(func.count()).where(Attendance.camp_id == camp.id)) or 0


def counts(camp: Camp) -> Counter[State]:
    """How many people stand where with a camp."""
    query = select(Attendance.state, func.count()).where(Attendance.camp_id == camp.id).group_by(Attendance.state)
    return Counter(dict(db.session.execute(query).tuples().all()))


def counts_of(camp_ids: Collection[UUID]) -> dict[UUID, Counter[State]]:
    """How many people stand where with each of these camps."""
    query = (
        select(Attendance.camp_id, Attendance.state, func.count())
        .where(Attendance.camp_id.in_(camp_ids))
        .group_by(Attendance.camp_id, Attendance.state)
    )
    found: dict[UUID, Counter[State]] = {camp_id: Counter() for camp_id in camp_ids}
    for camp_id, state, number in db.session.execute(query):
        found[camp_id][state] = number
    return found


def closing_of(camp: Camp) -> Closing | None:
    """Who closed the roll call, and when; nothing while it is open."""
    return db.session.get(Closing, camp.id, populate_existing=True)


def others(camp: Camp, most: int) -> Sequence[Person]:
    """Active people who are not on a roll and may walk in: at most so many, those of the site's latest
    camps first, then the newest members.
    """
    on_it = select(Attendance.person_id).where(Attendance.camp_id == camp.id)
    last = (
        select(Attendance.person_id, func.max(Camp.camp_date).label("last"))
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(Camp.site_id == camp.site_id, calendar.held())
        .group_by(Attendance.person_id)
        .subquery()
    )
    query = (
        select(Person)
        .outerjoin(last, last.c.person_id == Person.id)
        .where(Person.is_active, Person.id.not_in(on_it))
        .order_by(last.c.last.is_(None), last.c.last.desc(), Person.book_no.desc())
        .limit(most)
    )
    return db.session.scalars(query).all()


def signed_up_today(person: Person) -> list[Camp]:
    """The camps of today that somebody is on the roll of."""
    signed_up = exists().where(Attendance.person_id == person.id, Attendance.camp_id == Camp.id)
    return list(calendar.camps_of_today(signed_up))


# --- the whole list at once ----------------------------------------------------------------------


def everyone_is_here(camp: Camp, *, by: Person, only: Collection[UUID] | None = None) -> dict[UUID, Outcome]:
    """Mark present whoever is still expected, or those ``only`` of them that the coordinator saw.

    Nobody who was marked already is touched, and nobody inactive. Raises :class:`ConflictError` for a
    future or cancelled camp.
    """
    camp = calendar.hold(camp)
    expected = [person for person in _expected(camp) if person.is_active and (only is None or person.id in only)]
    return marking.mark_all(expected, camp, Mark(State.PRESENT, "everyone was marked present"), by=by)


def close(camp: Camp, *, by: Person) -> dict[UUID, Outcome]:
    """Close the roll call: whoever is still expected becomes absent, presumed and not decided by anybody.

    It is no lock: a mark that arrives late stands. Closing it again gathers who was expected since.
    Raises :class:`ConflictError` for a future or cancelled camp.
    """
    camp = calendar.hold(camp, to_change=True)
    mark = Mark(State.ABSENT, "the roll call was closed", presumed=True)
    outcomes = marking.mark_all(_expected(camp), camp, mark, by=by)
    if closing_of(camp) is None:
        db.session.add(Closing(camp_id=camp.id, closed_at=clock.now(), closed_by_id=by.id, closed_by=by))
        db.session.flush()
        audit.note(Action.CLOSED, by_id=by.id, camp_id=camp.id, details={"absent": len(outcomes)})
    return outcomes


def reopen(camp: Camp, *, by: Person) -> dict[UUID, Outcome]:
    """Open a closed roll call again: whoever was absent only because of the closing is expected again.

    Raises :class:`ConflictError` for a future or cancelled camp.
    """
    camp = calendar.hold(camp, to_change=True)
    presumed = select(Person).join(Attendance, Attendance.person_id == Person.id)
    people = db.session.scalars(presumed.where(Attendance.camp_id == camp.id, Attendance.presumed)).all()
    outcomes = marking.mark_all(people, camp, Mark(State.EXPECTED, "the roll call was opened again"), by=by)
    closing = closing_of(camp)
    if closing:
        db.session.delete(closing)
        db.session.flush()
        audit.note(Action.REOPENED, by_id=by.id, camp_id=camp.id, details={"expected": len(outcomes)})
    return outcomes


def _expected(camp: Camp) -> Sequence[Person]:
    expected = and_(Attendance.camp_id == camp.id, Attendance.state == State.EXPECTED)
    return db.session.scalars(select(Person).join(Attendance, Attendance.person_id == Person.id).where(expected)).all()


# --- what a mark carries -------------------------------------------------------------------------


def _rows(
    camp: Camp,
    found: Sequence[tuple[Person, Attendance | None]],
    outcomes: Mapping[UUID, Outcome] = MappingProxyType({}),
) -> list[Row]:
    present = [each for _, each in found if each and each.state is State.PRESENT]
    known = {person_id: outcome.history for person_id, outcome in outcomes.items() if outcome.history}
    risks = _at_risk(camp, present, known)
    changes = {person_id: outcome.badges for person_id, outcome in outcomes.items()}
    return [Row(person, attendance, risks.get(person.id, ()), changes.get(person.id)) for person, attendance in found]


def _at_risk(
    camp: Camp,
    present: Sequence[Attendance],
    known_histories: Mapping[UUID, History],
) -> dict[UUID, list[Badge]]:
    """Find the badges that would go if these people's presence at the camp were taken back."""
    known = awards.known_of([each.person_id for each in present])
    holders = [person_id for person_id, given in known.items() if given]
    unread = [person_id for person_id in holders if person_id not in known_histories]
    histories = {**known_histories, **history.read(unread)} if unread else known_histories
    risks = {}
    for each in present:
        if not known[each.person_id]:
            continue
        before = histories[each.person_id]
        left = marking.undone(each)
        step = step_of(left, each.camp_role) if left is State.EXCUSED else None
        after = before.changed(camp.id, step)
        lost = [
            award.badge
            for award, requirement in known[each.person_id].values()
            if award.revoked_at is None and awards.is_lost(before, after, award.badge, requirement)
        ]
        risks[each.person_id] = sorted(lost, key=awards.in_order)
    return risks
