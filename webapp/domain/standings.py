"""Standings: the figures by which people stand on the leaderboards, kept in the transaction that changes them.

Counting them anew for every page would read the whole attendance. They can always be: ``flask verify``
recomputes them all (:mod:`webapp.domain.settling`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import count
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    Select,
    SmallInteger,
    String,
    Table,
    Uuid,
    cast,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, Model, db, insert_rows, is_sqlite, try_one_at_a_time

EVERYWHERE = UUID(int=0)  # in place of a site: all of them together
ALL_TIME = 0  # in place of a year
RECENT = 1  # the last twelve months


class Board(NamedTuple):
    """One leaderboard: a site, or :data:`EVERYWHERE`; a year, :data:`ALL_TIME` or :data:`RECENT`."""

    site_id: UUID
    period: int


OVERALL = Board(EVERYWHERE, ALL_TIME)


class Measure(StrEnum):
    """What people are ordered by."""

    VISITS = "visits"
    LONGEST_STREAK = "longest_streak"
    BADGES = "badges"


@dataclass(frozen=True, slots=True)
class Figures:
    """One person's figures on one board. ``run`` is the run that ends with the last visit; it is kept for
    the boards of a site, where a run is.
    """

    visits: int = 0
    longest_streak: int = 0
    badges: int = 0
    run: int = 0
    last_visit: date | None = None

    def by(self, measure: Measure) -> int:
        """The figure people are ordered by."""
        value: int = getattr(self, measure)
        return value


class Somebody(Protocol):
    """What a standing repeats of a person: their place among equals, and whether they are on leaderboards."""

    id: UUID
    search_name: str
    book_no: int

    @property
    def is_listed(self) -> bool:
        """Whether leaderboards may show them."""


class Standing(Model):
    """A person's figures on a board. Everybody has one on :data:`OVERALL`, on others who came or earned."""

    __tablename__ = "standing"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    period: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    visits: Mapped[int]
    longest_streak: Mapped[int]
    badges: Mapped[int]
    run: Mapped[int]
    last_visit: Mapped[date | None]
    search_name: Mapped[str] = mapped_column(String(480))
    book_no: Mapped[int]
    is_listed: Mapped[bool]


def _board_index(measure: Measure) -> Index:
    """A board in its order, so that a page is read as it stands."""
    columns = [Standing.site_id, Standing.period, getattr(Standing, measure).desc(), Standing.search_name]
    listed = Standing.is_listed.is_(True)
    return Index(f"ix_standing_{measure}", *columns, Standing.book_no, postgresql_where=listed, sqlite_where=listed)


for _measure in Measure:
    _board_index(_measure)

# How many listed people of a board have a value: the sum of all rows that say so. Rows are only added, so
# that two people marked at once do not wait for each other; now and then some are put together.
tally = Table(
    "tally",
    Base.metadata,
    Column("site_id", Uuid, nullable=False),
    Column("period", SmallInteger, nullable=False),
    Column("measure", String(16), nullable=False),
    Column("value", Integer, nullable=False),
    Column("people", BigInteger, nullable=False),
    Index("ix_tally_board", "site_id", "period", "measure", "value"),
)
TOGETHER_EVERY = 1024  # changes; a board is read through some thousand rows at the most
_changes = count(1)

Tally = Counter[tuple[Board, Measure, int]]


def enter(people: Iterable[Somebody]) -> None:
    """Put new people on the leaderboard of everywhere and all time, with nothing yet."""
    changes: Tally = Counter()
    rows = []
    for person in people:
        rows.append(_row(person, OVERALL, Figures()))
        if person.is_listed:
            note(changes, OVERALL, None, Figures())
    insert_rows(Standing.__table__, rows)
    record(changes)


def _row(person: Somebody, board: Board, figures: Figures) -> dict[str, Any]:
    return {
        "person_id": person.id,
        "site_id": board.site_id,
        "period": board.period,
        "visits": figures.visits,
        "longest_streak": figures.longest_streak,
        "badges": figures.badges,
        "run": figures.run,
        "last_visit": figures.last_visit,
        "search_name": person.search_name,
        "book_no": person.book_no,
        "is_listed": person.is_listed,
    }


