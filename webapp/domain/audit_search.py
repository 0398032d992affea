"""The audit trail, read: searched from the newest entry on, and why each badge was awarded or revoked.

It grows without end, so nothing counts it or skips through it: a page begins after the last entry of the one
before. Names are those of today's tables.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, or_, select, text, union_all
from sqlalchemy.orm import contains_eager
from sqlalchemy.sql.elements import ColumnElement

from webapp.database import db
from webapp.domain.audit import EVERYDAY, RARE, Action, Effect, Entry, EntryAward
from webapp.domain.badges import awards
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Requirement, Revocation
from webapp.domain.people.accounts import Person

FEW_AWARDS = 6  # of an entry that are read for a list; its own page has all


class Place(NamedTuple):
    """Where an entry stands in the trail."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are looked for; what is not given is all."""

    person_id: UUID | None = None
    """Whom it concerns: to whom it was done, or who got or lost a badge by it."""
    by_id: UUID | None = None
    by_nobody: bool = False
    """What the command line did, or somebody who was not signed in."""
    action: Action | None = None
    camp_id: UUID | None = None
    since: datetime | None = None
    """From this instant on."""
    until: datetime | None = None
    """Before this instant."""


def entries(wanted: AuditFilter = AuditFilter(), *, after: Place | None = None, limit: int) -> list[Entry]:
    """The newest entries that are wanted, at most ``limit``; with ``after`` those older than that place."""
    query = select(Entry).where(*_conditions(wanted), *_older_than(after))
    query = query.order_by(Entry.at.desc(), Entry.id.desc()).limit(limit)
    if wanted.person_id is None:
        return list(db.session.scalars(query))
    # Two walks, each along an index: what was done to them, and what else gave or cost them a badge.
    own = db.session.scalars(query.where(Entry.person_id == wanted.person_id)).all()
    followed = select(EntryAward.entry_id).where(EntryAward.person_id == wanted.person_id).distinct()
    ids = db.session.scalars(followed).all()
    others = or_(Entry.person_id.is_(None), Entry.person_id != wanted.person_id)
    further = db.session.scalars(query.where(Entry.id.in_(ids), others)).all() if ids else []
    merged = heapq.merge(own, further, key=attrgetter("at", "id"), reverse=True)
    return [entry for entry, _ in zip(merged, range(limit), strict=False)]


def all_entries(wanted: AuditFilter, *, chunk: int) -> Iterator[list[Entry]]:
    """Everything that is wanted, the newest first, so many at a time. Between two chunks nothing is held."""
    after: Place | None = None
    while found := entries(wanted, after=after, limit=chunk):
        after = place_of(found[-1])
        yield found
        db.session.rollback()


def place_of(entry: Entry) -> Place:
    """Where an entry stands in the trail."""
    return Place(entry.at, entry.id)


def by_id(entry_id: UUID) -> Entry | None:
    """The entry with this id."""
    return db.session.get(Entry, entry_id)


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.by_nobody:
        yield Entry.by_id.is_(None)
    elif wanted.by_id:
        yield Entry.by_id == wanted.by_id
    if wanted.action:
        yield Entry.action == wanted.action
        if wanted.action not in EVERYDAY:
            yield text(RARE)  # type: ignore[misc]  # the very words of the index, or SQLite would not use it
    if wanted.camp_id:
        yield Entry.camp_id == wanted.camp_id
    if wanted.since:
        yield Entry.at >= wanted.since
    if wanted.until:
        yield Entry.at < wanted.until


def _older_than(place: Place | None) -> Iterator[ColumnElement[bool]]:
    if place:
        yield Entry.at <= place.at
        yield or_(Entry.at < place.at, Entry.id < place.id)


def camps_called(query: str | date, most: int) -> Sequence[Camp]:
    """The last camps of a date, or whose name holds every word of a text."""
    condition = Camp.camp_date == query if isinstance(query, date) else calendar.named(query)
    found = select(Camp).where(condition).order_by(Camp.camp_date.desc(), Camp.name, Camp.id).limit(most)
    return db.session.scalars(found).all()


# --- what entries name ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class References:
    """What some entries name, as it is today."""

    people: Mapping[UUID, Person] = field(default_factory=dict)
    camps: Mapping[UUID, Camp] = field(default_factory=dict)
    badges: Mapping[UUID, Badge] = field(default_factory=dict)
    awards: Mapping[UUID, Sequence[EntryAward]] = field(default_factory=dict)
    """The first :data:`FEW_AWARDS` that followed from each entry."""


def named(some: Collection[Entry], about: UUID | None = None, *, with_awards: bool = True) -> References:
    """What these entries name: people, camps, badges, and the first awards that followed from each; those of one
    person alone where it is ``about`` them.
    """
    awards = _first_awards([entry.id for entry in some], about) if with_awards else {}
    of_awards = [award for followed in awards.values() for award in followed]
    people = {entry.person_id for entry in some} | {entry.by_id for entry in some}
    return References(
        _people({each for each in people if each} | {award.person_id for award in of_awards}),
        _camps({entry.camp_id for entry in some if entry.camp_id}),
        _badges(),
        awards,
    )


