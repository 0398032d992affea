"""The primary is lost in the middle of the work, and its standby takes over: nothing acknowledged is missing."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select

from tests import factories
from tests.domain import plain
from tests.factories import PASSWORD
from tests.replication import PATIENCE, Pair, application, pair_of_servers
from tests.serving import ask, gunicorn, until
from webapp import clock
from webapp.database import db
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import Attendance, State
from webapp.domain.models.badge import Award, Badge
from webapp.domain.people.accounts import Person, Role
from webapp.views.security import SessionPerson

MARKERS = 4  # at once, each with people of their own
PEOPLE = 6  # of each marker
CAMPS = 8  # enough for five badges
BEFORE = 40  # marks that are acknowledged before the primary dies
LONGEST = 10  # seconds that anybody waits for an answer


@pytest.fixture
def pair() -> Iterator[Pair]:
    with pair_of_servers() as pair:
        yield pair


@dataclass
class Load:
    """What was asked of the server, and what it said."""

    port: int
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[object] = field(default_factory=list)
    acknowledged: list[tuple[UUID, UUID]] = field(default_factory=list)
    slowest: float = 0
    after: threading.Event = field(default_factory=threading.Event)
    """Set once there is a primary again."""

    def ask(self, what: str, method: str, path: str, body: object = None, **headers: str) -> int:
        began = time.monotonic()
        status, answer = ask("127.0.0.1", self.port, method, path, body, **headers)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[what, status] += 1
        said = answer["detail"] if isinstance(answer, dict) and status != 200 else answer
        lost = "The database cannot be reached" in _text(said)
        board = "Volunteer 00" in _text(answer)
        if (status, lost, board) not in ((200, False, what == "leaderboard"), (503, True, False)):
            self.wrong.append((what, status, answer))
        return status

    def mark(self, person: UUID, camp: UUID, **bearer: str) -> None:
        """Until it is acknowledged, as a phone does."""
        path = f"/api/v1/medical-camps/camp/{person}/attendance"
        deadline = time.monotonic() + PATIENCE
        while self.ask("mark", "PUT", path, {"logout": False, "camp_id": str(camp)}, **bearer) != 200:
            assert time.monotonic() < deadline, "nobody takes over"
            self.after.wait(0.1)
        self.acknowledged.append((person, camp))

    def read(self, until_done: threading.Event, cookie: str) -> None:
        while not until_done.is_set():
            if self.ask("leaderboard", "GET", "/leaderboard/", Cookie=cookie) != 200:
                self.after.wait(0.1)


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


@dataclass
class Parts:
    admin: Person
    watcher: Person
    people: list[Person]
    camps: list[Camp]


@pytest.fixture
def setting(pair: Pair, tmp_path: Path) -> Iterator[tuple[Flask, Parts]]:
    """An application on the primary, and who plays in it."""
    with clock.running_from(clock._real()), application(pair.primary.url, tmp_path) as app:
        with app.app_context():
            upgrade()
            admin = factories.with_password(factories.person("Meera Krishnan", role=Role.ADMIN))
            watcher = factories.person("Leela Menon")
            people = [factories.person(f"Volunteer {number:02}") for number in range(MARKERS * PEOPLE)]
            camps = factories.weekly(CAMPS)
        yield app, Parts(admin, watcher, people, camps)


def cookie_of(app: Flask, person: Person) -> str:
    client = app.test_client(user=SessionPerson(person))
    client.get("/account")
    cookie = client.get_cookie("session")
    assert cookie
    return f"session={cookie.value}"


class Stream:
    """An open cabinet: it is opened anew whenever it ends, as the page does."""

    def __init__(self, port: int, cookie: str, after: threading.Event) -> None:
        self.heard = threading.Event()
        self.listens = threading.Event()
        self._port = port
        self._after = after
        self._cookie = cookie
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.heard.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            connection.request("GET", "/cabinet/live", headers={"Cookie": self._cookie})
            for line in connection.getresponse():
                self.listens.set()
                if b"New: First Step" in line:
                    self.heard.set()
                    break
            connection.close()
            self._after.wait(0.1)


def test_the_primary_dies_and_the_standby_takes_over(pair: Pair, setting: tuple[Flask, Parts], tmp_path: Path) -> None:
    app, parts = setting
    cookies = [cookie_of(app, person) for person in (parts.admin, parts.watcher)]
    pair.synchronous()
    both = (
        f"postgresql+psycopg://postgres@/postgres?host=127.0.0.1:{pair.primary.port}"
        f"&host=127.0.0.1:{pair.standby.port}&target_session_attrs=read-write"
    )
    with gunicorn(both, tmp_path) as server:
        port = server.port
        _, login = server.ask("POST", "/api/v1/auth/login", {"book_no": parts.admin.book_no, "password": PASSWORD})
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        load = Load(port)
        watcher = Stream(port, cookies[1], load.after)
        assert watcher.listens.wait(PATIENCE)
        done = threading.Event()

        def marker(number: int) -> None:
            people = parts.people[number * PEOPLE : (number + 1) * PEOPLE]
            for camp in parts.camps:
                for person in people:
                    load.mark(person.id, camp.id, **bearer)

        with ThreadPoolExecutor(MARKERS + 1) as threads:
            reading = threads.submit(load.read, done, cookies[0])
            marking = [threads.submit(marker, number) for number in range(MARKERS)]
            try:
                until(lambda: len(load.acknowledged) >= BEFORE, "nothing is marked")
                until(lambda: load.statuses["leaderboard", 200], "nothing is read")
                pair.primary.kill()
                acknowledged = len(load.acknowledged)
                until(lambda: load.statuses["mark", 503] >= MARKERS, "the loss is not said")
                until(lambda: load.statuses["leaderboard", 503], "the loss is not said on pages")
                pair.standby.promote()
                load.after.set()
                for each in marking:
                    each.result(PATIENCE)
                read = load.statuses["leaderboard", 200]
                until(lambda: load.statuses["leaderboard", 200] > read, "nothing is read any more")
            finally:
                load.after.set()
                done.set()
            reading.result(PATIENCE)
        load.mark(parts.watcher.id, parts.camps[-1].id, **bearer)
        assert watcher.heard.wait(PATIENCE), "the open page does not hear of the new primary"

    assert load.wrong == []
    assert load.slowest < LONGEST
    assert BEFORE <= acknowledged < MARKERS * PEOPLE * CAMPS  # it died in the middle
    with application(pair.standby.url, tmp_path) as after, after.app_context():
        _nothing_is_missing(load, parts)


def _nothing_is_missing(load: Load, parts: Parts) -> None:
    """Neither a mark nor an award, and there is none that should not be."""
    stored = db.session.execute(select(Attendance.person_id, Attendance.camp_id).where(_present()))
    assert sorted(load.acknowledged) == sorted(tuple(row) for row in stored)
    awards = [tuple(row) for row in db.session.execute(select(Award.person_id, Badge.name).join(Badge))]
    assert len(awards) == len(set(awards))

    camps = {camp.id: plain.PlainCamp("site", camp.camp_date) for camp in parts.camps}
    for person_id, camp_id, role in db.session.execute(
        select(Attendance.person_id, Attendance.camp_id, Attendance.camp_role).where(_present())
    ):
        camps[camp_id].states[str(person_id)] = ("present", role.value)
    today = parts.camps[-1].camp_date
    for person in (*parts.people, parts.watcher):
        held = {name for person_id, name in awards if person_id == person.id}
        assert held == plain.earned(camps.values(), str(person.id), today)


def _present() -> Any:
    return Attendance.state == State.PRESENT
