"""Very many people at once, by the same rule: their histories, and what is due to them.

The database sorts nothing and walks nothing: it hands over each person's marks as one array of numbers,
in slices of people, so that memory does not grow with the organisation; :class:`History` does the rest.
What is done takes nothing away: it is for what can only add (new marks, a changed calendar), and for
checking (:mod:`webapp.domain.evaluation.verify`).
"""

import gc
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    Select,
    Uuid,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from webapp import clock
from webapp.database import analyze, clear, copy_rows, db, for_many, is_sqlite, scratch
from webapp.domain import audit
from webapp.domain.audit import Action, Effect, EntryAward
from webapp.domain.badges import awards, history
from webapp.domain.badges.awards import Due, Offer
from webapp.domain.badges.history import HeldCamp, History, Mark
from webapp.domain.camps import calendar as camps
from webapp.domain.camps.calendar import Camp
from webapp.domain.evaluation import person as one
from webapp.domain.evaluation.person import Change
from webapp.domain.models.attendance import Attendance, Step, is_marked, step_in_sql
from webapp.domain.models.badge import Award, Badge
from webapp.domain.models.totals import Figures, Totals
from webapp.domain.people.accounts import Person
from webapp.infra.ids import new_id

WORK = "evaluating many people"  # it is done one at a time, with what changes calendars
SLICE = 20_000  # people; with 20 camps each their marks take some 10 MB
FEW = 1_000  # people; up to here each mark is looked up, beyond the whole calendar is read once
IN_PLACE = 500  # people; up to here their ids stand in the statement
SPARSE = 20  # where only one in so many is chosen, their rows are looked up one by one

chosen = scratch("chosen", Column("person_id", Uuid, primary_key=True))
numbered = scratch("numbered", Column("camp_id", Uuid, primary_key=True), Column("number", Integer))


@dataclass
class Evaluated:
    """What evaluating people did."""

    people: int = 0
    new_badges: int = 0
    returned_badges: int = 0
    moved_badges: int = 0


class Slice(NamedTuple):
    """Some people, in the order of their ids."""

    ids: Sequence[UUID]
    is_everybody: bool
    """Whether nobody is left out between the first and the last."""

    def has(self, person_id: Any) -> ColumnElement[bool]:
        """Build the condition that a column names one of them. The bounds are for the indexes."""
        if len(self.ids) <= IN_PLACE:
            return person_id.in_(self.ids)  # type: ignore[no-any-return]
        between = person_id.between(self.ids[0], self.ids[-1])
        if self.is_everybody:
            return between  # type: ignore[no-any-return]
        return and_(between, person_id.in_(select(chosen.c.person_id)))


Given = tuple[UUID, UUID | None]
"""An award that stands: the badge, and the camp that completed it; ``None`` if it is not held."""


class Calendar:
    """All held camps, or those of some condition, each with a number by date, time and id."""

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        columns = Camp.camp_date, Camp.start_time, Camp.id, Camp.name, Camp.site_id
        query = select(*columns).where(camps.held(), *conditions)
        self.camps: list[HeldCamp] = []
        places: dict[UUID, int] = {}
        sites: dict[UUID, UUID] = {}
        last: dict[UUID, object] = {}
        for row in db.session.execute(query.order_by(Camp.camp_date, Camp.start_time, Camp.id)):
            site_id, camp_date = row.site_id, row.camp_date
            site_id = sites.setdefault(site_id, site_id)  # one object each, so that ``is`` tells them apart
            if last.get(site_id) != camp_date:
                places[site_id] = places.get(site_id, 0) + 1
                last[site_id] = camp_date
            self.camps.append(HeldCamp(camp_date, row.start_time, row.id, row.name, site_id, places[site_id]))
        self.latest = camps.latest_of(places.keys())

    def number(self) -> None:
        """Tell the database the numbers, until the transaction ends."""
        clear(numbered)
        rows = ((camp.camp_id, number) for number, camp in enumerate(self.camps))
        copy_rows(numbered, ["camp_id", "number"], rows)
        analyze(numbered)


