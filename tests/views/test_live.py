"""The live cabinet, over a real connection: a server in a thread, marks from outside it."""

import http.client
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from tests import factories
from tests.conftest import SUNDAY, People
from tests.serving import served
from tests.views.conftest import HTMX, Camps
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import marking, timeline
from webapp.domain.camps.calendar import Camp
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person
from webapp.infra.changes import Changes
from webapp.views import live
from webapp.views.security import SessionPerson

PATIENCE = 10  # seconds until a test gives up; what is waited for comes in a fraction of one


@pytest.fixture
def server(app: Flask) -> Iterator[str]:
    """Where the application is served; many threads."""
    with served(app) as address:
        yield address


class Stream:
    """The lines of an open event stream as they come."""

    def __init__(self, server: str, cookie: str, path: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(server, timeout=PATIENCE)
        self.connection.connect()
        self.socket = self.connection.sock  # the response takes it away
        self.connection.request("GET", path, headers={"Cookie": cookie, **headers})
        self.response = self.connection.getresponse()
        assert self.response.headers["Content-Type"].startswith("text/event-stream")
        self.lines: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for line in self.response:
                self.lines.put(line.decode().rstrip("\n"))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self.lines.put("END")

    def until(self, text: str) -> list[str]:
        """The lines up to the one that holds a text."""
        seen: list[str] = []
        while not seen or text not in seen[-1]:
            assert seen[-1:] != ["END"], seen
            seen.append(self.lines.get(timeout=PATIENCE))
        return seen


@contextmanager
def open_stream(
    app: Flask, server: str, person: Person, path: str = "/cabinet/live", **headers: str
) -> Iterator[Stream]:
    client = app.test_client(user=SessionPerson(person))
    with client.session_transaction() as session:
        session["_fresh"] = True
    cookie = client.get_cookie("session")
    assert cookie
    stream = Stream(server, f"session={cookie.value}", path, **headers)
    try:
        yield stream
    finally:
        with suppress(OSError):  # the other end may have gone first
            stream.socket.shutdown(socket.SHUT_RDWR)
        stream.thread.join()
        stream.response.close()
        stream.connection.close()


def seen_now(app: Flask, person: Person) -> str:
    """What a page opened now says it has seen."""
    with app.app_context():
        return live.token(timeline.stamp_of(person.id))


def mark(app: Flask, person: Person, camp: Camp, by: Person) -> None:
    with app.app_context(), writing():
        marking.mark_present(person, camp, by=by)


def test_a_mark_made_elsewhere_arrives_with_its_badge(app: Flask, server: str, people: People, camps: Camps) -> None:
    with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen_now(app, people.volunteer)}") as stream:
        stream.until("still here")
        with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
            mark(app, people.volunteer, camps.today, people.coordinator)
            event = stream.until("New: First Step")
    assert any('class="just-earned"' in line for line in event)


def test_what_happened_before_the_stream_opened_is_not_missed(
    app: Flask, server: str, people: People, camps: Camps
) -> None:
    """The page was rendered, then the mark was made, then the stream connected: a phone in a pocket."""
    seen = seen_now(app, people.volunteer)
    with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
        mark(app, people.volunteer, camps.today, people.coordinator)
        with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen}") as stream:
            stream.until("New: First Step")


def test_a_stream_that_comes_back_goes_on_from_its_last_event(
    app: Flask, server: str, people: People, camps: Camps
) -> None:
    old = seen_now(app, people.volunteer)
    with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
        mark(app, people.volunteer, camps.today, people.coordinator)
        path = f"/cabinet/live?seen={old}"
        with open_stream(app, server, people.volunteer, path) as stream:
            (last,) = [line.removeprefix("id: ") for line in stream.until("id: ") if line.startswith("id: ")]
        with open_stream(app, server, people.volunteer, path, **{"Last-Event-ID": last}) as stream:
            assert "cabinet" not in "".join(stream.until("still here"))


