"""The rows of a roll call as its page's script asks for them: some, who else may come, the stream of changes."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue

from webapp.domain import camps, cards, rolls
from webapp.domain.accounts import Role
from webapp.domain.badges.awards import AwardChanges
from webapp.domain.camps import Camp
from webapp.domain.models.attendance import State
from webapp.domain.rolls import Row
from webapp.views import live
from webapp.views.presentation import card_digest, clock_time, day, micros, search_word
from webapp.views.security import permits, secret, viewer

blueprint = Blueprint("rows", __name__, url_prefix="/roll-call")

MOST_OTHERS = 2_000  # people a phone knows beyond those who signed up, about 60 KB
MOST_ASKED = 100  # rows in one answer
PACE = 1  # seconds; a look reads the whole list, and a camp is marked several times a second at several doors
SHARED_FOR = 2  # seconds
OVERLAP = timedelta(seconds=5)  # a transaction may take this long from its first statement to its commit


@blueprint.get("/<uuid:camp_id>/others")
@permits(Role.COORDINATOR, Role.ADMIN)
def others(camp_id: UUID) -> ResponseReturnValue:
    """Who may walk in, for the page's own search: id, book number, name, what the name is searched by where
    that differs, and the card's digest. ``whole`` where there is nobody else.
    """
    camp = find_camp(camp_id)
    query = request.args.get("q", "")[:200]
    if query:
        found = [row.person for row in rolls.roll(camp, query, 50) if row.attendance is None]
    else:
        found = list(rolls.others(camp, MOST_OTHERS + 1))
    people = [
        [person.id.hex, person.book_no, person.name, search_word(person), card_digest(person)]
        for person in found[:MOST_OTHERS]
    ]
    return {"people": people, "whole": not query and len(found) <= MOST_OTHERS}


@blueprint.get("/<uuid:camp_id>/rows")
@permits(Role.COORDINATOR, Role.ADMIN)
def some(camp_id: UUID) -> ResponseReturnValue:
    """The rows of some people (``person``, repeated), as they stand now."""
    camp = find_camp(camp_id)
    at = live.micros()
    people = request.args.getlist("person", type=UUID)[:MOST_ASKED]
    return {"at": at, "rows": rows_html(camp, rolls.rows_of(camp, people))}


@blueprint.get("/<uuid:camp_id>/live")
@permits(Role.COORDINATOR, Role.ADMIN)
def changes(camp_id: UUID) -> Response:
    """The stream of an open roll call: the rows that changed, whoever changed them.

    Of what the reader marked only the versions are told (``own``): this phone has had the answer, and
    another one of theirs asks for the rows.
    """
    camp_id, reader = find_camp(camp_id).id, viewer().id
    known: dict[UUID, datetime] = {}
    on_it: set[UUID] | None = None
    closed: str | None = None

    def changed(_stamp: str, since: datetime) -> tuple[str, str] | None:
        nonlocal on_it, closed
        camp = find_camp(camp_id)
        found = rolls.changed_since(camp, since - OVERLAP)
        fresh = [each for each in found if known.get(each.person_id) != each.changed_at]
        known.update((each.person_id, each.changed_at) for each in fresh)
        now_on = (on_it or set()) | {each.person_id for each in fresh}
        if on_it is None or len(now_on) != rolls.size_of(
            camp
        ):  # else nobody has left it, and the list need not be read
            now_on = rolls.people_on(camp)
        gone = (on_it or now_on) - now_on
        for person_id in gone:
            known.pop(person_id, None)
        line = closed_line(camp)
        if on_it is not None and not (fresh or gone) and line == closed:
            return None
        on_it, closed = now_on, line
        told = {each.person_id: each.changed_at for each in fresh if each.marked_by_id != reader}
        news = {
            "at": live.micros(),
            "rows": _shared_html(camp, told) + rows_html(camp, rolls.rows_of(camp, gone)),
            "own": [
                (str(each.person_id), str(micros(each.changed_at))) for each in fresh if each.marked_by_id == reader
            ],
            "size": len(now_on),
            "closed": line,
        }
        return "", json.dumps(news)

    return live.stream(camp_id, changed, pace=PACE)


@blueprint.post("/<uuid:camp_id>/card")
@permits(Role.COORDINATOR, Role.ADMIN)
def card(camp_id: UUID) -> ResponseReturnValue:
    """Whose card a phone has scanned that does not know it."""
    camp = find_camp(camp_id)
    body = request.get_json(silent=True)
    text = body.get("card") if isinstance(body, dict) else None
    person = cards.read(text if isinstance(text, str) else "", secret())
    return {"at": live.micros(), "person": str(person.id), "rows": rows_html(camp, rolls.rows_of(camp, [person.id]))}


def find_camp(camp_id: UUID) -> Camp:
    """The camp, or 404."""
    return camps.by_id(camp_id) or abort(404)


def rows_html(camp: Camp, rows: Sequence[Row], settled: dict[UUID, AwardChanges] | None = None) -> list[str]:
    """Rows as the page has them, each with the badges it just earned or lost."""
    template = current_app.jinja_env.get_template("roll_call/_rows.html")
    settled = settled or {}
    return [template.render(camp=camp, rows=[row], settled=settled.get(row.person.id)) for row in rows]


_shared: dict[tuple[UUID, UUID, datetime], tuple[float, str]] = {}
_sharing = threading.Lock()


def _shared_html(camp: Camp, changes: Mapping[UUID, datetime]) -> list[str]:
    """The rows of people as their ``changes`` left them, each rendered once for all who watch this camp here."""
    with _sharing:
        now = time.monotonic()
        for old in [key for key, (until, _) in _shared.items() if until < now]:
            del _shared[old]
        missing = [each for each, at in changes.items() if (camp.id, each, at) not in _shared]
        rows = rolls.rows_of(camp, missing) if missing else []
        html = dict(zip((row.person.id for row in rows), rows_html(camp, rows), strict=True))
        for row in rows:
            if row.attendance:
                _shared[camp.id, row.person.id, row.attendance.changed_at] = now + SHARED_FOR, html[row.person.id]
        known = ((each, _shared.get((camp.id, each, at))) for each, at in changes.items())
        return list((html | {each: found[1] for each, found in known if found}).values())


def closed_line(camp: Camp) -> str:
    """Who closed the roll call; empty while it is open."""
    closing = rolls.closing_of(camp)
    if closing is None:
        return ""
    on = day(closing.closed_at.astimezone(camp.site.zone).date(), camp.site.today)
    return f"Closed by {closing.closed_by.name}, {on} at {clock_time(closing.closed_at, camp.site.time_zone)}."


def said_of(row: Row, settled: AwardChanges) -> str:
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
