"""The calendar as an admin changes it: camps added, one or a series, moved, cancelled and put back; sites.

Each verb settles what it changes in its transaction; the caller commits. By the contract a change of the
calendar may add badges and takes none away. What a change would do is found by doing it: :func:`weigh`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Integer, Select, Uuid, and_, case, func, insert, select, union, update
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import clear, db, one_at_a_time, rows_changed, scratch
from webapp.domain import audit
from webapp.domain.attendance import roll_call
from webapp.domain.audit import Action, Effect, EntryAward
from webapp.domain.badges import awards
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import USUAL_START, Camp, Site, Status, clean_label, folded
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.evaluation import bulk
from webapp.domain.models.attendance import Attendance, State, is_marked
from webapp.domain.models.badge import Award
from webapp.domain.models.totals import Totals
from webapp.domain.people.accounts import Person
from webapp.domain.schedule.series import MOST_CAMPS
from webapp.infra.ids import new_id

MOST_NAMES = 10  # of people who gain a badge
YEARS_AHEAD = 10  # a camp further ahead than that is a slip of the pen

kept = scratch(
    "kept",
    Column("person_id", Uuid, primary_key=True),
    Column("visits", Integer),
    Column("longest_streak", Integer),
)

# --- camps ---------------------------------------------------------------------------------------


def add_camp(
    site: Site, name: str, camp_date: date, start_time: time = USUAL_START, *, entry_id: UUID | None = None
) -> Camp:
    """Put a camp on a site's calendar. One of the past, forgotten until now, may break runs that went over
    its date; by the contract it takes no badge away. ``entry_id`` is the audit trail's, where it is given.

    Raises :class:`InvalidError` for a bad name or date, :class:`ConflictError` where the site has a camp of
    that name on that date.
    """
    name = _clean(site, name, [camp_date])
    _hold_calendar(site.id, camp_date)
    _must_be_free(site.id, name, camp_date)
    return _put(site, name, [camp_date], start_time, entry_id)[0]


def add_series(
    site: Site,
    name: str,
    dates: Collection[date],
    start_time: time = USUAL_START,
    *,
    entry_id: UUID | None = None,
) -> list[Camp]:
    """Put camps of one name on a site's calendar, and settle once; those added, by date. A date on which the
    site has a camp of that name, be it cancelled, is left out.

    Raises :class:`InvalidError` for a bad name or date, for no dates and for more than :data:`MOST_CAMPS`.
    """
    if not dates:
        raise InvalidError("No date is ticked. Tick those on which there is a camp.")
    if len(dates) > MOST_CAMPS:
        raise InvalidError(f"A series has at most {MOST_CAMPS} camps.")
    name = _clean(site, name, dates)
    _hold_calendar(site.id, min(dates))
    return _put(site, name, sorted(set(dates) - taken(site, name, dates).keys()), start_time, entry_id)


def change_camp(
    camp: Camp, name: str | None, camp_date: date | None, start_time: time | None, *, entry_id: UUID | None = None
) -> dict[str, dict[str, object]]:
    """Call a camp otherwise, or hold it on another date or at another time, where these are given; what was
    ``before`` and is ``after``, as far as it differs. Sign-ups move along, and so does who said beforehand that they
    cannot come.

    Raises :class:`InvalidError` for a bad name or date, :class:`ConflictError` for another date once somebody
    is marked or the roll call is closed, and where the site has a camp of that name on that date.
    """
    camp, first = _hold(camp, *([camp_date] if camp_date else []))
    before = _facts(camp)
    name = camp.name if name is None else clean_label(name, "camp")
    camp_date, start_time = camp_date or camp.camp_date, start_time or camp.start_time
    if camp_date != camp.camp_date:
        _clean(camp.site, name, [camp_date])
        _must_be_movable(camp)
    if (name, camp_date) != (camp.name, camp.camp_date):
        _must_be_free(camp.site_id, name, camp_date, camp.id)
    camp.name, camp.camp_date, camp.start_time = name, camp_date, start_time
    after = _facts(camp)
    changed = {fact for fact in after if after[fact] != before[fact]}
    if not changed:
        return {}
    db.session.flush()
    _forget_read()
    difference = {
        word: {fact: facts[fact] for fact in sorted(changed)} for word, facts in (("before", before), ("after", after))
    }
    entry_id = audit.note(Action.CAMP_CHANGED, camp_id=camp.id, details=difference, entry_id=entry_id)
    if changed - {"name"}:
        _settle_from(camp.site, first, entry_id, camp)
    _tell(camp)
    return difference


def cancel_camp(camp: Camp, *, entry_id: UUID | None = None) -> None:
    """Take a camp off the calendar. A run may grow over the gap, so it may add badges; it takes none."""
    _change_status(camp, Status.CANCELLED, entry_id)


def reinstate_camp(camp: Camp, *, entry_id: UUID | None = None) -> None:
    """Put a cancelled camp back, and with it the visits of those who were marked."""
    _change_status(camp, Status.SCHEDULED, entry_id)


def taken(site: Site, name: str, dates: Collection[date]) -> dict[date, Status]:
    """On which of these dates the site has a camp of that name, and whether it takes place."""
    query = select(Camp.camp_date, Camp.status, Camp.name).where(Camp.site_id == site.id, Camp.camp_date.in_(dates))
    rows = db.session.execute(query).tuples()
    return {day: status for day, status, other in rows if folded(other) == folded(name)}


def number_marked(camp: Camp) -> int:
    """How many people are marked at a camp, but for those who said beforehand that they cannot come."""
    return db.session.scalar(select(func.count()).where(Attendance.camp_id == camp.id, _by_others())) or 0


def _by_others() -> ColumnElement[bool]:
    said_so = and_(Attendance.state == State.EXCUSED, Attendance.declined_at.is_not(None))
    return and_(is_marked(), ~said_so)


def _must_be_movable(camp: Camp) -> None:
    number = number_marked(camp)
    if number:
        people = "1 person is" if number == 1 else f"{number:,} people are"
        raise ConflictError(f"{people} marked at {camp.name}, so its date stays. Nothing was changed.")
    if roll_call.closing_of(camp):
        raise ConflictError(f"The roll call of {camp.name} is closed. Open it again to move it. Nothing was changed.")


def _must_be_free(site_id: UUID, name: str, camp_date: date, but: UUID | None = None) -> None:
    of_that_day = db.session.scalars(select(Camp).where(Camp.site_id == site_id, Camp.camp_date == camp_date))
    twins = (camp for camp in of_that_day if folded(camp.name) == folded(name) and camp.id != but)
    if twin := next(twins, None):
        cancelled = ", cancelled; reinstate that one" if twin.is_cancelled else ""
        raise ConflictError(f"{twin.name} is on the calendar of that day already{cancelled}. Nothing was changed.")


def _clean(site: Site, name: str, dates: Collection[date]) -> str:
    """The name of a camp; raises :class:`InvalidError` for a bad one, and for dates too far ahead."""
    last = max(dates)
    if last.year > site.today.year + YEARS_AHEAD:
        raise InvalidError(f"{last} is more than {YEARS_AHEAD} years ahead; is it a slip of the pen?")
    return clean_label(name, "camp")


def _facts(camp: Camp) -> dict[str, object]:
    return {"name": camp.name, "camp_date": camp.camp_date, "start_time": f"{camp.start_time:%H:%M}"}


def _hold_calendar(site_id: UUID, first: date) -> None:
    """One change of the calendar at a time, and no marks at a site's camps from a date on meanwhile."""
    one_at_a_time(bulk.WORK)
    calendar.hold_from(site_id, first)


