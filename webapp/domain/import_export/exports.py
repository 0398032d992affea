"""Exports: people, attendance and standings, row by row as they are read.

The attendance is in the format of the import: read into an empty installation it gives the same visits, runs,
badges and standings. What that format cannot say is left out: cancelled camps with their rows, start times,
reasons, and badges that stand though today's calendar or definitions would not give them.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import aliased

from webapp.database import db
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site, Status
from webapp.domain.import_export.history_file import STATES
from webapp.domain.leaderboard import boards
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.board import Board
from webapp.domain.people.accounts import Person

AT_ONCE = 1_000  # rows fetched at a time
PEOPLE = ("book_no", "name", "role", "active")
STANDINGS = ("rank", "book_no", "name", "visits", "longest_streak", "current_streak", "badges")
SAID = {state: word for word, state in STATES.items()}

Row = tuple[object, ...]


def people() -> Iterator[Row]:
    """Everybody by book number, in the order of :data:`PEOPLE`."""
    query = select(Person.book_no, Person.name, Person.role, Person.is_active).order_by(Person.book_no)
    for book_no, name, role, is_active in _rows(query):
        yield book_no, name, role.value, "yes" if is_active else "no"


def names_sites() -> bool:
    """Whether an export of attendance needs to say of which site each camp is: where the only one that has
    camps is where rows without a site go, it does not.
    """
    only = calendar.sites_with_camps()
    return len(only) > 1 or any(site.id != calendar.default_site().id for site in only)


def attendance_header(*, with_site: bool) -> tuple[str, ...]:
    """The names of the columns of :func:`attendance`."""
    return ("book_no", "name", *(("site",) if with_site else ()), "camp", "camp_date", "camp_role", "attended")


def attendance(*, with_site: bool) -> Iterator[Row]:
    """What is stored of everybody at the camps that are on the calendar, by book number."""

    def row(book_no: int, name: str, site: str, camp: str, day: date, role: CampRole, state: State) -> Row:
        return book_no, name, *((site,) if with_site else ()), camp, day.isoformat(), role.value, SAID[state]

    query = (
        select(
            Person.book_no, Person.name, Site.name, Camp.name, Camp.camp_date, Attendance.camp_role, Attendance.state
        )
        .select_from(Person)
        .join(Attendance, Attendance.person_id == Person.id)
        .join(Camp, Camp.id == Attendance.camp_id)
        .join(Site, Site.id == Camp.site_id)
        .where(Camp.status == Status.SCHEDULED)
        .order_by(Person.book_no, Attendance.site_id, Attendance.camp_date, Attendance.camp_id)
    )
    first: tuple[int, str] | None = None
    for found in _rows(query):
        first = first or (found[0], found[1])
        yield row(*found)
    if first:
        # A camp is on the calendar once a row names it. Nobody came here, which broke everybody's run: it is
        # named as a sign-up, which counts for nothing.
        for site, camp, day in _rows(_camps_of_nobody()):
            yield row(*first, site, camp, day, CampRole.VOLUNTEER, State.EXPECTED)


def standings(board: Board) -> Iterator[Row]:
    """Export a board, in the order of :data:`STANDINGS`."""
    for exported in boards.export(board):
        line, person = exported.line, exported.line.person
        badges = ";".join(badge.name for badge in line.badges)
        figures = (line.visits, line.longest_streak, exported.current_streak)
        yield line.rank, person.book_no, person.name, *figures, badges


def _camps_of_nobody() -> Select[tuple[str, str, date]]:
    """One camp for each date of a site's calendar on which nothing is stored of anybody."""
    other = aliased(Camp)
    somebody = exists().where(
        other.site_id == Camp.site_id,
        other.camp_date == Camp.camp_date,
        other.status == Status.SCHEDULED,
        Attendance.camp_id == other.id,
    )
    return (
        select(Site.name, func.min(Camp.name), Camp.camp_date)
        .join(Site, Site.id == Camp.site_id)
        .where(calendar.held(), ~somebody)
        .group_by(Site.name, Camp.camp_date)
        .order_by(Site.name, Camp.camp_date)
    )


def _rows(query: Select[Any]) -> Iterator[Any]:
    return iter(db.session.execute(query.execution_options(yield_per=AT_ONCE)))
