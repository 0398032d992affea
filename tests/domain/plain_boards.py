"""The leaderboards once more, as plainly as they can be said, from attendance alone.

Everything that was marked is read once; each person is then walked through each held date of each site.
Totals, boards and awards are not looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import product
from uuid import UUID

from sqlalchemy import select

from tests.domain.plain import BADGES
from webapp.database import db
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, RECENT, Key, RankBy
from webapp.domain.models.attendance import Attendance
from webapp.domain.people.accounts import Person, fold

Visit = tuple[date, object, UUID, UUID]
"""Date, start, camp and site."""


def is_recent(day: date, today: date) -> bool:
    """Whether the same date a year on is still to come."""
    return (day.year + 1, day.month, day.day) > (today.year, today.month, today.day)


@dataclass(frozen=True)
class PlainLine:
    rank: int
    book_no: int
    visits: int
    longest_streak: int
    badges: int


class PlainBoards:
    """What is marked now, and every board that it makes, with ``badges`` by name, criteria and value."""

    def __init__(self, badges: Sequence[tuple[str, str, int]] = BADGES) -> None:
        self.definitions = badges
        db.session.expire_all()
        self.people = {person.id: person for person in db.session.scalars(select(Person))}
        self.today = {site.id: site.today for site in db.session.scalars(select(Site))}
        self.calendar: dict[UUID, set[date]] = defaultdict(set)
        self.visits: dict[UUID, list[Visit]] = defaultdict(list)
        self.kinds: dict[UUID, dict[tuple[UUID, date], set[tuple[str, str]]]] = defaultdict(lambda: defaultdict(set))
        camps = {}
        for camp_id, site_id, day, start, status in db.session.execute(
            select(Camp.id, Camp.site_id, Camp.camp_date, Camp.start_time, Camp.status)
        ):
            if status == "scheduled" and day <= self.today[site_id]:
                camps[camp_id] = site_id, day, start
                self.calendar[site_id].add(day)
        for person_id, camp_id, state, role in db.session.execute(
            select(Attendance.person_id, Attendance.camp_id, Attendance.state, Attendance.camp_role)
        ):
            if camp_id in camps and state != "expected":
                site_id, day, start = camps[camp_id]
                self.kinds[person_id][site_id, day].add((state, role))
                if (state, role) == ("present", "volunteer"):
                    self.visits[person_id].append((day, start, camp_id, site_id))
        for of_one in self.visits.values():
            of_one.sort()
        self.badges = {person_id: self._badges(person_id) for person_id in self.visits}
        self.lines = cache(self._lines)

    def _run_dates(self, who: UUID, site: UUID, counts: Callable[[date], bool]) -> Iterable[tuple[int, date]]:
        """How long the run is on each date of a site that counts."""
        run = 0
        for day in sorted(filter(counts, self.calendar[site])):
            kinds = self.kinds[who].get((site, day), set())
            if ("present", "volunteer") in kinds:
                run += 1
                yield run, day
            elif not any(state in ("present", "excused") for state, _ in kinds):
                run = 0

    def _badges(self, who: UUID) -> dict[str, Visit]:
        """Each badge with the visit that completed it."""
        earned = {}
        visits = self.visits[who]
        sites = {site for *_, site in visits}
        for name, criteria, value in self.definitions:
            if criteria == "visits" and len(visits) >= value:
                earned[name] = visits[value - 1]
            elif criteria == "consecutive_visits":
                reached = [
                    (day, site) for site in sites for run, day in self._run_dates(who, site, bool) if run == value
                ]
                if reached:
                    day, site = min(reached)
                    earned[name] = min(visit for visit in visits if visit[0] == day and visit[3] == site)
        return earned

    def counts(self, board: Key, site: UUID, day: date) -> bool:
        """Whether what was at a site on a date is on a board."""
        if board.site_id not in (EVERYWHERE, site):
            return False
        if board.period == RECENT:
            return is_recent(day, self.today[site])
        return board.period == ALL_TIME or day.year == board.period

    def figures(self, who: UUID, board: Key) -> tuple[int, int, int]:
        """Visits, longest streak and badges of one person."""
        visits = [visit for visit in self.visits.get(who, ()) if self.counts(board, visit[3], visit[0])]
        longest = 0
        for site in {visit[3] for visit in visits}:
            runs = self._run_dates(who, site, lambda day, site=site: self.counts(board, site, day))  # type: ignore[misc]
            longest = max(longest, *(run for run, _ in runs))
        earned = self.badges.get(who, {}).values()
        return len(visits), longest, sum(self.counts(board, visit[3], visit[0]) for visit in earned)

    def _lines(self, board: Key) -> list[PlainLine]:
        """A whole board in its order."""
        on_it = []
        for person in self.people.values():
            if person.role != "volunteer" or not person.is_active or person.opted_out:
                continue
            figures = self.figures(person.id, board)
            if any(figures) or (board.site_id, board.period) == (EVERYWHERE, ALL_TIME):
                on_it.append((-figures[list(RankBy).index(board.rank_by)], fold(person.name), person.book_no, figures))
        on_it.sort()
        first: dict[int, int] = {}
        for place, (value, *_) in enumerate(on_it):
            first.setdefault(value, place + 1)
        return [PlainLine(first[value], book_no, *figures) for value, _, book_no, figures in on_it]

    def boards(self) -> list[Key]:
        """Every board that could have somebody on it, and one that has nobody, in each order."""
        years = {day.year for days in self.calendar.values() for day in days} | {1999}
        periods = [ALL_TIME, RECENT, *sorted(years)]
        return [Key(*each) for each in product((EVERYWHERE, *self.today), periods, RankBy)]
