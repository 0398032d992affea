"""The one clock. Everything that asks for the time asks here, so that tests and the demo can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_stopped: datetime | None = None


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return _stopped or datetime.now(UTC)


def today(time_zone: str) -> date:
    """The current calendar date in an IANA time zone, for example ``Asia/Kolkata``."""
    return now().astimezone(ZoneInfo(time_zone)).date()


@contextmanager
def stopped_at(instant: datetime) -> Iterator[None]:
    """Within the block, in every thread of this process, :func:`now` answers ``instant`` (aware)."""
    global _stopped
    before, _stopped = _stopped, instant.astimezone(UTC)
    try:
        yield
    finally:
        _stopped = before
