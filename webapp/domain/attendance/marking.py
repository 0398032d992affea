"""The verbs of the coordinator's table: the general path of every mark.

A verb says what the state *is* to be, so repeating it changes nothing. Each of them locks the camp and
the person, thinks the history through as it was and as it becomes, and brings awards and totals in line in
the same transaction; the caller commits. Pages and the API only ever change attendance through these verbs,
or through :mod:`webapp.domain.attendance.fast_path`, which does the same for the ordinary mark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Date, Uuid, bindparam, select

from webapp import clock
from webapp.database import db
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.badges import history
from webapp.domain.badges.awards import AwardChanges
from webapp.domain.badges.history import History
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.evaluation import person as evaluation
from webapp.domain.evaluation.person import Change
from webapp.domain.models.attendance import LONGEST_REASON, Attendance, CampRole, State
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb left behind: the attendance (``None`` where there is none now) and the badges."""

    attendance: Attendance | None
    badges: AwardChanges = field(default_factory=AwardChanges)
    history: History | None = None
    """The person's history after it, where it was read for them alone."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What an attendance is to be. Without ``camp_role`` the one that stands remains, else volunteer."""

    state: State
    why: str
    """Why badges go, should any."""
    camp_role: CampRole | None = None
    reason: str | None = None
    presumed: bool = False
    action: Action | None = None
    """What the audit trail calls it, where that is not the state."""


_ACTIONS = {
    State.PRESENT: Action.PRESENT,
    State.EXCUSED: Action.EXCUSED,
    State.ABSENT: Action.ABSENT,
    State.EXPECTED: Action.UNDONE,
}


def sign_up(person: Person, camp: Camp, camp_role: CampRole = CampRole.VOLUNTEER) -> Outcome:
    """Expect somebody at a camp. It awards nothing, and leaves alone what has been marked already.

    Raises :class:`ConflictError` for a cancelled camp or an inactive person.
    """
    camp = calendar.hold(camp)
    if camp.is_cancelled:
        raise ConflictError(f"{camp.name} was cancelled, so nobody can sign up. Nothing was changed.")
    found = _lock(person, camp)
    if found is None:
        found = Attendance.at(camp, person)
        found.camp_role, found.state, found.signed_up_as = camp_role, State.EXPECTED, camp_role
        db.session.add(found)
    elif found.signed_up_as is None:
        found.signed_up_as = camp_role
    else:
        return Outcome(found)
    db.session.flush()
    audit.note(Action.SIGNED_UP, person_id=person.id, camp_id=camp.id, details={"camp_role": camp_role})
    return Outcome(found)


def say_coming(person: Person, camp: Camp) -> Outcome:
    """Somebody says of themselves, before the camp, that they will come.

    Raises :class:`ConflictError` for a cancelled camp, one that has begun, and where a coordinator has
    marked them.
    """
    camp = calendar.hold(camp)
    found = _may_say(person, camp)
    if found and found.declined_at:
        found.declined_at = None
        found.signed_up_as = found.signed_up_as or found.camp_role
        return _apply(
            camp, [person], Mark(State.EXPECTED, "they are coming after all", action=Action.COMING), by=person
        )[person.id]
    return sign_up(person, camp)


def say_not_coming(person: Person, camp: Camp, reason: str | None = None) -> Outcome:
    """Somebody says of themselves, before the camp, that they cannot come: they are excused. A reason
    they gave already stays where none is given. Raises as :func:`say_coming` does.
    """
    camp = calendar.hold(camp)
    found = _may_say(person, camp)
    reason = reason or (found.reason if found and found.declined_at else None)
    mark = Mark(State.EXCUSED, "they said they cannot come", reason=reason, action=Action.NOT_COMING)
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
    camp = calendar.hold(camp)
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
    camp = calendar.hold(camp)
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
    return _leaves(found, at or found.left_at or clock.now())


def stay(person: Person, camp: Camp) -> Outcome:
    """Take a leaving time back: they have not left. Raises :class:`ConflictError` where nobody could leave."""
    camp = calendar.hold(camp)
    camp.must_be_markable()
    found = _lock(person, camp)
    if found is None:
        raise ConflictError(f"{person.name} is not on the list of {camp.name}. Nothing was changed.")
    return _leaves(found, None)


def lock_attendance(person: Person, camp: Camp) -> Attendance | None:
    """Hold camp and person, and read what is stored of them now, for a decision that depends on it."""
    calendar.hold(camp)
    return _locked([person], camp).get(person.id)


def _leaves(found: Attendance, left_at: datetime | None) -> Outcome:
    if left_at == found.left_at:
        return Outcome(found)
    before, found.left_at, found.changed_at = found.left_at, left_at, clock.now()
    db.session.flush()
    action, details = (Action.LEFT, {"left_at": left_at}) if left_at else (Action.STAYED, {"before": before})
    audit.note(action, person_id=found.person_id, camp_id=found.camp_id, details=details)
    return Outcome(found)


