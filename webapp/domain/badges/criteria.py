"""What a badge may ask for: one class for each criterion, and the registry of them all.

A new kind of badge is one more class here, a migration that allows its key, and translations.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Protocol
from uuid import UUID

from sqlalchemy import Select, SmallInteger, cast, distinct, extract, func, select

from webapp.domain.badges.history import HeldCamp, History
from webapp.domain.camps.calendar import Camp, held
from webapp.domain.models.attendance import Attendance, is_visit
from webapp.domain.models.totals import Totals


@dataclass(frozen=True, slots=True)
class MarkContext:
    """What is known of a person when one more visit, their latest, is added: all sites together."""

    visits: int
    """Before it."""
    longest_streak: int
    """Before it."""
    streak: int
    """The one at the camp's site, with the visit."""
    visits_in_year: int
    """In the calendar year of the camp, before it."""


class Criterion(Protocol):
    """One thing that badges may count. Values are whole numbers from 1.

    It counts some of a person's visits, so that nobody reaches more than they have.
    """

    key: ClassVar[str]
    """As it is stored, and as the API says it."""
    choice: ClassVar[str]
    """What the form for a definition calls it."""
    unit: ClassVar[tuple[str, str]]
    """One and many of what is counted, such as ``camp`` and ``camps``."""
    suffix: ClassVar[str]
    """What follows the unit, such as `` in a row``."""

    def progress(self, history: History, completing: date | None, today: date) -> int:
        """Say how far a person is. ``completing`` is the date of the camp that completed the badge,
        where it is earned.
        """
        ...

    def completed_by(self, history: History, value: int) -> HeldCamp | None:
        """Find the visit that reached ``value``, or nothing while it is not reached."""
        ...

    is_certain: ClassVar[bool]
    """Whether what :meth:`reach` says before a mark is all that was ever reached (the fast path)."""

    def reach(self, context: MarkContext) -> tuple[int, int]:
        """Say how far a person is before and after one more visit, their latest (the fast path)."""
        ...

    def people(self, value: int) -> Select[tuple[UUID]]:
        """Build the query for the ids of everybody who has reached ``value``."""
        ...


class Visits:
    """Visits in all, of all sites together."""

    key: ClassVar[str] = "visits"
    choice: ClassVar[str] = "All camps together"
    unit: ClassVar[tuple[str, str]] = ("camp", "camps")
    suffix: ClassVar[str] = ""
    is_certain: ClassVar[bool] = True

    def progress(self, history: History, completing: date | None, today: date) -> int:  # noqa: ARG002
        """Count the visits."""
        return len(history.visits)

    def completed_by(self, history: History, value: int) -> HeldCamp | None:
        """Take the visit of that number."""
        return history.visits[value - 1] if value <= len(history.visits) else None

    def reach(self, context: MarkContext) -> tuple[int, int]:
        """Count one more."""
        return context.visits, context.visits + 1

    def people(self, value: int) -> Select[tuple[UUID]]:
        """Add up the totals of each person."""
        sums = select(Totals.person_id).group_by(Totals.person_id)
        return sums.having(func.sum(Totals.visits) >= value)


class ConsecutiveVisits:
    """Visits in a row: the longest streak of any one site."""

    key: ClassVar[str] = "consecutive_visits"
    choice: ClassVar[str] = "Camps in a row"
    unit: ClassVar[tuple[str, str]] = ("camp", "camps")
    suffix: ClassVar[str] = " in a row"
    is_certain: ClassVar[bool] = True

    def progress(self, history: History, completing: date | None, today: date) -> int:  # noqa: ARG002
        """Take the longest streak."""
        return history.longest_streak

    def completed_by(self, history: History, value: int) -> HeldCamp | None:
        """Take the first date on which a streak was that long; of several sites, by their ids."""
        firsts = [
            (history.visit_on(site_id, streaks.reached[value - 1]), site_id)
            for site_id, streaks in history.streaks.items()
            if streaks.longest >= value
        ]
        if not firsts:
            return None
        return min(firsts, key=lambda first: (first[0].camp_date, first[1]))[0]

    def reach(self, context: MarkContext) -> tuple[int, int]:
        """Take the streak that the visit makes, where it is longer than all before."""
        return context.longest_streak, max(context.longest_streak, context.streak)

    def people(self, value: int) -> Select[tuple[UUID]]:
        """Take whoever had such a streak at any site."""
        return select(distinct(Totals.person_id)).where(Totals.longest_streak >= value)


class VisitsInYear:
    """Visits within one calendar year, by the sites' local dates. The best year counts."""

    key: ClassVar[str] = "visits_in_year"
    choice: ClassVar[str] = "Camps within a calendar year"
    unit: ClassVar[tuple[str, str]] = ("camp", "camps")
    suffix: ClassVar[str] = " within a calendar year"
    is_certain: ClassVar[bool] = False

    def progress(self, history: History, completing: date | None, today: date) -> int:
        """Count the visits of this year, or of the year in which the badge was completed."""
        year = (completing or today).year
        return sum(visit.camp_date.year == year for visit in history.visits)

    def completed_by(self, history: History, value: int) -> HeldCamp | None:
        """Take the first visit that was the one of that number in its year."""
        counts: Counter[int] = Counter()
        for visit in history.visits:
            counts[visit.camp_date.year] += 1
            if counts[visit.camp_date.year] == value:
                return visit
        return None

    def reach(self, context: MarkContext) -> tuple[int, int]:
        """Count one more in this year. An earlier year may have had as many, so it is not certain."""
        return context.visits_in_year, context.visits_in_year + 1

    def people(self, value: int) -> Select[tuple[UUID]]:
        """Count the visits of each person in each year: totals know no past years."""
        year = cast(extract("year", Attendance.camp_date), SmallInteger)
        by_year = (
            select(Attendance.person_id)
            .join(Camp, Camp.id == Attendance.camp_id)
            .where(is_visit(), held())
            .group_by(Attendance.person_id, year)
            .having(func.count() >= value)
            .subquery()
        )
        return select(distinct(by_year.c.person_id))


CRITERIA: Mapping[str, Criterion] = {
    criterion.key: criterion for criterion in (Visits(), ConsecutiveVisits(), VisitsInYear())
}


def asks(criteria_type: str, value: int) -> str:
    """Say what a badge asks for, such as ``5 camps`` or ``3 camps in a row``."""
    criterion = CRITERIA[criteria_type]
    one, many = criterion.unit
    return f"{value:,} {one if value == 1 else many}{criterion.suffix}"
