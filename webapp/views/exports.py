"""Exports: people, attendance and standings as CSV files, sent while they are read."""

from collections.abc import Callable, Iterator, Sequence

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp.database import writing
from webapp.domain import audit, cells
from webapp.domain.audit import Action
from webapp.domain.import_export import exports
from webapp.domain.leaderboard.snapshots import OVERALL
from webapp.domain.people.accounts import Role
from webapp.views.csv_out import csv_file, streamed
from webapp.views.leaderboard import open_board
from webapp.views.security import permits

blueprint = Blueprint("exports", __name__, url_prefix="/office/export")

# endpoint, word, what is in it
FILES = [
    ("exports.people", "People", "Everybody with book number, name, role, and whether their account is active."),
    (
        "exports.attendance",
        "Attendance",
        "Who was where, and what they said: in the form of the import, so that it can be imported again. Cancelled"
        " camps, reasons and times of leaving are not in it.",
    ),
    (
        "exports.standings",
        "Standings",
        "The leaderboard of all time, with the badges of each. Who asked to be on none is not in it.",
    ),
]


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """What can be exported."""
    return render_template("exports/page.html", files=FILES)


@blueprint.post("/people.csv")
@permits(Role.ADMIN)
def people() -> ResponseReturnValue:
    """Everybody."""
    return _export("people", exports.PEOPLE, exports.people)


@blueprint.post("/attendance.csv")
@permits(Role.ADMIN)
def attendance() -> ResponseReturnValue:
    """Who was where, in the format of the import."""
    with_site = exports.names_sites()
    header = exports.attendance_header(with_site=with_site)
    return _export("attendance", header, lambda: exports.attendance(with_site=with_site))


@blueprint.post("/standings.csv")
@permits(Role.ADMIN)
def standings() -> ResponseReturnValue:
    """The leaderboard."""
    board = open_board(OVERALL).board
    if board is None:
        flash("The leaderboard is being prepared. Try again in a minute.")
        return redirect(url_for("exports.index"), 303)
    return _export("standings", exports.STANDINGS, lambda: exports.standings(board))


def _export(what: str, header: Sequence[str], rows: Callable[[], Iterator[exports.Row]]) -> Response:
    """The rows as a file; the audit trail says who took it."""
    with writing():
        audit.note(Action.EXPORTED, details={"what": what})
    return csv_file(streamed(lambda: cells.file_of(header, rows())), f"{what}.csv")
