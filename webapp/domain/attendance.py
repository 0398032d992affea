"""Attendance: who was at which camp, and the verbs of the coordinator's table.

A verb says what the state *is* to be, so repeating it changes nothing. Each of them holds the camp and
the person, compares the history before and after, and settles the badges in the same transaction;
the caller commits. Pages and the API only ever change attendance through these verbs.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, and_, func, or_, select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice, db, one_at_a_time
from webapp.domain import accounts, badges, camps
from webapp.domain.accounts import Person
from webapp.domain.badges import Award, Change, HeldCamp, History, Settlement
from webapp.domain.camps import Camp, Status
from webapp.domain.errors import ConflictError
from webapp.domain.streaks import Calendar, Step, walk
from webapp.signals import announce

T = TypeVar("T")


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
    """One person at one camp; the key allows it once."""

    __tablename__ = "attendance"
    __table_args__ = (Index(None, "camp_id"),)

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    camp_id: Mapped[UUID] = mapped_column(ForeignKey("camp.id"), primary_key=True)
    camp_role: Mapped[CampRole] = mapped_column(choice(CampRole, "camp_role"))
    state: Mapped[State] = mapped_column(choice(State, "state"))
    reason: Mapped[str | None] = mapped_column(String(200))
    # The camp role they signed up in, which a mark in another role must not make forgotten.
    signed_up_as: Mapped[CampRole | None] = mapped_column(choice(CampRole, "signed_up_as"))
    marked_at: Mapped[datetime | None] = mapped_column(Instant)
    marked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    left_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant, default=clock.now)
    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    camp: Mapped[Camp] = relationship()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb left behind: the attendance (``None`` where there is none now) and the badges."""

    attendance: Attendance | None
    badges: Settlement = field(default_factory=Settlement)


def is_visit() -> ColumnElement[bool]:
    """The SQL condition on ``Attendance`` joined to ``Camp`` that makes a visit of it."""
    return and_(Attendance.state == State.PRESENT, Attendance.camp_role == CampRole.VOLUNTEER, camps.held())


# --- histories -----------------------------------------------------------------------------------

Marks = dict[HeldCamp, Step]
"""What is known of one person: their marked camps, and what each was for them."""


def step_of(state: State, camp_role: CampRole) -> Step:
    """What one marked attendance is on the walk."""
    if state is State.PRESENT:
        return Step.VISIT if camp_role is CampRole.VOLUNTEER else Step.SKIPPED
    return Step.SKIPPED if state is State.EXCUSED else Step.MISSED


def history_of(person_id: UUID) -> History:
    """One person's visits and runs, on today's calendar."""
    return histories_of([person_id])[person_id]


def histories_of(person_ids: Collection[UUID]) -> dict[UUID, History]:
    """The histories of several people, in three queries whatever their number."""
    marks = marks_of(person_ids)
    calendars = calendars_for(marks.values())
    return {person_id: history(of_one, calendars) for person_id, of_one in marks.items()}


def marks_of(person_ids: Collection[UUID]) -> dict[UUID, Marks]:
    """Everything but mere sign-ups that is stored of these people for held camps."""
    marks: dict[UUID, Marks] = {person_id: {} for person_id in person_ids}
    query = (
        select(
            Attendance.person_id,
            Attendance.state,
            Attendance.camp_role,
            Camp.camp_date,
            Camp.start_time,
            Camp.name,
            Camp.id,
            Camp.site_id,
        )
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(Attendance.person_id.in_(person_ids), Attendance.state != State.EXPECTED, camps.held())
    )
    for person_id, state, camp_role, *camp in db.session.execute(query):
        marks[person_id][HeldCamp(*camp)] = step_of(state, camp_role)
    return marks


def calendars_for(marks: Iterable[Marks]) -> dict[UUID, Calendar]:
    """The calendars of the sites that appear in the marks."""
    return camps.calendars({camp.site_id for of_one in marks for camp in of_one})


def history(marks: Marks, calendars: Mapping[UUID, Calendar]) -> History:
    """The history that somebody's marks make on the calendars of their sites."""
    # Marks and calendars are read one after the other: a camp cancelled in between is on no calendar.
    marks = {camp: step for camp, step in marks.items() if camp.camp_date in calendars[camp.site_id].position}
    steps_at: dict[UUID, dict[date, list[Step]]] = defaultdict(lambda: defaultdict(list))
    for camp, step in marks.items():
        steps_at[camp.site_id][camp.camp_date].append(step)
    runs = {site_id: walk(calendars[site_id], steps) for site_id, steps in steps_at.items()}
    return History(sorted(camp for camp, step in marks.items() if step is Step.VISIT), runs)


# --- the verbs of the table ----------------------------------------------------------------------


