"""Streaks: pure functions from a site's calendar and one person's steps to their runs.

The rule (contract, "Earning"): walk the dates of a site's held camps in order; camps on one date are
one step. A step counts if the person had a visit on it, is skipped if they were excused or came in
another role, and breaks the run otherwise. On the day itself a camp not yet marked breaks nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum


class Step(IntEnum):
    """What a camp was for one person. Of several on one date, the greatest makes the step."""

    MISSED = 0
    SKIPPED = 1  # excused, or there in another role
    VISIT = 2


class Calendar:
    """The dates of one site's held camps, in order."""

    def __init__(self, camps_on: Mapping[date, int], today: date) -> None:
        """``camps_on`` says how many camps each local date has; ``today`` is the site's local date."""
        self.camps_on = camps_on
        self.today = today
        self.dates = sorted(camps_on)
        self.position = {day: place for place, day in enumerate(self.dates)}


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one person at one site."""

    longest: int
    current: int
    reached: Mapping[int, date]
    """For each length, the first date on which a run got that long."""


def walk(calendar: Calendar, marks: Mapping[date, Collection[Step]]) -> Runs:
    """One person's runs at one site.

    ``marks`` holds, for dates of the calendar, what each marked camp of the date was for the person.
    Only these dates are looked at: one between them that is not there shows as a gap in the positions.
    """
    run = 0
    following = 0
    reached: dict[int, date] = {}
    for day in sorted(marks):
        step = max(marks[day])
        if step is Step.MISSED and day == calendar.today and len(marks[day]) < calendar.camps_on[day]:
            break  # they can still be marked at another camp of today
        if step is Step.MISSED or calendar.position[day] != following:
            run = 0
        if step is Step.VISIT:
            run += 1
            reached.setdefault(run, day)
        following = calendar.position[day] + 1
    missed_since = any(day != calendar.today for day in calendar.dates[following:])
    return Runs(longest=max(reached, default=0), current=0 if missed_since else run, reached=reached)
