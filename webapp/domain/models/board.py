"""Boards: snapshots of the leaderboard. Each is disposable, and can be built anew at any time.

No keys lead to people, nor from lines to their board: a million rows would have to be looked up with
every build, and what names somebody who is gone is never shown.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Instant, Model
from webapp.infra.ids import new_id


class Board(Model):
    """One snapshot: of a site (or all) and a period, ordered by one figure."""

    __tablename__ = "board"
    __table_args__ = (Index(None, "site_id", "period", "rank_by", "generation", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    site_id: Mapped[UUID]
    """A site, or all noughts for all of them together."""
    period: Mapped[int] = mapped_column(SmallInteger)
    """A calendar year, or 0 for all time, or 1 for the last twelve months."""
    rank_by: Mapped[str] = mapped_column(String(16))
    generation: Mapped[int]
    """The newest of a kind has the highest."""
    as_of: Mapped[datetime] = mapped_column(Instant)
    """When its building began, in UTC: what was committed by then is in it."""
    seen_entry_id: Mapped[UUID | None]
    """The newest audit entry at that moment."""
    dates: Mapped[str] = mapped_column(String(100))
    """The local dates of that moment, and in how many time zones each was."""
    took: Mapped[int]
    """Milliseconds that its building took."""
    size: Mapped[int]
    """How many lines it has."""


class BoardLine(Model):
    """One line of a snapshot."""

    __tablename__ = "board_line"
    __table_args__ = (Index(None, "board_id", "person_id", unique=True),)

    board_id: Mapped[UUID] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, without gaps."""
    rank: Mapped[int]
    """Equal figures share one: 1, 2, 2, 4."""
    person_id: Mapped[UUID]
    visits: Mapped[int]
    longest_streak: Mapped[int]
    badges: Mapped[int]


class BoardRequest(Model):
    """That a worker was told to build a board. Whoever builds it deletes the request."""

    __tablename__ = "board_request"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    period: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    rank_by: Mapped[str] = mapped_column(String(16), primary_key=True)
    since: Mapped[datetime] = mapped_column(Instant)
    """When a worker was first told."""
    told_at: Mapped[datetime] = mapped_column(Instant)
    """When a worker was last told."""