def awards_of(entry: Entry, *, after: tuple[UUID, UUID] | None = None, limit: int) -> Sequence[EntryAward]:
    """What followed from an entry, by person and badge: at most ``limit``, and with ``after`` a person's and a
    badge's id, those that come after.
    """
    query = select(EntryAward).where(EntryAward.entry_id == entry.id)
    if after:
        person_id, badge_id = after
        further = and_(EntryAward.person_id == person_id, EntryAward.badge_id > badge_id)
        query = query.where(EntryAward.person_id >= person_id, or_(EntryAward.person_id > person_id, further))
    return db.session.scalars(query.order_by(EntryAward.person_id, EntryAward.badge_id).limit(limit)).all()


def people_of(awards: Collection[EntryAward]) -> Mapping[UUID, Person]:
    """Whose awards these are."""
    return _people({award.person_id for award in awards})


def _first_awards(entry_ids: Sequence[UUID], about: UUID | None) -> dict[UUID, Sequence[EntryAward]]:
    found: dict[UUID, list[EntryAward]] = defaultdict(list)
    if entry_ids:
        order = (EntryAward.person_id, EntryAward.badge_id, EntryAward.effect)
        key = (EntryAward.entry_id, *order)
        theirs = [EntryAward.person_id == about] if about else []
        firsts = (
            select(
                select(*key).where(EntryAward.entry_id == each, *theirs).order_by(*order).limit(FEW_AWARDS).subquery()
            )
            for each in entry_ids
        )
        chosen = union_all(*firsts).subquery()
        same = and_(*(column == chosen.c[column.key] for column in key))
        for award in db.session.scalars(select(EntryAward).join(chosen, same).order_by(*order)):
            found[award.entry_id].append(award)
    return dict(found)


def _people(ids: Collection[UUID]) -> dict[UUID, Person]:
    query = select(Person).where(Person.id.in_(ids))
    return {person.id: person for person in db.session.scalars(query)} if ids else {}


def _camps(ids: Collection[UUID]) -> dict[UUID, Camp]:
    query = select(Camp).where(Camp.id.in_(ids))
    return {camp.id: camp for camp in db.session.scalars(query)} if ids else {}


def _badges() -> dict[UUID, Badge]:
    return {badge.id: badge for badge in db.session.scalars(select(Badge))}


# --- why -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that made an award, took it away or gave it back."""

    effect: Effect
    entry: Entry
    reason: str = ""
    """Why it was taken away."""


@dataclass(frozen=True, slots=True)
class Story:
    """One award of somebody, and all that became of it, from the first on."""

    award: Award
    asked: Requirement
    """What the badge asked for when it was earned."""
    causes: Sequence[Cause]
    unrecorded: Sequence[Revocation]
    """What was taken away before there was a trail, and may have returned."""

    @property
    def is_older(self) -> bool:
        """Whether the badge asks for something else today."""
        return self.award.version != self.award.badge.version

    @property
    def is_recorded(self) -> bool:
        """Whether the trail knows what first made it."""
        return any(cause.effect is Effect.NEW for cause in self.causes)


def stories_of(person_id: UUID) -> list[Story]:
    """Why somebody has each badge that they have, or had, in the order of the camps that completed them."""
    causes = _causes(person_id)
    revocations = _revocations(person_id)
    stories = []
    for award, *asked in db.session.execute(_awards(person_id)).unique():
        taken = revocations.get(award.badge_id, [])
        own = causes.get(award.badge_id, [])
        known = sum(effect is Effect.REVOKED for effect, _ in own)
        # The trail has no gaps once it begins: what it knows are the last of them.
        before, within = taken[: len(taken) - known], iter(taken[len(taken) - known :])
        told = [
            Cause(effect, entry, _reason(next(within, None)) if effect is Effect.REVOKED else "")
            for effect, entry in own
        ]
        stories.append(Story(award, Requirement(*asked), told, before))
    return stories


def _reason(revocation: Revocation | None) -> str:
    return revocation.reason if revocation else ""


_IN_TIME = {Effect.NEW: 0, Effect.REVOKED: 1, Effect.RETURNED: 2}  # within one entry


def _causes(person_id: UUID) -> dict[UUID, list[tuple[Effect, Entry]]]:
    query = (
        select(EntryAward.badge_id, EntryAward.effect, Entry)
        .join(Entry, Entry.id == EntryAward.entry_id)
        .where(EntryAward.person_id == person_id)
    )
    found = sorted(db.session.execute(query).tuples(), key=lambda row: (row[2].at, row[2].id, _IN_TIME[row[1]]))
    causes: dict[UUID, list[tuple[Effect, Entry]]] = defaultdict(list)
    for badge_id, effect, entry in found:
        causes[badge_id].append((effect, entry))
    return causes


def _revocations(person_id: UUID) -> dict[UUID, list[Revocation]]:
    found: dict[UUID, list[Revocation]] = defaultdict(list)
    for revocation in awards.revocations_of(person_id):
        found[revocation.badge_id].append(revocation)
    return found


def _awards(person_id: UUID) -> Select[tuple[Award, str, int]]:
    return (
        select(Award, BadgeVersion.criteria_type, BadgeVersion.criteria_value)
        .join(Award.badge)
        .join(Award.camp)
        .join(BadgeVersion, Award.under())
        .options(contains_eager(Award.badge), contains_eager(Award.camp))
        .where(Award.person_id == person_id)
        .order_by(Camp.camp_date, Camp.start_time, Badge.criteria_value, Badge.position)
    )
