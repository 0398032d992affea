"""Finding people."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp.database import db
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Role
from webapp.views.paging import page_asked
from webapp.views.security import permits

blueprint = Blueprint("people", __name__, url_prefix="/people")

PER_PAGE = 50
STATES = {"on": True, "off": False}  # of an account


@blueprint.get("/")
@permits(Role.COORDINATOR, Role.ADMIN)
def index() -> ResponseReturnValue:
    """The search, and whom it found."""
    return render_template("people/page.html", **_found())


@blueprint.get("/rows")
@permits(Role.COORDINATOR, Role.ADMIN)
def rows() -> ResponseReturnValue:
    """Whom the search found, while it is typed."""
    return render_template("people/_people.html", **_found())


def _found() -> dict[str, object]:
    query = request.args.get("q", "")[:200]
    role, state = request.args.get("role"), request.args.get("state")
    role, state = role if role in list(Role) else "", state if state in STATES else ""
    number = page_asked()
    wanted = accounts.find(query, Role(role) if role else None, active=STATES[state] if state else None)
    page = db.paginate(wanted, page=number, per_page=PER_PAGE, error_out=False)
    return {"query": query, "role": role, "state": state, "people": page, "roles": list(Role)}