def sign_up(person: Person, camp: Camp, camp_role: CampRole = CampRole.VOLUNTEER) -> Outcome:
    """Expect somebody at a camp. It awards nothing, and leaves alone what has been marked already.

    Raises :class:`ConflictError` for a cancelled camp or an inactive person.
    """
    camp = camps.hold(camp)
    if camp.is_cancelled:
        raise ConflictError(f"{camp.name} was cancelled, so nobody can sign up. Nothing was changed.")
    found = _lock(person, camp)
    if found is None:
        found = Attendance(
            person_id=person.id,
            camp_id=camp.id,
            camp_role=camp_role,
            state=State.EXPECTED,
            signed_up_as=camp_role,
        )
        db.session.add(found)
    elif found.signed_up_as is None:
        found.signed_up_as = camp_role
    db.session.flush()
    return Outcome(found)


def mark_present(person: Person, camp: Camp, *, by: Person, camp_role: CampRole | None = None) -> Outcome:
    """They are here. Without ``camp_role`` the one they signed up in stands, else volunteer.

    Raises :class:`ConflictError` for a future or cancelled camp or an inactive person.
    """
    return _mark(person, camp, by, State.PRESENT, "the camp role was changed", camp_role=camp_role)


def excuse(person: Person, camp: Camp, *, by: Person, reason: str | None = None) -> Outcome:
    """They could not come, and it is all right. Raises as :func:`mark_present` does."""
    return _mark(person, camp, by, State.EXCUSED, "marked excused instead of present", note=reason)


def mark_absent(person: Person, camp: Camp, *, by: Person) -> Outcome:
    """They signed up and did not come. Raises as :func:`mark_present` does."""
    return _mark(person, camp, by, State.ABSENT, "marked absent instead of present")


def undo(person: Person, camp: Camp, *, by: Person) -> Outcome:
    """Take a mark back: expected again, or gone from the camp if they had not signed up.

    Raises as :func:`mark_present` does.
    """
    return _mark(person, camp, by, State.EXPECTED, "the mark was undone")


def check_out(person: Person, camp: Camp) -> Outcome:
    """Record now as the leaving time of somebody present; a time already recorded stays.

    Raises :class:`ConflictError` where they are not marked present, or the camp is not of today.
    """
    camp = camps.hold(camp)
    camp.must_be_markable()
    if not camp.is_today:
        raise ConflictError(f"{camp.name} is over; a leaving time is recorded on the day. Nothing was changed.")
    found = _lock(person, camp)
    if found is None or found.state is not State.PRESENT:
        raise ConflictError(f"{person.name} is not marked present at {camp.name}, so cannot leave it.")
    found.left_at = found.left_at or clock.now()
    announce(person.id, camp.id)
    return Outcome(found)


def _lock(person: Person, camp: Camp) -> Attendance | None:
    """Hold the person, and read what is stored of them at the camp now."""
    accounts.lock([person.id])
    if not person.is_active:
        raise ConflictError(f"{person.name}'s account is switched off. Nothing was changed.")
    return db.session.get(Attendance, (person.id, camp.id), populate_existing=True)


def _mark(
    person: Person,
    camp: Camp,
    by: Person,
    state: State,
    reason: str,
    *,
    camp_role: CampRole | None = None,
    note: str | None = None,
) -> Outcome:
    """Set the state, and settle what it changes. ``reason`` is why badges go, should any."""
    camp = camps.hold(camp)
    camp.must_be_markable()
    found = _lock(person, camp)
    role = camp_role or (found.camp_role if found else CampRole.VOLUNTEER)
    if found and state is State.EXPECTED:
        role = found.signed_up_as or role
    note = note[:200] if note else None
    if found is None and state is State.EXPECTED:
        return Outcome(None)
    if found and (found.state, found.camp_role, found.reason) == (state, role, note):
        return Outcome(found)

    marks = marks_of([person.id])[person.id]
    here = HeldCamp(camp.camp_date, camp.start_time, camp.name, camp.id, camp.site_id)
    calendars = calendars_for([marks, {here: Step.MISSED}])
    before = history(marks, calendars)
    if state is State.EXPECTED:
        marks.pop(here, None)
    else:
        marks[here] = step_of(state, role)
    after = history(marks, calendars)

    if found is None:
        found = Attendance(person_id=person.id, camp_id=camp.id)
        db.session.add(found)
    found.state, found.camp_role, found.reason = state, role, note
    found.marked_at, found.marked_by_id = clock.now(), by.id
    if state is not State.PRESENT:
        found.left_at = None
    attendance: Attendance | None = found
    if state is State.EXPECTED and found.signed_up_as is None:
        db.session.delete(found)
        attendance = None
    db.session.flush()
    settled = badges.settle([Change(person.id, after, before)], reason=f"{camp.name}: {reason}", by=by)
    announce(person.id, camp.id)
    return Outcome(attendance, settled[person.id])


# --- settling without a mark ---------------------------------------------------------------------

CHUNK = 500  # people settled at a time, so that memory does not grow with the organisation


def evaluate(person: Person) -> Settlement:
    """Award whatever is due to one person, and revoke nothing."""
    accounts.lock([person.id])
    settlement = badges.settle([Change(person.id, history_of(person.id))])[person.id]
    if settlement:
        announce(person.id)
    return settlement


