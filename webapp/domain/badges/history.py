"""Histories: everything badges look at in one person's attendance, on today's calendar.

A history is made of marks in order. They are read for some people at a time by :func:`read`: what is
read grows with their own marks, never with the calendar; where dates were missed is asked of an index,
between each marked date and the one before. For very many people
:mod:`webapp.domain.evaluation.bulk` reads them with the whole calendar at hand.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from datetime import date, time
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Date, Select, exists, func, null, select, union_all
from sqlalchemy.orm import aliased

from webapp.database import db
from webapp.domain.badges.streaks import Streaks, walk
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Status
from webapp.domain.models.attendance import Attendance, Step, is_marked, step_in_sql
from webapp.domain.models.totals import Figures
from webapp.domain.people.accounts import Person

VISIT = Step.VISIT


class HeldCamp(NamedTuple):
    """What a history keeps of a camp; ordered by date, time and, so that every engine agrees, by id.

    Two are the same camp whatever their places are.
    """

    camp_date: date
    start_time: time
    camp_id: UUID
    camp_name: str
    site_id: UUID
    place: int
    """Of its date on the site's calendar: neighbours differ by one, others by more."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldCamp) and self.camp_id == other.camp_id

    def __hash__(self) -> int:
        return hash(self.camp_id)


Mark = tuple[HeldCamp, Step | None]
"""A camp and what it was for one person; ``None`` for one that is only on the calendar."""


class History:
    """One person's visits and streaks, from their marks in the order of the camps."""

    def __init__(self, marks: Sequence[Mark], calendars: Mapping[UUID, calendar.Latest]) -> None:
        self.marks = marks
        self.calendars = calendars
        self.visits: Sequence[HeldCamp] = [camp for camp, step in marks if step is VISIT]

    @cached_property
    def _sites(self) -> Mapping[UUID, Sequence[tuple[HeldCamp, Step]]]:
        """The marks at each site."""
        sites: dict[UUID, list[tuple[HeldCamp, Step]]] = {}
        site_id = None
        for camp, step in self.marks:
            if step is None:
                continue
            if camp.site_id is not site_id:  # most people stay at one site: that saves a look-up
                site_id = camp.site_id
                here = sites.setdefault(site_id, [])
            here.append((camp, step))
        return sites

    @cached_property
    def streaks(self) -> Mapping[UUID, Streaks]:
        """The streaks at each site with marks."""
        return {site_id: self._walk(site_id, marks) for site_id, marks in self._sites.items()}

    def _walk(self, site_id: UUID, marks: Sequence[tuple[HeldCamp, Step]]) -> Streaks:
        places: list[int] = []
        steps: list[Step] = []
        last_place = 0
        for camp, step in marks:
            if camp.place != last_place:
                last_place = camp.place
                places.append(last_place)
                steps.append(step)
            elif step > steps[-1]:
                steps[-1] = step

        latest, last_date = self.calendars[site_id], marks[-1][0].camp_date
        if last_date == latest.today and steps[-1] == Step.MISSED:
            dates = [camp.camp_date for camp, _ in marks]
            if dates.count(latest.today) < latest.camps_today:
                places.pop()  # they can still be marked at another camp of today
                steps.pop()
                last_date = max((day for day in dates if day < latest.today), default=date.min)
        before_today = latest.before_today
        missed_since = before_today is not None and before_today > last_date
        return walk(places, steps, missed_since=missed_since)

    @property
    def longest_streak(self) -> int:
        """The longest streak of any one site, in dates."""
        return max((streaks.longest for streaks in self.streaks.values()), default=0)

    @property
    def current_streak(self) -> int:
        """The longest streak of any one site that is not broken yet, in dates."""
        return max((streaks.current for streaks in self.streaks.values()), default=0)

    def visit_on(self, site_id: UUID, place: int) -> HeldCamp:
        """Find the first visit on a date of a site, by its place on the calendar."""
        return next(visit for visit in self.visits if visit.place == place and visit.site_id == site_id)

    def figures(self) -> dict[UUID, Figures]:
        """Work out what :class:`Totals` keeps, at each site with marks."""
        figures = {}
        of_sites = zip(self._sites.items(), self.streaks.values(), strict=True)
        for (site_id, marks), streaks in of_sites:
            dates = [camp.camp_date for camp, step in marks if step is VISIT]
            last = dates[-1] if dates else None
            in_year = len(dates) - bisect_left(dates, date(last.year, 1, 1)) if last else 0
            figures[site_id] = Figures(len(dates), streaks.longest, streaks.at_last_visit, last, in_year)
        return figures

    def changed(self, camp_id: UUID, step: Step | None) -> "History":
        """Make the history as it would be with another step at a camp that is among the marks."""
        marks = [(camp, step if camp.camp_id == camp_id else known) for camp, known in self.marks]
        return History(marks, self.calendars)


