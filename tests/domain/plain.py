"""The rules of the contract once more, as plainly as they can be said, to hold the product against.

Every held date of a site is walked for every person; nothing is kept, indexed or shared with the product.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

BADGES = [
    ("First Step", "visits", 1),
    ("Certified Volunteer", "visits", 3),
    ("On a Roll", "consecutive_visits", 3),
    ("Consistent Volunteer", "visits", 5),
    ("Bronze Volunteer", "visits", 6),
    ("Century Contributor", "visits", 10),
    ("Silver Volunteer", "visits", 12),
    ("Gold Volunteer", "visits", 20),
    ("Elite Volunteer", "visits", 36),
]


@dataclass
class PlainCamp:
    site: str
    day: date
    cancelled: bool = False
    states: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For each person: state and camp role."""
    signed_up: set[str] = field(default_factory=set)


def streaks(camps: Iterable[PlainCamp], who: str, today: date) -> tuple[int, int]:
    """The longest streak of any one site, and the longest that is not broken."""
    held = [camp for camp in camps if not camp.cancelled and camp.day <= today]
    longest = current = 0
    for site in {camp.site for camp in held}:
        streak = best = 0
        for day in sorted({camp.day for camp in held if camp.site == site}):
            found = [camp.states.get(who) for camp in held if camp.site == site and camp.day == day]
            marked = [each for each in found if each and each[0] != "expected"]
            if ("present", "volunteer") in marked:
                streak += 1
            elif not any(state in ("present", "excused") for state, _ in marked):
                still_open = day == today and len(marked) < len(found)
                streak = streak if still_open else 0
            best = max(best, streak)
        longest, current = max(longest, best), max(current, streak)
    return longest, current


def visited(camps: Iterable[PlainCamp], who: str, today: date) -> list[date]:
    """The date of each visit, in order."""
    return sorted(
        camp.day
        for camp in camps
        if not camp.cancelled and camp.day <= today and camp.states.get(who) == ("present", "volunteer")
    )


def visits(camps: Iterable[PlainCamp], who: str, today: date) -> int:
    return len(visited(camps, who, today))


def amounts(camps: Iterable[PlainCamp], who: str, today: date) -> dict[str, int]:
    """How far somebody is by each of the criteria."""
    camps = list(camps)
    years = [day.year for day in visited(camps, who, today)]
    return {
        "visits": len(years),
        "consecutive_visits": streaks(camps, who, today)[0],
        "visits_in_year": max((years.count(year) for year in years), default=0),
    }


def completed_on(camps: Iterable[PlainCamp], who: str, today: date, criteria: str, value: int) -> date | None:
    """When somebody had first reached so many, by letting the visits come one after the other."""
    camps = list(camps)
    for day in visited(camps, who, today):
        if amounts([camp for camp in camps if camp.day <= day], who, today)[criteria] >= value:
            return day
    return None


def totals(camps: Iterable[PlainCamp], who: str, today: date) -> dict[str, tuple[int, int, int, date, int]]:
    """At each site they visited: visits, longest streak, the one of the last visit, its date, visits in its year."""
    camps = list(camps)
    found = {}
    for site in {camp.site for camp in camps}:
        here = [camp for camp in camps if camp.site == site]
        days = visited(here, who, today)
        if days:
            until = [camp for camp in here if camp.day <= days[-1]]
            longest, _ = streaks(here, who, today)
            _, last = streaks(until, who, days[-1])
            found[site] = (len(days), longest, last, days[-1], [day.year for day in days].count(days[-1].year))
    return found


def earned(camps: Iterable[PlainCamp], who: str, today: date) -> set[str]:
    reached = amounts(camps, who, today)
    return {name for name, criteria, value in BADGES if reached[criteria] >= value}


@dataclass
class PlainBadge:
    """What a badge asks for now, and what it asked of those who were ever awarded it, when they were."""

    criteria: str
    value: int
    active: bool = True
    asked_of: dict[str, tuple[str, int]] = field(default_factory=dict)
    held_by: set[str] = field(default_factory=set)

    def evaluate(self, who: str, after: dict[str, int], before: dict[str, int] | None = None) -> None:
        """Somebody is so far now; ``before`` says how far they were, where a correction changed that."""
        now = self.criteria, self.value
        own = self.asked_of.get(who, now)
        if who in self.held_by:
            if before and after[own[0]] < own[1]:
                if self.active and after[self.criteria] >= self.value:
                    self.asked_of[who] = now  # by what is asked now they have it still
                elif before[own[0]] >= own[1] or (self.active and before[self.criteria] >= self.value):
                    self.held_by.remove(who)
        elif (who in self.asked_of or self.active) and after[own[0]] >= own[1]:
            self.asked_of[who] = own
            self.held_by.add(who)
        elif self.active and after[self.criteria] >= self.value:
            self.asked_of[who] = now
            self.held_by.add(who)
