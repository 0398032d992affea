"""Marks a second beside the floor, through each door, on both engines; and one mark as it grows.

The figure is the worse of two kinds: of people who had signed up for today's camp, which is the
ordinary case at a table, and of people who walk in. How rounds are taken is told in
:mod:`benchmarks.rounds`. Growth is what one mark costs as an organisation grows.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import NullPool, create_engine, insert, select

from benchmarks import data
from benchmarks.data import Shape
from benchmarks.doors import BATCH, PASSWORD, Batches, Session, Wrk, api_client, put, sign_in
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.rounds import (
    Comparison,
    Kind,
    PostgresStore,
    Side,
    SqliteStore,
    Store,
    Work,
    compare,
    floor_day,
    product_day,
)
from benchmarks.servers import FOLDER, Postgres, Server, floor, product
from webapp import create_app
from webapp.database import db, writing
from webapp.domain.people import accounts, credentials


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
                for engine in db.engines.values():
                    engine.dispose()
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
    """What the load needs to know of a database: whom to mark, where, and by whose token."""

    def __init__(self, url: str, folder: Path, people: int) -> None:
        with application(url) as app:
            self.token = data.token_of(app, 1)
            self.ids = data.person_ids(app, people)
            with app.app_context():
                self.camp = str(data.camp_of_today().id)
        self._file = folder / "ids"
        self._file.write_text("\n".join(self.ids))

    def environment(self, session: Session | None = None) -> dict[str, str]:
        """Return what wrk's script is told: to mark by the form where there is a session."""
        told = {"IDS": str(self._file), "TOKEN": self.token, "CAMP": self.camp, "DOOR": "api"}
        if session:
            told |= {"DOOR": "form", "COOKIE": session.cookie, "CSRF": session.csrf}
        return told


