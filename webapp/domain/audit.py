"""The audit trail: who did what to whom, when and from which device, and which awards followed.

An entry is written in the transaction of the change, and never altered afterwards. It names people, camps
and badges by their ids alone, so that who is anonymised is gone from it, too.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Index, Row, String, Text, bindparam, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock
from webapp.database import Instant, Model, choice, insert_rows
from webapp.infra.changes import News
from webapp.infra.ids import new_id

LONGEST_DEVICE = 80  # characters


class Action(StrEnum):
    """What can be done."""

    # at a camp
    PRESENT = "present"
    EXCUSED = "excused"
    ABSENT = "absent"
    UNDONE = "undone"
    SIGNED_UP = "signed_up"
    COMING = "coming"
    NOT_COMING = "not_coming"
    LEFT = "left"
    STAYED = "stayed"
    CLOSED = "closed"
    REOPENED = "reopened"
    EVALUATED = "evaluated"
    # people
    PERSON_ADDED = "person_added"
    PERSON_CHANGED = "person_changed"
    ROLE_CHANGED = "role_changed"
    DEACTIVATED = "deactivated"
    REACTIVATED = "reactivated"
    LINK_MADE = "link_made"
    PASSWORD_SET = "password_set"  # noqa: S105 - a word
    CARD_REPLACED = "card_replaced"
    DATA_DOWNLOADED = "data_downloaded"
    ANONYMISED = "anonymised"
    OPTED_OUT = "opted_out"
    OPTED_IN = "opted_in"
    # the calendar
    SITE_ADDED = "site_added"
    SITE_CHANGED = "site_changed"
    CAMP_ADDED = "camp_added"
    CAMP_CHANGED = "camp_changed"
    CAMP_CANCELLED = "camp_cancelled"
    CAMP_REINSTATED = "camp_reinstated"
    # badges
    BADGE_ADDED = "badge_added"
    BADGE_CHANGED = "badge_changed"
    BADGE_RETIRED = "badge_retired"
    BADGE_REINSTATED = "badge_reinstated"
    BACKFILLED = "backfilled"
    # the whole
    IMPORTED = "imported"
    PEOPLE_IMPORTED = "people_imported"
    EXPORTED = "exported"
    SETTINGS_CHANGED = "settings_changed"


EVERYDAY = (Action.PRESENT, Action.EXCUSED, Action.ABSENT, Action.UNDONE, Action.SIGNED_UP, Action.LEFT)
"""What a table does all day. The index of kinds leaves it out, so that a mark does not pay for it: it is found
soon enough among the newest.
"""
RARE = f"action NOT IN ({', '.join(repr(action.value) for action in EVERYDAY)})"  # in SQL, as the index has it


class Effect(StrEnum):
    """What became of an award."""

    NEW = "new"
    RETURNED = "returned"
    REVOKED = "revoked"


class Consequence(NamedTuple):
    """One award that followed from what was done."""

    person_id: UUID
    badge_id: UUID
    effect: Effect


class Entry(Model):
    """One thing done. No keys lead to people, camps and badges: the trail tells what was, whatever became of them."""

    __tablename__ = "entry"
    __table_args__ = (
        Index(None, "at"),
        Index(None, "person_id", "at"),
        Index(None, "by_id", "at"),
        Index(None, "camp_id", "at"),
        Index(None, "action", "at", postgresql_where=text(RARE), sqlite_where=text(RARE)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    by_id: Mapped[UUID | None]
    """Nobody where the command line or the product itself did it."""
    device: Mapped[str] = mapped_column(String(LONGEST_DEVICE))
    action: Mapped[Action] = mapped_column(choice(Action, "action", length=24))
    person_id: Mapped[UUID | None]
    camp_id: Mapped[UUID | None]
    badge_id: Mapped[UUID | None]
    job_id: Mapped[UUID | None]
    details: Mapped[str] = mapped_column(Text)
    """What else is known of it, as JSON: never anybody's name."""

    @property
    def facts(self) -> dict[str, object]:
        """:attr:`details`, read."""
        found: dict[str, object] = json.loads(self.details)
        return found


COLUMNS = tuple(Entry.__table__.c.keys())


class EntryAward(Model):
    """An award that followed from an entry."""

    __tablename__ = "entry_award"
    __table_args__ = (Index(None, "person_id", "badge_id"),)

    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    badge_id: Mapped[UUID] = mapped_column(primary_key=True)
    effect: Mapped[Effect] = mapped_column(choice(Effect, "effect"), primary_key=True)
    """An import may take an award away and, a row later, give it back."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts at present, from which device, and in which job if it is one's."""

    by_id: UUID | None = None
    device: str = "command line"
    job_id: UUID | None = None


_acting: ContextVar[Actor] = ContextVar("acting", default=Actor())  # noqa: B039 - frozen


def act(actor: Actor) -> None:
    """From now on this thread acts for somebody: until it is told otherwise."""
    _acting.set(actor)