# --- who, and their histories --------------------------------------------------------------------


def slices(people: Select[tuple[UUID]] | None, *, most: int = SLICE, after: UUID | None = None) -> Iterator[Slice]:
    """Take people by id, of a query for their ids or of everybody, some at a time."""
    while True:
        ids = select(Person.id).order_by(Person.id).limit(most)
        if after:
            ids = ids.where(Person.id > after)
        if people is not None:
            ids = ids.where(Person.id.in_(people))
        found = Slice(db.session.scalars(ids).all(), people is None)
        if not found.ids:
            return
        _choose(found)
        yield found
        if len(found.ids) < most:
            return
        after = found.ids[-1]


def _choose(among: Slice) -> None:
    """Tell the database who is chosen, where they are too many to be named in each statement."""
    if len(among.ids) <= IN_PLACE:
        return
    if not among.is_everybody:
        clear(chosen)
        copy_rows(chosen, ["person_id"], ((person_id,) for person_id in among.ids))
        analyze(chosen)
    if among.is_everybody or _is_dense(among):
        for_many()


def _is_dense(among: Slice) -> bool:
    """Say whether the chosen are many of those between the first and the last, so that what is stored
    between may be read from end to end.
    """
    most = len(among.ids) * SPARSE
    between = select(Person.id).where(Person.id.between(among.ids[0], among.ids[-1])).limit(most)
    return (db.session.scalar(select(func.count()).select_from(between.subquery())) or 0) < most


def read(among: Slice, calendar: Calendar | None) -> Iterator[tuple[UUID, History]]:
    """Read the histories of the people of a slice, in any order; those without marks may be missing.

    Without a calendar each mark is looked up (:func:`history.read`): right for few.
    """
    if calendar is None:
        for start in range(0, len(among.ids), IN_PLACE):
            yield from history.read(among.ids[start : start + IN_PLACE]).items()
        return
    every: list[Mark] = [(camp, step) for camp in calendar.camps for step in Step]
    for person_id, numbers in _marks(among, calendar):
        yield person_id, History([every[number] for number in sorted(numbers)], calendar.latest)


def _marks(among: Slice, calendar: Calendar) -> Iterator[tuple[UUID, Iterable[int]]]:
    """Read each person's marks as numbers: the camp's, times the number of steps, and the step."""
    code = cast(numbered.c.number * len(Step) + step_in_sql(), Integer)
    dates = [camp.camp_date for camp in calendar.camps] or [date.min]
    on_it = Attendance.camp_date.between(dates[0], dates[-1])  # so that no others are joined
    query = (
        select(Attendance.person_id, _array(code))
        .join(numbered, numbered.c.camp_id == Attendance.camp_id)
        .where(among.has(Attendance.person_id), on_it, is_marked())
        .group_by(Attendance.person_id)
    )
    for person_id, numbers in db.session.execute(query):
        yield person_id, _parsed(numbers)


def _array(number: ColumnElement[int]) -> ColumnElement[Any]:
    """Aggregate whole numbers into an array, which :func:`_parsed` reads.

    PostgreSQL's driver makes a list of it, which SQLAlchemy would copy if it knew the type.
    """
    if is_sqlite():
        return func.json_group_array(number)
    return type_coerce(func.array_agg(number), NullType())


def _parsed(array: Any) -> Sequence[int]:
    numbers: Sequence[int] = json.loads(array) if isinstance(array, str) else array
    return numbers


def figures(*conditions: ColumnElement[bool]) -> Iterator[tuple[UUID, int, int]]:
    """Give the visits and the longest streak of whoever came, at the held camps of some conditions.

    One tuple a person: id, visits, longest streak. Read in slices; the caller may write meanwhile.
    """
    calendar = Calendar(*conditions)
    if not calendar.camps:
        return
    for among in slices(None):
        calendar.number()
        with _uncollected():
            for person_id, found in read(among, calendar):
                if found.visits:
                    yield person_id, len(found.visits), found.longest_streak


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for cycles of objects meanwhile: a slice has none.

    It would look through everything in memory for each few tens of thousands of objects of a slice;
    that took a third of the time of a board of a year.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- evaluation ----------------------------------------------------------------------------------