def _hold(camp: Camp, *dates: date) -> tuple[Camp, date]:
    """A camp to be changed, held along with the calendar from its date on, or from an earlier one of ``dates``;
    and which date that is.
    """
    one_at_a_time(bulk.WORK)  # before its date is read, which only this work changes
    now = db.session.execute(select(Camp.camp_date).where(Camp.id == camp.id)).scalar_one()
    first = min((now, *dates))
    calendar.hold_from(camp.site_id, first)
    return calendar.hold(camp, to_change=True), first


def _put(site: Site, name: str, dates: Sequence[date], start_time: time, entry_id: UUID | None) -> list[Camp]:
    scheduled = Camp.site_id == site.id, Camp.status == Status.SCHEDULED, Camp.camp_date.in_(dates)
    on_it = set(db.session.scalars(select(Camp.camp_date).where(*scheduled)))
    added = [
        Camp(id=new_id(), site=site, name=name, camp_date=day, start_time=start_time, status=Status.SCHEDULED)
        for day in dates
    ]
    db.session.add_all(added)
    db.session.flush()
    details = {"of_series": len(added)} if len(added) > 1 else {}
    entry_ids = [
        audit.note(Action.CAMP_ADDED, camp_id=camp.id, details=details, entry_id=None if place else entry_id)
        for place, camp in enumerate(added)
    ]
    new_steps = [camp.camp_date for camp in added if camp.is_held and camp.camp_date not in on_it]
    if new_steps:
        _settle_from(site, min(new_steps), entry_ids[0])
    return added


