"""The plans of the queries on hot paths: none reads through a table that grows.

PostgreSQL is told to avoid scans where it can, so a scan that is left says that no index serves the query. SQLite
says "SCAN table" for what is read from end to end. Small tables (sites, badges, settings) may be; whether the
planner uses an index on a real table is for the benchmarks to show.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, event, select, text

from tests import factories
from tests.conftest import ENGINE, SUNDAY, People
from tests.factories import attend
from tests.views.conftest import HTMX
from webapp import clock
from webapp.database import db, writing
from webapp.domain import audit_search
from webapp.domain.attendance import fast_path, marking
from webapp.domain.audit import Action, Entry
from webapp.domain.audit_search import AuditFilter
from webapp.domain.camps import calendar
from webapp.domain.people.accounts import Person
from webapp.domain.people.credentials import Asker

GROWING = {
    "attendance",
    "person",
    "award",
    "totals",
    "board_line",
    "camp",
    "revocation",
    "operation",
    "entry",
    "entry_award",
}
EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
Token = Callable[[Person], dict[str, str]]
As = Callable[[Person], FlaskClient]


@contextmanager
def scans(app: Flask) -> Iterator[list[str]]:
    """Collects the statements of the block that read through a growing table, with their plan."""
    found: list[str] = []
    explaining = False

    def look(connection: Connection, cursor: Any, statement: str, values: Any, _context: object, many: bool) -> None:
        nonlocal explaining
        if (
            explaining
            or many
            or not statement.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
        ):
            return
        explaining = True
        other = connection.connection.cursor()
        if ENGINE == "postgresql":
            other.execute("SET LOCAL enable_seqscan = off")
            other.execute(f"EXPLAIN {statement}", values)
        else:
            other.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        plan = [str(row[-1]) for row in other.fetchall()]
        other.close()
        explaining = False
        if bad := [line for line in plan if _scanned(line) in GROWING]:
            found.append("\n".join([statement, *bad]))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", look)


def _scanned(line: str, aliases: Mapping[str, str] = MappingProxyType({})) -> str:
    """The table that a line of a plan reads from end to end."""
    words = line.split()
    if ENGINE == "postgresql":
        return words[words.index("on") + 1] if "Seq Scan on" in line else ""
    # "USING INDEX" after SCAN reads the whole index; with LIMIT 1 and in order it stops at once.
    scanned = words[1] if words[:1] == ["SCAN"] and "USING" not in words else ""
    return aliases.get(scanned, scanned)


@pytest.fixture
def grown(app: Flask, people: People) -> Sequence[Person]:
    """Some history, so that there is something to read."""
    with app.app_context():
        camps = [factories.camp(weeks) for weeks in range(12, 0, -1)]
        others = [factories.person(f"Person {number}") for number in range(20)]
        for number, person in enumerate(others):
            attend(person, camps[number % 5 :: 2], people.coordinator)
        attend(people.volunteer, camps[::3], people.coordinator)
        factories.camp(0)
    return others


def test_a_mark_through_the_api(
    app: Flask, client: FlaskClient, token: Token, people: People, grown: Sequence[Person]
) -> None:
    path = f"/api/v1/medical-camps/camp/{people.volunteer.id}/attendance"
    with scans(app) as found:
        assert client.put(path, json={"logout": False}, headers=token(people.coordinator)).status_code == 200
    assert found == []


def test_a_mark_and_an_undo_at_the_table(app: Flask, as_: As, people: People, grown: Sequence[Person]) -> None:
    with app.app_context():
        camp = calendar.camps_of_today()[0].id
    coordinator = as_(people.coordinator)
    with scans(app) as found:
        for state in ("present", "expected", "excused", "present"):
            path = f"/roll-call/{camp}/people/{people.volunteer.id}"
            assert coordinator.post(path, data={"state": state}, headers=HTMX).status_code == 200
    assert found == []


class Explaining:
    """A cursor of the driver's own that has each statement explained before it is carried out."""

    def __init__(self, cursor: Any, found: list[str]) -> None:
        self.cursor, self.found = cursor, found

    def execute(self, statement: str, values: Any = ()) -> Any:
        if ENGINE == "postgresql":
            self.cursor.execute("SET enable_seqscan = off")
        self.cursor.execute(f"EXPLAIN {'' if ENGINE == 'postgresql' else 'QUERY PLAN '}{statement}", values)
        plan = [str(row[-1]) for row in self.cursor.fetchall()]
        if bad := [line for line in plan if _scanned(line, ALIASES) in GROWING]:
            self.found.append("\n".join([statement, *bad]))
        if ENGINE == "postgresql":
            self.cursor.execute("RESET enable_seqscan")
        return self.cursor.execute(statement, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


# What the fast path's question calls the tables.
ALIASES = {"asker": "person", "here": "totals", "missed": "camp", "skipped": "camp", "skipping": "attendance"}


@pytest.mark.parametrize("names_camp", [True, False])
def test_a_fast_mark(
    app: Flask, people: People, grown: Sequence[Person], names_camp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    ask, write = fast_path._ask, fast_path._write
    monkeypatch.setattr(fast_path, "_ask", lambda cursor, *args: ask(Explaining(cursor, found), *args))
    monkeypatch.setattr(fast_path, "_write", lambda cursor, *args: write(Explaining(cursor, found), *args))
    with app.app_context():
        camp_id = calendar.camps_of_today()[0].id if names_camp else None
        asker = Asker(people.coordinator.id, people.coordinator.session_no)
        made = fast_path.mark(people.volunteer.id, camp_id, asker)
        assert made
        assert made.outcome.badges.new
    assert found == []


def test_a_roll_call_reads_nobody_but_who_is_on_it(
    app: Flask, as_: As, people: People, grown: Sequence[Person]
) -> None:
    """Not even by an index: it was so where SQLite knew nothing of how large the tables are."""
    with app.app_context():
        camp = calendar.camps_of_today()[0]
        with writing():
            marking.sign_up(people.volunteer, camp)
    coordinator = as_(people.coordinator)
    read: list[str] = []

    def look(connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if "FROM person JOIN attendance" in statement and ENGINE == "sqlite":
            other = connection.connection.cursor()
            other.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            read.extend(row[-1].partition(" USING")[0] for row in other.fetchall())

    with scans(app) as found, app.app_context():
        event.listen(db.engine, "before_cursor_execute", look)
        page = coordinator.get(f"/roll-call/{camp.id}")
        event.remove(db.engine, "before_cursor_execute", look)
    assert people.volunteer.name in page.text
    assert found == []
    if ENGINE == "sqlite":
        assert read[:2] == ["SEARCH attendance", "SEARCH person"]


PAGES = (
    "/leaderboard/",
    "/leaderboard/?by=badges",
    "/leaderboard/?period=2026&by=streak",
    "/leaderboard/?person={0}",
    "/people/{0}",
    "/office/",
    "/office/trail/",
    "/office/trail/?person={0}",
    "/office/trail/?by={0}",
    "/office/trail/?by=command-line",
    "/office/trail/?action=present",
    "/office/trail/?action=role_changed",
    "/office/trail/?action=present&person={0}&since=2026-01-01",
    "/office/trail/?camp={1}",
    "/office/trail/?since=2026-01-01&until=2026-04-30",
    "/office/trail/?after=1775973600000000.00000000000000000000000000000001",
    "/office/trail/{2}",
)


def test_pages(app: Flask, as_: As, people: People, grown: Sequence[Person]) -> None:
    admin = as_(people.admin)
    with app.app_context():
        entry = audit_search.entries(limit=1)[0]
        marked = audit_search.entries(AuditFilter(action=Action.PRESENT), limit=1)[0]
    with clock.stopped_at(SUNDAY + timedelta(minutes=1)):  # boards that are built now are kept
        _read_all(app, admin, people, entry, marked)


def _read_all(app: Flask, admin: FlaskClient, people: People, entry: Entry, marked: Entry) -> None:
    for page in PAGES:
        if page.startswith("/leaderboard/"):
            admin.get(page.format(people.volunteer.id))  # what building reads is no page's
        with scans(app) as found:
            answer = admin.get(page.format(people.volunteer.id, marked.camp_id, entry.id))
            assert answer.status_code == 200, page
            assert answer.data
        assert found == [], page


def test_the_trail_as_csv(app: Flask, as_: As, people: People, grown: Sequence[Person]) -> None:
    with scans(app) as found:
        for query in ("", "?action=present&until=2026-04-30", f"?person={people.volunteer.id}"):
            assert as_(people.admin).post(f"/office/trail/audit-trail.csv{query}").data.count(b"\n") > 2
    assert found == []


def test_kinds_that_are_rare_are_found_by_their_own_index(app: Flask, grown: Sequence[Person]) -> None:
    with app.app_context():
        wanted = audit_search.entries(AuditFilter(action=Action.CAMP_ADDED), limit=3)
        assert len(wanted) == 3
        if ENGINE == "postgresql":
            db.session.execute(text("SET LOCAL enable_seqscan = off"))
            db.session.execute(text("ANALYZE entry"))
        plans = {}
        for action in (Action.CAMP_ADDED, Action.PRESENT):
            query = select(Entry.id).where(*audit_search._conditions(AuditFilter(action=action)))
            query = query.order_by(Entry.at.desc(), Entry.id.desc()).limit(50)
            explain = "EXPLAIN " if ENGINE == "postgresql" else "EXPLAIN QUERY PLAN "
            sql = query.compile(db.engine, compile_kwargs={"literal_binds": True})
            plans[action] = str(db.session.execute(text(explain + str(sql).replace(":", "\\:"))).all())
    assert "ix_entry_action_at" in plans[Action.CAMP_ADDED]
    assert "ix_entry_action_at" not in plans[Action.PRESENT]


def test_progress(app: Flask, client: FlaskClient, token: Token, people: People, grown: Sequence[Person]) -> None:
    with scans(app) as found:
        path = f"/api/v1/users/{people.volunteer.id}/badge-progress"
        assert client.get(path, headers=token(people.coordinator)).status_code == 200
    assert found == []


def test_a_scan_is_seen(app: Flask, grown: Sequence[Person]) -> None:
    """So that the others can fail."""
    with scans(app) as found, app.app_context():
        db.session.execute(text("SELECT count(reason) FROM attendance WHERE reason = 'x'")).all()
    assert len(found) == 1
