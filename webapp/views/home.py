"""The front door: everybody is led to the place their role needs first."""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from webapp.domain.organisation import onboarding
from webapp.domain.people.accounts import Person, Role
from webapp.views.presentation import menu
from webapp.views.security import permits, viewer

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
@permits(*Role)
def index() -> ResponseReturnValue:
    """To the first place of one's own menu."""
    return redirect(first_place(viewer()))


def first_place(person: Person) -> str:
    """Where somebody's work begins. An admin of a new organisation is led through its first day."""
    if person.role is Role.ADMIN and not onboarding.is_over():
        return url_for("start.index")
    return url_for(menu(person)[0][0])