def test_a_badge_that_returns_is_not_celebrated(app: Flask, server: str, people: People, camps: Camps) -> None:
    mark(app, people.volunteer, camps.today, people.coordinator)
    with app.app_context(), writing():
        marking.undo(people.volunteer, camps.today, by=people.coordinator)
    path = f"/cabinet/live?seen={seen_now(app, people.volunteer)}"
    with open_stream(app, server, people.volunteer, path) as stream, clock.stopped_at(SUNDAY + timedelta(minutes=1)):
        stream.until("still here")
        mark(app, people.volunteer, camps.today, people.coordinator)
        event = "".join(stream.until("</hx-partial>"))
    assert "First Step" in event
    assert "just-earned" not in event


def test_one_hears_nothing_of_others(app: Flask, server: str, people: People, camps: Camps) -> None:
    with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen_now(app, people.volunteer)}") as stream:
        stream.until("still here")
        mark(app, people.other, camps.today, people.coordinator)
        mark(app, people.volunteer, camps.past, people.coordinator)
        event = "".join(stream.until("</hx-partial>"))
    assert "Imran" not in event


def test_the_stream_ends_with_the_session(app: Flask, server: str, people: People, camps: Camps) -> None:
    with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen_now(app, people.volunteer)}") as stream:
        stream.until("still here")
        with app.app_context(), writing():
            marking.mark_present(people.volunteer, camps.today, by=people.coordinator)
            accounts.deactivate(db.session.get_one(Person, people.volunteer.id))
        stream.until("END")


def test_without_a_free_thread_the_stream_is_a_poll(
    app: Flask, server: str, people: People, camps: Camps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "LIVE_STREAMS", 0)
    path = f"/cabinet/live?seen={quote(seen_now(app, people.volunteer))}"
    with open_stream(app, server, people.volunteer, path) as stream:
        assert "retry: 600" in stream.until("END")
    mark(app, people.volunteer, camps.today, people.coordinator)
    with open_stream(app, server, people.volunteer, path) as stream:
        assert "First Step" in "".join(stream.until("END"))


@pytest.mark.parametrize("seen", ["", "nonsense", "a.b", "x.99999999999999999999", "." * 50])
def test_what_a_page_says_it_saw_may_be_nonsense(app: Flask, server: str, people: People, seen: str) -> None:
    with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen}") as stream:
        assert "Asha Rao" in "".join(stream.until("</hx-partial>"))


def test_coordinators_watch_anybodys_cabinet(app: Flask, server: str, people: People, camps: Camps) -> None:
    path = f"/people/{people.volunteer.id}/live?seen={seen_now(app, people.volunteer)}"
    with open_stream(app, server, people.coordinator, path) as stream:
        stream.until("still here")
        mark(app, people.volunteer, camps.today, people.admin)
        stream.until("First Step")


def test_while_nothing_happens_a_stream_costs_the_database_nothing(
    app: Flask, server: str, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.02)
    asked: list[str] = []
    with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen_now(app, people.volunteer)}") as stream:
        stream.until("still here")
        stream.until("still here")
        with app.app_context():
            engine = db.engine

        def count(*args: Any) -> None:
            if threading.current_thread().name != "changes":  # one for all streams, and no stream of its own
                asked.append(args[2])

        event.listen(engine, "before_cursor_execute", count)
        quiet = 0
        for _ in range(100):  # what was written before the page opened may still wake it
            asked.clear()
            stream.until("still here")
            quiet = 0 if asked else quiet + 1
            if quiet == 10:
                break
        event.remove(engine, "before_cursor_execute", count)
    assert quiet == 10


def test_what_no_change_tells_is_seen_all_the_same(
    app: Flask, server: str, people: People, camps: Camps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.02)
    monkeypatch.setattr(live, "LOOK_ANYWAY", 0.1)
    monkeypatch.setattr(Changes, "_wake", lambda *_: None)
    monkeypatch.setattr(Changes, "_wake_some", lambda *_: None)
    with open_stream(app, server, people.volunteer, f"/cabinet/live?seen={seen_now(app, people.volunteer)}") as stream:
        stream.until("still here")
        mark(app, people.volunteer, camps.today, people.coordinator)
        stream.until("First Step")


