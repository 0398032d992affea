"""The leaderboard: boards of the people who may be listed, read from the kept standings. Read only, but for
the passing of days (:func:`keep_up`).

Whoever is on no leaderboard (:attr:`Person.is_listed`) is in none of what is answered here: no list, rank,
count or export.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, false, func, or_, select, true, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from webapp.database import db, one_at_a_time
from webapp.domain import camps, histories, settling, standings
from webapp.domain.accounts import Person
from webapp.domain.badges import Award, Badge
from webapp.domain.camps import Camp, Site
from webapp.domain.records import Attendance
from webapp.domain.standings import ALL_TIME, EVERYWHERE, OVERALL, RECENT, Board, Measure, Standing

CHUNK = 500  # lines of an export that are read at a time
NEIGHBOURS = 3  # lines above and below one's own

among_equals = tuple_(Standing.search_name, Standing.book_no)  # the order of those with the same figure


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Equal figures share a rank (1, 2, 2, 4)."""

    rank: int
    person: Person
    visits: int
    longest_streak: int
    badges: Sequence[Badge]


def size(board: Board = OVERALL) -> int:
    """How many people a board has."""
    return sum(number for _, number in standings.numbers(board, Measure.VISITS))


def lines(board: Board = OVERALL, measure: Measure = Measure.VISITS, *, offset: int = 0, limit: int = 50) -> list[Line]:
    """The lines of a board from ``offset`` on, at most ``limit``: by the measure, then by name.

    Neither the number of queries nor what they read depends on how far down the page is: how many people
    are before it is known from the tally, but for those with the very figure at which it begins.
    """
    numbers = standings.numbers(board, measure)
    first_value, skipped, before = None, 0, 0
    for value, number in numbers:
        if first_value is None and before + number > offset:
            first_value, skipped = value, offset - before
        before += number
    if first_value is None:
        return []
    # Somebody may have risen above everybody since the numbers were read.
    from_here = figure_of(measure) <= first_value if offset else true()
    page = _in_order(board, measure, from_here).offset(skipped).limit(limit)
    return _read(page, board, measure, numbers)


def _in_order(board: Board, measure: Measure, *among: ColumnElement[bool], upwards: bool = False) -> Select[Any]:
    """The lines of a board from the first on, or ``upwards`` from the last, as the index has them: it has the book
    numbers, so that nothing but the lines that are shown is looked up in the table.
    """
    order = figure_of(measure).desc(), Standing.search_name.asc(), Standing.book_no.asc()
    if upwards:
        order = figure_of(measure).asc(), Standing.search_name.desc(), Standing.book_no.desc()
    return select(Standing.book_no).where(_on(board), *among).order_by(*order)


def _read(page: Select[Any], board: Board, measure: Measure, numbers: Sequence[tuple[int, int]]) -> list[Line]:
    """The lines whose book numbers ``page`` selects, in their order."""
    book_nos = page.subquery()
    here = Standing.site_id == board.site_id, Standing.period == board.period
    query = (
        select(Standing, Person)
        .select_from(book_nos)
        .join(Person, Person.book_no == book_nos.c.book_no)
        .join(Standing, and_(Standing.person_id == Person.id, *here))
        .order_by(figure_of(measure).desc(), Standing.search_name, Standing.book_no)
    )
    found = db.session.execute(query.execution_options(populate_existing=True)).tuples().all()
    badges = _badges_of([person.id for _, person in found], board)
    return [
        Line(_rank(kept, measure, numbers), person, kept.visits, kept.longest_streak, badges[person.id])
        for kept, person in found
    ]


def _rank(kept: Standing, measure: Measure, numbers: Sequence[tuple[int, int]]) -> int:
    own = getattr(kept, measure)
    return 1 + sum(number for value, number in numbers if value > own)


def figure_of(measure: Measure) -> InstrumentedAttribute[int]:
    """What a board is ordered by, as a column of :class:`Standing`."""
    column: InstrumentedAttribute[int] = getattr(Standing, measure)
    return column


def place_of(person: Person, board: Board = OVERALL, measure: Measure = Measure.VISITS) -> int | None:
    """How many lines of a board stand before somebody's; nothing where they are not on it."""
    own = _own(person, board)
    if own is None:
        return None
    value = getattr(own, measure)
    above = sum(number for reached, number in standings.numbers(board, measure) if reached > value)
    earlier = figure_of(measure) == value, among_equals < (own.search_name, own.book_no)
    equals = select(func.count()).select_from(Standing).where(_on(board), *earlier)
    return above + (db.session.scalar(equals) or 0)


