"""Changes: how an open page hears, in whatever process it is held, that something was committed.

While a page is open, one thread of the process reads several times a second what was committed
since, and wakes the pages that watch the keys it names. It is the same on every engine and every
host, and it costs writers nothing: a ``NOTIFY`` in the transaction would let PostgreSQL commit one
transaction at a time. What is read, and which keys it names, :class:`Feed` objects say; this module
knows neither tables nor keys.

A page that is woken reads for itself what it shows, so to wake it once too often does no harm.
While the database was lost, and while nobody watched, nothing was read: everybody is woken
afterwards.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

LOOK_EVERY = 0.15  # seconds; half of it is what a page waits on average
TRY_AGAIN = 1  # seconds after a look failed
WOKEN_AT_ONCE = 25  # at each look, where everybody is to be woken: they read for about 50 ms
ROUND_EVERY = 5  # seconds between two such rounds, however often something concerns everybody


@dataclass(frozen=True, slots=True)
class News:
    """What changed since the last look."""

    keys: AbstractSet[UUID] = frozenset()
    concerns_all: bool = False
    """Whether it is not known, or would take too long to say, whom it concerns."""


class Feed(Protocol):
    """Reads what was committed, and keeps what it needs from one look to the next."""

    def news(self, connection: Connection) -> News:
        """What was committed since the last call; the first one's answer does not count. Nothing
        may be left out, and what was told may be told again.
        """


class Changes:
    """Wakes the threads of this process that watch. One thread reads for all, while there are any.

    ``feeds`` make the :class:`Feed` objects, anew for each start. They are asked one after the
    other, and who is concerned is woken after the last of them: whatever was committed until then,
    they see.
    """

    def __init__(self, engine: Engine, feeds: Sequence[Callable[[], Feed]]) -> None:
        self._engine = engine
        self._feeds = feeds
        self._lock = threading.Lock()
        self._watching: dict[UUID, set[threading.Event]] = defaultdict(set)
        self._anybody = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._to_wake: list[threading.Event] = []
        self._wake_all_again = False
        self._next_round = 0.0
        self._is_lost = False
        self.dismissed = threading.Event()
        """Set once whoever watches is asked to leave, because this process stops."""

    @contextmanager
    def watch(self, *keys: UUID) -> Iterator[threading.Event]:
        """An event that is set whenever one of the ``keys`` may have changed. Clear it, read, wait."""
        event = threading.Event()
        with self._lock:
            for key in keys:
                self._watching[key].add(event)
            self._anybody.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()

        try:
            yield event
        finally:
            with self._lock:
                for key in set(keys):
                    self._watching[key].discard(event)
                    if not self._watching[key]:
                        del self._watching[key]
                if not self._watching and not self._closed.is_set():
                    self._anybody.clear()

    def dismiss(self) -> None:
        """Ask everybody who watches to leave."""
        self.dismissed.set()
        for event in self._everybody():
            event.set()

    def close(self) -> None:
        """Look no more."""
        with self._lock:
            self._closed.set()
            self._anybody.set()
        if self._thread:
            self._thread.join()

    def _everybody(self) -> Iterable[threading.Event]:
        with self._lock:
            return set().union(*self._watching.values())

    def _run(self) -> None:
        """Follow the database whenever somebody watches, and come back to it when it was lost."""
        while not self._closed.is_set():
            self._anybody.wait()
            try:
                self._follow()
            except Exception as error:  # whatever it is: without this thread, every page is deaf
                if not self._is_lost:
                    unforeseen = not isinstance(error, SQLAlchemyError)
                    log.warning("cannot look for changes, trying on: %s", error, exc_info=unforeseen)
                self._is_lost = True
                self._closed.wait(TRY_AGAIN)

    def _follow(self) -> None:
        """Look again and again, until nobody watches."""
        feeds = [feed() for feed in self._feeds]
        self._look(feeds)
        self._to_wake = list(self._everybody())
        if self._is_lost:
            log.warning("looking for changes again")
            self._is_lost = False

        while self._anybody.is_set() and not self._closed.is_set():
            self._wake_some()
            self._closed.wait(LOOK_EVERY)
            news = self._look(feeds)
            self._wake_all_again |= news.concerns_all
            self._wake(news.keys)

    def _look(self, feeds: Iterable[Feed]) -> News:
        """Ask every feed, on a connection that is given back at once."""
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "postgresql":  # saves two trips to the server
                connection.execution_options(isolation_level="AUTOCOMMIT")
            told = [feed.news(connection) for feed in feeds]

        keys = frozenset[UUID]().union(*(news.keys for news in told))
        return News(keys, any(news.concerns_all for news in told))

    def _wake(self, keys: Iterable[UUID]) -> None:
        with self._lock:
            for key in keys:
                for event in self._watching.get(key, ()):
                    event.set()

    def _wake_some(self) -> None:
        """Wake the next few, where everybody is to be woken. They read one after the other, and a
        page that waits for a badge would stand behind all of them.
        """
        if self._wake_all_again and not self._to_wake and time.monotonic() >= self._next_round:
            self._wake_all_again = False
            self._next_round = time.monotonic() + ROUND_EVERY
            self._to_wake = list(self._everybody())

        for event in self._to_wake[:WOKEN_AT_ONCE]:
            event.set()
        del self._to_wake[:WOKEN_AT_ONCE]
