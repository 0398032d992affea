"""Boards as they are read: pages, places, neighbourhoods and the export of a snapshot.

Everything is found by place or by person in an index. People are as they are now: whoever is on no
leaderboard (:func:`accounts.listed`) is in none of what is answered here, even where a snapshot that
was built before still has them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, extract, select

from webapp.database import db
from webapp.domain.badges import history
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.leaderboard.snapshots import Key, counts
from webapp.domain.models.badge import Award, Badge
from webapp.domain.models.board import Board, BoardLine
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

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


@dataclass(frozen=True, slots=True)
class Exported:
    """One line of an export."""

    line: Line
    current_streak: int


def lines(board: Board, *, offset: int = 0, limit: int = 50) -> list[Line]:
    """Read the lines of the ``limit`` places that follow the first ``offset``."""
    page = _lines_of(board).where(BoardLine.place.between(offset + 1, offset + limit))
    return _read(page.order_by(BoardLine.place), board)


def place_of(person: Person, board: Board) -> int | None:
    """Find somebody's place on a board, from 1; nothing where they are not on it."""
    query = select(BoardLine.place).join(Person, Person.id == BoardLine.person_id)
    of_person = BoardLine.board_id == board.id, BoardLine.person_id == person.id
    return db.session.scalar(query.where(*of_person, accounts.listed()))


def neighbourhood(person: Person, board: Board) -> list[Line]:
    """Read somebody's own line with :data:`NEIGHBOURS` above and below; nothing where they are not on
    the board.
    """
    own = place_of(person, board)
    if own is None:
        return []
    above = _lines_of(board).where(BoardLine.place < own).order_by(BoardLine.place.desc())
    below = _lines_of(board).where(BoardLine.place >= own).order_by(BoardLine.place)
    return [
        *reversed(_read(above.limit(NEIGHBOURS), board)),
        *_read(below.limit(1 + NEIGHBOURS), board),
    ]


def export(board: Board) -> Iterator[Exported]:
    """Read a whole board, in slices."""
    for offset in range(0, board.size, CHUNK):
        some = lines(board, offset=offset, limit=CHUNK)
        histories = history.read([line.person.id for line in some])
        for line in some:
            yield Exported(line, histories[line.person.id].current_streak)


def years() -> Sequence[int]:
    """List the years in which camps were held, the latest first."""
    year = extract("year", Camp.camp_date)
    query = select(year).where(calendar.held()).distinct()
    return sorted((int(found) for found in db.session.scalars(query)), reverse=True)


def _lines_of(board: Board) -> Select[Any]:
    return (
        select(BoardLine, Person)
        .join(Person, Person.id == BoardLine.person_id)
        .where(BoardLine.board_id == board.id, accounts.listed())
        .execution_options(populate_existing=True)
    )


def _read(query: Select[Any], board: Board) -> list[Line]:
    rows = db.session.execute(query).tuples().all()
    badges = _badges_of([person.id for _, person in rows], Key.of(board))
    return [Line(line.rank, person, line.visits, line.longest_streak, badges[person.id]) for line, person in rows]


def _badges_of(person_ids: Sequence[UUID], key: Key) -> dict[UUID, list[Badge]]:
    """Read the badges that people earned on a leaderboard, by value."""
    badges: dict[UUID, list[Badge]] = defaultdict(list)
    query = (
        select(Award.person_id, Badge)
        .join(Badge, Badge.id == Award.badge_id)
        .where(Award.person_id.in_(person_ids), Award.revoked_at.is_(None))
        .order_by(Badge.criteria_value, Badge.position)
    )
    if not key.has_everybody:
        query = query.join(Camp, Camp.id == Award.camp_id).where(counts(key))
    for person_id, badge in db.session.execute(query):
        badges[person_id].append(badge)
    return badges
