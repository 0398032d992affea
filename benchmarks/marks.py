"""Marks a second beside the floor, through the API and the roll call's HTMX route, on PostgreSQL and SQLite; and
what one mark costs as an organisation grows.
"""

import json
import os
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import create_engine, insert, select

from benchmarks import data
from benchmarks.data import Shape
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.servers import Postgres, Server, floor, product, wrk
from webapp import create_app
from webapp.database import db, writing
from webapp.domain import accounts, credentials
from webapp.domain.records import Attendance

CONNECTIONS = 8
PASSWORD = "correct horse battery"


@contextmanager
def application(url: str) -> Iterator[Flask]:
    """The application of a database, in this process."""
    before = {name: os.environ.get(name) for name in ("DATABASE_URL", "INSTANCE_PATH")}
    with tempfile.TemporaryDirectory() as instance:
        os.environ |= {"DATABASE_URL": url, "INSTANCE_PATH": instance}
        app = create_app({"SECRET_KEY": data.SECRET, "WTF_CSRF_ENABLED": False})
        try:
            yield app
        finally:
            app.extensions["changes"].close()
            with app.app_context():
                db.engine.dispose()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def prepared(postgres: Postgres, name: str, shape: Shape, *, with_floor: bool = False) -> None:
    """A filled database, made once, with camps today."""
    if not postgres.has(name):
        postgres.create(name)
        with application(postgres.url(name)) as app:
            data.fill(app, shape)
            _give_password(app)
        if with_floor:
            with postgres.connect(name) as connection:
                data.floor_tables(connection)
                connection.execute("VACUUM ANALYZE")
    with application(postgres.url(name)) as app:
        data.bring_up_to_date(app)


def _give_password(app: Flask) -> None:
    with app.app_context():
        hashed = credentials.hash_password(PASSWORD)
        with writing():
            person = accounts.by_book_no(1)
            assert person
            credentials.set_password(person, hashed)
        db.session.remove()


class Organisation:
    """What the load needs to know of a database."""

    def __init__(self, url: str, folder: Path, people: int) -> None:
        with application(url) as app:
            self.token = data.token_of(app, 1)
            ids = data.person_ids(app, people)
            with app.app_context():
                self.camp = str(data.camp_of_today().id)
                self.marked = _marked_today()
        self.ids = folder / "ids"
        self.ids.write_text("\n".join(ids))
        self.next = 0  # the first person not marked yet

    def door(self, door: str, server: Server) -> dict[str, str]:
        """What the load's script is told."""
        told = {"IDS": str(self.ids), "DOOR": door, "TOKEN": self.token, "OFFSET": str(self.next), "CAMP": self.camp}
        return told | (sign_in(server) if door == "form" else {})


def _marked_today() -> int:
    camp = data.camp_of_today()
    return len(db.session.scalars(select(Attendance.person_id).where(Attendance.camp_id == camp.id)).all())


def sign_in(server: Server) -> dict[str, str]:
    """The cookie of a session, and its CSRF token."""
    cookie: SimpleCookie = SimpleCookie()

    def ask(method: str, path: str, body: object = None, **headers: str) -> bytes:
        sent = {"Cookie": "; ".join(f"{name}={each.value}" for name, each in cookie.items()), **headers}
        _, text, answered = server.ask(method, path, body, **sent)
        for value in answered.get_all("Set-Cookie") or ():
            cookie.load(value)
        return text

    token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', ask("GET", "/sign-in"))
    assert token
    form = urlencode({"csrf_token": token[1].decode(), "book_no": "1", "password": PASSWORD})
    ask("POST", "/sign-in", form, **{"Content-Type": "application/x-www-form-urlencoded"})
    csrf = json.loads(ask("GET", "/roll-call/session"))["csrf_token"]
    return {"COOKIE": "; ".join(f"{name}={each.value}" for name, each in cookie.items()), "CSRF": csrf}


def beside_the_floor(
    organisation: Organisation, ours: Server, theirs: Server, door: str, seconds: int, rounds: int
) -> tuple[float, float]:
    """Marks a second of the product and of the floor: the medians of rounds that take turns, after one to warm up."""
    found: dict[str, list[float]] = {"ours": [], "floor": []}
    for number in range(rounds + 1):
        told = organisation.door(door, ours)
        result = wrk(ours, "mark.lua", seconds, CONNECTIONS, told)["per_second"]
        base = wrk(theirs, "mark.lua", seconds, CONNECTIONS, told | {"DOOR": "api"})["per_second"]
        organisation.next += int(max(result, base) * seconds) + 100  # nobody is marked twice
        if number:
            found["ours"].append(result)
            found["floor"].append(base)
    return statistics.median(found["ours"]), statistics.median(found["floor"])