def _change_status(camp: Camp, status: Status, entry_id: UUID | None) -> None:
    camp, first = _hold(camp)
    if camp.status is status:
        return
    camp.status = status
    db.session.flush()
    action = Action.CAMP_CANCELLED if status is Status.CANCELLED else Action.CAMP_REINSTATED
    entry_id = audit.note(action, camp_id=camp.id, entry_id=entry_id)
    _settle_from(camp.site, first, entry_id)
    _tell(camp)


def _settle_from(site: Site, first: date, entry_id: UUID, camp: Camp | None = None) -> None:
    """Settle whom a change of a site's calendar from a date on may concern: whoever is marked there since, and
    with a camp that moved whoever a badge was completed by it.
    """
    if first > site.today:
        return  # no walk has come there
    concerned = _marked_from(site.id, first)
    if camp:
        completed = select(Award.person_id).where(Award.camp_id == camp.id)
        concerned = select(union(concerned, completed).subquery().c.person_id)
    bulk.evaluate(concerned, entry_id=entry_id)


def _marked_from(site_id: UUID, first: date) -> Select[tuple[UUID]]:
    here = Attendance.site_id == site_id, Attendance.camp_date >= first, is_marked()
    return select(Attendance.person_id).where(*here)


def _tell(camp: Camp) -> None:
    """Open pages of whoever signed up are drawn anew."""
    signed_up = Attendance.camp_id == camp.id, ~_by_others()
    rows_changed(update(Attendance).where(*signed_up).values(changed_at=clock.now()))


def _forget_read() -> None:
    """The database has moved what is stored of people along with its camp, key and all."""
    for read_before in list(db.session.identity_map.values()):
        if isinstance(read_before, Attendance):
            db.session.expunge(read_before)


# --- sites ---------------------------------------------------------------------------------------


def add_site(name: str, time_zone: str) -> Site:
    """Add a site. Raises :class:`InvalidError` for a bad name or a time zone that is not in the IANA list,
    :class:`ConflictError` for the name of another.
    """
    one_at_a_time(bulk.WORK)
    site = calendar.add_site(name, time_zone)
    audit.note(Action.SITE_ADDED, details={"site_id": site.id, **_site_facts(site)})
    return site


def change_site(site: Site, name: str | None, time_zone: str | None) -> None:
    """Call a site otherwise, or put right its time zone, by which it is another date there; each where it is given.

    Raises as :func:`add_site` does, and :class:`ConflictError` where people are marked at a camp that would
    not have been held yet.
    """
    one_at_a_time(bulk.WORK)
    db.session.refresh(site)
    name = site.name if name is None else clean_label(name, "place")
    time_zone = site.time_zone if time_zone is None else calendar.clean_time_zone(time_zone)
    if name != site.name:
        calendar.must_be_free(name, site.id)
    before, today_before = _site_facts(site), site.today
    site.name, site.time_zone = name, time_zone
    after = _site_facts(site)
    if before == after:
        return
    first = min(today_before, site.today)
    calendar.hold_from(site.id, first)
    if site.today < today_before and _is_anybody_marked(site, site.today):
        raise ConflictError(
            f"In {time_zone} it is not yet {today_before}, and people are marked at a camp of that day already. "
            "Change the time zone on another day. Nothing was changed."
        )
    db.session.flush()
    changed = [fact for fact in after if after[fact] != before[fact]]
    difference = {
        word: {fact: facts[fact] for fact in changed} for word, facts in (("before", before), ("after", after))
    }
    entry_id = audit.note(Action.SITE_CHANGED, details={"site_id": site.id, **difference})
    if site.today != today_before:
        _settle_from(site, first, entry_id)


def _site_facts(site: Site) -> dict[str, object]:
    return {"name": site.name, "time_zone": site.time_zone}


def _is_anybody_marked(site: Site, after: date) -> bool:
    here = Attendance.site_id == site.id, Attendance.camp_date > after, _by_others()
    return db.session.scalar(select(Attendance.camp_id).where(*here).limit(1)) is not None


# --- what a change does --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gain:
    """A badge that people gain by a change, or (``effect``) get back."""

    badge: str
    effect: Effect
    people: int
    names: Sequence[str]
    """The first :data:`MOST_NAMES` of them."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What a change of the calendar did to people: badges, and in how many people's figures visits and the
    longest run are more or fewer than before.
    """

    gains: Sequence[Gain] = field(default_factory=list)
    more_visits: int = 0
    fewer_visits: int = 0
    longer_runs: int = 0
    shorter_runs: int = 0

    @property
    def digest(self) -> str:
        """A short text that differs where the effects do."""
        return sha256(repr(self).encode()).hexdigest()[:16]


