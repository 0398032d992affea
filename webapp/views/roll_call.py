"""The roll call: one camp's list of people, made for the thumb."""

from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.database import writing
from webapp.domain import accounts, attendance, camps
from webapp.domain.accounts import Person, Role
from webapp.domain.attendance import CampRole, Outcome, Row, State
from webapp.domain.badges import Settlement
from webapp.domain.camps import Camp
from webapp.domain.errors import ConflictError, InvalidError
from webapp.views.security import from_htmx, permits, viewer

blueprint = Blueprint("roll_call", __name__, url_prefix="/roll-call")

RECENT = 8  # past camps offered for a correction
MOST_ROWS = 300  # on one page; the search finds the others


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
    return render_template("roll_call/page.html", many_sites=camps.has_many_sites(), **_roll(_camp(camp_id)))


@blueprint.get("/<uuid:camp_id>/rows")
@permits(Role.COORDINATOR, Role.ADMIN)
def rows(camp_id: UUID) -> ResponseReturnValue:
    """Its rows while a name is typed."""
    return render_template("roll_call/_rows.html", **_roll(_camp(camp_id)))


@blueprint.post("/<uuid:camp_id>/people/<uuid:person_id>")
@permits(Role.COORDINATOR, Role.ADMIN)
def mark(camp_id: UUID, person_id: UUID) -> ResponseReturnValue:
    """Set what somebody's state is. htmx gets the row back, a plain form the page."""
    camp = _camp(camp_id)
    person = accounts.by_id(person_id) or abort(404)
    try:
        with writing():
            outcome = _set(person, camp, request.form.get("state", ""))
    except ConflictError as error:
        return _answer(camp, attendance.row_of(camp, person), Settlement(), refused=str(error), status=409)
    return _answer(camp, Row(person, outcome.attendance), outcome.badges)


def _camp(camp_id: UUID) -> Camp:
    return camps.by_id(camp_id) or abort(404)


def _roll(camp: Camp) -> dict[str, object]:
    query = request.args.get("q", "")[:200]
    return {
        "camp": camp,
        "query": query,
        "rows": attendance.roll(camp, query, MOST_ROWS + 1),
        "most": MOST_ROWS,
        "counts": attendance.counts(camp),
    }


def _set(person: Person, camp: Camp, wanted: str) -> Outcome:
    """The one verb that a posted state stands for; ``present:doctor`` says the camp role too."""
    by = viewer()
    state, _, camp_role = wanted.partition(":")
    match state:
        case State.PRESENT:
            return attendance.mark_present(person, camp, by=by, camp_role=_camp_role(camp_role))
        case State.EXCUSED:
            return attendance.excuse(person, camp, by=by)
        case State.ABSENT:
            return attendance.mark_absent(person, camp, by=by)
        case State.EXPECTED:
            return attendance.undo(person, camp, by=by)
    raise InvalidError("It was not said what to mark. Reload the page and try again.")


def _camp_role(text: str) -> CampRole | None:
    if not text:
        return None
    try:
        return CampRole(text)
    except ValueError:
        raise InvalidError(f"“{text[:20]}” is not a camp role. Nothing was changed.") from None


def _answer(camp: Camp, row: Row, settled: Settlement, *, refused: str = "", status: int = 200) -> ResponseReturnValue:
    said = refused or _said(row, settled)
    if from_htmx():
        fragment = render_template(
            "roll_call/_marked.html",
            camp=camp,
            row=row,
            query=request.form.get("q", ""),
            counts=attendance.counts(camp),
            settled=settled,
            said=said,
            refused=refused,
        )
        return fragment, status
    flash(said, "refused" if refused else "done")
    query = request.form.get("q") or None
    back = url_for("roll_call.camp", camp_id=camp.id, q=query, _anchor=f"person-{row.person.id}")
    return redirect(back, 303)


def _said(row: Row, settled: Settlement) -> str:
    """What happened, in a sentence or two."""
    states = {
        State.PRESENT: "is present",
        State.EXCUSED: "is excused",
        State.ABSENT: "is marked absent",
        State.EXPECTED: "is expected again",
        None: "is not on the list any more",
    }
    said = [f"{row.person.name} {states[row.state]}."]
    for word, found in (("New", settled.new), ("Back again", settled.returned), ("Taken back", settled.revoked)):
        if found:
            said.append(f"{word}: {', '.join(badge.name for badge in found)}.")
    return " ".join(said)
