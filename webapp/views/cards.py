"""Cards: the QR code that a coordinator scans; one's own, a printed card, a sheet for a whole camp."""

from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.database import writing
from webapp.domain.attendance import roll_call
from webapp.domain.people import accounts, cards
from webapp.domain.people.accounts import Person, Role
from webapp.views.roll_call.page import MOST_ROWS
from webapp.views.roll_call.partials import find_camp
from webapp.views.security import from_htmx, permits, viewer

blueprint = Blueprint("cards", __name__)


@blueprint.get("/cabinet/card")
@permits(*Role)
def own() -> ResponseReturnValue:
    """One's own card, to be printed."""
    return _printed([viewer()])


@blueprint.get("/people/<uuid:person_id>/card")
@permits(Role.COORDINATOR, Role.ADMIN)
def of_person(person_id: UUID) -> ResponseReturnValue:
    """Anybody's card, for those who mark."""
    return _printed([_find(person_id)])


@blueprint.get("/roll-call/<uuid:camp_id>/cards")
@permits(Role.COORDINATOR, Role.ADMIN)
def sheet(camp_id: UUID) -> ResponseReturnValue:
    """The cards of everybody on a camp's roll, several to a sheet of paper."""
    camp = find_camp(camp_id)
    people = [row.person for row in roll_call.roll(camp, limit=MOST_ROWS) if row.person.is_active]
    return _printed(people, camp)


@blueprint.post("/cabinet/card")
@permits(*Role)
def replace_own() -> ResponseReturnValue:
    """A new card for oneself; the lost one is good for nothing."""
    return _replace(viewer(), mine=True)


@blueprint.post("/people/<uuid:person_id>/card")
@permits(Role.COORDINATOR, Role.ADMIN)
def replace_of_person(person_id: UUID) -> ResponseReturnValue:
    """A new card for anybody."""
    return _replace(_find(person_id), mine=False)


def _find(person_id: UUID) -> Person:
    return accounts.by_id(person_id) or abort(404)


def _printed(people: list[Person], camp: object = None) -> str:
    return render_template("cards/page.html", people=people, camp=camp)


def _replace(person: Person, *, mine: bool) -> ResponseReturnValue:
    with writing():
        cards.replace(person)
    if from_htmx():
        return render_template("cards/_card.html", person=person, mine=mine, replaced=True)
    flash("There is a new card. The old one does not work any more.")
    return redirect(
        request.referrer or url_for("home.index") if not mine else url_for("cabinet.own", _anchor="card"), 303
    )
