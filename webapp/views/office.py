"""The admin's office: where everything an organisation needs after the first camp is found."""

from zoneinfo import ZoneInfo

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from webapp.domain.audit_search import entries
from webapp.domain.camps import calendar
from webapp.domain.organisation import onboarding, settings
from webapp.domain.people.accounts import Role
from webapp.views.security import permits
from webapp.views.trail import lines_of

blueprint = Blueprint("office", __name__, url_prefix="/office")

LATELY = 5  # of what was done last

# endpoint, word, what is there
PLACES = [
    ("people.index", "People", "Find, add and import people: names, roles, passwords, lost cards."),
    ("calendar.month", "Calendar", "Camps past, today and coming; add one or a whole series, move or cancel one."),
    ("definitions.index", "Badges", "What each is awarded for, its medal, and who has it."),
    ("imports.index", "Import", "Bring in a history of camps and who came, from a CSV file."),
    ("exports.index", "Export", "People, attendance and standings as files for Excel."),
    ("jobs.index", "Jobs", "Imports and backfills: how far they are, and what they did."),
    ("trail.index", "Audit trail", "Who did what, when and on which device, and which badges followed."),
    ("settings.index", "Settings", "The organisation’s name and time zone."),
]
# The picture of a place, by the first word of its endpoint.
ICONS = {
    "people": "people",
    "members": "people",
    "calendar": "calendar",
    "sites": "home",
    "definitions": "medal",
    "imports": "tray-in",
    "exports": "tray-out",
    "jobs": "clock",
    "trail": "trail",
    "settings": "sliders",
}


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """The way to each part of it."""
    return render_template(
        "office/index.html",
        places=[(endpoint, word, said, _icon(endpoint)) for endpoint, word, said in PLACES],
        is_new=not onboarding.is_over(),
        lately=lines_of(entries(limit=LATELY), ZoneInfo(settings.time_zone())),
        today=calendar.default_site().today,
    )


def _icon(endpoint: str) -> str:
    return ICONS.get(endpoint.partition(".")[0], "desk")
