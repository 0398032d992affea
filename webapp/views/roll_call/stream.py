"""What an open roll call asks for beside its marks: rows, who else may come, and the stream of changes."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from webapp.domain.attendance import roll_call
from webapp.domain.attendance.roll_call import Changed
from webapp.domain.camps.calendar import Camp
from webapp.domain.people import cards
from webapp.domain.people.accounts import Role
from webapp.views import live
from webapp.views.presentation import card_digest, micros, search_word
from webapp.views.roll_call.partials import closed_line, find_camp, render, rows_html, swapped
from webapp.views.security import from_htmx, permits, secret, viewer

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
        found = [row.person for row in roll_call.roll(camp, query, 50) if row.attendance is None]
    else:
        found = list(roll_call.others(camp, MOST_OTHERS + 1))
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
    return _rows(camp, people, at)


@blueprint.post("/<uuid:camp_id>/card")
@permits(Role.COORDINATOR, Role.ADMIN)
def card(camp_id: UUID) -> ResponseReturnValue:
    """The row of whose card a phone has scanned that does not know it."""
    camp = find_camp(camp_id)
    body = request.get_json(silent=True)
    text = request.form.get("card") if not isinstance(body, dict) else body.get("card")
    at = live.micros()
    person = cards.read(text if isinstance(text, str) else "", secret())
    return _rows(camp, [person.id], at)


def _rows(camp: Camp, people: list[UUID], at: int) -> ResponseReturnValue:
    """Answer with people's rows: to be swapped, or as JSON for a page of the former version."""
    rows = roll_call.rows_of(camp, people)
    if from_htmx():
        return swapped(camp, rows_html(camp, rows), at)
    told = {"at": at, "rows": [rows_html(camp, [row]) for row in rows]}
    return told | ({"person": str(people[0])} if request.method == "POST" else {})


@blueprint.get("/<uuid:camp_id>/live")
@permits(Role.COORDINATOR, Role.ADMIN)
def changes(camp_id: UUID) -> Response:
    """The stream of an open roll call: the rows that changed, whoever changed them.

    Of what the reader marked only the versions are told: this phone has had the answer, and another one
    of theirs asks for the rows. A page of the former version is told the same as JSON.
    """
    camp_id, reader = find_camp(camp_id).id, viewer().id
    news = _News(camp_id, reader)
    as_html = "text/html" in request.headers.get("Accept", "")

    def changed(_stamp: str, since: datetime) -> tuple[str, str] | None:
        told = news.since(since)
        return ("", told.html() if as_html else told.json()) if told else None

    return live.stream(camp_id, changed, pace=PACE)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one look at a roll call found."""

    camp: Camp
    at: int
    rows: Sequence[str]
    own: Sequence[tuple[str, str]]
    """Whom the reader marked, and the versions of their rows."""
    size: int
    closed: str

    def html(self) -> str:
        """Render the event that htmx swaps."""
        return render(
            "roll_call/_news.html",
            swap=swapped(self.camp, "".join(self.rows), self.at, closed=self.closed),
            own=self.own,
            size=self.size,
        )

    def json(self) -> str:
        """Say the same to a page of the former version."""
        told = {"at": self.at, "rows": self.rows, "own": self.own, "size": self.size}
        return json.dumps(told | {"closed": self.closed})


class _News:
    """What one reader of a roll call has been told, and what is new to them."""

    def __init__(self, camp_id: UUID, reader: UUID) -> None:
        self.camp_id, self.reader = camp_id, reader
        self.known: dict[UUID, datetime] = {}
        self.on_it: set[UUID] | None = None
        self.closed: str | None = None

    def since(self, since: datetime) -> _Told | None:
        """Look for what was changed from an instant on; nothing where all is known."""
        camp = find_camp(self.camp_id)
        at = live.micros()
        stored = roll_call.changed_since(camp, since - OVERLAP)
        fresh = [each for each in stored if self.known.get(each.person_id) != each.changed_at]
        self.known.update((each.person_id, each.changed_at) for each in fresh)
        gone = self._gone(camp, fresh)
        closed = closed_line(camp)
        is_first = self.closed is None
        if not (is_first or fresh or gone) and closed == self.closed:
            return None
        self.closed = closed
        told = {each.person_id: each.changed_at for each in fresh if each.marked_by_id != self.reader}
        rows = [*_shared_html(camp, told), rows_html(camp, roll_call.rows_of(camp, gone))]
        own = [
            (str(each.person_id), str(micros(each.changed_at))) for each in fresh if each.marked_by_id == self.reader
        ]
        return _Told(camp, at, [html for html in rows if html], own, len(self.on_it or ()), closed)

    def _gone(self, camp: Camp, fresh: Sequence[Changed]) -> set[UUID]:
        """Find who left the list since the last look."""
        now_on = (self.on_it or set()) | {each.person_id for each in fresh}
        # Where the number fits nobody has left it, and the list need not be read.
        if self.on_it is None or len(now_on) != roll_call.size_of(camp):
            now_on = roll_call.people_on(camp)
        gone = (self.on_it or now_on) - now_on
        for person_id in gone:
            self.known.pop(person_id, None)
        self.on_it = now_on
        return gone


_shared: dict[tuple[UUID, UUID, datetime], tuple[float, str]] = {}
_sharing = threading.Lock()


def _shared_html(camp: Camp, changes: Mapping[UUID, datetime]) -> list[str]:
    """The rows of people as their ``changes`` left them, each rendered once for all who watch this camp here."""
    with _sharing:
        now = time.monotonic()
        for old in [key for key, (until, _) in _shared.items() if until < now]:
            del _shared[old]
        missing = [each for each, at in changes.items() if (camp.id, each, at) not in _shared]
        rows = roll_call.rows_of(camp, missing) if missing else []
        html = {row.person.id: rows_html(camp, [row]) for row in rows}
        for row in rows:
            if row.attendance:
                key = camp.id, row.person.id, row.attendance.changed_at
                _shared[key] = now + SHARED_FOR, html[row.person.id]
        known = ((each, _shared.get((camp.id, each, at))) for each, at in changes.items())
        return list((html | {each: found[1] for each, found in known if found}).values())
