"""The leaderboard: boards of the people who may be listed, read from the kept standings. Read only, but for
the passing of days (:func:`keep_up`).

Whoever is on no leaderboard (:attr:`Person.is_listed`) is in none of what is answered here: no list, rank,
count or export.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import and_, false, func, or_, select, true
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
    figure = figure_of(measure)
    # The page is found in the index alone, which has the book numbers; only its own rows are read.
    page = (
        select(Standing.book_no, figure.label("figure"))
        .where(_on(board), from_here)
        .order_by(figure.desc(), Standing.search_name, Standing.book_no)
        .offset(skipped)
        .limit(limit)
        .subquery()
    )
    here = Standing.site_id == board.site_id, Standing.period == board.period
    query = (
        select(Standing, Person)
        .select_from(page)
        .join(Person, Person.book_no == page.c.book_no)
        .join(Standing, and_(Standing.person_id == Person.id, *here))
        .order_by(page.c.figure.desc(), Standing.search_name, Standing.book_no)
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
    figure = figure_of(measure)
    own = db.session.execute(
        select(figure, Standing.search_name, Standing.book_no).where(_on(board), Standing.person_id == person.id)
    ).one_or_none()
    if own is None:
        return None
    value, name, book_no = own
    above = sum(number for reached, number in standings.numbers(board, measure) if reached > value)
    earlier = or_(Standing.search_name < name, and_(Standing.search_name == name, Standing.book_no < book_no))
    equals = select(func.count()).select_from(Standing).where(_on(board), figure == value, earlier)
    return above + (db.session.scalar(equals) or 0)


def neighbourhood(person: Person, board: Board = OVERALL, measure: Measure = Measure.VISITS) -> list[Line]:
    """Somebody's own line with :data:`NEIGHBOURS` above and below; nothing where they are not on the board."""
    place = place_of(person, board, measure)
    if place is None:
        return []
    first = max(0, place - NEIGHBOURS)
    return lines(board, measure, offset=first, limit=place - first + 1 + NEIGHBOURS)


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
    one_at_a_time("settling many people")
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
