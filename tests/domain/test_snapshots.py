"""Snapshots: when one is built and by whom, two builders at once, and builders that die."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.domain.plain_boards import PlainBoards
from tests.domain.test_leaderboard import compare, plainly, random_life
from tests.factories import attend, weekly
from tests.serving import ROOT, SECRET, until
from webapp import clock, worker
from webapp.database import db, try_one_at_a_time, writing
from webapp.domain.evaluation import bulk
from webapp.domain.leaderboard import boards, snapshots
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, OVERALL, Key, RankBy
from webapp.domain.models.board import Board, BoardLine
from webapp.domain.models.totals import Totals
from webapp.domain.organisation import settings
from webapp.domain.people import accounts

YEAR = Key(EVERYWHERE, 2026)
LATER = SUNDAY + timedelta(minutes=1)  # nothing that is still on its way was entered before


@pytest.fixture
def came(people: People) -> People:
    """The volunteer came three times, the other once."""
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    attend(people.other, camps[:1], people.coordinator)
    return people


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were so many people that no reader waits for a board that takes long."""
    monkeypatch.setattr(snapshots, "SMALL", 0)
    monkeypatch.setattr(snapshots, "QUICK", 100)


def kept(key: Key = OVERALL, *, took: int = 0) -> Board:
    """A board built now that took so long, in milliseconds."""
    board = factories.board(key)
    with writing():
        db.session.merge(board).took = took
    return board


def names(board: Board) -> list[str]:
    return [line.person.name for line in boards.lines(board)]


def number_of_lines() -> int:
    return db.session.scalar(select(func.count()).select_from(BoardLine)) or 0


# --- current --------------------------------------------------------------------------------------


def test_a_board_is_current_until_something_happens(came: People) -> None:
    with clock.stopped_at(LATER):
        board = factories.board()
        assert snapshots.is_current(board)
        with writing():
            assert snapshots.current(OVERALL).id == board.id
        factories.person("Somebody New")
        assert not snapshots.is_current(board)
        with writing():
            newer = snapshots.current(OVERALL)
        assert (newer.id, newer.generation) != (board.id, board.generation)
        assert "Somebody New" in names(newer)


def test_what_was_entered_a_moment_before_may_not_be_all(came: People) -> None:
    """On PostgreSQL an entry with an older time may be committed after a newer one was seen."""
    for seconds, is_current in [(0, False), (9, False), (11, True)]:
        with clock.stopped_at(SUNDAY + timedelta(seconds=seconds)):
            assert snapshots.is_current(factories.board()) is is_current


def test_a_board_of_a_clock_that_was_ahead_is_not_current(came: People) -> None:
    with clock.stopped_at(LATER + timedelta(hours=1)):
        board = kept(took=60_000)
        assert snapshots.is_current(board)
    with clock.stopped_at(LATER):
        assert not snapshots.is_current(board)
        assert snapshots.is_due(OVERALL)


def test_two_generations_are_kept_and_readers_of_the_former_are_not_cut_off(came: People) -> None:
    first = factories.board()
    whole = names(first)
    second = factories.board()
    assert names(first) == whole == names(second)
    third = factories.board()
    assert set(db.session.scalars(select(Board.id))) == {second.id, third.id}
    assert number_of_lines() == 2 * len(whole)
    assert snapshots.newest(OVERALL) == third


def test_boards_that_nobody_reads_are_deleted(came: People) -> None:
    factories.board(YEAR)
    with clock.stopped_at(SUNDAY + timedelta(days=5)):
        board = factories.board()
    with clock.stopped_at(SUNDAY + timedelta(days=8)):
        worker.delete_old_boards()
        assert list(db.session.scalars(select(Board.id))) == [board.id]
        assert number_of_lines() == board.size
        db.session.rollback()


# --- what is built ----------------------------------------------------------------------------------


def test_while_totals_are_not_all_there_attendance_is_asked(app: Flask) -> None:
    random_life(5)
    with writing():
        db.session.execute(delete(Totals))
        settings.put(settings.TOTALS, settings.TO_BE_FILLED)
    compare(4)


@pytest.mark.parametrize("rank_by", RankBy)
def test_people_who_leave_and_come_back_between_pages(app: Flask, rank_by: RankBy) -> None:
    """A kept board loses exactly those who left; a new one is as long as it says."""
    people = random_life(7)
    for key in (Key(EVERYWHERE, ALL_TIME, rank_by), Key(EVERYWHERE, 2026, rank_by)):
        snapshot = factories.board(key)
        before = plainly(boards.lines(snapshot))
        gone = [person for person in people[2::3] if person.is_listed]
        numbers = {person.book_no for person in gone}
        for person in gone:
            with writing():
                accounts.opt_out(db.session.merge(person))
        left = [line for line in before if line.book_no not in numbers]
        pages = [boards.lines(snapshot, offset=offset, limit=2) for offset in range(0, snapshot.size, 2)]
        assert [line for page in pages for line in plainly(page)] == left
        assert plainly(boards.lines(factories.board(key))) == PlainBoards().lines(key)
        for person in gone:
            with writing():
                accounts.opt_out(db.session.merge(person), False)
        assert plainly(boards.lines(snapshot)) == before


# --- who builds -------------------------------------------------------------------------------------