def put(person: Somebody, before: Mapping[Board, Figures], after: Mapping[Board, Figures]) -> None:
    """Keep a person's figures: those ``after`` on each of its boards, where ``before`` was kept till now.

    The person must be locked, unless they are new.
    """
    rows = [_row(person, board, figures) for board, figures in after.items()]
    insert_rows(Standing.__table__, rows, replace=True)
    if person.is_listed:
        changes: Tally = Counter()
        for board, figures in after.items():
            note(changes, board, before.get(board), figures)
        record(changes)


def relist(person: Somebody) -> None:
    """Bring a person onto all their leaderboards, or off them, as :attr:`Somebody.is_listed` says now."""
    kept = db.session.execute(
        select(Standing).where(Standing.person_id == person.id).execution_options(populate_existing=True)
    ).scalars()
    changes: Tally = Counter()
    for standing in kept:
        if standing.is_listed != person.is_listed:
            figures = Figures(standing.visits, standing.longest_streak, standing.badges)
            board = Board(standing.site_id, standing.period)
            note(changes, board, None, figures) if person.is_listed else note(changes, board, figures, None)
    db.session.execute(update(Standing).where(Standing.person_id == person.id).values(is_listed=person.is_listed))
    record(changes)


def rename(person: Somebody) -> None:
    """Repeat somebody's new name, by which they stand among equals."""
    named = update(Standing).where(Standing.person_id == person.id)
    db.session.execute(named.values(search_name=person.search_name))


def note(changes: Tally, board: Board, before: Figures | None, after: Figures | None) -> None:
    """Count into ``changes`` that somebody listed went from some figures on a board to others, or came, or went."""
    for measure in Measure:
        old = before.by(measure) if before else None
        new = after.by(measure) if after else None
        if old != new:
            if old is not None:
                changes[board, measure, old] -= 1
            if new is not None:
                changes[board, measure, new] += 1


def record(changes: Tally) -> None:
    """Add changes to the tally."""
    if not changes:
        return
    _add(changes)
    if next(_changes) % TOGETHER_EVERY == 0 and try_one_at_a_time("putting the tally together"):
        put_together({board for board, _, _ in changes})


def put_together(boards: Collection[Board]) -> None:
    """Replace the many rows that the tally has of some boards by one for each value."""
    of_boards = tuple_(tally.c.site_id, tally.c.period).in_(boards)
    if is_sqlite():  # there is one writer, so that nothing is added in between
        rows = db.session.execute(_summed(tally).where(of_boards)).mappings().all()
        db.session.execute(delete(tally).where(of_boards))
        insert_rows(tally, [dict(row) for row in rows])
    else:
        gone = delete(tally).where(of_boards).returning(*tally.c).cte("gone")
        db.session.execute(insert(tally).from_select(tally.c.keys(), _summed(gone)))


def _summed(rows: FromClause) -> Select[Any]:
    key = [rows.c[name] for name in ("site_id", "period", "measure", "value")]
    people = func.sum(rows.c.people)
    return select(*key, cast(people, BigInteger).label("people")).group_by(*key).having(people != 0)


def _add(changes: Tally) -> None:
    rows = [
        {"site_id": board.site_id, "period": board.period, "measure": measure, "value": value, "people": people}
        for (board, measure, value), people in changes.items()
        if people
    ]
    if rows:
        insert_rows(tally, rows)


def numbers(board: Board, measure: Measure) -> list[tuple[int, int]]:
    """Each value that listed people of a board have, from the greatest, and how many have it."""
    people = func.sum(tally.c.people)
    query = (
        select(tally.c.value, people)
        .where(tally.c.site_id == board.site_id, tally.c.period == board.period, tally.c.measure == measure)
        .group_by(tally.c.value)
        .having(people > 0)
        .order_by(tally.c.value.desc())
    )
    return [(value, int(number)) for value, number in db.session.execute(query)]


def years() -> list[int]:
    """The years whose boards of everywhere have anybody on them, the latest first."""
    people = func.sum(tally.c.people)
    query = (
        select(tally.c.period)
        .where(tally.c.site_id == EVERYWHERE, tally.c.period > RECENT, tally.c.measure == Measure.VISITS)
        .group_by(tally.c.period)
        .having(people > 0)
        .order_by(tally.c.period.desc())
    )
    return list(db.session.scalars(query))
