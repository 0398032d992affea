"""Attendance: who was at which camp, and the verbs of the coordinator's table.

A verb says what the state *is* to be, so repeating it changes nothing. Each of them holds the camp and
the person, compares the history before and after, and settles the badges in the same transaction;
the caller commits. Pages and the API only ever change attendance through these verbs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, and_, select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice, db, one_at_a_time
from webapp.domain import accounts, badges, camps
from webapp.domain.accounts import Person
from webapp.domain.badges import Change, HeldCamp, History, Settlement
from webapp.domain.camps import Camp, Status
from webapp.domain.errors import ConflictError
from webapp.domain.streaks import Calendar, Step, walk
from webapp.signals import announce

T = TypeVar("T")

LONGEST_REASON = 200  # characters


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
    __table_args__ = (Index(None, "camp_id", "changed_at"),)

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    camp_id: Mapped[UUID] = mapped_column(ForeignKey("camp.id"), primary_key=True)
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


@dataclass(frozen=True, slots=True)
class Mark:
    """What an attendance is to be. Without ``camp_role`` the one that stands remains, else volunteer."""

    state: State
    why: str
    """Why badges go, should any."""
    camp_role: CampRole | None = None
    reason: str | None = None
    presumed: bool = False


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
    announce(person.id, camp.id)
    return Outcome(found)


def say_coming(person: Person, camp: Camp) -> Outcome:
    """Somebody says of themselves, before the camp, that they will come.

    Raises :class:`ConflictError` for a cancelled camp, one that has begun, and where a coordinator has
    marked them.
    """
    camp = camps.hold(camp)
    found = _may_say(person, camp)
    if found and found.declined_at:
        found.declined_at = None
        found.signed_up_as = found.signed_up_as or found.camp_role
        return _apply(camp, [person], Mark(State.EXPECTED, "they are coming after all"), by=person)[person.id]
    return sign_up(person, camp)


def say_not_coming(person: Person, camp: Camp, reason: str | None = None) -> Outcome:
    """Somebody says of themselves, before the camp, that they cannot come: they are excused. A reason
    they gave already stays where none is given. Raises as :func:`say_coming` does.
    """
    camp = camps.hold(camp)
    found = _may_say(person, camp)
    reason = reason or (found.reason if found and found.declined_at else None)
    mark = Mark(State.EXCUSED, "they said they cannot come", reason=reason)
    outcome = _apply(camp, [person], mark, by=person)[person.id]
    assert outcome.attendance is not None  # only an undone mark leaves none
    outcome.attendance.declined_at = outcome.attendance.declined_at or clock.now()
    db.session.flush()
    return outcome


def mark_present(person: Person, camp: Camp, *, by: Person, camp_role: CampRole | None = None) -> Outcome:
    """They are here. Without ``camp_role`` the one they signed up in stands, else volunteer.

    Raises :class:`ConflictError` for a future or cancelled camp or an inactive person.
    """
    return _mark(person, camp, by, Mark(State.PRESENT, "the camp role was changed", camp_role))


def excuse(person: Person, camp: Camp, *, by: Person, reason: str | None = None) -> Outcome:
    """They could not come, and it is all right. Raises as :func:`mark_present` does."""
    return _mark(person, camp, by, Mark(State.EXCUSED, "marked excused instead of present", reason=reason))


def mark_absent(person: Person, camp: Camp, *, by: Person) -> Outcome:
    """They signed up and did not come. Raises as :func:`mark_present` does."""
    return _mark(person, camp, by, Mark(State.ABSENT, "marked absent instead of present"))


def undo(person: Person, camp: Camp, *, by: Person) -> Outcome:
    """Take a mark back: what they had said before the camp stands again, and who had said nothing is
    gone from it. Raises as :func:`mark_present` does.
    """
    return _mark(person, camp, by, Mark(State.EXPECTED, "the mark was undone"))


def mark_all(people: Sequence[Person], camp: Camp, mark: Mark, *, by: Person) -> dict[UUID, Outcome]:
    """Mark several people alike. Raises :class:`ConflictError` for a future or cancelled camp."""
    camp = camps.hold(camp)
    camp.must_be_markable()
    outcomes: dict[UUID, Outcome] = {}
    for some in chunks(sorted(people, key=lambda person: person.id)):
        outcomes |= _apply(camp, some, mark, by=by)
    return outcomes


def check_out(person: Person, camp: Camp, *, at: datetime | None = None) -> Outcome:
    """Record when somebody present leaves: now, or ``at`` an instant that corrects what was recorded.

    Raises :class:`ConflictError` where they are not marked present, where it is not on the camp's local
    date, and where it has not come yet.
    """
    camp = camps.hold(camp)
    camp.must_be_markable()
    if at is None and not camp.is_today:
        raise ConflictError(f"{camp.name} is over; a leaving time is recorded on the day. Nothing was changed.")
    if at and at.astimezone(camp.site.zone).date() != camp.camp_date:
        raise ConflictError("A leaving time is on the day of the camp. Nothing was changed.")
    if at and at > clock.now():
        raise ConflictError("That time has not come yet. Nothing was changed.")
    found = _lock(person, camp)
    if found is None or found.state is not State.PRESENT:
        raise ConflictError(f"{person.name} is not marked present at {camp.name}, so cannot leave it.")
    found.left_at = at or found.left_at or clock.now()
    return _changed(found)


def stay(person: Person, camp: Camp) -> Outcome:
    """Take a leaving time back: they have not left. Raises :class:`ConflictError` where nobody could leave."""
    camp = camps.hold(camp)
    camp.must_be_markable()
    found = _lock(person, camp)
    if found is None:
        raise ConflictError(f"{person.name} is not on the list of {camp.name}. Nothing was changed.")
    found.left_at = None
    return _changed(found)


def standing(person: Person, camp: Camp) -> Attendance | None:
    """Hold camp and person, and read what is stored of them now, for a decision that depends on it."""
    camps.hold(camp)
    return _locked([person], camp).get(person.id)


def _changed(found: Attendance) -> Outcome:
    found.changed_at = clock.now()
    db.session.flush()
    announce(found.person_id, found.camp_id)
    return Outcome(found)


def _locked(people: Sequence[Person], camp: Camp) -> dict[UUID, Attendance]:
    """Hold these people, and read what is stored of them at the camp now."""
    ids = [person.id for person in people]
    accounts.lock(ids)
    query = select(Attendance).where(Attendance.camp_id == camp.id, Attendance.person_id.in_(ids))
    found = db.session.scalars(query.execution_options(populate_existing=True))
    return {attendance.person_id: attendance for attendance in found}


def _lock(person: Person, camp: Camp) -> Attendance | None:
    """Hold one person, who must be active, and read what is stored of them at the camp."""
    _must_be_active(person)
    return _locked([person], camp).get(person.id)


def _must_be_active(person: Person) -> None:
    """Raises :class:`ConflictError` where the account is switched off."""
    if not person.is_active:
        raise ConflictError(f"{person.name}'s account is switched off. Nothing was changed.")


def _may_say(person: Person, camp: Camp) -> Attendance | None:
    """What is stored of somebody who speaks for themselves; see :func:`say_coming`."""
    if camp.is_cancelled:
        raise ConflictError(f"{camp.name} was cancelled. Nothing was changed.")
    if camp.has_begun:
        raise ConflictError(f"{camp.name} has begun; a coordinator there can still change it. Nothing was changed.")
    found = _lock(person, camp)
    if found and found.marked_by_id not in (None, person.id):
        raise ConflictError("A coordinator has marked you at this camp already. Nothing was changed.")
    return found


def _mark(person: Person, camp: Camp, by: Person, mark: Mark) -> Outcome:
    camp = camps.hold(camp)
    camp.must_be_markable()
    _must_be_active(person)
    return _apply(camp, [person], mark, by=by)[person.id]


def undone(found: Attendance) -> State | None:
    """Where an undone mark leaves somebody: excused if they had said they cannot come, expected if they
    had signed up, else nowhere.
    """
    if found.declined_at and found.state is not State.EXCUSED:
        return State.EXCUSED
    return State.EXPECTED if found.signed_up_as else None


def _apply(camp: Camp, people: Sequence[Person], mark: Mark, *, by: Person) -> dict[UUID, Outcome]:
    """Set the state of people, and settle what it changes. The camp is held."""
    found = _locked(people, camp)
    outcomes = {person.id: Outcome(found.get(person.id)) for person in people}
    changing = [person for person in people if _differs(found.get(person.id), mark)]
    if not changing:
        return outcomes

    marks = marks_of([person.id for person in changing])
    here = HeldCamp(camp.camp_date, camp.start_time, camp.name, camp.id, camp.site_id)
    calendars = calendars_for([*marks.values(), {here: Step.MISSED}])
    changes = []
    for person in changing:
        before = history(marks[person.id], calendars)
        attendance = _set(found.get(person.id), person, camp, mark, by)
        outcomes[person.id] = Outcome(attendance)
        marks[person.id].pop(here, None)
        if attendance and attendance.state is not State.EXPECTED:
            marks[person.id][here] = step_of(attendance.state, attendance.camp_role)
        changes.append(Change(person.id, history(marks[person.id], calendars), before))
    db.session.flush()
    settled = badges.settle(changes, reason=f"{camp.name}: {mark.why}"[:200], by=by)
    for person in changing:
        announce(person.id, camp.id)
    return {
        person_id: Outcome(each.attendance, settled.get(person_id, Settlement()))
        for person_id, each in outcomes.items()
    }


def _differs(found: Attendance | None, mark: Mark) -> bool:
    """Whether a mark would change anything."""
    if found is None:
        return mark.state is not State.EXPECTED
    stands = found.state, found.reason, found.presumed
    role = mark.camp_role or found.camp_role
    if mark.state is State.EXPECTED:
        role = found.signed_up_as or found.camp_role
    return (*stands, found.camp_role) != (mark.state, _note(mark), mark.presumed, role)


def _note(mark: Mark) -> str | None:
    printable = "".join(letter if letter.isprintable() else " " for letter in mark.reason or "")
    return " ".join(printable.split())[:LONGEST_REASON] or None


def _set(found: Attendance | None, person: Person, camp: Camp, mark: Mark, by: Person) -> Attendance | None:
    """Store a mark that differs; the attendance, or nothing where none is left."""
    state: State | None = mark.state
    role = mark.camp_role or (found.camp_role if found else CampRole.VOLUNTEER)
    if found and mark.state is State.EXPECTED:
        state = undone(found)
        role = found.signed_up_as or role
        if found.state is State.EXCUSED:
            found.declined_at = None
    if found is None:
        found = Attendance(person_id=person.id, camp_id=camp.id)
        db.session.add(found)
    if state is None:
        db.session.delete(found)
        return None
    found.state, found.camp_role, found.reason, found.presumed = state, role, _note(mark), mark.presumed
    found.marked_at = found.changed_at = clock.now()
    found.marked_by_id = by.id
    if state is not State.PRESENT:
        found.left_at = None
    return found


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