def evaluate(
    people: Select[tuple[UUID]] | None = None,
    *,
    dated_back: bool = False,
    entry_id: UUID | None = None,
    progress: Callable[[int], object] = lambda _people: None,
) -> Evaluated:
    """Bring the totals and awards of ``people`` (a query for their ids), or of everybody, in line with
    their attendance, inside the caller's transaction.

    Badges that are due are awarded, as earned now or, ``dated_back``, when the camp that completed each
    began; nobody celebrates those. What is awarded follows from an entry of the audit trail, if one is
    named. ``progress`` is told how many people each slice had.
    """
    done = Evaluated()
    told = 0
    last: UUID | None = None
    while last := evaluate_slice(last, people, done, dated_back=dated_back, entry_id=entry_id):
        progress(done.people - told)
        told = done.people
    for loaded in list(db.session.identity_map.values()):
        if isinstance(loaded, Award):
            db.session.expire(loaded)
    return done


def evaluate_slice(
    after: UUID | None,
    people: Select[tuple[UUID]] | None,
    done: Evaluated,
    *,
    dated_back: bool = False,
    entry_id: UUID | None = None,
    most: int = SLICE,
    badge_id: UUID | None = None,
) -> UUID | None:
    """Evaluate the next people after an id, at the ``most`` so many, with all badges or one.

    Returns the last of them, or nothing where there was nobody left.
    """
    among = next(slices(people, most=most, after=after), None)
    if among is None:
        return None
    _lock(among)
    if badge_id:  # a fast mark may have been decided before the badge asked for what it asks for now
        raise_versions(select(Person.id).where(among.has(Person.id)))
    _Work(among, badge_id).write(done, dated_back=dated_back, entry_id=entry_id)
    done.people += len(among.ids)
    return among.ids[-1]


def evaluate_next(after: UUID | None, done: Evaluated, *, most: int = SLICE) -> UUID | None:
    """Award the next people after an id whatever is due to them, as :func:`evaluate_slice` does, and
    enter it into the audit trail.
    """
    entry_id = new_id()
    before = replace(done)
    last = evaluate_slice(after, None, done, entry_id=entry_id, most=most)
    names = ("new_badges", "returned_badges", "moved_badges")
    changed = {name: getattr(done, name) - getattr(before, name) for name in names}
    if any(changed.values()):
        audit.note(Action.EVALUATED, details=changed, entry_id=entry_id)
    return last


def raise_versions(people: Select[tuple[UUID]] | Collection[UUID]) -> None:
    """Let no fast mark of these people be written that was decided before now."""
    raised = update(Totals).where(Totals.person_id.in_(people)).values(version=Totals.version + 1)
    db.session.execute(raised, execution_options={"synchronize_session": False})


def _lock(among: Slice) -> None:
    for column in (Person.id, Totals.person_id):
        rows = select(column).where(among.has(column)).order_by(column)
        if column is not Person.id:
            rows = rows.order_by(Totals.site_id)
        locked = rows.with_for_update(key_share=column is Person.id).subquery()
        if not is_sqlite():
            db.session.execute(select(func.count()).select_from(locked)).all()


class Compared(NamedTuple):
    """One person's figures and awards as they are kept, and as they should be."""

    person_id: UUID
    history: History
    kept: Mapping[UUID, Figures]
    figures: Mapping[UUID, Figures]
    awards: Mapping[UUID, UUID | None]
    """The awards that stand: the badge and the camp that completed it; ``None`` if it is not held."""
    due: Mapping[UUID, Due]
    is_plain: bool
    """All awards stand, of badges that ask for what they asked for when they were earned."""

    def moved(self, due: Mapping[UUID, Due]) -> list[UUID]:
        """Find the badges of standing awards that another camp completes than they name."""
        return [
            badge_id
            for badge_id, camp_id in self.awards.items()
            if badge_id in due and due[badge_id].camp.camp_id != camp_id
        ]