def _own(person: Person, board: Board) -> Standing | None:
    query = select(Standing).where(_on(board), Standing.person_id == person.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def neighbourhood(person: Person, board: Board = OVERALL, measure: Measure = Measure.VISITS) -> list[Line]:
    """Somebody's own line with :data:`NEIGHBOURS` above and below; nothing where they are not on the board.

    However many have the same figure, only the nearest of them are read, and the nearest with another.
    """
    own = _own(person, board)
    if own is None:
        return []
    figure, value, key = figure_of(measure), getattr(own, measure), (own.search_name, own.book_no)
    near = (
        _in_order(board, measure, figure > value, upwards=True).limit(NEIGHBOURS),
        _in_order(board, measure, figure == value, among_equals < key, upwards=True).limit(NEIGHBOURS),
        _in_order(board, measure, figure == value, among_equals >= key).limit(1 + NEIGHBOURS),
        _in_order(board, measure, figure < value).limit(NEIGHBOURS),
    )
    page = select(union_all(*(each.subquery().select() for each in near)).subquery())
    found = _read(page, board, measure, standings.numbers(board, measure))
    place = next((place for place, line in enumerate(found) if line.person.id == person.id), None)
    if place is None:  # they have just been marked, and stand elsewhere now
        return neighbourhood(person, board, measure)
    return found[max(0, place - NEIGHBOURS) : place + 1 + NEIGHBOURS]


@dataclass(frozen=True, slots=True)
class Exported:
    """One line of an export."""

    line: Line
    current_streak: int


def export() -> Iterator[Exported]:
    """The whole leaderboard of everywhere and all time, read in slices."""
    for offset in range(0, size(), CHUNK):
        some = lines(offset=offset, limit=CHUNK)
        of_person = histories.histories_of([line.person.id for line in some])
        for line in some:
            yield Exported(line, of_person[line.person.id].current_streak)


def years() -> Sequence[int]:
    """The years in which anybody on a leaderboard came or earned something, the latest first."""
    return standings.years()


def is_behind() -> bool:
    """Whether at some site days have passed for which :func:`keep_up` was not yet called."""
    return any(site.recent_from != camps.first_of_recent(site.today) for site in _behind())


def keep_up() -> None:
    """Let the last twelve months end today, at every site: whoever came on a date that is in them no longer
    is settled anew. It costs what marking those people had cost. Inside the caller's write transaction.
    """
    one_at_a_time(settling.WORK)
    for site in _behind():
        new, kept = camps.first_of_recent(site.today), site.recent_from
        passed = Attendance.camp_date >= min(kept, new), Attendance.camp_date < max(kept, new)
        awarded = (
            select(Award.person_id)
            .join(Camp, Camp.id == Award.camp_id)
            .where(Camp.site_id == site.id, Camp.camp_date >= min(kept, new), Camp.camp_date < max(kept, new))
        )
        came = select(Attendance.person_id).where(Attendance.site_id == site.id, *passed)
        site.recent_from = new
        db.session.flush()
        settling.settle(select(Person.id).where(or_(Person.id.in_(came), Person.id.in_(awarded))))


def _behind() -> Sequence[Site]:
    zones = {zone: camps.first_of_recent(today) for zone, today in camps.todays().items()}
    stale = or_(false(), *(and_(Site.time_zone == zone, Site.recent_from != first) for zone, first in zones.items()))
    return db.session.scalars(select(Site).where(stale).order_by(Site.id)).all()


def _on(board: Board) -> ColumnElement[bool]:
    return and_(Standing.site_id == board.site_id, Standing.period == board.period, Standing.is_listed.is_(True))


def _badges_of(person_ids: Sequence[UUID], board: Board) -> dict[UUID, list[Badge]]:
    """The badges that people earned on a board, by value."""
    held: dict[UUID, list[Badge]] = defaultdict(list)
    query = (
        select(Award.person_id, Badge)
        .join(Badge, Badge.id == Award.badge_id)
        .where(Award.person_id.in_(person_ids), Award.revoked_at.is_(None))
        .order_by(Badge.criteria_value, Badge.position)
    )
    if board != OVERALL:
        query = query.join(Camp, Camp.id == Award.camp_id).join(Site, Site.id == Camp.site_id)
    if board.site_id != EVERYWHERE:
        query = query.where(Camp.site_id == board.site_id)
    if board.period == RECENT:
        query = query.where(Camp.camp_date >= Site.recent_from)
    elif board.period != ALL_TIME:
        query = query.where(Camp.camp_date.between(date(board.period, 1, 1), date(board.period, 12, 31)))
    for person_id, badge in db.session.execute(query):
        held[person_id].append(badge)
    return held
