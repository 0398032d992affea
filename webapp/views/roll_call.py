"""The roll call: one camp's list of people, made for the thumb.

A page whose script runs keeps its marks in an outbox and sends them to :mod:`webapp.views.sync`, so
that a network that comes and goes loses nothing. The forms here do the same for a browser without it.
"""

from collections.abc import Iterable
from datetime import datetime, time
from uuid import UUID

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.database import writing
from webapp.domain import accounts, camps, operations, rolls
from webapp.domain.accounts import Person, Role
from webapp.domain.attendance import fast_path, marking
from webapp.domain.attendance.marking import Outcome
from webapp.domain.badges.awards import AwardChanges
from webapp.domain.camps import Camp
from webapp.domain.credentials import Asker
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.rolls import Row
from webapp.infra.ids import new_id
from webapp.views import live
from webapp.views.observed import count_marks
from webapp.views.presentation import plural
from webapp.views.rows import closed_line, find_camp, said_of
from webapp.views.security import from_htmx, permits, secret, viewer

blueprint = Blueprint("roll_call", __name__, url_prefix="/roll-call")

RECENT = 8  # past camps offered for a correction
MOST_ROWS = 5_000  # on one page; the search finds the others


@blueprint.get("/")
@permits(Role.COORDINATOR, Role.ADMIN)
def today() -> ResponseReturnValue:
    """Straight to today's camp; the choice where there are several, or none."""
    todays = camps.camps_of_today()
    if len(todays) == 1:
        return redirect(url_for("roll_call.camp", camp_id=todays[0].id))
    return _choice(todays)


@blueprint.get("/camps")
@permits(Role.COORDINATOR, Role.ADMIN)
def choose() -> ResponseReturnValue:
    """Today's camps, and the last ones, for corrections."""
    return _choice(camps.camps_of_today())


def _choice(todays: object) -> str:
    return render_template(
        "roll_call/camps.html",
        todays=todays,
        recent=camps.recent_camps(RECENT),
        coming=camps.next_camp(),
        many_sites=camps.has_many_sites(),
    )


@blueprint.get("/<uuid:camp_id>")
@permits(Role.COORDINATOR, Role.ADMIN)
def camp(camp_id: UUID) -> ResponseReturnValue:
    """The roll call of one camp."""
    camp = find_camp(camp_id)
    query = request.args.get("q", "")[:200]
    seen = live.token("")
    rows = rolls.roll(camp, query, MOST_ROWS + 1)
    return render_template(
        "roll_call/page.html",
        camp=camp,
        query=query,
        rows=rows[:MOST_ROWS],
        sections=_sections(rows[:MOST_ROWS]),
        cut=len(rows) > MOST_ROWS,
        counts=rolls.counts(camp),
        closed=closed_line(camp),
        seen=seen,
        blank=Row(_blank(), None),
        many_sites=camps.has_many_sites(),
    )


@blueprint.get("/<uuid:camp_id>/people/<uuid:person_id>")
@permits(Role.COORDINATOR, Role.ADMIN)
def person(camp_id: UUID, person_id: UUID) -> ResponseReturnValue:
    """What is rarer than "here", for one person, on a page of its own."""
    camp = find_camp(camp_id)
    return render_template("roll_call/person.html", camp=camp, row=rolls.row_after(camp, _person(person_id)))


def _quick(asker: Asker, camp_id: UUID, person_id: UUID) -> ResponseReturnValue | None:
    """Mark somebody present on the fast path, where the form asks for just that."""
    if request.form.get("state") not in ("present", "present:volunteer"):
        return None
    camp_role = CampRole.VOLUNTEER if ":" in request.form["state"] else None
    made = fast_path.mark(person_id, camp_id, asker, camp_role=camp_role)
    if made is None or made.made_at is None:
        return None
    count_marks("form", [made])
    outcome, camp = made.outcome, made.facts.camp
    row = Row(made.facts.person, outcome.attendance, made.badges.new)
    return _answer(camp, row, made.badges)


@blueprint.post("/<uuid:camp_id>/people/<uuid:person_id>")
@permits(Role.COORDINATOR, Role.ADMIN, quick=_quick)
def mark(camp_id: UUID, person_id: UUID) -> ResponseReturnValue:
    """Set what somebody's state is. htmx gets the row back, a plain form the page.

    The page counts by itself: to read the whole list for a number would cost more than the mark.
    """
    try:
        with writing():
            # The camp is held before the person, as everywhere.
            camp = camps.hold_by_id(camp_id) or abort(404)
            person = accounts.hold(person_id) or abort(404)
            outcome = _set(person, camp, request.form.get("state", ""))
            row = rolls.row_after(camp, person, outcome)
    except ConflictError as error:
        row = rolls.row_after(camp, person)
        return _answer(camp, row, AwardChanges(), refused=str(error), status=409)
    count_marks("form", [outcome])
    return _answer(camp, row, outcome.badges)