def _locked(people: Sequence[Person], camp: Camp) -> dict[UUID, Attendance]:
    """Hold these people, and read what is stored of them at the camp now."""
    ids = [person.id for person in people]
    evaluation.lock(ids)
    here = {"people": ids, "site": camp.site_id, "day": camp.camp_date, "camp": camp.id}
    return {attendance.person_id: attendance for attendance in db.session.scalars(_AT_CAMP, here)}


_AT_CAMP = (
    select(Attendance)
    .where(
        Attendance.person_id.in_(bindparam("people", type_=Uuid, expanding=True)),
        Attendance.site_id == bindparam("site", type_=Uuid),
        Attendance.camp_date == bindparam("day", type_=Date),
        Attendance.camp_id == bindparam("camp", type_=Uuid),
    )
    .execution_options(populate_existing=True)
)


def _lock(person: Person, camp: Camp) -> Attendance | None:
    """Hold one person, who must be active, and read what is stored of them at the camp."""
    return _locked([_hold_active(person)], camp).get(person.id)


def _hold_active(person: Person) -> Person:
    """Somebody as they are now, held. Raises :class:`ConflictError` where the account is switched off."""
    person = accounts.hold(person.id) or person
    if not person.is_active:
        raise ConflictError(f"{person.name}'s account is switched off. Nothing was changed.")
    return person


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
    camp = calendar.hold(camp)
    camp.must_be_markable()
    return _apply(camp, [_hold_active(person)], mark, by=by)[person.id]


def undone(found: Attendance) -> State | None:
    """Where an undone mark leaves somebody: excused if they had said they cannot come, expected if they
    had signed up, else nowhere.
    """
    if found.declined_at and found.state is not State.EXCUSED:
        return State.EXCUSED
    return State.EXPECTED if found.signed_up_as else None


def _apply(camp: Camp, people: Sequence[Person], mark: Mark, *, by: Person) -> dict[UUID, Outcome]:
    """Set the state of people, and evaluate what it changes. The camp is locked."""
    stored = _locked(people, camp)
    outcomes = {person.id: Outcome(stored.get(person.id)) for person in people}
    changing = [person for person in people if _differs(stored.get(person.id), mark)]
    if not changing:
        return outcomes

    ids = [person.id for person in changing]
    stood = {person_id: _stands(stored.get(person_id)) for person_id in ids}
    before = history.read(ids, camp)
    changes = []
    for person in changing:
        attendance = _set(stored.get(person.id), person, camp, mark, by)
        outcomes[person.id] = Outcome(attendance)
        is_marked = attendance is not None and attendance.state is not State.EXPECTED
        step = attendance.step if attendance and is_marked else None
        earlier = before[person.id]
        changes.append(Change(person.id, earlier.changed(camp.id, step), earlier))
    db.session.flush()

    evaluated = evaluation.evaluate(changes, reason=f"{camp.name}: {mark.why}"[:200], by=by)
    for person_id in ids:
        _enter(person_id, camp, mark, by, stood[person_id], evaluated[person_id])
    return outcomes | {
        change.person_id: Outcome(
            outcomes[change.person_id].attendance,
            evaluated[change.person_id],
            history=change.after if len(people) == 1 else None,  # many would fill the memory
        )
        for change in changes
    }


def stands_as(state: str | None, camp_role: str | None) -> str | None:
    """Say for the audit trail where somebody stands: the state, with the camp role where that counts."""
    return f"{state}:{camp_role}" if state == State.PRESENT else state and str(state)


def _stands(stored: Attendance | None) -> str | None:
    return stands_as(stored.state, stored.camp_role) if stored else None


def _enter(person_id: UUID, camp: Camp, mark: Mark, by: Person, stood: str | None, changes: AwardChanges) -> None:
    """Enter a mark into the audit trail."""
    audit.note(
        mark.action or _ACTIONS[mark.state],
        by_id=by.id,
        person_id=person_id,
        camp_id=camp.id,
        details={"camp_role": mark.camp_role, "before": stood},
        awards=changes.consequences(person_id),
    )


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
        found = Attendance.at(camp, person)
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


# --- evaluation without a mark -------------------------------------------------------------------


def evaluate(person: Person) -> AwardChanges:
    """Award whatever is due to one person, and revoke nothing."""
    evaluation.lock([person.id])
    change = Change(person.id, history.of_person(person.id))
    changes = evaluation.evaluate([change])[person.id]
    if changes:
        details = {"moved_badges": len(changes.moved)} if changes.moved else {}
        consequences = changes.consequences(person.id)
        audit.note(Action.EVALUATED, person_id=person.id, details=details, awards=consequences)
    return changes


CHUNK = 500  # people whose histories are read at a time, so that memory does not grow with a list


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in slices of :data:`CHUNK`."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
