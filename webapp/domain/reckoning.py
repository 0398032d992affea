"""Reckoning: what attendance alone gives many people, worked out in SQL: visits, figures, badges due.

The rule of a streak stands in :mod:`webapp.domain.streaks`; here it is said once more in the database's
words, for a million people as for one, and a test holds the two together. What is worked out lies in temporary
tables; :mod:`webapp.domain.settling` holds it against what is kept.

People are taken in slices by id, so that memory does not grow with the organisation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    Column,
    CompoundSelect,
    Date,
    Integer,
    PrimaryKeyConstraint,
    Select,
    SmallInteger,
    String,
    Table,
    Time,
    Uuid,
    and_,
    case,
    cast,
    delete,
    extract,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement, SQLColumnExpression

from webapp.database import analyze, clear, db, for_many, rows_changed, scratch
from webapp.domain import badges, camps, histories
from webapp.domain.accounts import Person, listed
from webapp.domain.badges import Asked, Award, Badge, Criteria, Definition
from webapp.domain.camps import Camp, Site
from webapp.domain.records import Attendance, State, is_marked, is_visit
from webapp.domain.standings import ALL_TIME, EVERYWHERE, RECENT
from webapp.domain.streaks import Step

SLICE = 20_000  # people; with 20 camps each their marks take some 100 MB to sort
WALKED = 500  # people whose histories are read at a time
MANY = 200  # people or rows; from here on it is worth telling the planner how many there are
SPARSE = 20  # where only one in so many is chosen, their rows are looked up one by one

chosen = scratch("chosen", Column("person_id", Uuid, primary_key=True))
visit = scratch(
    "visit",
    Column("person_id", Uuid),
    Column("site_id", Uuid),
    Column("camp_date", Date),
    Column("visits", Integer),
    Column("stretch", Integer),
    Column("run", Integer),
    Column("year", SmallInteger),
    Column("run_of_year", Integer),
    Column("is_recent", Boolean),
    Column("run_of_recent", Integer),
)
figure = scratch(
    "figure",
    Column("person_id", Uuid),
    Column("site_id", Uuid),
    Column("period", SmallInteger),
    Column("visits", Integer),
    Column("longest_streak", Integer),
    Column("badges", Integer),
    Column("run", Integer),
    Column("last_visit", Date),
    Column("search_name", String),
    Column("book_no", Integer),
    Column("is_listed", Boolean),
    # PostgreSQL compares the whole of it with what is kept, and needs no index for that.
    PrimaryKeyConstraint("person_id", "site_id", "period").ddl_if(dialect="sqlite"),
)
attended = scratch(
    "attended",
    Column("person_id", Uuid),
    Column("site_id", Uuid),
    Column("camp_date", Date),
    Column("camp_id", Uuid),
    Column("start_time", Time),
    Column("number", Integer),
)
due = scratch(
    "due",
    Column("person_id", Uuid, primary_key=True),
    Column("badge_id", Uuid, primary_key=True),
    Column("camp_id", Uuid),
    Column("version", Integer),
)


@dataclass(frozen=True, slots=True)
class Slice:
    """The people chosen at present: how many, and between which ids. The bounds are for the indexes."""

    number: int
    first: UUID
    last: UUID


def choose(after: UUID | None, people: Select[tuple[UUID]] | None, *, most: int, lock: bool = False) -> Slice | None:
    """Choose the next slice of people after an id, and find their visits; nothing where there is nobody."""
    clear(chosen, visit, figure)
    ids = select(Person.id).order_by(Person.id).limit(most)
    if after:
        ids = ids.where(Person.id > after)
    if people is not None:
        ids = ids.where(Person.id.in_(people))
    if lock:
        ids = ids.with_for_update(key_share=True)
    number = rows_changed(insert(chosen).from_select(["person_id"], ids))
    if not number:
        return None
    # Not min() and max(): PostgreSQL has none of ids before version 18.
    ends = select(chosen.c.person_id).limit(1)
    first = db.session.scalars(ends.order_by(chosen.c.person_id)).one()
    among = Slice(number, first, db.session.scalars(ends.order_by(chosen.c.person_id.desc())).one())
    if number >= MANY:
        analyze(chosen)
        if _is_dense(among):
            for_many()
    _fill_visits(among)
    return among


def slices(people: Select[tuple[UUID]] | None) -> Iterator[Slice]:
    """Choose one slice after the other, of people (a query for their ids) or of everybody."""
    among = choose(None, people, most=SLICE)
    while among:
        yield among
        among = choose(among.last, people, most=SLICE) if among.number == SLICE else None


def _is_dense(among: Slice) -> bool:
    """Whether the chosen are many of those between the first and the last, so that what is stored between may be
    read from end to end.
    """
    between = select(Person.id).where(Person.id.between(among.first, among.last)).limit(among.number * SPARSE)
    return (db.session.scalar(select(func.count()).select_from(between.subquery())) or 0) < among.number * SPARSE


def _fill(table: Table, rows: Select[Any] | CompoundSelect[Any]) -> None:
    """Insert rows, in the order of the table's columns; the planner is told where they are many."""
    if rows_changed(insert(table).from_select(table.c.keys(), rows)) >= MANY:
        analyze(table)


