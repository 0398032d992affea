"""The admin's office: where everything an organisation needs after the first camp is found."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from webapp.domain.accounts import Role
from webapp.views.security import permits

blueprint = Blueprint("office", __name__, url_prefix="/office")

# endpoint, word, what is there
PLACES = [
    ("imports.index", "Import", "Bring in a history of camps and who came, from a CSV file."),
    ("exports.index", "Export", "People, attendance and standings as files for Excel."),
    ("jobs.index", "Jobs", "Imports and backfills: how far they are, and what they did."),
]


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """The way to each part of it."""
    return render_template("office/index.html", places=PLACES)
