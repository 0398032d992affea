"""Snapshots of the leaderboard: what belongs on a board, how one is built, and when it is time to.

A board is built from totals, attendance and awards in one transaction, while others read an older one.
It is *current* until something is entered into the audit trail. One that takes no time is built anew by
whoever reads it and finds it not current (:func:`may_build_now`); any other is shown as it is, and a
worker told to build the next (:func:`tell_worker`).
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from time import monotonic
from uuid import UUID, uuid4

from sqlalchemy import (
    Column,
    Delete,
    FromClause,
    Integer,
    Uuid,
    and_,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import (
    analyze,
    clear,
    copy_rows,
    db,
    for_many,
    one_at_a_time,
    rows_changed,
    scratch,
    try_one_at_a_time,
)
from webapp.domain.audit import Entry
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.evaluation import bulk
from webapp.domain.models.badge import Award
from webapp.domain.models.board import Board, BoardLine, BoardRequest
from webapp.domain.models.totals import Totals
from webapp.domain.organisation import settings
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

EVERYWHERE = UUID(int=0)  # in place of a site: all of them together
ALL_TIME = 0  # in place of a year
RECENT = 1  # the last twelve months

QUICK = 100  # milliseconds of building, up to which a reader waits for it
SMALL = 5_000  # people; up to here readers build boards themselves that no worker builds
REST = 10  # times its building time, for which a board that is not quick is left as it is
FIRST_REST = timedelta(seconds=30)  # until a worker is told again of a board that never was there
COMMITTED_WITHIN = timedelta(seconds=10)  # an entry may be committed after one with a later time
FORGOTTEN_AFTER = timedelta(days=7)  # nobody looked at it, or nothing happened

CHUNK = 20_000  # people whose figures are in memory at a time

gathered = scratch(
    "gathered",
    Column("person_id", Uuid, primary_key=True),
    Column("visits", Integer),
    Column("longest_streak", Integer),
)


class RankBy(StrEnum):
    """What people are ordered by."""

    VISITS = "visits"
    LONGEST_STREAK = "longest_streak"
    BADGES = "badges"


@dataclass(frozen=True, slots=True)
class Key:
    """Which leaderboard: a site, or :data:`EVERYWHERE`; a year, :data:`ALL_TIME` or :data:`RECENT`;
    and its order.
    """

    site_id: UUID = EVERYWHERE
    period: int = ALL_TIME
    rank_by: RankBy = RankBy.VISITS

    @classmethod
    def of(cls, board: Board) -> "Key":
        """Say which leaderboard a snapshot is of."""
        return cls(board.site_id, board.period, RankBy(board.rank_by))

    @property
    def has_everybody(self) -> bool:
        """Whether people are on it who never came: on that of everywhere and all time they are."""
        return self.site_id == EVERYWHERE and self.period == ALL_TIME


OVERALL = Key()


def counts(key: Key) -> ColumnElement[bool]:
    """Build the condition on :class:`Camp` that what happened there counts on a leaderboard."""
    of_site = Camp.site_id == key.site_id if key.site_id != EVERYWHERE else true()
    if key.period == ALL_TIME:
        return of_site
    if key.period != RECENT:
        first, last = date(key.period, 1, 1), date(key.period, 12, 31)
        return and_(of_site, Camp.camp_date.between(first, last))

    zones: dict[date, list[str]] = {}
    for zone, today in calendar.todays().items():
        zones.setdefault(calendar.first_of_recent(today), []).append(zone)
    recent = (
        and_(
            Camp.camp_date >= first,
            Camp.site_id.in_(select(Site.id).where(Site.time_zone.in_(there))),
        )
        for first, there in zones.items()
    )
    return and_(of_site, or_(false(), *recent))


# --- which snapshot to read, and when to build ------------------------------------------------------


def newest(key: Key) -> Board | None:
    """Find the newest snapshot that is kept."""
    query = select(Board).where(_same(Board, key)).order_by(Board.generation.desc()).limit(1)
    return db.session.scalars(query).first()


def is_current(board: Board) -> bool:
    """Say whether nothing has happened since a snapshot was built, and no day has passed anywhere.

    The newest audit entry tells, where it is old enough that no earlier one can still be on its way.
    """
    entry_id, at = _last_entry()
    return (
        board.seen_entry_id == entry_id
        and (at is None or at < board.as_of - COMMITTED_WITHIN)
        and board.as_of <= clock.now()
        and board.dates == _dates()
    )


def may_build_now(key: Key, board: Board | None) -> bool:
    """Say whether a reader may wait for a new snapshot instead of the kept one, ``board``.

    That is where building it took no time; and in a small organisation, where nobody may be running a
    worker, whenever a worker would be told.
    """
    if board and board.took < QUICK:
        return True
    return is_due(key) and _is_small()


def _is_small() -> bool:
    some = select(Person.id).limit(SMALL + 1).subquery()
    return (db.session.scalar(select(func.count()).select_from(some)) or 0) <= SMALL


def is_due(key: Key) -> bool:
    """Say whether a worker is to be told to build a board: at most once in :data:`REST` times what it
    takes, however many readers there are, and whether or not the worker has heard.
    """
    board, request = newest(key), request_of(key)
    rest = timedelta(milliseconds=REST * board.took) if board else FIRST_REST
    instants = [*([board.as_of] if board else []), *([request.told_at] if request else [])]
    # One that lies ahead is of a clock that was wrong.
    return not any(timedelta(0) <= clock.now() - instant < rest for instant in instants)


def tell_worker(key: Key) -> bool:
    """Note, in the running write transaction, that a worker is told to build a board.

    Returns whether the caller shall do that once it is committed; it was done just now otherwise.
    """
    if not try_one_at_a_time(f"telling of {key}") or not is_due(key):
        return False
    request = request_of(key)
    if request is None:
        since = clock.now()
        request = BoardRequest(site_id=key.site_id, period=key.period, rank_by=key.rank_by.value, since=since)
        db.session.add(request)
    request.told_at = clock.now()
    db.session.flush()
    return True


def request_of(key: Key) -> BoardRequest | None:
    """Find what a worker was told of a board, if it has not built it yet."""
    identity = (key.site_id, key.period, key.rank_by.value)
    return db.session.get(BoardRequest, identity, populate_existing=True)


def rebuild(key: Key) -> None:
    """Do what a worker was told, inside its write transaction, unless it was done meanwhile."""
    board = newest(key)
    if board and is_current(board):
        _forget_request(key)
        return
    rest = timedelta(milliseconds=REST * board.took) if board else timedelta(0)
    if board is None or not timedelta(0) <= clock.now() - board.as_of < rest:
        build(key)


def current(key: Key) -> Board:
    """Give a snapshot that is current: the kept one, or a new one, built in the caller's write
    transaction however long that takes.
    """
    board = newest(key)
    return board if board and is_current(board) else build(key)


def _last_entry() -> tuple[UUID, datetime] | tuple[None, None]:
    query = select(Entry.id, Entry.at).order_by(Entry.at.desc(), Entry.id.desc()).limit(1)
    row = db.session.execute(query).tuples().first()
    return row or (None, None)


def _dates() -> str:
    """Say which dates it is now, and in how many time zones: with each midnight somewhere it changes."""
    zones = Counter(calendar.todays().values())
    return ", ".join(f"{today}: {number}" for today, number in sorted(zones.items()))


# --- building -----------------------------------------------------------------------------------------


def build(key: Key) -> Board:
    """Build a snapshot inside the caller's write transaction, and delete the last but one.

    Whoever builds the same board at the same moment is waited for; what they built is taken, if it
    has in it whatever was committed before this was called.
    """
    called_at = clock.now()
    one_at_a_time(f"building {key}")
    before = newest(key)
    if before and called_at < before.as_of <= clock.now():
        return before

    start = monotonic()
    entry_id, _ = _last_entry()
    board = Board(
        id=uuid4(),
        site_id=key.site_id,
        period=key.period,
        rank_by=key.rank_by.value,
        generation=before.generation + 1 if before else 1,
        as_of=clock.now(),
        seen_entry_id=entry_id,
        dates=_dates(),
    )
    board.size = _write_lines(board.id, key)
    if before:
        # Who reads the one before must not be cut off.
        older = Board.generation < before.generation
        _forget(and_(_same(Board, key), older))
    _forget_request(key)
    board.took = round((monotonic() - start) * 1_000)
    db.session.add(board)
    db.session.flush()
    return board


def forget_old() -> bool:
    """Delete, in the running write transaction, one snapshot that nobody has read for long.

    Returns whether there was one.
    """
    old = select(Board.id).where(Board.as_of < clock.now() - FORGOTTEN_AFTER).limit(1)
    board_id = db.session.scalar(old)
    if board_id is None:
        return False
    _forget(Board.id == board_id)
    return True


def _write_lines(board_id: UUID, key: Key) -> int:
    """Write the lines of a board; their number."""
    for_many()
    figures, badges = _figures(key), _badges(key)
    visits = func.coalesce(figures.c.visits, 0)
    longest_streak = func.coalesce(figures.c.longest_streak, 0)
    earned = func.coalesce(badges.c.badges, 0)
    value = {
        RankBy.VISITS: visits,
        RankBy.LONGEST_STREAK: longest_streak,
        RankBy.BADGES: earned,
    }[key.rank_by].desc()

    lines = (
        select(
            literal(board_id, Uuid),
            func.row_number().over(order_by=(value, Person.search_name, Person.book_no)),
            func.rank().over(order_by=value),
            Person.id,
            visits,
            longest_streak,
            earned,
        )
        .select_from(Person)
        .outerjoin(figures, figures.c.person_id == Person.id)
        .outerjoin(badges, badges.c.person_id == Person.id)
        .where(accounts.listed())
    )
    if not key.has_everybody:
        lines = lines.where(or_(visits > 0, earned > 0))
    columns = ("board_id", "place", "rank", "person_id", "visits", "longest_streak", "badges")
    return rows_changed(insert(BoardLine).from_select(columns, lines))


def _figures(key: Key) -> FromClause:
    """Give visits and longest streak by person: from the totals where they tell, else from attendance."""
    if key.period == ALL_TIME and not settings.get(settings.TOTALS):
        of_site = Totals.site_id == key.site_id if key.site_id != EVERYWHERE else true()
        return (
            select(
                Totals.person_id,
                cast(func.sum(Totals.visits), Integer).label("visits"),
                func.max(Totals.longest_streak).label("longest_streak"),
            )
            .where(of_site)
            .group_by(Totals.person_id)
            .subquery()
        )

    clear(gathered)
    columns = ("person_id", "visits", "longest_streak")
    figures = bulk.figures(counts(key))
    while chunk := list(islice(figures, CHUNK)):
        copy_rows(gathered, columns, chunk)
    analyze(gathered)
    return gathered


def _badges(key: Key) -> FromClause:
    """Count the badges that people have, by the camps that completed them."""
    badges = select(Award.person_id, cast(func.count(), Integer).label("badges"))
    badges = badges.where(Award.revoked_at.is_(None))
    if not key.has_everybody:
        badges = badges.join(Camp, Camp.id == Award.camp_id).where(counts(key))
    return badges.group_by(Award.person_id).subquery()


def _same(model: type[Board] | type[BoardRequest], key: Key) -> ColumnElement[bool]:
    return and_(model.site_id == key.site_id, model.period == key.period, model.rank_by == key.rank_by.value)


def _forget(which: ColumnElement[bool]) -> None:
    """Delete snapshots, each by its id, so that the database reads no others."""
    for board_id in db.session.scalars(select(Board.id).where(which)).all():
        _delete(delete(BoardLine).where(BoardLine.board_id == board_id))
        _delete(delete(Board).where(Board.id == board_id))


def _forget_request(key: Key) -> None:
    _delete(delete(BoardRequest).where(_same(BoardRequest, key)))


def _delete(statement: Delete) -> None:
    db.session.execute(statement, execution_options={"synchronize_session": False})
