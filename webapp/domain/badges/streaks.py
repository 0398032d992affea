"""The rule of a streak. It stands here once, for one person and for a million.

A streak is a series of dates of one site's calendar, each with a visit. A date on which the person
was excused, or came in another role, is skipped; any other breaks the streak.

The fast path (:mod:`webapp.domain.attendance.fast_path`) lengthens a streak with :func:`after`;
everything else goes through :func:`walk` (:mod:`webapp.domain.badges.history`). That a date without
any attendance breaks a streak is what ``gap`` says: the fast path asks the database for such a date,
histories see it in the places of the dates on the calendar.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from webapp.domain.models.attendance import Step

MISSED, VISIT = Step.MISSED, Step.VISIT  # a look-up less for each of very many dates


class Streaks(NamedTuple):
    """The streaks of one person at one site, in dates with a visit."""

    longest: int = 0
    current: int = 0
    """The one that no date has broken yet."""
    at_last_visit: int = 0
    """The one that ends with the last visit, broken since or not."""
    reached: Sequence[int] = ()
    """The places of the dates on which a streak first had 1, 2, 3 … dates."""


def after(streak: int, step: int, *, gap: bool) -> int:
    """Say how long a streak is after one more date.

    ``step`` is the date's :class:`Step`. ``gap`` says whether the calendar has a date in between, on
    which nothing is known of the person.
    """
    if gap or step == MISSED:
        streak = 0
    return streak + 1 if step == VISIT else streak


def walk(places: Iterable[int], steps: Iterable[int], *, missed_since: bool) -> Streaks:
    """Walk one person's dates at one site, in order.

    Each date has a place on the site's calendar (neighbours differ by one) and its :class:`Step`.
    A date of today that can still become a visit is not among them. ``missed_since`` says whether the
    calendar has a date after them, other than today.
    """
    streak = longest = at_last_visit = 0
    following = None
    reached: list[int] = []

    for place, step in zip(places, steps, strict=True):
        streak = after(streak, step, gap=place != following)
        following = place + 1
        if step == VISIT:
            at_last_visit = streak
            if streak > longest:
                longest = streak
                reached.append(place)

    return Streaks(longest, 0 if missed_since else streak, at_last_visit, reached)