def actor() -> Actor:
    """Who acts at present."""
    return _acting.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """For the block, this thread acts for somebody."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def note(
    action: Action,
    *,
    by_id: UUID | None = None,
    person_id: UUID | None = None,
    camp_id: UUID | None = None,
    badge_id: UUID | None = None,
    details: Mapping[str, object] | None = None,
    awards: Iterable[Consequence] = (),
    entry_id: UUID | None = None,
) -> UUID:
    """Write an entry in the running transaction; its id. Who acts at present did it, unless ``by_id`` says
    otherwise. ``details`` are facts of JSON, never anybody's name. ``entry_id`` is given where awards followed
    before it could be said what was done.
    """
    row = entry(action, details, by_id=by_id, person_id=person_id, camp_id=camp_id, badge_id=badge_id)
    entry_id = row["id"] = entry_id or row["id"]
    insert_rows(Entry.__table__, [row])
    follow(entry_id, awards)
    return entry_id


def note_each(action: Action, people: Mapping[UUID, Mapping[str, object]]) -> None:
    """As :func:`note`, for many people at once, by their ids, each with the details of their own."""
    entries = [entry(action, details, person_id=each) for each, details in people.items()]
    insert_rows(Entry.__table__, entries)


def entry(
    action: Action,
    details: Mapping[str, object] | None,
    *,
    by_id: UUID | None = None,
    person_id: UUID | None = None,
    camp_id: UUID | None = None,
    badge_id: UUID | None = None,
) -> dict[str, Any]:
    """Make the row of an entry, as :func:`note` writes it and the fast path does."""
    now = actor()
    return {
        "id": new_id(),
        "at": clock.now(),
        "by_id": by_id or now.by_id,
        "device": now.device[:LONGEST_DEVICE],
        "action": action,
        "person_id": person_id,
        "camp_id": camp_id,
        "badge_id": badge_id,
        "job_id": now.job_id,
        "details": json.dumps(details or {}, default=str),
    }


def follow(entry_id: UUID, awards: Iterable[Consequence]) -> None:
    """Enter what followed from an entry of the running transaction or job."""
    rows = [
        {"entry_id": entry_id, "person_id": award.person_id, "badge_id": award.badge_id, "effect": award.effect}
        for award in awards
    ]
    if rows:
        insert_rows(EntryAward.__table__, rows)


# --- what open pages hear -------------------------------------------------------------------------

OVERLAP = timedelta(seconds=1)
"""How much of what it has read each look reads again."""
LONG_OVERLAP = timedelta(seconds=15)
"""The same for a look back; the slowest transaction of a table, a long roll call closed, takes some
seconds.
"""
BULK_OVERLAP = timedelta(hours=1)
"""The same for what may take long: it writes its entry first, and then settles many people."""
LOOK_BACK_EVERY = 1  # seconds

BULK = (
    Action.SITE_ADDED,
    Action.SITE_CHANGED,
    Action.CAMP_ADDED,
    Action.CAMP_CHANGED,
    Action.CAMP_CANCELLED,
    Action.CAMP_REINSTATED,
    Action.BADGE_ADDED,
    Action.BADGE_CHANGED,
    Action.BADGE_RETIRED,
    Action.BADGE_REINSTATED,
    Action.BACKFILLED,
    Action.EVALUATED,
    Action.IMPORTED,
    Action.PEOPLE_IMPORTED,
)
"""What may concern very many people, who are not named in the entry."""

_COLUMNS = select(Entry.id, Entry.at, Entry.action, Entry.person_id, Entry.camp_id)
_SINCE = Entry.at >= bindparam("since", type_=Instant)
# Nobody watches who was not there until now, and an import adds thousands.
_NEWEST = _COLUMNS.where(_SINCE, Entry.action != Action.PERSON_ADDED)
_NEWEST_BULK = _COLUMNS.where(_SINCE, text(RARE), Entry.action.in_(BULK))
_LAST = select(func.max(Entry.at))


class EntryFeed:
    """Tells which people and camps the entries name that were committed since the last look.

    An entry is dated before it is committed, so one may appear that is older than others read
    already. Therefore each look reads :data:`OVERLAP` once more, and remembers what it told. Every
    :data:`LOOK_BACK_EVERY` seconds one reads :data:`LONG_OVERLAP`, and of what is done in
    :data:`BULK` the last hour. So a mark whose commit takes longer than a second is told up to a
    second later. One that took longer than :data:`LONG_OVERLAP` (or bulk work, than an hour), or
    comes from a host whose clock is behind by as much, is not told; pages see it when they look for
    themselves (``webapp/views/live.py``). Batches that follow an entry in transactions of their own
    are no entries: :class:`webapp.domain.jobs.JobFeed` tells of them.

    What is read begins at the newest entry, or now if that is in the future: a clock that stands
    still, is set back, or was wrong once, does no harm.
    """

    def __init__(self) -> None:
        self._told: set[UUID] = set()
        self._newest: datetime | None = None
        self._look_back_at = 0.0

    def news(self, connection: Connection) -> News:
        """Whom the entries name that were not told yet; see :class:`webapp.infra.changes.Feed`."""
        entries = self._read(connection)
        fresh = [entry for entry in entries if entry.id not in self._told]
        self._told.update(entry.id for entry in fresh)

        keys = {key for entry in fresh for key in (entry.person_id, entry.camp_id) if key}
        return News(keys, any(_concerns_all(entry) for entry in fresh))

    def _read(self, connection: Connection) -> Sequence[Row[Any]]:
        """The newest entries; those that were told before lie among them."""
        looks_back = monotonic() >= self._look_back_at
        if looks_back:
            self._newest = connection.scalar(_LAST)
        start = min(clock.now(), self._newest or clock.now())

        overlap = LONG_OVERLAP if looks_back else OVERLAP
        entries = connection.execute(_NEWEST, {"since": start - overlap}).all()
        if looks_back:
            entries = [*entries, *connection.execute(_NEWEST_BULK, {"since": start - BULK_OVERLAP})]
            self._told.intersection_update({entry.id for entry in entries})
            self._look_back_at = monotonic() + LOOK_BACK_EVERY

        self._newest = max((entry.at for entry in entries), default=self._newest)
        return entries


def _concerns_all(entry: Row[Any]) -> bool:
    """Whether an entry may concern people whom it does not name. Who did it has had the answer."""
    of_a_list = (Action.CLOSED, Action.REOPENED)  # whose people have entries of their own
    return entry.person_id is None and entry.action not in (*of_a_list, Action.EXPORTED)
