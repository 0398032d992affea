"""Signals: how an open page learns, in whatever process it is held, that something was committed.

PostgreSQL carries them itself (``NOTIFY`` inside the transaction, heard when it commits). SQLite has no
such thing, but says cheaply whether anybody committed since one last looked; then everybody looks.
"""

import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from sqlalchemy import Engine, Select, String, cast, func, select
from sqlalchemy.exc import SQLAlchemyError

from webapp.database import CHANNEL, db, is_sqlite, notify

log = logging.getLogger(__name__)

LOOK_EVERY = 0.05  # seconds between two looks at SQLite's counter, which cost next to nothing


def announce(person_id: UUID, camp_id: UUID | None = None) -> None:
    """Tell the pages about a person (and a camp), once the running transaction commits."""
    notify(f"{person_id} {camp_id or ''}")


def announce_all(person_ids: Select[tuple[UUID]]) -> None:
    """As :func:`announce`, about all the people that a query names."""
    if not is_sqlite():
        named = person_ids.subquery()
        payload = func.concat(cast(named.c[0], String), " ")
        db.session.execute(select(func.count()).select_from(select(func.pg_notify(CHANNEL, payload)).subquery()))


class Listener:
    """Wakes the threads of this process that wait. One thread listens, started with the first of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._watching: dict[str, set[threading.Event]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self.dismissed = threading.Event()
        """Set once whoever watches is asked to leave, because this process stops."""

    @contextmanager
    def watch(self, *keys: UUID) -> Iterator[threading.Event]:
        """An event that is set whenever a signal about one of the ``keys`` may have come. Clear it, read, wait."""
        event = threading.Event()
        names = {str(key) for key in keys}
        with self._lock:
            for name in names:
                self._watching[name].add(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
                self._thread.start()
        try:
            yield event
        finally:
            with self._lock:
                for name in names:
                    self._watching[name].discard(event)
                    if not self._watching[name]:
                        del self._watching[name]

    def dismiss(self) -> None:
        """Ask everybody who watches to leave."""
        self.dismissed.set()
        self._wake()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        if self._thread:
            self._thread.join()

    def _wake(self, keys: Iterable[str] | None = None) -> None:
        """Those who watch these keys, or everybody where it is not known what changed."""
        with self._lock:
            for key in list(self._watching) if keys is None else keys:
                for event in self._watching.get(key, ()):
                    event.set()

    def _listen(self) -> None:
        listen = self._listen_sqlite if self._engine.dialect.name == "sqlite" else self._listen_postgresql
        while not self._closed.is_set():
            try:
                listen()
            except (SQLAlchemyError, psycopg.Error, sqlite3.Error) as error:
                log.warning("lost the connection that listens for signals, trying again: %s", error)
                self._closed.wait(1)

    def _listen_sqlite(self) -> None:
        connection = self._engine.raw_connection()
        try:
            seen = None
            while not self._closed.wait(LOOK_EVERY):
                version = connection.cursor().execute("PRAGMA data_version").fetchone()
                if version != seen:
                    seen = version
                    self._wake()
        finally:
            connection.close()

    def _listen_postgresql(self) -> None:
        """On a connection made as all others are, so that it finds the server that may be written to."""
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()  # it is kept, and listens: none that the pool could give to others
        assert isinstance(connection, psycopg.Connection)
        with connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            self._wake()  # what was said before was missed
            while not self._closed.is_set():
                for notice in connection.notifies(timeout=1):
                    self._wake(notice.payload.split())