def is_chosen(person_id: Any, among: Slice) -> ColumnElement[bool]:
    """The SQL condition that a column names one of the people of a slice."""
    return and_(person_id.between(among.first, among.last), person_id.in_(select(chosen.c.person_id)))


# --- the rule, in SQL ----------------------------------------------------------------------------


def _fill_visits(among: Slice) -> None:
    """Find every date of every site with a visit of the chosen people: how many ``visits``, the number of the
    ``stretch`` it belongs to, which goes up wherever the run is broken (:func:`streaks.after`), and how long the
    run is by then, in all and by what of it lies in the same period.
    """
    place = func.dense_rank().over(partition_by=Camp.site_id, order_by=Camp.camp_date)
    calendar = (
        select(Camp.id, place.label("place"), Site.recent_from)
        .join(Site, Site.id == Camp.site_id)
        .where(camps.held())
        .subquery()
    )
    visited = is_visit()
    skipped = Attendance.state.in_((State.PRESENT, State.EXCUSED))
    step = case((visited, Step.VISIT), (skipped, Step.SKIPPED), else_=Step.MISSED)
    dates = (
        select(
            Attendance.person_id,
            Attendance.site_id,
            Attendance.camp_date,
            func.max(step).label("step"),
            func.sum(case((visited, 1), else_=0)).label("visits"),
            func.min(calendar.c.place).label("place"),
            func.min(calendar.c.recent_from).label("recent_from"),
        )
        .join(calendar, calendar.c.id == Attendance.camp_id)
        .where(is_chosen(Attendance.person_id, among), is_marked())
        .group_by(Attendance.person_id, Attendance.site_id, Attendance.camp_date)
        .subquery()
    )
    before = func.lag(dates.c.place).over(partition_by=(dates.c.person_id, dates.c.site_id), order_by=dates.c.camp_date)
    gap = dates.c.place != before + 1
    placed = select(dates, case((or_(dates.c.step == Step.MISSED, gap), 1), else_=0).label("breaks")).subquery()
    breaks_so_far = func.sum(placed.c.breaks).over(
        partition_by=(placed.c.person_id, placed.c.site_id), order_by=placed.c.camp_date
    )
    stretches = select(placed, breaks_so_far.label("stretch")).subquery()
    year = _year(stretches.c.camp_date).label("year")
    is_recent = (stretches.c.camp_date >= stretches.c.recent_from).label("is_recent")
    on_date = select(stretches, year, is_recent).where(stretches.c.step == Step.VISIT).subquery()

    def length(*of_period: ColumnElement[Any]) -> ColumnElement[int]:
        stretch = on_date.c.person_id, on_date.c.site_id, on_date.c.stretch
        return func.row_number().over(partition_by=(*stretch, *of_period), order_by=on_date.c.camp_date)

    runs = {"run": length(), "run_of_year": length(on_date.c.year), "run_of_recent": length(on_date.c.is_recent)}
    rows = select(*({**on_date.c, **runs}[name] for name in visit.c.keys()))  # noqa: SIM118 - columns are no mapping
    _fill(visit, rows)


def fill_figures(among: Slice) -> None:
    """Work out the figures of the chosen people on each board."""
    came = union_all(
        _of_period(_period(ALL_TIME), visit.c.run),
        _of_period(visit.c.year, visit.c.run_of_year),
        _of_period(_period(RECENT), visit.c.run_of_recent).where(visit.c.is_recent),
    ).cte("came")
    earned = _badges_earned(among)
    none = literal(0)
    rows = union_all(
        select(
            came.c.person_id,
            came.c.site_id,
            came.c.period,
            came.c.visits,
            came.c.longest,
            none,
            came.c.run,
            came.c.last,
        ),
        select(
            came.c.person_id,
            literal(EVERYWHERE, Uuid),
            came.c.period,
            came.c.visits,
            came.c.longest,
            none,
            none,
            came.c.last,
        ),
        select(earned.c.person_id, earned.c.site_id, earned.c.period, none, none, earned.c.number, none, null()),
        select(
            earned.c.person_id, literal(EVERYWHERE, Uuid), earned.c.period, none, none, earned.c.number, none, null()
        ),
        select(chosen.c.person_id, literal(EVERYWHERE, Uuid), _period(ALL_TIME), none, none, none, none, null()),
    ).subquery()
    key, (visits, longest, number, run, last) = list(rows.c)[:3], list(rows.c)[3:]
    summed = select(*key, func.sum(visits), func.max(longest), func.sum(number), func.max(run), func.max(last))
    worked_out = summed.group_by(*key).subquery()
    person = Person.search_name, Person.book_no, listed()
    complete = select(worked_out, *person).join(Person, Person.id == worked_out.c.person_id)
    _fill(figure, complete)