def weigh(site: Site, first: date, change: Callable[[UUID], object]) -> Effects:
    """Carry out a change of a site's calendar from a date on, and say what it did. ``change`` is handed the id
    of its entry in the audit trail.
    """
    clear(kept)
    if first <= site.today:
        of_concerned = _totals().where(Totals.person_id.in_(_marked_from(site.id, first)))
        db.session.execute(insert(kept).from_select(kept.c.keys(), of_concerned))
    entry_id = new_id()
    change(entry_id)
    return Effects(_gains(entry_id), *_moved_totals())


def _totals() -> Select[Any]:
    """Build the query for each person's visits and longest streak, of all sites together."""
    figures = func.sum(Totals.visits).label("visits"), func.max(Totals.longest_streak).label("longest")
    return select(Totals.person_id, *figures).group_by(Totals.person_id)


def _moved_totals() -> list[int]:
    now = _totals().where(Totals.person_id.in_(select(kept.c.person_id))).subquery()
    pairs = (now.c.visits, kept.c.visits), (now.c.longest, kept.c.longest_streak)
    moved = [more for after, before in pairs for more in (after > before, after < before)]
    query = (
        select(*(func.coalesce(func.sum(case((condition, 1), else_=0)), 0) for condition in moved))
        .select_from(kept)
        .join(now, now.c.person_id == kept.c.person_id)
    )
    return [int(number) for number in db.session.execute(query).one()]


def _gains(entry_id: UUID) -> list[Gain]:
    of_one = EntryAward.badge_id, EntryAward.effect
    place = func.row_number().over(partition_by=of_one, order_by=(Person.search_name, Person.book_no)).label("place")
    followed = (
        select(
            EntryAward.badge_id,
            EntryAward.effect,
            Person.name,
            func.count().over(partition_by=of_one).label("number"),
            place,
        )
        .join(Person, Person.id == EntryAward.person_id)
        .where(EntryAward.entry_id == entry_id)
        .subquery()
    )
    found: dict[tuple[UUID, Effect], tuple[int, list[str]]] = {}
    query = select(followed).where(followed.c.place <= MOST_NAMES).order_by(followed.c.place)
    for badge_id, effect, name, number, _place in db.session.execute(query):
        found.setdefault((badge_id, effect), (number, []))[1].append(name)
    return [
        Gain(badge.name, effect, *found[badge.id, effect])
        for effect in Effect
        for badge in awards.all_definitions()
        if (badge.id, effect) in found
    ]


# --- how it is read ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """One date of the calendar: the first of its camps, by start, and how many there are."""

    date: date
    camps: Sequence[Camp] = ()
    number: int = 0


def days(first: date, last: date, site: Site | None = None, *, most: int) -> dict[date, Day]:
    """The dates that have camps, cancelled ones too, everywhere or at one site; ``most`` camps of each."""
    by_start = Camp.start_time, Camp.name, Camp.id
    place = func.row_number().over(partition_by=Camp.camp_date, order_by=by_start).label("place")
    number = func.count().over(partition_by=Camp.camp_date).label("number")
    here = [Camp.camp_date.between(first, last), *([Camp.site_id == site.id] if site else [])]
    ranked = select(Camp.id, place, number).where(*here).subquery()
    query = (
        select(Camp, ranked.c.number)
        .join(ranked, ranked.c.id == Camp.id)
        .where(ranked.c.place <= most)
        .order_by(Camp.camp_date, ranked.c.place)
    )
    found: dict[date, list[Camp]] = {}
    numbers: dict[date, int] = {}
    for camp, in_all in db.session.execute(query):
        found.setdefault(camp.camp_date, []).append(camp)
        numbers[camp.camp_date] = in_all
    return {day: Day(day, of_one, numbers[day]) for day, of_one in found.items()}


def find(query: str = "", site: Site | None = None, day: date | None = None) -> Select[tuple[Camp]]:
    """The query for the camps whose name holds every word of ``query``, the latest first; at one site, and of
    one date, where these are given.
    """
    here = [*([Camp.site_id == site.id] if site else []), *([Camp.camp_date == day] if day else [])]
    return (
        select(Camp)
        .where(calendar.named(query), *here)
        .order_by(Camp.camp_date.desc(), Camp.start_time, Camp.name, Camp.id)
    )


def numbers_at(site_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many camps each of these sites has, cancelled ones too."""
    query = select(Camp.site_id, func.count()).where(Camp.site_id.in_(site_ids)).group_by(Camp.site_id)
    return dict(db.session.execute(query).tuples().all())