def of_person(person_id: UUID) -> History:
    """Read one person's history, on today's calendar."""
    return read([person_id])[person_id]


def read(person_ids: Collection[UUID], at: Camp | None = None) -> dict[UUID, History]:
    """Read the histories of some people; the number of queries does not depend on theirs.

    With a camp ``at`` which, it is among everybody's marks, marked or not, so that a change of the mark there
    can be thought through with :meth:`History.changed`.
    """
    is_held = calendar.held()
    marked = (
        select(
            Attendance.person_id,
            step_in_sql().label("step"),
            Camp.camp_date,
            Camp.start_time,
            Camp.id,
            Camp.name,
            Camp.site_id,
        )
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(Attendance.person_id.in_(person_ids), is_marked(), is_held)
    )
    rows = union_all(marked, _unmarked(person_ids, at).where(is_held)) if at else marked
    stored = rows.subquery()
    in_order = stored.c.camp_date, stored.c.start_time, stored.c.id
    before = func.lag(stored.c.camp_date, type_=Date).over(
        partition_by=(stored.c.person_id, stored.c.site_id), order_by=in_order
    )
    placed = select(stored, before.label("before")).subquery()
    between = aliased(Camp)
    missed = exists().where(
        between.site_id == placed.c.site_id,
        between.status == Status.SCHEDULED,
        between.camp_date > placed.c.before,
        between.camp_date < placed.c.camp_date,
    )
    by_site = placed.c.person_id, placed.c.site_id
    query = select(placed, missed).order_by(*by_site, placed.c.camp_date, placed.c.start_time, placed.c.id)

    marks: dict[UUID, list[Mark]] = {person_id: [] for person_id in person_ids}
    sites: set[UUID] = set()
    several_sites: set[UUID] = set()
    last = person_id, site_id = UUID(int=0), UUID(int=0)
    place = 0
    # Unpacked, since looking up each column of a row by its name took a third of the reading.
    for whose, step, day, start, camp_id, name, where, day_before, is_missed in db.session.execute(query):
        if last != (whose, where):
            if whose == person_id:
                several_sites.add(whose)
            last = person_id, site_id = whose, where
            sites.add(site_id)
            place = 0
        if day_before != day:
            place += 2 if is_missed else 1
        camp = HeldCamp(day, start, camp_id, name, site_id, place)
        marks[person_id].append((camp, None if step is None else _STEPS[step]))

    for person_id in several_sites:
        marks[person_id].sort(key=itemgetter(0))
    calendars = calendar.latest_of(sites)
    return {person_id: History(of_one, calendars) for person_id, of_one in marks.items()}


_STEPS = {int(step): step for step in Step}


def _unmarked(person_ids: Collection[UUID], camp: Camp) -> Select[Any]:
    """Build the rows of people who have no mark at a camp, held or not, as :func:`read` reads them."""
    marked_there = exists().where(
        Attendance.person_id == Person.id,
        Attendance.site_id == camp.site_id,
        Attendance.camp_date == camp.camp_date,
        Attendance.camp_id == camp.id,
        is_marked(),
    )
    return (
        select(
            Person.id,
            null(),
            Camp.camp_date,
            Camp.start_time,
            Camp.id,
            Camp.name,
            Camp.site_id,
        )
        .join(Camp, Camp.id == camp.id)
        .where(Person.id.in_(person_ids), ~marked_there)
    )