def compare(among: Slice) -> Iterator[Compared]:
    """Hold everybody of a slice against what is kept of them.

    Left out is whoever differs in nothing and has plain awards only: of very many, nearly all.
    """
    active = awards.offers(awards.definitions())
    calendar = None
    if len(among.ids) > FEW:
        calendar = Calendar()
        calendar.number()

    with _uncollected():
        kept, given, unusual = _totals(among), _awards(among, calendar), _unusual(among)

        for person_id, own in chain(read(among, calendar), _without_marks(kept, given)):
            is_plain = person_id not in unusual
            stored = kept.pop(person_id, {}), given.pop(person_id, [])
            compared = _compared(person_id, own, active, *stored, is_plain=is_plain)
            if compared:
                yield compared


def _without_marks(*left: Mapping[UUID, object]) -> Iterator[tuple[UUID, History]]:
    """Give whoever is left when this begins an empty history."""
    for person_id in {person_id for each in left for person_id in each}:
        yield person_id, History((), {})


def _compared(
    person_id: UUID,
    own: History,
    active: Sequence[Offer],
    kept: Mapping[UUID, Figures],
    given: Sequence[Given],
    *,
    is_plain: bool,
) -> Compared | None:
    figures = own.figures()
    known = {} if is_plain else awards.known_of([person_id])[person_id]
    due = awards.due(own, active, known)
    # As lists in the same order: to look them up by their ids would take longer than all else here.
    expected = [(badge_id, each.camp.camp_id) for badge_id, each in due.items()]
    if is_plain and figures == kept and given == expected:
        return None

    gone = {site_id: Figures() for site_id in kept.keys() - figures.keys()}
    return Compared(person_id, own, kept, figures | gone, dict(given), due, is_plain)


def _totals(among: Slice) -> dict[UUID, dict[UUID, Figures]]:
    columns = Totals.__table__.c
    names = "person_id", "site_id", *Figures._fields
    query = select(*(columns[name] for name in names)).where(among.has(columns.person_id))
    kept: dict[UUID, dict[UUID, Figures]] = {}
    for person_id, site_id, *values in db.session.execute(query):
        kept.setdefault(person_id, {})[site_id] = Figures(*values)
    return kept


