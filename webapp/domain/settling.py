"""Settling many people at once, in SQL: their figures, standings and awards from attendance alone.

The rule of a streak stands in :mod:`webapp.domain.streaks`; here it is said once more in the database's
words, for a million people as for one, and a test holds the two together. What is done takes nothing
away: it is for what can only add (new marks, a changed calendar), and for checking.

People are taken in slices by id, so that memory does not grow with the organisation.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    CTE,
    Boolean,
    Column,
    Date,
    Integer,
    PrimaryKeyConstraint,
    Select,
    SmallInteger,
    String,
    Uuid,
    and_,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.elements import ColumnElement, SQLColumnExpression

from webapp import clock
from webapp.database import Instant, alone, analyze, clear, db, for_many, rows_changed, scratch
from webapp.domain import audit, badges, camps, histories, standings
from webapp.domain.accounts import Person, listed
from webapp.domain.audit import Action, Effect, EntryAward
from webapp.domain.badges import Asked, Award, Badge, Criteria, Definition
from webapp.domain.camps import Camp, Site
from webapp.domain.records import Attendance, State, is_marked, is_visit
from webapp.domain.standings import ALL_TIME, EVERYWHERE, RECENT, Board, Measure, Standing, Tally
from webapp.domain.streaks import Step
from webapp.signals import announce_all

SLICE = 20_000  # people; with 20 camps each their marks take some 100 MB to sort
WALKED = 500  # people whose histories are read at a time
WORK = "settling many people"  # by which name it is done one at a time, with what changes calendars
MANY = 1_000  # people; from here on it is worth telling the planner how many there are

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
due = scratch(
    "due",
    Column("person_id", Uuid, primary_key=True),
    Column("badge_id", Uuid, primary_key=True),
    Column("camp_id", Uuid),
    Column("version", Integer),
)
begun = scratch("begun", Column("camp_id", Uuid, primary_key=True), Column("at", Instant))

_KEPT = ("visits", "longest_streak", "badges", "run", "last_visit", "search_name", "book_no", "is_listed")


@dataclass
class Settled:
    """What settling people did."""

    people: int = 0
    new_badges: int = 0
    returned_badges: int = 0
    moved_badges: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """The people chosen at present: how many, and between which ids. The bounds are for the indexes."""

    number: int
    first: UUID
    last: UUID


def settle(
    people: Select[tuple[UUID]] | None = None,
    *,
    dated_back: bool = False,
    entry_id: UUID | None = None,
    progress: Callable[[int], object] = lambda _people: None,
) -> Settled:
    """Settle ``people`` (a query for their ids), or everybody, inside the caller's transaction.

    Badges that are due are awarded, as earned now or, ``dated_back``, when the camp that completed each began;
    nobody celebrates those. What is awarded follows from an entry of the audit trail, if one is named.
    ``progress`` is told how many people each slice had.
    """
    done = Settled()
    told = 0
    after: UUID | None = None
    while after := settle_slice(after, people, done, dated_back=dated_back, entry_id=entry_id):
        progress(done.people - told)
        told = done.people
    for read_before in list(db.session.identity_map.values()):
        if isinstance(read_before, Award):
            db.session.expire(read_before)
    return done


def settle_slice(
    after: UUID | None,
    people: Select[tuple[UUID]] | None,
    done: Settled,
    *,
    dated_back: bool = False,
    entry_id: UUID | None = None,
    most: int = SLICE,
    badge_id: UUID | None = None,
) -> UUID | None:
    """Settle the next people after an id, at the ``most`` so many, with all badges or one; the last of them, or
    nothing where there was nobody left.
    """
    among = _choose(after, people, lock=True, most=most)
    if among is None:
        return None
    _fill_due(among)
    if badge_id:
        db.session.execute(delete(due).where(due.c.badge_id != badge_id))
    _award(done, dated_back=dated_back, entry_id=entry_id)
    _restate(among)
    announce_all(select(chosen.c.person_id))
    done.people += among.number
    return among.last


def evaluate_slice(after: UUID | None, done: Settled) -> UUID | None:
    """Award the next people after an id whatever is due to them, as :func:`settle_slice` does, and enter it into
    the audit trail.
    """
    entry_id = uuid4()
    before = replace(done)
    last = settle_slice(after, None, done, entry_id=entry_id)
    changed = {
        name: getattr(done, name) - getattr(before, name) for name in ("new_badges", "returned_badges", "moved_badges")
    }
    if any(changed.values()):
        audit.note(Action.EVALUATED, details=changed, entry_id=entry_id)
    return last


def restate(people: Select[tuple[UUID]]) -> None:
    """Bring the standings of people in line with their attendance and awards. They must be locked."""
    for among in _slices(people):
        _restate(among)


def _restate(among: Slice) -> None:
    """As :func:`restate`, for a chosen slice."""
    _fill_figures(among)
    changes: Tally = Counter()
    for sign, table in ((1, figure), (-1, Standing.__table__)):
        of_board = [table.c.site_id, table.c.period, *(table.c[measure] for measure in Measure)]
        listed_here = _chosen(table.c.person_id, among), table.c.is_listed
        counted = select(*of_board, func.count()).where(*listed_here).group_by(*of_board)
        for site_id, period, *reached, number in db.session.execute(counted):
            for measure, value in zip(Measure, reached, strict=True):
                changes[Board(site_id, period), measure, value] += sign * number
    standings.record(changes)
    db.session.execute(delete(Standing).where(_chosen(Standing.person_id, among), ~exists().where(_kept_right())))
    rows = select(figure).where(~exists().where(_same_standing()))
    db.session.execute(insert(Standing).from_select(figure.c.keys(), rows))


def differences(*, progress: Callable[[int], object] = lambda _people: None) -> Iterator[str]:
    """Whatever is kept that a recomputation from attendance does not give: visits, streaks, standings,
    awards. A badge that stands though today's calendar would not give it is none (:func:`number_kept`).
    """
    for among in _slices(None):
        _fill_due(among)
        _fill_figures(among)
        yield from _award_differences()
        yield from _standing_differences(among)
        progress(among.number)
    yield from _tally_differences()


def repair(*, progress: Callable[[int], object] = lambda _people: None) -> None:
    """Mend whatever :func:`differences` finds, inside the caller's transaction."""
    done = Settled()
    told = 0
    after: UUID | None = None
    while after := evaluate_slice(after, done):
        progress(done.people - told)
        told = done.people
    _rebuild_tally()


