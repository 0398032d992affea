"""Staging: the rows of a history in temporary tables, before they are compared with the facts.

The camps that rows name lie in a table of their own, once for each way they are written. There they
are given the names they have here, and their ids; the rows refer to them by a number. A row may
write a name in other capitals: then it means the site or camp that is there, and where none is,
what the first row calls it.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    Integer,
    PrimaryKeyConstraint,
    Select,
    String,
    UniqueConstraint,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from webapp.database import analyze, clear, copy_rows, db, for_many, rows_changed, scratch
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site, folded
from webapp.domain.import_export.history_file import Entry, Problem
from webapp.domain.import_export.uploads import UploadRow
from webapp.domain.people.accounts import Person

MANY = 20_000  # staged rows; PostgreSQL compares more of them in larger memory

filed = scratch(
    "filed",  # as they came
    Column("line", Integer),
    Column("book_no", Integer),
    Column("name", String),
    Column("site", String),
    Column("camp", String),
    Column("camp_date", Date),
    Column("camp_role", String),
    Column("state", String),
)
named_camp = scratch(
    "named_camp",
    Column("line", Integer, primary_key=True),  # the first that writes it so
    Column("written_site", String),
    Column("written_camp", String),
    Column("camp_date", Date),
    Column("site", String),
    Column("camp", String),
    Column("number", Integer),  # the first line that means the same camp
    Column("site_id", Uuid),
    Column("camp_id", Uuid),
    UniqueConstraint("written_site", "camp_date", "written_camp"),
)
staged = scratch(
    "staged",
    Column("line", Integer),
    Column("book_no", Integer),
    Column("name", String),
    Column("camp_no", Integer),  # the number of the camp, which also is the line of one named_camp
    Column("camp_role", String),
    Column("state", String),
    # Of a million rows PostgreSQL looks up none by its line.
    PrimaryKeyConstraint("line").ddl_if(dialect="sqlite"),
)


def stage(
    rows: Iterable[Entry | Problem],
    *,
    refuse: Callable[[Problem], object],
    read: Callable[[int], object],
) -> None:
    """Stage all rows of a file. Hand bad ones to ``refuse``; tell ``read`` how many were read."""
    clear(filed)
    default = calendar.default_site().name
    number = 0

    def good() -> Iterator[tuple[object, ...]]:
        nonlocal number
        for row in rows:
            read(1)
            if isinstance(row, Problem):
                refuse(row)
                continue
            number += 1
            site = row.site or default
            role, state = row.camp_role.value, row.state.value
            yield row.line, row.book_no, row.name, site, row.camp, row.camp_date, role, state

    copy_rows(filed, filed.c.keys(), good())
    if number >= MANY:
        for_many()
    _stage()


def _stage() -> None:
    """Stage the rows that are filed: find the camps they name, then let them refer to these."""
    analyze(filed)
    clear(named_camp, staged)
    written = filed.c.site, filed.c.camp, filed.c.camp_date
    line = func.min(filed.c.line)
    columns = ("written_site", "written_camp", "camp_date", "line", "number", "site", "camp")
    rows = select(*written, line, line, filed.c.site, filed.c.camp).group_by(*written)
    db.session.execute(insert(named_camp).from_select(columns, rows))
    _call_sites_as_here()
    _call_camps_as_here()
    find_camps()
    analyze(named_camp)
    row = filed.c.line, filed.c.book_no, filed.c.name, named_camp.c.number
    is_written_so = and_(
        named_camp.c.written_site == filed.c.site,
        named_camp.c.camp_date == filed.c.camp_date,
        named_camp.c.written_camp == filed.c.camp,
    )
    rows = select(*row, filed.c.camp_role, filed.c.state).join(named_camp, is_written_so)
    db.session.execute(insert(staged).from_select(staged.c.keys(), rows))
    analyze(staged)


def _call_sites_as_here() -> None:
    is_known = exists().where(Site.name == named_camp.c.site)
    unknown = select(named_camp.c.site).where(~is_known).group_by(named_camp.c.site)
    names = db.session.scalars(unknown.order_by(func.min(named_camp.c.line))).all()
    if not names:
        return
    here = {folded(name): name for name in db.session.scalars(select(Site.name))}
    for name in names:
        called = here.setdefault(folded(name), name)
        if called != name:
            of_site = named_camp.c.site == name
            db.session.execute(update(named_camp).where(of_site).values(site=called))


def _call_camps_as_here() -> None:
    """Give camps that are written in several ways one name and number, date after date."""
    site, day = named_camp.c.site, named_camp.c.camp_date
    there = (
        select(Site.name, Camp.camp_date, literal(0), Camp.name)
        .join(Site, Site.id == Camp.site_id)
        .join(named_camp, and_(site == Site.name, day == Camp.camp_date))
        .distinct()
    )
    written = select(site, day, named_camp.c.line.label("line"), named_camp.c.camp)
    in_order = union_all(written, there).order_by("site", "camp_date", "line")
    rows = db.session.execute(in_order, execution_options={"yield_per": 5_000}).tuples()
    otherwise = []
    for _, of_date in groupby(rows, key=itemgetter(0, 1)):
        here: dict[str, str] = {}
        numbers: dict[str, int] = {}
        known = set()
        for _, _, line, name in of_date:
            if not line:
                known.add(name)
            called = name if name in known else here.get(folded(name), name)
            here.setdefault(folded(name), name)
            number = numbers.setdefault(called, line) if line else 0
            if called != name or number != line:
                otherwise.append({"first": line, "called": called, "same_as": number})
    if otherwise:
        is_first = named_camp.c.line == bindparam("first")
        values: Any = {"camp": bindparam("called"), "number": bindparam("same_as")}
        db.session.execute(update(named_camp).where(is_first).values(values), otherwise)


def find_camps() -> None:
    """Note the ids of the named sites and camps that are there."""
    here = Site.name == named_camp.c.site
    site_id = select(Site.id).where(here).scalar_subquery()
    same = here, Camp.camp_date == named_camp.c.camp_date, Camp.name == named_camp.c.camp
    camp_id = select(Camp.id).join(Site, Site.id == Camp.site_id).where(*same).scalar_subquery()
    unknown = update(named_camp).where(named_camp.c.camp_id.is_(None))
    db.session.execute(unknown.values(site_id=site_id, camp_id=camp_id))


def is_missing() -> ColumnElement[bool]:
    """The SQL condition that a :data:`named_camp` is not on the calendar; once for each camp."""
    return and_(named_camp.c.line == named_camp.c.number, named_camp.c.camp_id.is_(None))


def drop(lines: Select[tuple[int]]) -> None:
    """Drop staged rows, by a query of their lines, and the camps that no other row names."""
    db.session.execute(delete(staged).where(staged.c.line.in_(lines)))
    is_named = named_camp.c.number.in_(select(staged.c.camp_no))
    db.session.execute(delete(named_camp).where(~is_named))


def stage_people(job_id: UUID, after: int, last: int) -> None:
    """Stage the uploaded rows of the people with book numbers after one, up to another."""
    of_people = UploadRow.book_no > after, UploadRow.book_no <= last
    _stage_uploaded(select(*_uploaded()).where(UploadRow.job_id == job_id, *of_people))


def stage_places(job_id: UUID) -> None:
    """Stage one uploaded row of every camp."""
    line, book_no, name, site, *camp, camp_role, state = _uploaded()
    firsts = [func.min(column) for column in (line, book_no, name)]
    others = [func.min(column) for column in (camp_role, state)]
    rows = select(*firsts, site, *camp, *others).where(UploadRow.job_id == job_id)
    _stage_uploaded(rows.group_by(site, *camp))
    # Others name it in other capitals.
    db.session.execute(delete(staged).where(staged.c.line != staged.c.camp_no))


def number_of_new_camps() -> int:
    """Return how many of the staged camps are not there yet."""
    return db.session.scalar(select(func.count()).where(is_missing())) or 0


def number_of_new_people() -> int:
    """Return how many of the staged people are not there yet."""
    known = exists().where(Person.book_no == staged.c.book_no)
    return db.session.scalar(select(func.count(staged.c.book_no.distinct())).where(~known)) or 0


def number_renamed() -> int:
    """Return how many staged rows name somebody otherwise than is known."""
    is_renamed = and_(Person.book_no == staged.c.book_no, Person.name != staged.c.name)
    query = select(func.count()).select_from(staged).join(Person, is_renamed)
    return db.session.scalar(query) or 0


def number_staged() -> tuple[int, int]:
    """Return how many people and rows are staged."""
    numbers = select(func.count(staged.c.book_no.distinct()), func.count(staged.c.line))
    people, rows = db.session.execute(numbers).one()
    return people, rows


def forget_refused(job_id: UUID, after: int, last: int) -> None:
    """Delete the uploaded rows of these people that are no longer staged."""
    of_people = UploadRow.book_no > after, UploadRow.book_no <= last
    rows = delete(UploadRow).where(UploadRow.job_id == job_id, *of_people)
    rows_changed(rows.where(UploadRow.line.not_in(select(staged.c.line))))


def _uploaded() -> tuple[ColumnElement[Any], ...]:
    site = case((UploadRow.site == "", calendar.default_site().name), else_=UploadRow.site)
    return (
        *(UploadRow.line, UploadRow.book_no, UploadRow.name, site),  # type: ignore[return-value]
        *(UploadRow.camp, UploadRow.camp_date, UploadRow.camp_role, UploadRow.state),
    )


def _stage_uploaded(rows: Select[Any]) -> None:
    clear(filed)
    db.session.execute(insert(filed).from_select(filed.c.keys(), rows))
    _stage()
