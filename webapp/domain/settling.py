"""Settling many people at once: their standings and awards brought in line with their attendance.

What is due to them :mod:`webapp.domain.reckoning` works out. What is done takes nothing away: it is for what can
only add (new marks, a changed calendar), and for checking.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Select,
    String,
    Uuid,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, alone, analyze, clear, db, rows_changed, scratch
from webapp.domain import audit, badges, standings
from webapp.domain.accounts import Person
from webapp.domain.audit import Action, Effect, EntryAward
from webapp.domain.badges import Award, Badge
from webapp.domain.camps import Camp
from webapp.domain.reckoning import (
    MANY,
    SLICE,
    Slice,
    choose,
    due,
    figure,
    fill_due,
    fill_figures,
    is_chosen,
    slices,
)
from webapp.domain.standings import ALL_TIME, EVERYWHERE, RECENT, Board, Measure, Standing, Tally
from webapp.infra.ids import new_id

WORK = "settling many people"  # by which name it is done one at a time, with what changes calendars

begun = scratch("begun", Column("camp_id", Uuid, primary_key=True), Column("at", Instant))

_KEPT = ("visits", "longest_streak", "badges", "run", "last_visit", "search_name", "book_no", "is_listed")


@dataclass
class Settled:
    """What settling people did."""

    people: int = 0
    new_badges: int = 0
    returned_badges: int = 0
    moved_badges: int = 0


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
    among = choose(after, people, lock=True, most=most)
    if among is None:
        return None
    fill_due(among)
    if badge_id:
        db.session.execute(delete(due).where(due.c.badge_id != badge_id))
    _award(done, dated_back=dated_back, entry_id=entry_id)
    _restate(among)
    done.people += among.number
    return among.last


def evaluate_slice(after: UUID | None, done: Settled) -> UUID | None:
    """Award the next people after an id whatever is due to them, as :func:`settle_slice` does, and enter it into
    the audit trail.
    """
    entry_id = new_id()
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
    for among in slices(people):
        _restate(among)


def _restate(among: Slice) -> None:
    """As :func:`restate`, for a chosen slice."""
    fill_figures(among)
    changes: Tally = Counter()
    for sign, table in ((1, figure), (-1, Standing.__table__)):
        of_board = [table.c.site_id, table.c.period, *(table.c[measure] for measure in Measure)]
        listed_here = is_chosen(table.c.person_id, among), table.c.is_listed
        counted = select(*of_board, func.count()).where(*listed_here).group_by(*of_board)
        for site_id, period, *reached, number in db.session.execute(counted):
            for measure, value in zip(Measure, reached, strict=True):
                changes[Board(site_id, period), measure, value] += sign * number
    standings.record(changes)
    db.session.execute(delete(Standing).where(is_chosen(Standing.person_id, among), ~exists().where(_kept_right())))
    rows = select(figure).where(~exists().where(_same_standing()))
    db.session.execute(insert(Standing).from_select(figure.c.keys(), rows))


def differences(*, progress: Callable[[int], object] = lambda _people: None) -> Iterator[str]:
    """Whatever is kept that a recomputation from attendance does not give: visits, streaks, standings,
    awards. A badge that stands though today's calendar would not give it is none (:func:`number_kept`).
    """
    for among in slices(None):
        fill_due(among)
        fill_figures(among)
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
    if new >= MANY:
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
    clear(begun)
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
        .where(is_chosen(Standing.person_id, among), ~exists().where(_kept_right()))
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
    for among in slices(None):
        fill_due(among)
        stands = (
            is_chosen(Award.person_id, among),
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