def test_the_stream_ends_at_once_when_the_password_changes(app: Flask, server: str, people: People) -> None:
    path = f"/people/{people.volunteer.id}/live?seen={seen_now(app, people.volunteer)}"
    with open_stream(app, server, people.coordinator, path) as stream:
        stream.until("still here")
        with app.app_context():
            factories.with_password(people.coordinator)
        stream.until("END")  # a heartbeat, which would look too, is later than this test is patient


def test_a_backfill_is_silent_on_an_open_page_and_a_fresh_badge_is_not(
    app: Flask, server: str, people: People, camps: Camps
) -> None:
    """Marked before the camp's start, so that the award is dated later than what the page has seen."""
    early = SUNDAY.replace(hour=1)  # 6:30 in India; the camp begins at nine
    with clock.stopped_at(early):
        mark(app, people.volunteer, camps.today, people.coordinator)
        path = f"/cabinet/live?seen={seen_now(app, people.volunteer)}"
    with open_stream(app, server, people.volunteer, path) as stream:
        stream.until("still here")
        with clock.stopped_at(SUNDAY + timedelta(minutes=1)), app.app_context():
            factories.backfill(factories.badge("Here Once", 1), people.admin)
            event = "".join(stream.until("</hx-partial>"))
        assert "Here Once" in event
        assert "just-earned" not in event
        with clock.stopped_at(SUNDAY + timedelta(minutes=2)), app.app_context():
            factories.badge("Here Twice", 2)
            mark(app, people.volunteer, camps.past, people.coordinator)
            event = "".join(stream.until("New: Here Twice"))
        assert event.count('class="just-earned"') == 1


def test_a_row_is_the_same_text_in_the_page_the_answers_and_the_stream(
    app: Flask, server: str, as_: Callable[[Person], FlaskClient], people: People, camps: Camps
) -> None:
    address = f"/roll-call/{camps.today.id}"
    coordinator, admin = as_(people.coordinator), as_(people.admin)
    path = f"{address}/live?seen={live.token('')}"
    with open_stream(app, server, people.admin, path, Accept="text/html, text/event-stream") as stream:
        stream.until("hx-news")
        url = f"{address}/people/{people.volunteer.id}"
        with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
            answer = coordinator.post(url, data={"state": "absent"}, headers=HTMX).text
            event = stream.until("hx-news")
    row = text_of_row(answer)
    assert row.startswith("<li id=")
    assert row == text_of_row("\n".join(line.removeprefix("data: ").rstrip("\n") for line in event))
    assert row in admin.get(address).text
    order = {
        "id": str(uuid4()),
        "camp": str(camps.today.id),
        "made_at": clock.now().isoformat(),
        "action": "mark",
        "person": str(people.volunteer.id),
        "state": "absent",
    }
    batch = {"owner": str(people.coordinator.id), "operations": [order]}
    assert row == text_of_row(coordinator.post("/roll-call/sync", json=batch, headers=HTMX).text)


def text_of_row(html: str) -> str:
    """The first row of a fragment, from its first to its last letter."""
    return f"<li {html.partition('<li ')[2].partition('</li>')[0]}</li>"


def test_a_page_of_the_former_version_hears_of_rows_as_json(
    app: Flask, server: str, people: People, camps: Camps
) -> None:
    path = f"/roll-call/{camps.today.id}/live?seen={live.token('')}"
    with open_stream(app, server, people.admin, path, Accept="text/event-stream") as stream:
        stream.until('"size": 1')
        with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
            mark(app, people.volunteer, camps.today, people.coordinator)
            event = stream.until('"rows": ["')
        (line,) = [each for each in event if each.startswith("data: ")]
    told = json.loads(line.removeprefix("data: "))
    assert f'id="person-{people.volunteer.id}"' in told["rows"][0]