# --- choosing ------------------------------------------------------------------------------------


def _choose(
    after: UUID | None, people: Select[tuple[UUID]] | None, *, lock: bool = False, most: int = SLICE
) -> Slice | None:
    """Choose the next slice of people after an id, and find their visits; nothing where there is nobody."""
    clear(chosen, visit, figure, due, begun)
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
    if number > MANY:
        for_many()
        analyze(chosen)
    # Not min() and max(): PostgreSQL has none of ids before version 18.
    ends = select(chosen.c.person_id).limit(1)
    first = db.session.scalars(ends.order_by(chosen.c.person_id)).one()
    among = Slice(number, first, db.session.scalars(ends.order_by(chosen.c.person_id.desc())).one())
    _fill_visits(among)
    return among


def _slices(people: Select[tuple[UUID]] | None, *, lock: bool = False) -> Iterator[Slice]:
    among = _choose(None, people, lock=lock)
    while among:
        yield among
        among = _choose(among.last, people, lock=lock) if among.number == SLICE else None


def _chosen(person_id: Any, among: Slice) -> ColumnElement[bool]:
    return and_(person_id.between(among.first, among.last), person_id.in_(select(chosen.c.person_id)))


# --- the rule, in SQL ----------------------------------------------------------------------------


def _marked(among: Slice) -> ColumnElement[bool]:
    """The condition on attendance joined to camp: marked, held, of the chosen."""
    return and_(_chosen(Attendance.person_id, among), is_marked(), camps.held())


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
        .where(_chosen(Attendance.person_id, among), is_marked())
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
    came = select(stretches, year, is_recent).where(stretches.c.step == Step.VISIT).subquery()

    def run(*of_period: ColumnElement[Any]) -> ColumnElement[int]:
        stretch = came.c.person_id, came.c.site_id, came.c.stretch
        return func.row_number().over(partition_by=(*stretch, *of_period), order_by=came.c.camp_date)

    runs = {"run": run(), "run_of_year": run(came.c.year), "run_of_recent": run(came.c.is_recent)}
    rows = select(*({**came.c, **runs}[name] for name in visit.c.keys()))  # noqa: SIM118 - columns are no mapping
    if rows_changed(insert(visit).from_select(visit.c.keys(), rows)) > MANY:
        analyze(visit)


