import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from uuid import RFC_4122

import pytest

from webapp import clock
from webapp.infra import ids
from webapp.infra.ids import new_id


def milliseconds(number: int) -> int:
    """The time that an id of version 7 begins with."""
    return number >> 80


def test_an_id_is_a_uuid_of_version_7_and_begins_with_the_real_time() -> None:
    with clock.stopped_at(datetime(2020, 1, 1, tzinfo=UTC)):
        before = time.time_ns() // 1_000_000
        made = new_id()
        after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= milliseconds(made.int) <= after


def test_ids_of_one_process_are_unique_and_in_the_order_they_were_made() -> None:
    made = [new_id() for _ in range(100_000)]
    assert all(one < other for one, other in pairwise(made))
    assert all((each.version, each.variant) == (7, RFC_4122) for each in made)
    assert milliseconds(made[-1].int) > milliseconds(made[0].int)


def test_the_order_holds_where_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    monkeypatch.setattr(ids, "time_ns", lambda: 0)
    assert first < new_id() < new_id()


def test_ids_of_the_very_same_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """As two processes make them, or two threads that meet."""
    made = set()
    for _ in range(10_000):
        monkeypatch.setattr(ids, "_latest", 0)
        monkeypatch.setattr(ids, "time_ns", lambda: 1)
        made.add(new_id())
    assert len({milliseconds(each.int) for each in made}) == 1
    assert len(made) == 10_000


def test_threads_make_different_ids() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: [new_id() for _ in range(5_000)], range(4)))
    assert len({each for some in made for each in some}) == 20_000
