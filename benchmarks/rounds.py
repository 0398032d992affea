"""Rounds of marks that the product and the floor take in turns, and what each round costs.

A round marks people who have not been marked in this run. Those who are to be found signed up are
signed up before it, by SQL: today's camp then has a row of theirs in state ``expected``, and the
floor's table has one to update. After it the day's rows are deleted again, so that each round finds
the list of a camp as long as one round makes it, whatever was marked before. Nobody of a round is
marked again by the product, so what it derived from the deleted rows is not read any more. The
floor derives nothing, so its people may come again.
"""

import sqlite3
import statistics
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from benchmarks.servers import Postgres, Server

CONNECTIONS = 8


class Kind(StrEnum):
    """How somebody who comes is known to today's camp."""

    SIGNED_UP = "signed up"
    WALK_IN = "walk-in"


class Store(Protocol):
    """The database that a server writes to, as SQL sees it."""

    def execute(self, statement: str) -> list[Any]:
        """Carry out one statement that commits by itself, and return its rows."""

    def vacuum(self, table: str) -> None:
        """Remove what was deleted from a table and its indexes."""

    def literal(self, key: str) -> str:
        """Return an id as SQL has it."""

    def processor_time(self) -> float:
        """Return the seconds that processes of the database alone have taken so far."""


@dataclass(frozen=True)
class PostgresStore:
    """A database of a PostgreSQL."""

    postgres: Postgres
    name: str

    def execute(self, statement: str) -> list[Any]:
        """Carry out one statement on a connection of its own."""
        return self.postgres.execute(self.name, statement)

    def vacuum(self, table: str) -> None:
        """Vacuum a table."""
        self.execute(f"VACUUM {table}")

    def literal(self, key: str) -> str:
        """Return an id as SQL has it."""
        return f"'{key}'"

    def processor_time(self) -> float:
        """Return the time of the whole server."""
        return self.postgres.processor_time()


@dataclass(frozen=True)
class SqliteStore:
    """A file of SQLite; its work is done by the processes of the application."""

    file: Path

    def execute(self, statement: str) -> list[Any]:
        """Carry out one statement on a connection of its own."""
        connection = sqlite3.connect(self.file, isolation_level=None, timeout=60)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def vacuum(self, table: str) -> None:
        """Do nothing: SQLite deletes at once."""

    def literal(self, key: str) -> str:
        """Return an id as SQL has it, which is without hyphens."""
        return f"'{key.replace('-', '')}'"

    def processor_time(self) -> float:
        """Return nothing: there is no process of its own."""
        return 0.0


@dataclass(frozen=True)
class Day:
    """The rows of today's camp in one table: SQL to make and to remove them."""

    store: Store
    table: str
    camp: str  # an SQL expression for the id of today's camp
    insert: str  # what INSERT puts into the table for {people}, a condition on person
    marked: str  # the condition on a row of somebody marked

    def sign_up(self, first: str, last: str) -> None:
        """Sign up everybody whose id lies between two, both included."""
        bounds = f"{self.store.literal(first)} AND {self.store.literal(last)}"
        people = f"person.role = 'volunteer' AND person.id BETWEEN {bounds}"
        insert = self.insert.format(people=people)
        self.store.execute(f"INSERT INTO {self.table} {insert} ON CONFLICT DO NOTHING")

    def count(self) -> int:
        """Count who is marked."""
        where = f"camp_id = {self.camp} AND {self.marked}"
        rows = self.store.execute(f"SELECT count(*) FROM {self.table} WHERE {where}")
        return int(rows[0][0])

    def clear(self) -> None:
        """Delete all rows of the day."""
        self.store.execute(f"DELETE FROM {self.table} WHERE camp_id = {self.camp}")
        self.store.vacuum(self.table)


def product_day(store: Store, camp: str) -> Day:
    """Return the day of the product's table, by the id of today's camp."""
    camp = store.literal(camp)
    insert = (
        "(person_id, site_id, camp_date, camp_id, camp_role, state, signed_up_as, presumed,"
        " created_at, changed_at) SELECT person.id, camp.site_id, camp.camp_date, camp.id,"
        " 'volunteer', 'expected', 'volunteer', false, camp.created_at, camp.created_at"
        f" FROM person CROSS JOIN camp WHERE camp.id = {camp} AND {{people}}"
    )
    return Day(store, "attendance", camp, insert, "state = 'present'")