def _fill_figures(among: Slice) -> None:
    """Work out the figures of the chosen people on each board."""
    came = union_all(
        _came(_period(ALL_TIME), visit.c.run),
        _came(visit.c.year, visit.c.run_of_year),
        _came(_period(RECENT), visit.c.run_of_recent).where(visit.c.is_recent),
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
    if rows_changed(insert(figure).from_select(figure.c.keys(), complete)) > MANY:
        analyze(figure)


def _came(period: ColumnElement[int], run: ColumnElement[int]) -> Select[Any]:
    """What the visits of the chosen people come to in a period, at each site."""
    key = [visit.c.person_id, visit.c.site_id, *([period] if period is visit.c.year else [])]
    # The run that ends with the last visit is of the last stretch. Its number leads, so that the maximum finds it.
    last_run = func.max(visit.c.stretch * literal(1 << 20) + run) % literal(1 << 20)
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
        .where(_chosen(Award.person_id, among), Award.revoked_at.is_(None))
        .cte("held")
    )
    key = held.c.person_id, held.c.site_id
    number = cast(func.count(), Integer).label("number")
    return union_all(
        select(*key, _period(ALL_TIME).label("period"), number).group_by(*key),
        select(*key, held.c.year, number).group_by(*key, held.c.year),
        select(*key, _period(RECENT), number).where(held.c.recent).group_by(*key),
    ).cte("earned")


# PostgreSQL takes a year for a number with decimals, and a sum for one: grouping and adding them up takes longer.


def _year(day: SQLColumnExpression[date]) -> ColumnElement[int]:
    return cast(extract("year", day), SmallInteger)


def _period(period: int) -> ColumnElement[int]:
    return literal(period, SmallInteger)


def _fill_due(among: Slice) -> None:
    """Work out which badges the chosen people have reached, and which visit completed each."""
    visits = (
        select(
            Attendance.person_id,
            Attendance.site_id,
            Attendance.camp_date,
            Attendance.camp_id,
            Camp.start_time,
            func.row_number()
            .over(partition_by=Attendance.person_id, order_by=(Camp.camp_date, Camp.start_time, Camp.id))
            .label("number"),
        )
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(_marked(among), is_visit())
        .cte("visits")
    )
    # Of several runs that got as long, the first; of several visits on its date too.
    first = func.row_number().over(
        partition_by=(visit.c.person_id, Badge.id),
        order_by=(visit.c.camp_date, visit.c.site_id, visits.c.start_time, visits.c.camp_id),
    )
    there = and_(
        visits.c.person_id == visit.c.person_id,
        visits.c.site_id == visit.c.site_id,
        visits.c.camp_date == visit.c.camp_date,
    )
    candidates = (
        select(visit.c.person_id, Badge.id.label("badge_id"), visits.c.camp_id, Badge.version, first.label("place"))
        .join(Badge, and_(Badge.criteria_value == visit.c.run, Badge.criteria_type == Criteria.CONSECUTIVE_VISITS))
        .join(visits, there)
        .where(Badge.is_active)
        .subquery()
    )
    by_visits = (
        select(visits.c.person_id, Badge.id, visits.c.camp_id, Badge.version)
        .join(Badge, and_(Badge.criteria_value == visits.c.number, Badge.criteria_type == Criteria.VISITS))
        .where(Badge.is_active)
    )
    columns = ["person_id", "badge_id", "camp_id", "version"]
    by_runs = select(*(candidates.c[name] for name in columns)).where(candidates.c.place == 1)
    if rows_changed(insert(due).from_select(columns, union_all(by_visits, by_runs))) > MANY:
        analyze(due)
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
        .where(_chosen(Award.person_id, among), Award.revoked_at.is_not(None), is_old)
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