def measure_throughput(postgres: Postgres, camps: int, people: int, seconds: int, rounds: int) -> list[Figure]:
    """Through both doors at one length of history."""
    name = f"marks_{camps}_{people}"
    prepared(postgres, name, Shape(people, camps, visits=10), with_floor=True)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for door, target in (("api", 0.5), ("form", 0.4)):
            working = f"{name}_{door}"
            postgres.execute("postgres", f'DROP DATABASE IF EXISTS "{working}" WITH (FORCE)')
            postgres.execute("postgres", f'CREATE DATABASE "{working}" TEMPLATE "{name}"')
            organisation = Organisation(postgres.url(working), Path(folder), people)
            with product(postgres.url(working)) as ours, floor(postgres.address(working)) as theirs:
                ours_per_second, base = beside_the_floor(organisation, ours, theirs, door, seconds, rounds)
            what = "PUT …/attendance" if door == "api" else "the roll call's HTMX route"
            figures.append(at_least(f"{what}, {camps:,} camps", ours_per_second, base, target))
            postgres.execute("postgres", f'DROP DATABASE "{working}" WITH (FORCE)')
    return figures


def measure_sqlite(postgres: Postgres, camps: int, people: int, seconds: int, rounds: int) -> list[Figure]:
    """The embedded engine, one process each; its data copied from the organisation with as many camps."""
    name = f"marks_{camps}_{people}"
    prepared(postgres, name, Shape(people, camps, visits=10), with_floor=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.db"
        url = f"sqlite:///{file}"
        _copy(postgres.url(name), url)
        organisation = Organisation(url, Path(folder), people)
        with product(url, 1) as ours, floor(str(file), 1) as theirs:
            value, base = beside_the_floor(organisation, ours, theirs, "api", seconds, rounds)
    return [at_least("SQLite, embedded: PUT …/attendance", value, base, 0.5)]


def _copy(source: str, target: str) -> None:
    from flask_migrate import upgrade

    with application(target) as app, app.app_context():
        upgrade()
        with db.engine.execution_options(writing=True).begin() as there, create_engine(source).connect() as here:
            for table in reversed(db.metadata.sorted_tables):
                there.execute(table.delete())
            for table in db.metadata.sorted_tables:
                for rows in here.execution_options(yield_per=5_000).execute(select(table)).mappings().partitions():
                    there.execute(insert(table), [dict(row) for row in rows])
    file = target.removeprefix("sqlite:///")
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "CREATE TABLE floor_camp AS SELECT id FROM camp ORDER BY camp_date DESC LIMIT 1;"
            "CREATE TABLE floor_attendance (id CHAR(32) PRIMARY KEY, user_id CHAR(32) NOT NULL REFERENCES person,"
            " camp_id CHAR(32) NOT NULL REFERENCES camp, camp_role VARCHAR(20) NOT NULL, attendance BOOLEAN NOT NULL,"
            " UNIQUE (user_id, camp_id));"
            "CREATE INDEX floor_user ON floor_attendance (user_id); CREATE INDEX floor_camp_id ON floor_attendance (camp_id);"
            "INSERT INTO floor_attendance SELECT lower(hex(randomblob(16))), person_id, camp_id, 'volunteer', 1 FROM attendance;"
            "ANALYZE;"
        )


def measure_growth(postgres: Postgres, large: Shape, marks: int) -> list[Figure]:
    """One mark after the other, in turns at a small and a large organisation."""
    small = Shape(1_000, 20, visits=20)
    postgres.execute("postgres", "DROP DATABASE IF EXISTS small WITH (FORCE)")  # few people, soon all marked
    prepared(postgres, "small", small)
    prepared(postgres, f"large_{large.people}", large)
    times: dict[str, list[float]] = {}
    with product(postgres.url("small")) as few, product(postgres.url(f"large_{large.people}")) as many:
        runs = {"small": _marks(postgres, "small", few), "large": _marks(postgres, f"large_{large.people}", many)}
        for name, run in runs.items():
            for _ in range(60):
                next(run)  # warming up
            times[name] = []
        for _ in range(marks // 20):
            for name, run in runs.items():
                times[name] += [next(run) for _ in range(20)]
    figures = []
    for what, target in (("median", 1.25), ("p99", 2)):
        value, base = (_percentile(times[name], 50 if what == "median" else 99) for name in ("large", "small"))
        figures.append(at_most(f"growth of one mark, {what}: {large}", value, base, target, note=f"{marks} marks each"))
    return figures


def _marks(postgres: Postgres, name: str, server: Server) -> Iterator[float]:
    """Mark somebody who was not marked yet; how long it took, in ms."""
    with application(postgres.url(name)) as app:
        headers = {"Authorization": f"Bearer {data.token_of(app, 1)}", "Content-Type": "application/json"}
        with app.app_context():
            people = data.people_to_mark(1_000)
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for person_id, camp_id in people:
        body = json.dumps({"logout": False, "camp_role": "volunteer", "camp_id": str(camp_id)})
        began = time.perf_counter()
        connection.request("PUT", f"/api/v1/medical-camps/camp/{person_id}/attendance", body, headers)
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, text
        yield (time.perf_counter() - began) * 1000


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def measure(postgres: Postgres, quick: bool) -> list[Figure]:
    """Marks a second beside the floor."""
    figures: list[Figure] = []
    people, seconds, rounds = (4_000, 2, 1) if quick else (12_000, 3, 5)
    histories = (1_000,) if quick else (50, 1_000, 4_000)
    for camps in histories:
        figures += measure_throughput(postgres, camps, people, seconds, rounds)
    return figures + measure_sqlite(postgres, histories[0], people, seconds, rounds)