def floor_day(store: Store) -> Day:
    """Return the day of the floor's table."""
    sqlite = isinstance(store, SqliteStore)
    some_id = "lower(hex(randomblob(16)))" if sqlite else "gen_random_uuid()"
    insert = (
        f"SELECT {some_id}, person.id, floor_camp.id, 'volunteer', false"
        " FROM person CROSS JOIN floor_camp WHERE {people}"
    )
    return Day(store, "floor_attendance", "(SELECT id FROM floor_camp)", insert, "attendance")


@dataclass(frozen=True)
class Load:
    """Marks made in some seconds."""

    marks: int
    seconds: float


@dataclass(frozen=True)
class Round:
    """A round: marks a second, and the processor time of all of them in seconds."""

    marks: int
    per_second: float
    app: float
    database: float


class Work(Protocol):
    """A way to mark people."""

    size: int  # the number of people to sign up for the next round

    def mark(self, first: int, kind: Kind) -> Load:
        """Mark people from the one with this number on."""


@dataclass
class Side:
    """The product or the floor: its server, its table, how people are marked, and who is next."""

    server: Server
    day: Day
    work: Work
    ids: list[str]
    again: bool = False  # whether people may be marked once more when all have been
    next: int = 0
    rounds: dict[Kind, list[Round]] = field(default_factory=lambda: {kind: [] for kind in Kind})

    def take(self, kind: Kind) -> Round:
        """Mark for one round; once more where it marked more people than had been signed up."""
        while True:
            first, size = self._first(), self.work.size
            self.day.clear()
            if kind is Kind.SIGNED_UP:
                self.day.sign_up(self.ids[first], self.ids[first + size - 1])
            app, database = self.server.processor_time(), self.day.store.processor_time()
            load = self.work.mark(first, kind)
            app = self.server.processor_time() - app
            database = self.day.store.processor_time() - database
            if (stored := self.day.count()) < load.marks:
                raise RuntimeError(f"{load.marks} marks were answered, {stored} are stored")
            self.next = first + max(size, load.marks + CONNECTIONS)
            if kind is Kind.WALK_IN or load.marks + CONNECTIONS <= size or load.marks == size:
                return Round(load.marks, load.marks / load.seconds, app, database)

    def _first(self) -> int:
        room = self.next + 2 * self.work.size
        if room <= len(self.ids):
            return self.next
        if not self.again:
            raise RuntimeError("everybody has been marked: the benchmark needs more people")
        return 0


@dataclass(frozen=True)
class Comparison:
    """The product and the floor at one kind of mark, over some rounds each."""

    kind: Kind
    ours: list[Round]
    floor: list[Round]

    @property
    def per_second(self) -> tuple[float, float]:
        """Marks a second of both: the medians of the rounds."""
        ours = statistics.median(each.per_second for each in self.ours)
        return ours, statistics.median(each.per_second for each in self.floor)

    @property
    def ratio(self) -> float:
        """Of marks a second."""
        ours, floor = self.per_second
        return ours / floor

    def __str__(self) -> str:
        ours, floor = self.per_second
        mine, base = _cost(self.ours), _cost(self.floor)
        return (
            f"{self.kind}: {ours:.0f} of {floor:.0f} /s ({self.ratio:.2f}), {_told(mine)} a mark;"
            f" floor {_told(base)}; processor time {sum(mine) / sum(base):.1f} times the floor's"
        )


def _cost(rounds: list[Round]) -> tuple[float, float]:
    """Return milliseconds of processor time a mark: of the application, and of the database."""
    marks = sum(each.marks for each in rounds)
    app = sum(each.app for each in rounds)
    database = sum(each.database for each in rounds)
    return app / marks * 1000, database / marks * 1000


def _told(cost: tuple[float, float]) -> str:
    app, database = cost
    return f"app {app:.2f} ms" + (f" + db {database:.2f} ms" if database else "")


def compare(ours: Side, floor: Side, rounds: int) -> list[Comparison]:
    """Let both sides take turns at both kinds of mark, after one round of each to warm up."""
    for number in range(rounds + 1):
        for kind in Kind:
            for side in (ours, floor):
                taken = side.take(kind)
                if number:
                    side.rounds[kind].append(taken)
    return [Comparison(kind, ours.rounds[kind], floor.rounds[kind]) for kind in Kind]
