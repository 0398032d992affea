"""Series: the dates that a rule such as "every second Sunday until June" gives. Pure; nothing is stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from itertools import islice
from typing import Literal

from dateutil import rrule

from webapp.domain.errors import InvalidError

MOST_CAMPS = 200  # of one series
MOST_INTERVAL = 52


class Frequency(StrEnum):
    """What an interval is counted in."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"


PLACES = (1, 2, 3, 4, -1)  # of a weekday in its month; the last is -1
_FREQUENCIES: dict[Frequency, Literal[1, 2, 3]] = {
    Frequency.DAYS: rrule.DAILY,
    Frequency.WEEKS: rrule.WEEKLY,
    Frequency.MONTHS: rrule.MONTHLY,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Every so many days, weeks or months from a date on, until a date or so many times.

    ``weekdays`` count from Monday (0); without any, weeks go by the weekday of the first date and months by
    its day of the month, and a month that has no such day is passed over. ``place`` says which of those
    weekdays of a month is meant, one of :data:`PLACES`; with months it needs one.
    """

    first: date
    frequency: Frequency
    interval: int = 1
    weekdays: Sequence[int] = ()
    place: int | None = None
    until: date | None = None
    count: int | None = None

    def dates(self) -> list[date]:
        """The dates, in order. Intervals are counted from the first of them, be it later than ``first``.

        Raises :class:`InvalidError` for a rule that has no end, no date or more than :data:`MOST_CAMPS`, and for a
        place in a month without a weekday.
        """
        if not 1 <= self.interval <= MOST_INTERVAL:
            raise InvalidError(f"Every how many {self.frequency} is a number from 1 to {MOST_INTERVAL}.")
        if self.until is None and self.count is None:
            raise InvalidError("Say when the series ends: a last date, or how many camps.")
        if self.count is not None and not 1 <= self.count <= MOST_CAMPS:
            raise InvalidError(f"A series has from 1 to {MOST_CAMPS} camps.")
        if self.frequency is Frequency.MONTHS and self.place and not self.weekdays:
            raise InvalidError(
                "Tick the weekday that is meant, such as the first Sunday of the month, or say every one."
            )
        start = next(self._dates(self.first, 1), None)
        found = [] if start is None else list(islice(self._dates(start, self.interval), MOST_CAMPS + 1))
        if not found:
            raise InvalidError("No date fits. Is the last date before the first?")
        if len(found) > MOST_CAMPS:
            raise InvalidError(f"These are more than {MOST_CAMPS} camps. End the series earlier; it can be continued.")
        return found

    def _dates(self, first: date, interval: int) -> Iterator[date]:
        place = self.place if self.frequency is Frequency.MONTHS else None
        rule = rrule.rrule(
            _FREQUENCIES[self.frequency],
            dtstart=datetime.combine(first, time()),
            interval=interval,
            byweekday=[rrule.weekday(day, place) for day in self.weekdays] or None,
            # Of the two the library takes one alone.
            until=datetime.combine(self.until, time()) if self.until and not self.count else None,
            count=self.count,
        )
        return (each.date() for each in rule if self.until is None or each.date() <= self.until)
