"""The one clock. Everything that asks for the time asks here, so that tests and the demo can set it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def _real() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _real


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return _source()


def today(time_zone: str) -> date:
    """The current calendar date in an IANA time zone, for example ``Asia/Kolkata``."""
    return now().astimezone(ZoneInfo(time_zone)).date()


@contextmanager
def stopped_at(instant: datetime) -> Iterator[None]:
    """Within the block, in every thread of this process, :func:`now` answers ``instant`` (aware)."""
    with _told_by(lambda: instant.astimezone(UTC)):
        yield


@contextmanager
def running_from(instant: datetime) -> Iterator[None]:
    """Within the block, in every thread of this process, time passes from ``instant`` (aware) on."""
    ahead = instant - _real()
    with _told_by(lambda: _real() + ahead):
        yield


@contextmanager
def _told_by(source: Callable[[], datetime]) -> Iterator[None]:
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