def _of_period(period: ColumnElement[int], run: ColumnElement[int]) -> Select[Any]:
    """What the visits of the chosen people come to in a period, at each site."""
    key = [visit.c.person_id, visit.c.site_id, *([period] if period is visit.c.year else [])]
    # The run that ends with the last visit is of the last stretch. Its number leads, so that the maximum finds it.
    leads = literal(1 << 20, BigInteger)
    last_run = func.max(visit.c.stretch * leads + run) % leads
    return select(
        visit.c.person_id,
        visit.c.site_id,
        period.label("period"),
        cast(func.sum(visit.c.visits), Integer).label("visits"),
        func.max(run).label("longest"),
        last_run.label("run"),
        func.max(visit.c.camp_date).label("last"),
    ).group_by(*key)


def _badges_earned(among: Slice) -> CTE:
    """How many badges the chosen people earned on each board of a site: where and when each was completed."""
    held = (
        select(
            Award.person_id,
            Camp.site_id,
            _year(Camp.camp_date).label("year"),
            (Camp.camp_date >= Site.recent_from).label("recent"),
        )
        .join(Camp, Camp.id == Award.camp_id)
        .join(Site, Site.id == Camp.site_id)
        .where(is_chosen(Award.person_id, among), Award.revoked_at.is_(None))
        .cte("held")
    )
    key = held.c.person_id, held.c.site_id
    number = cast(func.count(), Integer).label("number")
    return union_all(
        select(*key, _period(ALL_TIME).label("period"), number).group_by(*key),
        select(*key, held.c.year, number).group_by(*key, held.c.year),
        select(*key, _period(RECENT), number).where(held.c.recent).group_by(*key),
    ).cte("earned")


# PostgreSQL takes a year, and a sum of sums, for numbers with decimals: to group by them and add them up takes longer.


def _year(day: SQLColumnExpression[date]) -> ColumnElement[int]:
    return cast(extract("year", day), SmallInteger)


def _period(period: int) -> ColumnElement[int]:
    return literal(period, SmallInteger)


def fill_due(among: Slice) -> None:
    """Work out which badges the chosen people have reached, and which visit completed each."""
    clear(attended, due)
    in_order = Camp.camp_date, Camp.start_time, Camp.id
    visits = (
        select(
            Attendance.person_id,
            Attendance.site_id,
            Attendance.camp_date,
            Attendance.camp_id,
            Camp.start_time,
            func.row_number().over(partition_by=Attendance.person_id, order_by=in_order),
        )
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(is_chosen(Attendance.person_id, among), is_marked(), camps.held(), is_visit())
    )
    _fill(attended, visits)
    # Of several runs that got as long, the first; of several visits on its date too.
    first = func.row_number().over(
        partition_by=(visit.c.person_id, Badge.id),
        order_by=(visit.c.camp_date, visit.c.site_id, attended.c.start_time, attended.c.camp_id),
    )
    there = and_(
        attended.c.person_id == visit.c.person_id,
        attended.c.site_id == visit.c.site_id,
        attended.c.camp_date == visit.c.camp_date,
    )
    candidates = (
        select(visit.c.person_id, Badge.id.label("badge_id"), attended.c.camp_id, Badge.version, first.label("place"))
        .join(Badge, and_(Badge.criteria_value == visit.c.run, Badge.criteria_type == Criteria.CONSECUTIVE_VISITS))
        .join(attended, there)
        .where(Badge.is_active)
        .subquery()
    )
    by_visits = (
        select(attended.c.person_id, Badge.id, attended.c.camp_id, Badge.version)
        .join(Badge, and_(Badge.criteria_value == attended.c.number, Badge.criteria_type == Criteria.VISITS))
        .where(Badge.is_active)
    )
    by_runs = select(*(candidates.c[name] for name in due.c.keys())).where(candidates.c.place == 1)  # noqa: SIM118
    _fill(due, union_all(by_visits, by_runs))
    _fill_due_of_old(among)


def _fill_due_of_old(among: Slice) -> None:
    """An award that was taken away is due again by what was asked when it was earned, also where something else
    is asked now, or the badge is retired (:func:`badges.settle`). There are few, so each is walked.
    """
    is_old = or_(~Badge.is_active, Award.version != Badge.version)
    query = (
        select(Award.person_id, Award.badge_id, Award.version, Definition.criteria_type, Definition.criteria_value)
        .join(Badge, Badge.id == Award.badge_id)
        .join(Definition, badges.own_definition())
        .where(is_chosen(Award.person_id, among), Award.revoked_at.is_not(None), is_old)
    )
    old: dict[UUID, list[tuple[UUID, int, Asked]]] = {}
    for person_id, badge_id, version, *of_then in db.session.execute(query):
        old.setdefault(person_id, []).append((badge_id, version, Asked(*of_then)))
    ids = list(old)
    for start in range(0, len(ids), WALKED):
        for person_id, history in histories.histories_of(ids[start : start + WALKED]).items():
            for badge_id, version, asked in old[person_id]:
                completing = history.completed_by(*asked)
                if completing:
                    key = {"person_id": person_id, "badge_id": badge_id}
                    db.session.execute(delete(due).where(*(due.c[name] == value for name, value in key.items())))
                    db.session.execute(insert(due), [key | {"camp_id": completing.camp_id, "version": version}])