def _awards(among: Slice, calendar: Calendar | None) -> dict[UUID, list[Given]]:
    """Read the awards of a slice that stand, by person, each in the order of the definitions."""
    columns = Award.__table__.c
    stands = among.has(columns.person_id), columns.revoked_at.is_(None)
    given: dict[UUID, list[Given]] = {}
    if calendar is None:
        few = (
            select(columns.person_id, columns.badge_id, columns.camp_id)
            .join(Badge, Badge.id == columns.badge_id)
            .order_by(Badge.criteria_value, Badge.position)
        )
        for person_id, *award in db.session.execute(few.where(*stands)):
            given.setdefault(person_id, []).append(tuple(award))
        return given

    badge_ids = [badge.id for badge in awards.all_definitions()]
    camp_ids = [None, *(camp.camp_id for camp in calendar.camps)]
    many = len(camp_ids)
    place = case(*((columns.badge_id == badge_id, at) for at, badge_id in enumerate(badge_ids)))
    code = cast(place * many + func.coalesce(numbered.c.number + 1, 0), BigInteger)
    query = (
        select(columns.person_id, _array(code))
        .outerjoin(numbered, numbered.c.camp_id == columns.camp_id)
        .where(*stands)
        .group_by(columns.person_id)
    )
    for person_id, codes in db.session.execute(query):
        in_order = sorted(_parsed(codes))
        given[person_id] = [(badge_ids[code // many], camp_ids[code % many]) for code in in_order]
    return given


def _unusual(among: Slice) -> set[UUID]:
    """Find whose awards are judged one by one: some revoked, or earned when something else was asked."""
    is_older = or_(~Badge.is_active, Award.version != Badge.version, Award.revoked_at.is_not(None))
    query = select(Award.person_id).join(Badge, Badge.id == Award.badge_id)
    return set(db.session.scalars(query.where(among.has(Award.person_id), is_older)))


class _Work:
    """What is to be written for a slice, gathered before anything is."""

    def __init__(self, among: Slice, badge_id: UUID | None) -> None:
        self.badge_id = badge_id
        self.totals: dict[UUID, Mapping[UUID, Figures]] = {}
        self.new_totals: list[tuple[UUID, UUID, Figures]] = []
        self.awards: list[tuple[UUID, UUID, Due]] = []
        self.one_by_one: list[Change] = []
        for compared in compare(among):
            self._take(compared)

    def _take(self, compared: Compared) -> None:
        person_id, given = compared.person_id, compared.awards
        if compared.figures != compared.kept:
            if compared.kept:
                self.totals[person_id] = compared.figures
            else:
                self.new_totals += [(person_id, *row) for row in compared.figures.items()]

        due = compared.due
        if self.badge_id:
            due = {self.badge_id: due[self.badge_id]} if self.badge_id in due else {}
        missing = [badge_id for badge_id in due if badge_id not in given]
        if compared.moved(due) or (missing and not compared.is_plain):
            self.one_by_one.append(Change(person_id, compared.history))
        else:
            self.awards += [(person_id, badge_id, due[badge_id]) for badge_id in missing]

    def write(self, done: Evaluated, *, dated_back: bool, entry_id: UUID | None) -> None:
        """Write it in the running transaction, and count what was done."""
        one.keep(self.totals)
        columns = ["person_id", "site_id", *Figures._fields, "version"]
        rows = ((*key, *figures, 1) for *key, figures in self.new_totals)
        copy_rows(Totals.__table__, columns, rows)

        if self.awards:
            self._award(dated_back, entry_id)
            done.new_badges += len(self.awards)

        changes = one.evaluate(self.one_by_one, badge_id=self.badge_id, dated_back=dated_back)
        for person_id, changed in changes.items():
            done.new_badges += len(changed.new) + len(changed.found_later)
            done.returned_badges += len(changed.returned)
            done.moved_badges += len(changed.moved)
            if entry_id:
                audit.follow(entry_id, changed.consequences(person_id))

    def _award(self, dated_back: bool, entry_id: UUID | None) -> None:
        now = clock.now()
        starts: Mapping[UUID, datetime] = {}
        if dated_back:
            starts = _starts({due.camp.camp_id for _, _, due in self.awards})
        rows = (
            (
                *(person_id, badge_id, due.camp.camp_id, due.version, dated_back),
                min(now, starts.get(due.camp.camp_id, now)),
            )
            for person_id, badge_id, due in self.awards
        )
        columns = ["person_id", "badge_id", "camp_id", "version", "found_later", "earned_at"]
        copy_rows(Award.__table__, columns, rows)
        if entry_id:
            followed = ((entry_id, person_id, badge_id, Effect.NEW.value) for person_id, badge_id, _ in self.awards)
            columns = ["entry_id", "person_id", "badge_id", "effect"]
            copy_rows(EntryAward.__table__, columns, followed)
        if len(self.awards) >= FEW:
            analyze(Award.__table__)
        awarded = sorted({person_id for person_id, _, _ in self.awards})
        for start in range(0, len(awarded), IN_PLACE):
            raise_versions(awarded[start : start + IN_PLACE])


def _starts(camp_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Say when camps start, in UTC."""
    starts: dict[UUID, datetime] = {}
    ids = list(camp_ids)
    for start in range(0, len(ids), IN_PLACE):
        query = select(Camp).where(Camp.id.in_(ids[start : start + IN_PLACE]))
        starts |= {camp.id: camp.starts_at for camp in db.session.scalars(query)}
    return starts
