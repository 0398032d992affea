"""The roll call: one camp's list of people, made for the thumb.

A page whose script runs keeps its marks in an outbox and sends them to :mod:`webapp.views.sync`, so
that a network that comes and goes loses nothing. The forms here do the same for a browser without it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import time
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue, ResponseValue

from webapp import clock
from webapp.database import writing
from webapp.domain.attendance import roll_call, sync
from webapp.domain.attendance.roll_call import Row
from webapp.domain.attendance.sync import Order
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError, DomainError, InvalidError
from webapp.domain.models.attendance import LONGEST_REASON, Attendance, CampRole, State
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import Asker
from webapp.infra.ids import new_id
from webapp.views import live
from webapp.views.observed import count_marks
from webapp.views.presentation import NOBODY, plural
from webapp.views.roll_call.partials import (
    closed_line,
    find_camp,
    render,
    row_of_fast,
    rows_after,
    rows_html,
    said_after,
    said_of,
    swapped,
)
from webapp.views.security import from_htmx, permits, secret, viewer

blueprint = Blueprint("roll_call", __name__, url_prefix="/roll-call")

RECENT = 8  # past camps offered for a correction
MOST_ROWS = 5_000  # on one page; the search finds the others


@blueprint.get("/")
@permits(Role.COORDINATOR, Role.ADMIN)
def today() -> ResponseReturnValue:
    """Straight to today's camp; the choice where there are several, or none."""
    todays = calendar.camps_of_today()
    if len(todays) == 1:
        return redirect(url_for("roll_call.camp", camp_id=todays[0].id))
    return _choice(todays)


@blueprint.get("/camps")
@permits(Role.COORDINATOR, Role.ADMIN)
def choose() -> ResponseReturnValue:
    """Today's camps, and the last ones, for corrections."""
    return _choice(calendar.camps_of_today())


def _choice(todays: object) -> str:
    return render_template(
        "roll_call/camps.html",
        todays=todays,
        recent=calendar.recent_camps(RECENT),
        coming=calendar.next_camp(),
        many_sites=calendar.has_many_sites(),
    )


@blueprint.get("/<uuid:camp_id>")
@permits(Role.COORDINATOR, Role.ADMIN)
def camp(camp_id: UUID) -> ResponseReturnValue:
    """The roll call of one camp."""
    camp = find_camp(camp_id)
    query = request.args.get("q", "")[:200]
    seen = live.token("")
    rows = roll_call.roll(camp, query, MOST_ROWS + 1)
    return render_template(
        "roll_call/page.html",
        camp=camp,
        query=query,
        rows=rows[:MOST_ROWS],
        sections=_sections(rows[:MOST_ROWS]),
        cut=len(rows) > MOST_ROWS,
        counts=roll_call.counts(camp),
        closed=closed_line(camp),
        seen=seen,
        nobody=[_nobody(state) for state in (None, *State)],
        many_sites=calendar.has_many_sites(),
    )


@blueprint.get("/<uuid:camp_id>/people/<uuid:person_id>")
@permits(Role.COORDINATOR, Role.ADMIN)
def person(camp_id: UUID, person_id: UUID) -> ResponseReturnValue:
    """What is rarer than "here", for one person, on a page of its own."""
    camp = find_camp(camp_id)
    return render_template("roll_call/person.html", camp=camp, row=roll_call.row_after(camp, _person(person_id)))


def _quick(asker: Asker, camp_id: UUID, person_id: UUID) -> ResponseReturnValue | None:
    """Mark somebody present on the fast path, where the form asks for just that."""
    if request.form.get("state") not in ("present", "present:volunteer"):
        return None
    order = _order(camp_id, _mark_fields() | {"person": str(person_id)})
    made = sync.mark_fast(order, asker, secret=secret(), asks=False)
    if made is None:
        return None
    count_marks("form", [made])
    row = row_of_fast(made)
    return _answer(made.facts.camp, [row], said_of(row), at=live.micros())


@blueprint.post("/<uuid:camp_id>/people/<uuid:person_id>")
@permits(Role.COORDINATOR, Role.ADMIN, quick=_quick)
def mark(camp_id: UUID, person_id: UUID) -> ResponseReturnValue:
    """Set what somebody's state is. htmx gets the row back, a plain form the page.

    The page counts by itself: to read the whole list for a number would cost more than the mark.
    """
    person = _person(person_id)
    return _carried_out(find_camp(camp_id), _mark_fields() | {"person": str(person_id)}, person)


@blueprint.post("/<uuid:camp_id>/people")
@permits(Role.COORDINATOR, Role.ADMIN)
def add(camp_id: UUID) -> ResponseReturnValue:
    """Add somebody new, who is here."""
    name = request.form.get("name", "")
    return _carried_out(find_camp(camp_id), {"action": "add", "person": str(new_id()), "name": name})


@blueprint.post("/<uuid:camp_id>/everyone")
@permits(Role.COORDINATOR, Role.ADMIN)
def everyone(camp_id: UUID) -> ResponseReturnValue:
    """Everyone who signed up is here."""
    camp = find_camp(camp_id)
    people = [str(person_id) for person_id in roll_call.expected_on(camp)][: sync.MOST_PEOPLE]
    return _carried_out(camp, {"action": "everyone", "people": people})


