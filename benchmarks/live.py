"""A thousand open cabinets and twenty open roll calls while marks go on: what they cost a mark, and how soon a badge
is on the right page.
"""

import asyncio
import http.client
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from flask import Flask
from flask_login import FlaskLoginClient
from sqlalchemy import select

from benchmarks import data
from benchmarks.data import Shape
from benchmarks.figures import Figure, at_most, limit
from benchmarks.marks import application
from benchmarks.servers import Postgres, Server, product
from webapp.database import db, writing
from webapp.domain.attendance import marking, timeline
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.views.live import token
from webapp.views.security import SessionPerson

CABINETS, ROLL_CALLS = 1_000, 20
RATE = 20  # marks a second
OPENED_WITHIN = 60  # seconds until all pages have had their first answer
MOST_MEMORY = 300  # MB


@dataclass
class Page:
    """An open page: whose, its address, cookie, and what it has seen."""

    person_id: UUID
    path: str
    cookie: str
    seen: str


@dataclass
class Watched:
    """What the open pages showed, and when."""

    port: int
    shown: dict[UUID, float] = field(default_factory=dict)
    open: int = 0
    closing: bool = False

    async def watch(self, page: Page) -> None:
        """Hold a page open, and come back when its stream ends."""
        while not self.closing:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
            head = (
                f"GET {page.path} HTTP/1.1\r\nHost: localhost\r\nCookie: {page.cookie}\r\nAccept: text/event-stream\r\n"
            )
            writer.write(f"{head}Last-Event-ID: {page.seen}\r\n\r\n".encode())
            looked = False
            try:
                while line := await reader.readline():
                    if not looked and line.startswith((b":", b"id: ")):
                        looked = True
                        self.open += 1
                    if line.startswith(b"id: "):
                        page.seen = line[4:].decode().strip()
                    if b"New: First Step" in line:
                        self.shown.setdefault(page.person_id, time.monotonic())
            except OSError:
                pass
            self.open -= looked
            writer.close()
            await asyncio.sleep(0.6)


def measure(postgres: Postgres, marks: int) -> list[Figure]:
    """Marks with nothing open, then with every page open."""
    postgres.create("live")
    with application(postgres.url("live")) as app:
        data.fill(app, Shape(100, 20, 5))
        people, pages, bearer = _prepare(app, 2 * marks + 60)
    memory = "glibc.malloc.tcache_count=0"
    with product(
        postgres.url("live"), THREADS="640", MALLOC_ARENA_MAX="2", GLIBC_TUNABLES=memory, LOG_FORMAT="json"
    ) as server:
        return asyncio.run(_measure(server, people, pages, bearer, marks))


def _prepare(app: Flask, number: int) -> tuple[list[UUID], list[Page], str]:
    """New people to be marked, the last of them with an open cabinet; coordinators with the roll call open."""
    app.test_client_class = FlaskLoginClient
    with app.app_context():
        camp = data.camp_of_today()
        with writing():
            people = [accounts.add_person(f"Volunteer {each}") for each in range(max(number, CABINETS + 200))]
            callers = [accounts.add_person(f"Coordinator {each}", role=Role.COORDINATOR) for each in range(ROLL_CALLS)]
            for person in people:
                marking.sign_up(person, camp)
        ids = [person.id for person in people]
        shown = people[-CABINETS:]
        pages = [_page(app, person, "/cabinet/live", token(timeline.stamp_of(person.id))) for person in shown]
        pages += [_page(app, person, f"/roll-call/{camp.id}/live", token("")) for person in callers]
        db.session.scalars(select(Person).limit(1)).all()
        return ids, pages, data.token_of(app, 1)


def _page(app: Flask, person: Person, path: str, seen: str) -> Page:
    client = app.test_client(user=SessionPerson(person))
    with client.session_transaction() as session:
        session["_fresh"] = True
    cookie = client.get_cookie("session")
    assert cookie
    return Page(person.id, path, f"session={cookie.value}", seen)


async def _measure(server: Server, people: list[UUID], pages: list[Page], bearer: str, marks: int) -> list[Figure]:
    loop = asyncio.get_running_loop()
    watched = Watched(server.port)
    with ProcessPoolExecutor(1) as process:

        async def mark(some: list[UUID]) -> tuple[list[float], dict[UUID, float]]:
            return await loop.run_in_executor(process, _mark, server.port, bearer, some)

        await mark(people[:40])  # warming up
        alone, _ = await mark(people[40 : 40 + marks // 2])
        tasks = [asyncio.create_task(watched.watch(page)) for page in pages]
        until = time.monotonic() + OPENED_WITHIN
        while watched.open < len(pages):
            if time.monotonic() > until:
                raise RuntimeError(f"only {watched.open} of {len(pages)} pages are open")
            await asyncio.sleep(0.1)
        beside, at = await mark(people[-marks:])
        await asyncio.sleep(2)
    memory = server.memory()
    watched.closing = True
    for task in tasks:
        task.cancel()
    late = sorted(watched.shown[person] - moment for person, moment in at.items() if person in watched.shown)
    if len(late) < len(at):
        raise RuntimeError(f"{len(at) - len(late)} badges did not reach their page")
    what = f"{CABINETS:,} open cabinets and {ROLL_CALLS} roll calls, {RATE} marks/s"
    medians = f"medians {statistics.median(alone):.1f} and {statistics.median(beside):.1f} ms"
    return [
        at_most(f"{what}: p95 of a mark, beside nothing open", _p(beside, 95), _p(alone, 95), 1.5, note=medians),
        limit(f"{what}: badge on its page, p99", _p(late, 99), 1, "s"),
        limit(f"{what}: server memory", memory, MOST_MEMORY, "MB"),
    ]


def _p(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _mark(port: int, bearer: str, people: list[UUID]) -> tuple[list[float], dict[UUID, float]]:
    """Mark people at the rate, however long each takes; milliseconds of each, and when each was done. In a process
    of its own: the one that reads a thousand pages is too busy to measure.
    """
    took: list[float] = []
    done: dict[UUID, float] = {}
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}

    def one(person: UUID, due: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("PUT", f"/api/v1/medical-camps/camp/{person}/attendance", '{"logout": false}', headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        assert response.status == 200, text
        done[person] = time.monotonic()
        took.append((done[person] - due) * 1000)

    began = time.monotonic()
    with ThreadPoolExecutor(32) as threads:
        for number, person in enumerate(people):
            due = began + number / RATE
            time.sleep(max(0, due - time.monotonic()))
            threads.submit(one, person, due)
    return took, done