@blueprint.post("/<uuid:camp_id>/people")
@permits(Role.COORDINATOR, Role.ADMIN)
def add(camp_id: UUID) -> ResponseReturnValue:
    """Add somebody new, who is here."""
    camp = find_camp(camp_id)
    order: dict[str, object] = {"action": "add", "person": str(new_id()), "name": request.form.get("name", "")}
    return _carried_out(camp, order)


@blueprint.post("/<uuid:camp_id>/everyone")
@permits(Role.COORDINATOR, Role.ADMIN)
def everyone(camp_id: UUID) -> ResponseReturnValue:
    """Everyone who signed up is here."""
    camp = find_camp(camp_id)
    expected = [row.person.id for row in rolls.roll(camp, limit=operations.MOST_PEOPLE) if row.state is State.EXPECTED]
    return _carried_out(camp, {"action": "everyone", "people": [str(each) for each in expected]})


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


def _blank() -> Person:
    """Nobody: the row that the page's script fills in for somebody who walks in."""
    return Person(
        id=UUID(int=0), book_no=0, name="%NAME%", search_name="", role=Role.VOLUNTEER, is_active=True, card_no=0
    )


def _person(person_id: UUID) -> Person:
    return accounts.by_id(person_id) or abort(404)


def _set(person: Person, camp: Camp, wanted: str) -> Outcome:
    """The one verb that a posted state stands for; ``present:doctor`` says the camp role too."""
    by = viewer()
    state, _, camp_role = wanted.partition(":")
    match state:
        case State.PRESENT:
            return marking.mark_present(person, camp, by=by, camp_role=_camp_role(camp_role))
        case State.EXCUSED:
            return marking.excuse(person, camp, by=by, reason=request.form.get("reason"))
        case State.ABSENT:
            return marking.mark_absent(person, camp, by=by)
        case State.EXPECTED:
            return marking.undo(person, camp, by=by)
        case "left":
            return marking.check_out(person, camp, at=_time(camp, request.form.get("at", "")))
        case "stayed":
            return marking.stay(person, camp)
    raise InvalidError("It was not said what to mark. Reload the page and try again.")


def _camp_role(text: str) -> CampRole | None:
    if not text:
        return None
    try:
        return CampRole(text)
    except ValueError:
        raise InvalidError(f"“{text[:20]}” is not a camp role. Nothing was changed.") from None


def _time(camp: Camp, text: str) -> datetime | None:
    """A time on the camp's clock as an instant; nothing where none is given, which means now."""
    if not text:
        return None
    try:
        at = time.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"“{text[:20]}” is not a time such as 14:05. Nothing was changed.") from None
    return datetime.combine(camp.camp_date, at, camp.site.zone)


def _carried_out(camp: Camp, order: dict[str, object]) -> ResponseReturnValue:
    """Carry out an order that came by a plain form, and go back to the page."""
    sent = order | {"id": str(new_id()), "camp": str(camp.id), "made_at": clock.now().isoformat()}
    try:
        with writing():
            done = operations.carry_out(operations.parse(sent), by=viewer(), secret=secret())
    except (ConflictError, InvalidError) as error:
        flash(str(error), "refused")
    else:
        count_marks("form", done.outcomes.values())
        new = [badge for outcome in done.outcomes.values() for badge in outcome.badges.new]
        flash(f"{done.said} {plural(len(new), 'new badge')}." if new else done.said, "done")
    return redirect(url_for("roll_call.camp", camp_id=camp.id), 303)


def _answer(
    camp: Camp, row: Row, settled: AwardChanges, *, refused: str = "", status: int = 200
) -> ResponseReturnValue:
    said = refused or said_of(row, settled)
    if from_htmx():
        # Without the context processors: a fragment has neither menu nor name of the organisation.
        fragment = current_app.jinja_env.get_template("roll_call/_marked.html")
        return fragment.render(camp=camp, row=row, settled=settled, said=said, refused=refused), status
    flash(said, "refused" if refused else "done")
    query = request.form.get("q") or None
    back = url_for("roll_call.camp", camp_id=camp.id, q=query, _anchor=f"person-{row.person.id}")
    return redirect(back, 303)