def cancel_camp(camp: Camp) -> None:
    """Take a camp off the calendar. A run may grow over the gap, so it may add badges; it takes none."""
    _change_status(camp, Status.CANCELLED)


def reinstate_camp(camp: Camp) -> None:
    """Put a cancelled camp back, and with it the visits of those who were marked."""
    _change_status(camp, Status.SCHEDULED)


def _change_status(camp: Camp, status: Status) -> None:
    one_at_a_time("settling many people")
    camp = camps.hold(camp, to_change=True)
    if camp.status is status:
        return
    camp.status = status
    db.session.flush()
    touched = select(Attendance.person_id).join(Camp).where(Camp.site_id == camp.site_id).distinct()
    for person_ids in chunks(db.session.scalars(touched.order_by(Attendance.person_id)).all()):
        accounts.lock(person_ids)
        histories = histories_of(person_ids)
        settled = badges.settle([Change(person_id, histories[person_id]) for person_id in person_ids])
        for person_id, settlement in settled.items():
            if settlement:
                announce(person_id)


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in slices of :data:`CHUNK`."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


# --- what the screens read -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a roll call: a person, and what is stored of them at the camp, if anything."""

    person: Person
    attendance: Attendance | None

    @property
    def state(self) -> State | None:
        """Nothing for somebody who is not on the roll."""
        return self.attendance.state if self.attendance else None


def roll(camp: Camp, query: str = "", limit: int = 1000) -> list[Row]:
    """The roll call of a camp: everybody who is on it, by name.

    With a ``query``, whoever matches it (see :func:`accounts.search`), those on the roll first, then
    active people who did not sign up.
    """
    on_it = Attendance.person_id.is_not(None)
    found = accounts.search(query)
    people = (
        select(Person, Attendance)
        .outerjoin(Attendance, and_(Attendance.person_id == Person.id, Attendance.camp_id == camp.id))
        .where(found.condition, or_(on_it, Person.is_active) if accounts.fold(query) else on_it)
        .order_by(~on_it, *found.order)
        .limit(limit)
    )
    return [Row(person, attendance) for person, attendance in db.session.execute(people)]


def row_of(camp: Camp, person: Person) -> Row:
    """One person's line of a camp's roll call."""
    return Row(person, db.session.get(Attendance, (person.id, camp.id)))


def counts(camp: Camp) -> Counter[State]:
    """How many people stand where with a camp."""
    query = select(Attendance.state, func.count()).where(Attendance.camp_id == camp.id).group_by(Attendance.state)
    return Counter(dict(db.session.execute(query).tuples().all()))


@dataclass(frozen=True, slots=True)
class Day:
    """One held camp as one person lived it."""

    camp: Camp
    attendance: Attendance | None

    @property
    def kind(self) -> str:
        """``came``, ``other`` (came in another role), ``excused``, ``open`` (today, not yet marked), ``missed``."""
        found = self.attendance
        if found and found.state is State.PRESENT:
            return "came" if found.camp_role is CampRole.VOLUNTEER else "other"
        if found and found.state is State.EXCUSED:
            return "excused"
        if self.camp.is_today and not (found and found.state is State.ABSENT):
            return "open"
        return "missed"


def days_of(person_id: UUID, first: date, last: date) -> list[Day]:
    """The held camps from ``first`` to ``last`` (local dates) at the sites where the person was ever on a
    roll, newest first.
    """
    own_sites = select(Camp.site_id).join(Attendance).where(Attendance.person_id == person_id)
    here = and_(Attendance.camp_id == Camp.id, Attendance.person_id == person_id)
    query = (
        select(Camp, Attendance)
        .outerjoin(Attendance, here)
        .where(camps.held(), Camp.camp_date.between(first, last), Camp.site_id.in_(own_sites))
        .order_by(Camp.camp_date.desc(), Camp.start_time.desc(), Camp.name)
    )
    return [Day(camp, found) for camp, found in db.session.execute(query)]


def first_date_of(person_id: UUID) -> date | None:
    """The local date of the first camp somebody was on the roll of."""
    query = select(func.min(Camp.camp_date)).join(Attendance).where(Attendance.person_id == person_id)
    return db.session.scalar(query)


def stamp_of(person_id: UUID) -> str:
    """A short text that differs whenever the person's attendance or awards do."""
    attended = select(
        func.count(), func.max(Attendance.marked_at), func.max(Attendance.left_at), func.max(Attendance.created_at)
    ).where(Attendance.person_id == person_id)
    awarded = select(func.count(), func.count(Award.revoked_at), func.max(Award.earned_at)).where(
        Award.person_id == person_id
    )
    state = [*db.session.execute(attended).one(), *db.session.execute(awarded).one()]
    return sha256(repr(state).encode()).hexdigest()[:16]


def signed_up_today(person: Person) -> list[Camp]:
    """The camps of today that somebody is on the roll of."""
    today = {camp.id: camp for camp in camps.camps_of_today()}
    query = select(Attendance.camp_id).where(Attendance.person_id == person.id, Attendance.camp_id.in_(today))
    return [today[camp_id] for camp_id in db.session.scalars(query)]