# --- awards --------------------------------------------------------------------------------------


def _same_award() -> ColumnElement[bool]:
    return and_(Award.person_id == due.c.person_id, Award.badge_id == due.c.badge_id)


def _is_moved() -> ColumnElement[bool]:
    """The condition on an award that says another camp completes it; one of an older version keeps its own."""
    return and_(Award.camp_id != due.c.camp_id, Award.version == due.c.version)


def _award(done: Settled, *, dated_back: bool, entry_id: UUID | None) -> None:
    """Award what is due to the chosen people, give back what was revoked, name the camps that complete."""
    now = clock.now()
    is_back = exists().where(_same_award())
    version = select(due.c.version).where(_same_award()).scalar_subquery()
    rows_changed(update(Award).where(Award.revoked_at.is_not(None), is_back).values(version=version))
    returned = (
        select(due.c.person_id, due.c.badge_id, due.c.camp_id)
        .join(Award, _same_award())
        .where(Award.revoked_at.is_not(None))
    )
    if entry_id:
        _enter(entry_id, Effect.RETURNED, returned)
    for person_id, badge_id, camp_id in db.session.execute(returned).all():
        badges.give_back(person_id, [badge_id], {badge_id: camp_id}, now)
        done.returned_badges += 1
    moved = exists().where(_same_award(), _is_moved())
    camp_id = select(due.c.camp_id).where(_same_award()).scalar_subquery()
    done.moved_badges += rows_changed(update(Award).where(moved).values(camp_id=camp_id))
    missing = (
        select(due.c.person_id, due.c.badge_id, due.c.camp_id, due.c.version, literal(dated_back))
        .select_from(due)
        .where(~exists().where(_same_award()))
    )
    if dated_back:
        _fill_begun(missing)
        missing = missing.join(begun, begun.c.camp_id == due.c.camp_id).add_columns(begun.c.at)
    else:
        missing = missing.add_columns(literal(now, Instant))
    if entry_id:
        _enter(entry_id, Effect.NEW, missing)
    columns = ["person_id", "badge_id", "camp_id", "version", "found_later", "earned_at"]
    new = rows_changed(insert(Award).from_select(columns, missing))
    if new > MANY:
        analyze(Award.__table__)
    done.new_badges += new


def _enter(entry_id: UUID, effect: Effect, awards: Select[Any]) -> None:
    """Enter awards, named by person and badge of :data:`due`, into the audit trail."""
    named = awards.with_only_columns(
        literal(entry_id, Uuid), due.c.person_id, due.c.badge_id, literal(effect.value, String)
    )
    columns = ["entry_id", "person_id", "badge_id", "effect"]
    db.session.execute(insert(EntryAward).from_select(columns, named))


def _fill_begun(missing: Select[Any]) -> None:
    """When the camps began that complete the missing awards; never later than now."""
    named = missing.with_only_columns(due.c.camp_id).distinct()
    now = clock.now()
    rows = [
        {"camp_id": camp.id, "at": min(camp.starts_at, now)}
        for camp in db.session.scalars(select(Camp).where(Camp.id.in_(named)))
    ]
    if rows:
        db.session.execute(insert(begun), rows)


# --- what differs --------------------------------------------------------------------------------


