"""Whoever watches a key is woken by what is read of it, nobody else, and the database may go away meanwhile."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.serving import until
from webapp.infra import changes
from webapp.infra.changes import Changes, News

PATIENCE = 10  # seconds until a test gives up
HERE, THERE = uuid4(), uuid4()


class Told:
    """A feed that tells what a test puts into it, and fails while it shall."""

    def __init__(self) -> None:
        self.next: list[News] = []
        self.looks = 0
        self.starts = 0
        self.fails = False
        self.all_watch = threading.Event()

    def start(self) -> "Told":
        self.starts += 1
        return self

    def news(self, connection: Connection) -> News:
        assert self.all_watch.wait(PATIENCE)
        self.looks += 1
        if self.fails:
            raise OperationalError("SELECT 1", {}, OSError("gone"))
        assert connection.scalar(text("SELECT 1")) == 1
        return self.next.pop() if self.next else News()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def watched(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Changes]:
    monkeypatch.setattr(changes, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(changes, "TRY_AGAIN", 0.01)
    engine = create_engine("sqlite://")
    watched = Changes(engine, [told.start])
    yield watched
    told.all_watch.set()
    watched.close()
    engine.dispose()


def look_twice(told: Told) -> None:
    looks = told.looks
    until(lambda: told.looks >= looks + 2)


def past_the_start(told: Told, *events: threading.Event) -> None:
    """Whoever watches when it begins is woken once, for what came before."""
    told.all_watch.set()
    all_woken(told, *events)


def all_woken(told: Told, *events: threading.Event) -> None:
    for event in events:
        assert event.wait(PATIENCE)
        event.clear()
    look_twice(told)


def test_who_watches_a_key_is_woken_and_nobody_else(watched: Changes, told: Told) -> None:
    with watched.watch(HERE, uuid4()) as here, watched.watch(THERE) as there:
        past_the_start(told, here, there)
        told.next.append(News(frozenset({HERE, uuid4()})))
        assert here.wait(PATIENCE)
        look_twice(told)
        assert not there.is_set()


def test_while_nobody_watches_nothing_is_read(watched: Changes, told: Told) -> None:
    assert told.looks == 0
    for starts in (1, 2):
        with watched.watch(HERE) as here:
            past_the_start(told, here)
            assert told.starts == starts
        looks = told.looks
        time.sleep(0.1)
        assert told.looks <= looks + 1


def test_everybody_is_woken_some_at_a_time_and_not_again_at_once(
    watched: Changes, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "WOKEN_AT_ONCE", 2)
    monkeypatch.setattr(changes, "ROUND_EVERY", 3600)
    with ExitStack() as stack:
        events = [stack.enter_context(watched.watch(uuid4())) for _ in range(7)]
        past_the_start(told, *events)
        told.next.append(News(concerns_all=True))
        looks = told.looks
        all_woken(told, *events)
        assert told.looks >= looks + 4
        told.next.append(News(concerns_all=True))
        look_twice(told)
        assert not any(event.is_set() for event in events)
        watched._next_round = 0  # the hour is over
        all_woken(told, *events)


def test_a_database_that_is_gone_is_said_once_and_looked_for_until_it_is_back(
    watched: Changes, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, changes.__name__)
    with watched.watch(HERE) as here, watched.watch(THERE) as there:
        past_the_start(told, here, there)
        told.fails = True
        look_twice(told)
        look_twice(told)
        assert not here.is_set()
        told.fails = False
        all_woken(told, here, there)  # what was committed meanwhile was not read
    assert [record.message.split(",")[0] for record in caplog.records] == [
        "cannot look for changes",
        "looking for changes again",
    ]


def test_whoever_watches_is_asked_to_leave(watched: Changes, told: Told) -> None:
    with watched.watch(HERE) as here, watched.watch(THERE) as there:
        past_the_start(told, here, there)
        watched.dismiss()
        assert watched.dismissed.is_set()
        assert here.is_set()
        assert there.is_set()
