"""The streaming replica: reads that may be a moment old go there, as long as it is good for them.

The primary is always right. Whenever there is a doubt about the replica (it is down, was promoted, or has
not yet replayed what the reader wrote), the primary is read instead.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from flask import Flask, current_app, g, has_app_context
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webapp.database import REPLICA, db

log = logging.getLogger(__name__)

RETRY_AFTER = 30  # seconds without the replica once it failed, so that not every request waits for it
FROM_THE_START = "0/0"  # a place in the log of writes that every server has passed

# After a promotion the place stands still, so it says nothing; and whoever is no standby has a log of its own.
_STATE = text("SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() >= CAST(:place AS pg_lsn), false)")


class Replica:
    """Knows whether the replica can be used, and asks it no more often than needed when it cannot."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._down = False
        self._try_again = 0.0

    def connection(self, place: str) -> Connection | None:
        """An open connection to a standby that has replayed the log of writes up to ``place``; else nothing."""
        if not self._worth_trying():
            return None
        connection = None
        try:
            connection = self._engine.connect()
            is_standby, is_there = connection.execute(_STATE, {"place": place}).one()
        except SQLAlchemyError as error:
            if connection:
                connection.close()
            self._set_aside(str(error))
            return None
        if not is_standby:
            connection.invalidate()  # where the address names several servers, another may be a standby
            connection.close()
            self._set_aside("the server is no standby (any more)")
            return None
        self._is_back()
        if is_there:
            return connection
        connection.close()
        return None

    def failed(self, error: DBAPIError) -> None:
        """A read broke off. A lost connection sets the replica aside; one query cancelled does not."""
        if error.connection_invalidated:
            self._set_aside(str(error))
        else:
            log.warning("a read on the replica failed: %s", error)

    def _worth_trying(self) -> bool:
        with self._lock:
            if not self._down:
                return True
            if monotonic() < self._try_again:
                return False
            self._try_again = monotonic() + RETRY_AFTER  # the others do not wait for this one
            return True

    def _set_aside(self, reason: str) -> None:
        with self._lock:
            self._down = True
            self._try_again = monotonic() + RETRY_AFTER
        log.warning("reading from the primary for %d seconds, not from the replica: %s", RETRY_AFTER, reason)

    def _is_back(self) -> None:
        with self._lock:
            was_down, self._down = self._down, False
        if was_down:
            log.warning("the replica is back; reading from it")


def init_app(app: Flask) -> None:
    """Where a replica is configured, use it, and note which requests commit something."""
    with app.app_context():
        engine = db.engines.get(REPLICA)
        if engine is None:
            return
        app.extensions[REPLICA] = Replica(engine)
        event.listen(db.engine, "commit", _note_commit)


def _note_commit(_connection: Connection) -> None:
    if has_app_context():
        g.committed = True


def committed() -> bool:
    """Whether the running request has committed a transaction on the primary. Only known with a replica."""
    return bool(g.get("committed"))


def place() -> str:
    """How far the primary's log of writes has come, as PostgreSQL writes it: ``16/B374D848``.

    A standby that has replayed it shows everything committed until now.
    """
    return str(db.session.scalar(text("SELECT CAST(pg_current_wal_insert_lsn() AS text)")))


@contextmanager
def reading(since: str = FROM_THE_START) -> Iterator[bool]:
    """Within the block ``db.session`` reads from the replica, if there is one that has come as far as
    ``since``; else from the primary. Gives which: true for the replica, where nothing can be written.

    What was loaded before is detached from the session, and what is loaded in the block at its end.
    """
    replica: Replica | None = current_app.extensions.get(REPLICA)
    connection = replica.connection(since) if replica else None
    if replica is None or connection is None:
        yield False
        return
    with connection:
        db.session.close()  # nothing is pending; it lets go of the primary's connection
        db.session.info[REPLICA] = connection
        try:
            yield True
        except DBAPIError as error:
            replica.failed(error)
            raise
        finally:
            del db.session.info[REPLICA]
            db.session.close()
