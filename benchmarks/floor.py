"""The floor: the least that any Flask app must do to mark attendance on the same engine.

One look at a header, one upsert, one commit, one tiny template, compiled once as a template of a file
is. No ORM, no accounts, no badges.
``FLOOR_DATABASE`` is a PostgreSQL address or the path of an SQLite file.
"""

import os
import sqlite3
import threading
import uuid
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue

DATABASE = os.environ["FLOOR_DATABASE"]
UPSERT = (
    "INSERT INTO floor_attendance (id, user_id, camp_id, camp_role, attendance) VALUES ({0},{0},{0},'volunteer',true)"
    " ON CONFLICT (user_id, camp_id) DO UPDATE SET attendance = true"
)

app = Flask(__name__)
row = app.jinja_env.from_string("<li id=u{{ u }}>present</li>")


class Postgres:
    """A pool of connections, as the peer's floor has it."""

    def __init__(self) -> None:
        from psycopg_pool import ConnectionPool

        self.pool = ConnectionPool(DATABASE, min_size=4, max_size=16, open=True)
        with self.pool.connection() as connection:
            row = connection.execute("SELECT id FROM floor_camp").fetchone()
        assert row
        self.camp: Any = row[0]

    def mark(self, user_id: uuid.UUID) -> None:
        """One upsert, one commit."""
        with self.pool.connection() as connection:
            connection.execute(UPSERT.format("%s"), (uuid.uuid4(), user_id, self.camp))


class Sqlite:
    """A connection a thread, durable as the product's own."""

    def __init__(self) -> None:
        self.local = threading.local()
        self.camp = self.connection.execute("SELECT id FROM floor_camp").fetchone()[0]

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's."""
        if not hasattr(self.local, "connection"):
            self.local.connection = sqlite3.connect(DATABASE, isolation_level=None, timeout=10)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self.local.connection.execute(f"PRAGMA {pragma}")
        connection: sqlite3.Connection = self.local.connection
        return connection

    def mark(self, user_id: uuid.UUID) -> None:
        """One upsert, one commit."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(UPSERT.format("?"), (uuid.uuid4().hex, user_id.hex, self.camp))
        self.connection.execute("COMMIT")


store = Postgres() if DATABASE.startswith("postgresql") else Sqlite()


@app.put("/api/v1/medical-camps/camp/<uuid:user_id>/attendance")
def mark(user_id: uuid.UUID) -> ResponseReturnValue:
    """The whole of it."""
    if not request.headers.get("Authorization"):
        return "", 401
    store.mark(user_id)
    return row.render(u=user_id)
