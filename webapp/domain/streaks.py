"""Streaks: pure functions from one person's marked dates at a site to their runs.

The rule (contract, "Earning"): walk the dates of a site's held camps in order; camps on one date are
one step. A step counts if the person had a visit on it, is skipped if they were excused or came in
another role, and breaks the run otherwise. On the day itself a camp not yet marked breaks nothing.

:mod:`webapp.domain.reckoning` says the same once more in SQL, for many people at once; a test holds the
two together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum


class Step(IntEnum):
    """What a camp was for one person. Of several on one date, the greatest makes the step."""

    MISSED = 0
    SKIPPED = 1  # excused, or there in another role
    VISIT = 2


@dataclass(frozen=True, slots=True)
class MarkedDate:
    """A date of a site's calendar of which something is known of the person."""

    date: date
    step: Step
    gap: bool
    """Whether the calendar has a date between the marked one before and this, unmarked and so missed."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one person at one site."""

    longest: int
    current: int
    reached: Mapping[int, date]
    """For each length, the first date on which a run got that long."""


def after(run: int, step: Step, *, gap: bool) -> int:
    """How long a run is after one more marked date; ``gap`` as in :class:`MarkedDate`."""
    if gap or step is Step.MISSED:
        run = 0
    return run + 1 if step is Step.VISIT else run


def walk(marked: Iterable[MarkedDate], *, missed_since: bool) -> Runs:
    """One person's runs at one site.

    ``marked`` holds the marked dates in order, without a date of today that can still become a visit.
    ``missed_since`` says whether the calendar has a date after them, other than today.
    """
    run = 0
    reached: dict[int, date] = {}
    for each in marked:
        run = after(run, each.step, gap=each.gap)
        if each.step is Step.VISIT:
            reached.setdefault(run, each.date)
    return Runs(longest=max(reached, default=0), current=0 if missed_since else run, reached=reached)