def _same_standing() -> ColumnElement[bool]:
    return and_(
        Standing.person_id == figure.c.person_id,
        Standing.site_id == figure.c.site_id,
        Standing.period == figure.c.period,
    )


def _kept_right() -> ColumnElement[bool]:
    """The condition on a standing that says it is what was worked out, and repeats the person rightly."""
    return and_(_same_standing(), *(getattr(Standing, name).is_not_distinct_from(figure.c[name]) for name in _KEPT))


def _standing_differences(among: Slice) -> Iterator[str]:
    kept_wrong = (
        select(Standing.book_no, Standing.site_id, Standing.period)
        .where(_chosen(Standing.person_id, among), ~exists().where(_kept_right()))
        .order_by(Standing.book_no)
    )
    missing = (
        select(Person.book_no, figure.c.site_id, figure.c.period)
        .join(Person, Person.id == figure.c.person_id)
        .where(~exists().where(_same_standing()))
        .order_by(Person.book_no)
    )
    for word, query in (("is kept wrongly", kept_wrong), ("is missing", missing)):
        for book_no, site_id, period in db.session.execute(query):
            yield f"book number {book_no}: the standing {_board(site_id, period)} {word}."


def _board(site_id: UUID, period: int) -> str:
    when = {ALL_TIME: "of all time", RECENT: "of the last twelve months"}.get(period, f"of {period}")
    return when if site_id == EVERYWHERE else f"{when} at site {site_id}"


def _award_differences() -> Iterator[str]:
    stands = and_(_same_award(), Award.revoked_at.is_(None))
    named = (
        select(Person.book_no, Badge.name)
        .select_from(due)
        .join(Person, Person.id == due.c.person_id)
        .join(Badge, Badge.id == due.c.badge_id)
        .order_by(Person.book_no)
    )
    missing = named.where(~exists().where(stands))
    moved = named.where(exists().where(stands, _is_moved()))
    for word, query in (("is earned and not awarded", missing), ("names another camp than completed it", moved)):
        for book_no, badge in db.session.execute(query):
            yield f"book number {book_no}: {badge} {word}."


def number_kept() -> int:
    """How many awards stand that today's calendar would not give. They are no differences: a camp that is
    cancelled or added takes no badge away, and what was earned before cannot be told from attendance alone.
    Those earned when something else was asked, and those of retired badges, are not among them.
    """
    is_asked_now = exists().where(Badge.id == Award.badge_id, Badge.version == Award.version, Badge.is_active)
    number = 0
    for among in _slices(None):
        _fill_due(among)
        stands = (
            _chosen(Award.person_id, among),
            Award.revoked_at.is_(None),
            ~exists().where(_same_award()),
            is_asked_now,
        )
        number += db.session.scalar(select(func.count()).select_from(Award).where(*stands)) or 0
    return number


def _counted() -> Tally:
    """The tally as the kept standings give it."""
    counted: Tally = Counter()
    for measure in Measure:
        value = getattr(Standing, measure)
        key = (Standing.site_id, Standing.period, value)
        query = select(*key, func.count()).where(Standing.is_listed).group_by(*key)
        for site_id, period, reached, number in db.session.execute(query):
            counted[Board(site_id, period), measure, reached] = number
    return counted


def _tally_differences() -> Iterator[str]:
    key = list(standings.tally.c)[:4]
    kept: Tally = Counter()
    for site_id, period, measure, value, number in db.session.execute(
        select(*key, func.sum(standings.tally.c.people)).group_by(*key)
    ):
        kept[Board(site_id, period), Measure(measure), value] = int(number)
    counted = _counted()
    for board, measure, value in sorted(kept.keys() | counted.keys()):
        if kept[board, measure, value] != counted[board, measure, value]:
            yield (
                f"the number of people with {value} by {measure} {_board(*board)} is kept as "
                f"{kept[board, measure, value]}, and is {counted[board, measure, value]}."
            )


def _rebuild_tally() -> None:
    alone(standings.tally)
    db.session.execute(delete(standings.tally))
    standings.record(_counted())