def test_a_worker_is_told_once_in_ten_times_the_building_time(large: None, came: People) -> None:
    board = kept(took=60_000)
    assert not snapshots.may_build_now(OVERALL, board)
    told = []
    for minute in range(35):
        with clock.stopped_at(SUNDAY + timedelta(minutes=minute, seconds=1)):
            for _ in range(2):
                if snapshots.is_due(OVERALL):
                    with writing():
                        assert snapshots.tell_worker(OVERALL)
                        assert not snapshots.tell_worker(OVERALL)
                    told.append(minute)
    assert told == [10, 20, 30]  # no worker does it, and each time it is told anew

    with clock.stopped_at(SUNDAY + timedelta(minutes=36)):
        attend(came.other, weekly(1, "Another"), came.coordinator)
        worker.build_board(OVERALL)
        newer = snapshots.newest(OVERALL)
        assert newer
        assert newer.generation == board.generation + 1
        assert snapshots.request_of(OVERALL) is None
        db.session.rollback()
        attend(came.other, weekly(1, "A third"), came.coordinator)
        latest = kept(took=60_000).id
        attend(came.other, weekly(1, "A fourth"), came.coordinator)
        worker.build_board(OVERALL)  # the second task of two that were in the queue
        newest = snapshots.newest(OVERALL)
        assert newest
        assert newest.id == latest
        db.session.rollback()


def test_of_a_board_that_never_was_a_worker_is_told_twice_a_minute(large: None, came: People) -> None:
    told = []
    for second in range(0, 90, 5):
        with clock.stopped_at(SUNDAY + timedelta(seconds=second)), writing():
            if snapshots.tell_worker(OVERALL):
                told.append(second)
    assert told == [0, 30, 60]
    request = snapshots.request_of(OVERALL)
    assert request
    assert request.since == SUNDAY
    db.session.rollback()
    worker.build_board(OVERALL)
    board = snapshots.newest(OVERALL)
    assert board
    assert names(board) == ["Asha Rao", "Imran Pasha"]


def test_in_a_small_organisation_readers_build_what_is_due(monkeypatch: pytest.MonkeyPatch, came: People) -> None:
    monkeypatch.setattr(snapshots, "QUICK", 100)
    assert snapshots.may_build_now(OVERALL, None)
    board = kept(took=1_000)
    assert not snapshots.may_build_now(OVERALL, board)
    with clock.stopped_at(SUNDAY + timedelta(seconds=11)):
        assert snapshots.may_build_now(OVERALL, board)


# --- at once, and broken off ------------------------------------------------------------------------


def test_builders_of_the_same_board_at_once(app: Flask, came: People) -> None:
    """Each has a board with everything in it, none an error, and two are kept."""
    ready = threading.Barrier(4)
    built: list[list[str]] = []
    errors: list[BaseException] = []

    def build() -> None:
        try:
            with app.app_context():
                ready.wait()
                for key in (OVERALL, YEAR, OVERALL):
                    with writing():
                        board = snapshots.build(key)
                    built.append(names(board))
                db.session.remove()
        except BaseException as error:
            errors.append(error)

    with clock.running_from(SUNDAY):
        threads = [threading.Thread(target=build) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert built == [["Asha Rao", "Imran Pasha"]] * 12
    sizes = db.session.execute(select(Board.period, func.count()).group_by(Board.period)).tuples()
    assert all(number <= 2 for number in dict(sizes.all()).values())
    lines = db.session.scalar(select(func.sum(Board.size)))
    assert number_of_lines() == lines


def test_a_builder_that_fails_half_way_leaves_what_was_there(came: People, monkeypatch: pytest.MonkeyPatch) -> None:
    board = factories.board(YEAR)
    figures = bulk.figures

    def broken(*conditions: object) -> Iterator[tuple[object, int, int]]:
        yield next(figures(*conditions))  # type: ignore[arg-type]
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "CHUNK", 1)
        patch.setattr(bulk, "figures", broken)
        with pytest.raises(OSError, match="full"):
            factories.board(YEAR)
    assert snapshots.newest(YEAR) == board
    assert number_of_lines() == board.size
    assert names(factories.board(YEAR)) == names(board)


# Builds a board and stops for ever when its lines are written, before it commits.
STUCK = """
import time
from webapp import create_app
from webapp.database import writing
from webapp.domain.leaderboard import snapshots

def stop(_key):
    print("written", flush=True)
    time.sleep(600)

snapshots._forget_request = stop
app = create_app()
with app.app_context(), writing():
    snapshots.build(snapshots.OVERALL)
"""


def test_a_builder_that_is_killed_leaves_what_was_there(came: People, database_url: str, tmp_path: Path) -> None:
    board = factories.board()
    db.session.rollback()
    environment = os.environ | {"DATABASE_URL": database_url, "INSTANCE_PATH": str(tmp_path), "SECRET_KEY": SECRET}
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        assert names(board) == ["Asha Rao", "Imran Pasha"]  # readers are not held up
        db.session.rollback()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    def is_free() -> bool:
        """PostgreSQL notices in a while that the process is gone."""
        with writing():
            return try_one_at_a_time(f"building {OVERALL}")

    until(is_free)
    assert snapshots.newest(OVERALL) == board
    assert number_of_lines() == board.size
    assert names(factories.board()) == names(board)


def test_keys_of_all_kinds_are_kept_apart(came: People) -> None:
    site = factories.site("North")
    keys = [Key(*each) for each in product((EVERYWHERE, site.id), (ALL_TIME, 2026), RankBy)]
    built = {key: factories.board(key) for key in keys}
    for key, board in built.items():
        assert snapshots.newest(key) == board
        assert Key.of(board) == key