@contextmanager
def working_copy(postgres: Postgres, name: str) -> Iterator[str]:
    """Copy a database until the end of the block; its name."""
    working = f"{name}_working"
    postgres.execute("postgres", f'DROP DATABASE IF EXISTS "{working}" WITH (FORCE)')
    postgres.execute("postgres", f'CREATE DATABASE "{working}" TEMPLATE "{name}"')
    try:
        yield working
    finally:
        postgres.execute("postgres", f'DROP DATABASE "{working}" WITH (FORCE)')


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is measured: seconds a round, and rounds that count."""

    seconds: int
    rounds: int

    @property
    def people(self) -> int:
        """How many there must be for a floor that marks two thousand a second."""
        return max(len(Kind) * (self.rounds + 1) * self.seconds * 2_000, 6_000)


QUICK, FULL = Effort(1, 1), Effort(2, 5)


def organisation_of(postgres: Postgres, camps: int, effort: Effort) -> str:
    """Return the name of a database with a history of so many camps, filled if need be."""
    name = f"marks_{camps}_{effort.people}"
    prepared(postgres, name, Shape(effort.people, camps, visits=10), with_floor=True)
    return name


def figure(name: str, comparisons: list[Comparison], target: float) -> Figure:
    """Return the worse of two kinds of mark, with both in the note."""
    worse = min(comparisons, key=lambda each: each.ratio)
    return at_least(name, *worse.per_second, target, note="; ".join(map(str, comparisons)))


def measure_throughput(postgres: Postgres, camps: int, effort: Effort) -> list[Figure]:
    """Compare each door with the floor at one length of history."""
    name = organisation_of(postgres, camps, effort)
    figures = []
    for door, (what, target) in DOORS.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            working_copy(postgres, name) as working,
            product(postgres.url(working)) as ours,
            floor(postgres.address(working)) as theirs,
        ):
            store = PostgresStore(postgres, working)
            organisation = Organisation(postgres.url(working), Path(folder), effort.people)
            comparisons = _through(door, organisation, store, ours, theirs, effort)
        figures.append(figure(f"{what}, {camps:,} camps", comparisons, target))
    return figures


# For each door what it is called, and its target as a share of the floor.
DOORS = {
    "api": ("PUT …/attendance", 0.5),
    "form": ("the roll call's HTMX route", 0.4),
    "phone": (f"a phone's operation in a batch of {BATCH}", 0.5),
}


def _through(
    door: str,
    organisation: Organisation,
    store: Store,
    ours: Server,
    theirs: Server,
    effort: Effort,
) -> list[Comparison]:
    told, seconds = organisation.environment(), effort.seconds
    work: Work = Wrk(ours, told, seconds)
    if door == "form":
        work = Wrk(ours, organisation.environment(sign_in(ours)), seconds)
    elif door == "phone":
        ids, camp = organisation.ids, organisation.camp
        work = Batches(ours, sign_in(ours), camp, ids, seconds)
    product_side = Side(ours, product_day(store, organisation.camp), work, organisation.ids)
    floor_work = Wrk(theirs, told, seconds)
    floor_side = Side(theirs, floor_day(store), floor_work, organisation.ids, again=True)
    return compare(product_side, floor_side, effort.rounds)


def measure_sqlite(postgres: Postgres, camps: int, effort: Effort) -> list[Figure]:
    """Compare on the embedded engine, one process each.

    Its data is copied once from the organisation with as many camps. Both sides commit with
    ``synchronous = FULL``.
    """
    name = organisation_of(postgres, camps, effort)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.db"
        url = f"sqlite:///{file}"
        shutil.copy(_kept(postgres.url(name), FOLDER / f"{name}.db"), file)
        organisation = Organisation(url, Path(folder), effort.people)
        with product(url, 1) as ours, floor(str(file), 1) as theirs:
            store = SqliteStore(file)
            comparisons = _through("api", organisation, store, ours, theirs, effort)
    return [figure("SQLite, embedded: PUT …/attendance", comparisons, 0.5)]


def _kept(source: str, file: Path) -> Path:
    """Return a file of SQLite with what a database of PostgreSQL holds, made if need be."""
    if not file.exists():
        unfinished = file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        _copy(source, f"sqlite:///{unfinished}")
        unfinished.rename(file)
    with application(f"sqlite:///{file}") as app:
        data.bring_up_to_date(app)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def _copy(source: str, target: str) -> None:
    from flask_migrate import upgrade

    with application(target) as app, app.app_context():
        upgrade()
        with (
            db.engine.execution_options(writing=True).begin() as there,
            create_engine(source, poolclass=NullPool).connect() as here,
        ):
            for table in reversed(db.metadata.sorted_tables):
                there.execute(table.delete())
            for table in db.metadata.sorted_tables:
                for rows in here.execution_options(yield_per=5_000).execute(select(table)).mappings().partitions():
                    there.execute(insert(table), [dict(row) for row in rows])
    file = target.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "CREATE TABLE floor_camp AS SELECT id FROM camp ORDER BY camp_date DESC LIMIT 1;"
            "CREATE TABLE floor_attendance (id CHAR(32) PRIMARY KEY, user_id CHAR(32) NOT NULL REFERENCES person,"
            " camp_id CHAR(32) NOT NULL REFERENCES camp, camp_role VARCHAR(20) NOT NULL, attendance BOOLEAN NOT NULL,"
            " UNIQUE (user_id, camp_id));"
            "CREATE INDEX floor_user ON floor_attendance (user_id); CREATE INDEX floor_camp_id ON floor_attendance (camp_id);"
            "INSERT INTO floor_attendance SELECT lower(hex(randomblob(16))), person_id, camp_id, 'volunteer', 1 FROM attendance;"
            "ANALYZE;"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


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
    """Mark somebody who was not marked yet, and yield how many ms it took.

    Every other one had signed up.
    """
    with application(postgres.url(name)) as app:
        client = api_client(server, data.token_of(app, 1))
        with app.app_context():
            people = [(str(person), str(camp)) for person, camp in data.people_to_mark(1_000)]
    for camp in {camp for _, camp in people}:
        day = product_day(PostgresStore(postgres, name), camp)
        for person, where in people[::2]:
            if where == camp:
                day.sign_up(person, person)
    for person, camp in people:
        began = time.perf_counter()
        put(client, person, camp)
        yield (time.perf_counter() - began) * 1000


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def measure(postgres: Postgres, quick: bool) -> list[Figure]:
    """Compare marks a second with the floor: each door, each length of history, both engines."""
    effort = QUICK if quick else FULL
    figures: list[Figure] = []
    histories = (1_000,) if quick else (50, 1_000, 4_000)
    for camps in histories:
        figures += measure_throughput(postgres, camps, effort)
    return figures + measure_sqlite(postgres, histories[0], effort)