@blueprint.post("/<uuid:camp_id>/close")
@permits(Role.COORDINATOR, Role.ADMIN)
def close(camp_id: UUID) -> ResponseReturnValue:
    """Whoever is still expected becomes absent."""
    return _carried_out(find_camp(camp_id), {"action": "close"})


@blueprint.post("/<uuid:camp_id>/reopen")
@permits(Role.COORDINATOR, Role.ADMIN)
def reopen(camp_id: UUID) -> ResponseReturnValue:
    """Whoever became absent with the closing is expected again."""
    return _carried_out(find_camp(camp_id), {"action": "reopen"})


def _sections(rows: Iterable[Row]) -> dict[State | None, list[Row]]:
    sections: dict[State | None, list[Row]] = {}
    for row in rows:
        sections.setdefault(row.state, []).append(row)
    return sections


def _nobody(state: State | None) -> Row:
    """A row of nobody in a state, which the page's script fills in."""
    person = Person(
        id=NOBODY,
        book_no=0,
        name="%NAME%",
        search_name="",
        role=Role.VOLUNTEER,
        is_active=True,
        card_no=0,
    )
    if state is None:
        return Row(person, None)
    attendance = Attendance(state=state, camp_role=CampRole.VOLUNTEER, changed_at=clock.now())
    return Row(person, attendance)


def _person(person_id: UUID) -> Person:
    return accounts.by_id(person_id) or abort(404)


def _mark_fields() -> dict[str, object]:
    """What a posted state asks for, as fields of an order; ``present:doctor`` says the camp role too.

    Raises :class:`InvalidError` for anything else.
    """
    state, _, camp_role = request.form.get("state", "").partition(":")
    if state in ("left", "left-at", "stayed"):
        at = _time(request.form.get("at", "")) if state == "left-at" else "now"
        return {"action": "leave", "at": None if state == "stayed" else at}
    if state not in list(State):
        raise InvalidError("It was not said what to mark. Reload the page and try again.")
    if camp_role and camp_role not in list(CampRole):
        raise InvalidError(f"“{camp_role[:20]}” is not a camp role. Nothing was changed.")
    fields: dict[str, object] = {"action": "mark", "state": state}
    if camp_role:
        fields["camp_role"] = camp_role
    if reason := request.form.get("reason"):
        fields["reason"] = reason[:LONGEST_REASON]
    return fields


def _time(text: str) -> str:
    """A time on the camp's clock. Raises :class:`InvalidError` where none is given."""
    if not text:
        raise InvalidError("It was not said when they left. Nothing was changed.")
    try:
        return time.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidError(f"“{text[:20]}” is not a time such as 14:05. Nothing was changed.") from None


def _order(camp_id: UUID, fields: Mapping[str, object]) -> Order:
    given = {"id": str(new_id()), "camp": str(camp_id), "made_at": clock.now().isoformat()}
    return sync.parse({**given, **fields})


def _carried_out(
    camp: Camp,
    fields: Mapping[str, object],
    person: Person | None = None,
) -> ResponseReturnValue:
    """Carry out an order that came by a form, whatever stands: the page showed it a moment ago."""
    order = _order(camp.id, fields)
    at = live.micros()
    try:
        with writing():
            done = sync.carry_out(order, by=viewer(), secret=secret(), asks=False)
    except ConflictError as error:
        if not from_htmx() or person is None:
            return _refused(camp, error)
        row = replace(roll_call.row_after(camp, person), refusal=str(error))
        return _answer(camp, [row], str(error), at=at), 409
    except InvalidError as error:
        return _refused(camp, error)
    count_marks("form", done.outcomes.values())
    if not from_htmx() and person is None:
        new = [badge for outcome in done.outcomes.values() for badge in outcome.badges.new]
        flash(f"{done.said} {plural(len(new), 'new badge')}." if new else done.said, "done")
        return _back(camp)
    rows = rows_after(done)
    if person is not None:
        return _answer(camp, rows, said_after(done, rows), at=at)
    return _answer(camp, rows, said_after(done, rows), at=at, summary=done.said, closed=closed_line(camp))


def _refused(camp: Camp, error: DomainError) -> ResponseReturnValue:
    """Say why nothing was done: htmx puts it on top of the page, a plain form goes back there."""
    if from_htmx():
        raise error
    flash(str(error), "refused")
    return _back(camp)


def _answer(
    camp: Camp,
    rows: list[Row],
    said: str,
    *,
    at: int,
    summary: str = "",
    closed: str | None = None,
) -> ResponseValue:
    """Answer with rows to htmx; lead a plain form back to the page, to the person's row.

    Only what is done to the whole list tells who ``closed`` it: a mark does not change that, and need
    not ask for it.
    """
    if from_htmx():
        swap = swapped(camp, rows_html(camp, rows), at, closed=closed, again=True)
        return render("roll_call/_answer.html", swap=swap, said=said, summary=summary)
    flash(said, "done")
    return _back(camp, f"person-{rows[0].person.id}")


def _back(camp: Camp, anchor: str | None = None) -> ResponseValue:
    query = request.form.get("q") or None
    return redirect(url_for("roll_call.camp", camp_id=camp.id, q=query, _anchor=anchor), 303)
