"""Staging: the rows of a history as they came, in a table of their own, before they are held against the facts.

They name sites and camps as these are called here. A row may write a name in other capitals: then it means the
site or camp that is there, and where none is, what the first row calls it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Date, Integer, Select, String, and_, case, delete, exists, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from webapp.database import analyze, clear, copy_rows, db, rows_changed, scratch
from webapp.domain import camps
from webapp.domain.accounts import Person
from webapp.domain.camps import Camp, Site, folded
from webapp.domain.history_file import Entry, Problem
from webapp.domain.uploads import UploadRow

staged = scratch(
    "staged",
    Column("line", Integer, primary_key=True),
    Column("book_no", Integer),
    Column("name", String),
    Column("site", String),
    Column("camp", String),
    Column("camp_date", Date),
    Column("camp_role", String),
    Column("state", String),
)
STAGED = ("line", "book_no", "name", "site", "camp", "camp_date", "camp_role", "state")


def stage(
    rows: Iterable[Entry | Problem], *, refuse: Callable[[Problem], object], read: Callable[[int], object]
) -> None:
    """Stage all rows of a file. ``refuse`` is handed the bad ones; ``read`` is told how many more were read."""
    clear(staged)
    default = camps.default_site().name

    def good() -> Iterator[tuple[object, ...]]:
        for row in rows:
            read(1)
            if isinstance(row, Problem):
                refuse(row)
                continue
            site = row.site or default
            role, state = row.camp_role.value, row.state.value
            yield row.line, row.book_no, row.name, site, row.camp, row.camp_date, role, state

    copy_rows(staged, STAGED, good())
    analyze(staged)
    _call_as_here()


def _call_as_here() -> None:
    _call_sites_as_here()
    _call_camps_as_here()


def _call_sites_as_here() -> None:
    unknown = select(staged.c.site).where(~exists().where(Site.name == staged.c.site)).group_by(staged.c.site)
    names = db.session.scalars(unknown.order_by(func.min(staged.c.line))).all()
    if not names:
        return
    here = {folded(name): name for name in db.session.scalars(select(Site.name))}
    for name in names:
        called = here.setdefault(folded(name), name)
        if called != name:
            db.session.execute(update(staged).where(staged.c.site == name).values(site=called))


def _call_camps_as_here() -> None:
    named = (staged.c.site, staged.c.camp_date, staged.c.camp)
    unknown = select(*named).where(~camp_is_there()).group_by(*named).order_by(func.min(staged.c.line))
    rows = db.session.execute(unknown).tuples().all()
    if not rows:
        return
    on_its_day = exists().where(staged.c.site == Site.name, staged.c.camp_date == Camp.camp_date)
    known = select(Site.name, Camp.camp_date, Camp.name).join(Site, Site.id == Camp.site_id).where(on_its_day)
    here = {(site, day, folded(name)): name for site, day, name in db.session.execute(known)}
    otherwise = defaultdict(list)
    for site, day, name in rows:
        called = here.setdefault((site, day, folded(name)), name)
        if called != name:
            otherwise[site, name, called].append(day)
    for (site, name, called), days in otherwise.items():
        these = (staged.c.site == site, staged.c.camp == name, staged.c.camp_date.in_(days))
        db.session.execute(update(staged).where(*these).values(camp=called))


def same_camp() -> ColumnElement[bool]:
    """The SQL condition that a row names this :class:`Camp` of this :class:`Site`."""
    return and_(Camp.site_id == Site.id, Camp.camp_date == staged.c.camp_date, Camp.name == staged.c.camp)


def stage_people(job_id: UUID, after: int, last: int) -> None:
    """Stage the uploaded rows of the people whose book numbers come after one, up to another."""
    _stage_uploaded(
        select(*_uploaded()).where(UploadRow.job_id == job_id, UploadRow.book_no > after, UploadRow.book_no <= last)
    )


def stage_places(job_id: UUID) -> None:
    """Stage one uploaded row of every camp."""
    line, book_no, name, site, *camp, camp_role, state = _uploaded()
    firsts = [func.min(column) for column in (line, book_no, name)]
    others = [func.min(column) for column in (camp_role, state)]
    rows = select(*firsts, site, *camp, *others).where(UploadRow.job_id == job_id).group_by(site, *camp)
    _stage_uploaded(rows)
    one_each = select(func.min(staged.c.line)).group_by(staged.c.site, staged.c.camp, staged.c.camp_date)
    db.session.execute(delete(staged).where(staged.c.line.not_in(one_each)))  # others name it in other capitals


def number_of_new_camps() -> int:
    """How many of the staged camps are not there yet."""
    missing = select(staged.c.site, staged.c.camp, staged.c.camp_date).where(~camp_is_there()).distinct()
    return db.session.scalar(select(func.count()).select_from(missing.subquery())) or 0


def number_of_new_people() -> int:
    """How many of the staged people are not there yet."""
    known = exists().where(Person.book_no == staged.c.book_no)
    return db.session.scalar(select(func.count(staged.c.book_no.distinct())).where(~known)) or 0


def number_renamed() -> int:
    """How many staged rows name somebody otherwise than is known."""
    query = select(func.count()).select_from(staged).join(Person, Person.book_no == staged.c.book_no)
    return db.session.scalar(query.where(Person.name != staged.c.name)) or 0


def number_staged() -> tuple[int, int]:
    """How many people and rows are staged."""
    people, rows = db.session.execute(select(func.count(staged.c.book_no.distinct()), func.count(staged.c.line))).one()
    return people, rows


def forget_refused(job_id: UUID, after: int, last: int) -> None:
    """Delete the uploaded rows of these people that are no longer staged."""
    rows = delete(UploadRow).where(UploadRow.job_id == job_id, UploadRow.book_no > after, UploadRow.book_no <= last)
    rows_changed(rows.where(UploadRow.line.not_in(select(staged.c.line))))


def _uploaded() -> tuple[ColumnElement[Any], ...]:
    site = case((UploadRow.site == "", camps.default_site().name), else_=UploadRow.site)
    return (
        *(UploadRow.line, UploadRow.book_no, UploadRow.name, site),  # type: ignore[return-value]
        *(UploadRow.camp, UploadRow.camp_date, UploadRow.camp_role, UploadRow.state),
    )


def _stage_uploaded(rows: Select[Any]) -> None:
    clear(staged)
    db.session.execute(insert(staged).from_select(STAGED, rows))
    analyze(staged)
    _call_as_here()


def camp_is_there() -> ColumnElement[bool]:
    """The SQL condition that the camp a row names is on the calendar, be it cancelled."""
    return exists(select(Camp.id).join(Site, Site.id == Camp.site_id).where(Site.name == staged.c.site, same_camp()))
