"""What htmx swaps in a roll call: rows as the page has them, and what is said of them.

Page, answers and stream render the same ``roll_call/_rows.html``.
"""

from collections.abc import Sequence
from uuid import UUID

from flask import abort, current_app

from webapp.domain.attendance import roll_call
from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.attendance.roll_call import Row
from webapp.domain.attendance.sync import Done
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import State
from webapp.domain.people import accounts
from webapp.views.presentation import clock_time, day


def find_camp(camp_id: UUID) -> Camp:
    """The camp, or 404."""
    return calendar.by_id(camp_id) or abort(404)


def rows_html(camp: Camp, rows: Sequence[Row]) -> str:
    """Render rows as the page has them."""
    return render("roll_call/_rows.html", camp=camp, rows=rows)


def swapped(camp: Camp, rows: str, at: int, *, closed: str | None = None, again: bool = False) -> str:
    """Render what brings rows into an open page of this camp.

    ``at`` is an instant before the rows were read, in microseconds since 1970. With ``closed``, who
    closed the roll call; ``again`` where the page may have heard of the same change without its badges.
    """
    return render("roll_call/_swap.html", camp=camp, rows=rows, at=at, closed=closed, again=again)


def render(template: str, **values: object) -> str:
    """Render without the context processors: a fragment has neither menu nor name of the organisation."""
    return current_app.jinja_env.get_template(template).render(**values)


def row_of_fast(made: FastMark) -> Row:
    """The line of somebody marked on the fast path: undoing it takes back just what it brought."""
    return Row(made.facts.person, made.outcome.attendance, made.badges.new, made.badges)


def rows_after(done: Done) -> list[Row]:
    """Read the lines that an order concerned, with what it did to badges."""
    if len(done.people) == 1:
        (person_id,) = done.people
        person = accounts.by_id(person_id)
        if person:
            return [roll_call.row_after(done.camp, person, done.outcomes.get(person_id))]
    return roll_call.rows_of(done.camp, done.people, done.outcomes)


def said_after(done: Done, rows: Sequence[Row]) -> str:
    """Say what an order did: of one person in a sentence of their own."""
    told = [said_of(row) for row in rows]
    is_of_one = len(told) == 1 and len(done.outcomes) == 1
    return f"{told[0]} {done.said}".strip() if is_of_one else done.said


def closed_line(camp: Camp) -> str:
    """Who closed the roll call; empty while it is open."""
    closing = roll_call.closing_of(camp)
    if closing is None:
        return ""
    on = day(closing.closed_at.astimezone(camp.site.zone).date(), camp.site.today)
    at = clock_time(closing.closed_at, camp.site.time_zone)
    return f"Closed by {closing.closed_by.name}, {on} at {at}."


def said_of(row: Row) -> str:
    """What happened, in a sentence or two."""
    states = {
        State.PRESENT: "is present",
        State.EXCUSED: "is excused",
        State.ABSENT: "is marked absent",
        State.EXPECTED: "is expected again",
        None: "is not on the list any more",
    }
    said = [f"{row.person.name} {states[row.state]}."]
    changes = row.changes
    if changes:
        for word, badges in (
            ("New", changes.new),
            ("Back again", changes.returned),
            ("Taken back", changes.revoked),
        ):
            if badges:
                said.append(f"{word}: {', '.join(badge.name for badge in badges)}.")
    return " ".join(said)
