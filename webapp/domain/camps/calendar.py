"""Sites, camps and the calendar they make."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import (
    Date,
    ForeignKey,
    Index,
    Select,
    String,
    UniqueConstraint,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Mapped, aliased, contains_eager, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice, db, first_time
from webapp.domain.errors import ConflictError, InvalidError
from webapp.infra.ids import new_id

LONGEST_LABEL = 120  # characters of a site's or a camp's name
DEFAULT_SITE = "Main site"
DEFAULT_TIME_ZONE = "Asia/Kolkata"
USUAL_START = time(9, 0)  # local; what an imported camp gets, the format having no time


class Status(StrEnum):
    """Whether a camp takes place."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


class Site(Model):
    """The place that holds a series of camps."""

    __tablename__ = "site"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(LONGEST_LABEL), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64), default=DEFAULT_TIME_ZONE)
    # Raised by whatever changes the calendar, so that a fast mark decided before is not written.
    calendar_version: Mapped[int] = mapped_column(default=1, server_default="1")

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def today(self) -> date:
        """The date it is there now."""
        return clock.today(self.time_zone)


class Camp(Model):
    """One medical camp."""

    __tablename__ = "camp"
    __table_args__ = (
        UniqueConstraint("site_id", "camp_date", "name"),
        Index(None, "id", "site_id", "camp_date", unique=True),  # what an attendance repeats of its camp
        Index(None, "camp_date"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    site_id: Mapped[UUID] = mapped_column(ForeignKey("site.id"))
    name: Mapped[str] = mapped_column(String(LONGEST_LABEL))
    camp_date: Mapped[date]
    start_time: Mapped[time] = mapped_column(default=USUAL_START)
    status: Mapped[Status] = mapped_column(
        choice(Status, "status"),
        default=Status.SCHEDULED,
    )
    created_at: Mapped[datetime] = mapped_column(Instant, default=clock.now)
    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)

    @property
    def is_cancelled(self) -> bool:
        """Off the calendar."""
        return self.status is Status.CANCELLED

    @property
    def is_held(self) -> bool:
        """On the calendar: not cancelled, and its local date is today or past."""
        return not self.is_cancelled and self.camp_date <= self.site.today

    @property
    def is_today(self) -> bool:
        """Its local date is today."""
        return self.camp_date == self.site.today

    @property
    def starts_at(self) -> datetime:
        """The instant it starts, in UTC."""
        local = datetime.combine(self.camp_date, self.start_time, self.site.zone)
        return local.astimezone(UTC)

    @property
    def has_begun(self) -> bool:
        """Its start has come."""
        return clock.now() >= self.starts_at

    def must_be_markable(self) -> None:
        """Raises :class:`ConflictError` for a cancelled or future camp, which cannot be marked."""
        if self.is_cancelled:
            raise ConflictError(f"{self.name} was cancelled, so nobody can be marked. Nothing was changed.")
        if not self.is_held:
            raise ConflictError(f"{self.name} has not been held yet, so nobody can be marked. Nothing was changed.")


def first_of_recent(today: date) -> date:
    """The first local date of the last twelve months, which end with ``today``: the day after the same
    date a year ago. After 29 February, and after the 28th of the year that follows, it is 1 March and the
    29th: no date is in them twice, and none is left out.
    """
    try:
        year_ago = today.replace(year=today.year - 1)
    except ValueError:  # 29 February
        year_ago = today.replace(year=today.year - 1, day=28)
    return year_ago + timedelta(days=1)


def clean_label(text: str, what: str) -> str:
    """The name of a camp or site with single spaces; ``what`` says which in the message.

    Raises :class:`InvalidError` where nothing is left, it is too long, or it holds control characters.
    """
    label = " ".join(text.split())
    if not label:
        raise InvalidError(f"The {what} needs a name.")
    if len(label) > LONGEST_LABEL:
        raise InvalidError(f"The name of the {what} has {len(label):,} characters; at most {LONGEST_LABEL} fit.")
    if not label.isprintable():
        raise InvalidError(f"The name of the {what} holds characters that cannot be shown.")
    return label


def folded(label: str) -> str:
    """By what the names of sites, and of one site's camps of one day, are told apart: not by their capitals."""
    return label.casefold()


def parse_time(text: str) -> time:
    """A time of the day written 09:00. Raises :class:`InvalidError` for anything else."""
    if re.fullmatch("[0-9]{2}:[0-9]{2}", text):
        try:
            return time.fromisoformat(text)
        except ValueError:
            pass
    raise InvalidError(f"“{text[:20]}” is not a time such as 09:00.")


def clean_time_zone(name: str) -> str:
    """The name of a time zone. Raises :class:`InvalidError` for one that is not in the IANA list."""
    if name not in time_zones():
        raise InvalidError(f"“{name[:64]}” is not a time zone such as Asia/Kolkata.")
    return name


@cache
def time_zones() -> frozenset[str]:
    """The names of the IANA list, without those that stand for whatever a machine is set to."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def add_site(name: str, time_zone: str = DEFAULT_TIME_ZONE) -> Site:
    """Add a site. Raises :class:`InvalidError` for a bad name or a zone that is not in the IANA list,
    :class:`ConflictError` for the name of another.
    """
    time_zone = clean_time_zone(time_zone)
    name = clean_label(name, "place")
    must_be_free(name)
    site = Site(id=new_id(), name=name, time_zone=time_zone)
    db.session.add(site)
    db.session.flush()
    return site


def must_be_free(name: str, but: UUID | None = None) -> None:
    """Raises :class:`ConflictError` where another site than ``but`` has this name, in whatever capitals."""
    for site_id, taken in db.session.execute(select(Site.id, Site.name)):
        if folded(taken) == folded(name) and site_id != but:
            raise ConflictError(f"There is a place called {taken} already. Nothing was changed.")


def default_site() -> Site:
    """Where camps go that name no site: the first site, else the first by name. There is at least one."""
    return db.session.scalars(select(Site).order_by(Site.name != DEFAULT_SITE, Site.name)).first() or add_site(
        DEFAULT_SITE
    )


def by_id(camp_id: UUID) -> Camp | None:
    """The camp with this id."""
    return db.session.get(Camp, camp_id)


def hold(camp: Camp, *, to_change: bool = False) -> Camp:
    """Read the camp afresh and keep others from changing it until the transaction ends."""
    if not first_time(("camp", camp.id, to_change)):
        return camp
    return db.session.scalars(_HELD[to_change], {"id": camp.id}).one()


def hold_by_id(camp_id: UUID) -> Camp | None:
    """The camp with this id, held as by :func:`hold`; to be called before anything else holds it."""
    first_time(("camp", camp_id, False))
    return db.session.scalars(_HELD[False], {"id": camp_id}).one_or_none()


def hold_from(site_id: UUID, day: date) -> None:
    """Keep everybody from marking at a site's camps from a date on until the transaction ends: its
    calendar changes, which a mark under way would not see. Fast marks are kept out by the site's row and
    its calendar version; it comes first, as they lock it first.
    """
    raised = update(Site).where(Site.id == site_id)
    db.session.execute(raised.values(calendar_version=Site.calendar_version + 1))
    query = select(Camp.id).where(Camp.site_id == site_id, Camp.camp_date >= day).order_by(Camp.id)
    db.session.execute(query.with_for_update()).all()


def _held(to_change: bool) -> Select[tuple[Camp]]:
    # Who only holds it takes the lock that an attendance takes on its camp anyway; who changes it waits for all.
    query = select(Camp).where(Camp.id == bindparam("id", type_=Uuid))
    query = query.with_for_update(of=Camp) if to_change else query.with_for_update(read=True, key_share=True, of=Camp)
    return query.execution_options(populate_existing=True)


_HELD = {to_change: _held(to_change) for to_change in (False, True)}


def sites() -> Sequence[Site]:
    """All sites by name."""
    return db.session.scalars(select(Site).order_by(Site.name)).all()


def find_places() -> Select[tuple[Site]]:
    """The query for the sites to choose from, by name: all, but for the first of an installation while it has
    no camps, is called as it was at first, and another is there, which an import brought or an admin added.
    """
    used = exists().where(Camp.site_id == Site.id)
    other = aliased(Site)
    is_only = ~exists().where(other.id != Site.id)
    return select(Site).where(or_(used, Site.name != DEFAULT_SITE, is_only)).order_by(Site.name)


def places() -> Sequence[Site]:
    """The sites to choose from, by name; at least one."""
    return db.session.scalars(find_places()).all() or [default_site()]


def named(query: str) -> ColumnElement[bool]:
    """The SQL condition on :class:`Camp` that says that its name holds every word of a search."""
    words = query.replace("\0", " ").split()  # PostgreSQL refuses the very question for what no name holds
    return and_(true(), *(Camp.name.icontains(word, autoescape=True) for word in words))


def site_by_id(site_id: UUID) -> Site | None:
    """The site with this id."""
    return db.session.get(Site, site_id)


def sites_with_camps() -> Sequence[Site]:
    """The sites that have camps, by name."""
    return db.session.scalars(select(Site).where(exists().where(Camp.site_id == Site.id)).order_by(Site.name)).all()


def has_many_sites() -> bool:
    """Whether more than one site has camps. Where one does, nobody sees the word site."""
    with_camps = select(Site.id).where(exists().where(Camp.site_id == Site.id)).limit(2)
    return len(db.session.scalars(with_camps).all()) > 1


def todays() -> dict[str, date]:
    """For every time zone in use the date it is there now."""
    return {zone: clock.today(zone) for zone in db.session.scalars(select(Site.time_zone).distinct())}


def held() -> ColumnElement[bool]:
    """The SQL condition on :class:`Camp` that says it is held: each time zone has a date of its own."""
    of_zone = todays()
    if not of_zone:
        return Camp.id.is_(None)
    everywhere = min(of_zone.values())
    past = [Camp.camp_date <= everywhere]
    for ahead in sorted(set(of_zone.values()) - {everywhere}):
        zones = [zone for zone, today in of_zone.items() if today >= ahead]
        there = select(Site.id).where(Site.time_zone.in_(zones))
        past.append(and_(Camp.camp_date > everywhere, Camp.camp_date <= ahead, Camp.site_id.in_(there)))
    return and_(Camp.status == Status.SCHEDULED, or_(*past))


@dataclass(frozen=True, slots=True)
class Latest:
    """The end of a site's calendar: today there, the last held date before it, and how many camps today has."""

    today: date
    before_today: date | None
    camps_today: int


def latest_of(site_ids: Collection[UUID]) -> dict[UUID, Latest]:
    """The end of each of these sites' calendars."""
    if not site_ids:
        return {}
    today = today_in_sql()
    scheduled = Camp.site_id == Site.id, Camp.status == Status.SCHEDULED
    before = select(func.max(Camp.camp_date)).where(*scheduled, Camp.camp_date < today).scalar_subquery()
    on_it = select(func.count()).where(*scheduled, Camp.camp_date == today).scalar_subquery()
    query = select(Site.id, Site.time_zone, before, on_it).where(Site.id.in_(site_ids))
    return {
        site_id: Latest(clock.today(zone), before_today, number)
        for site_id, zone, before_today, number in db.session.execute(query)
    }


def today_in_sql() -> ColumnElement[date]:
    """The date it is at a :class:`Site` now, as SQL."""
    dates = {zone: literal(today, Date) for zone, today in todays().items()}
    return case(
        (Site.id.is_(None), literal(None, Date)), *((Site.time_zone == zone, today) for zone, today in dates.items())
    )


def camps_of_today(*conditions: ColumnElement[bool], most: int | None = None) -> Sequence[Camp]:
    """Every scheduled camp whose local date is today, by start; or only those of them that meet SQL
    conditions, or the first ``most``.
    """
    of_zone = todays()
    query = (
        select(Camp)
        .join(Camp.site)
        .where(
            Camp.status == Status.SCHEDULED,
            Camp.camp_date.in_(set(of_zone.values())),
            Camp.camp_date == today_in_sql(),
            *conditions,
        )
        .options(contains_eager(Camp.site))
        .order_by(Camp.start_time, Camp.name, Camp.id)
        .limit(most)
    )
    return db.session.scalars(query).all()


def hold_only_camp_of_today() -> Camp | None:
    """The camp of today, where there is one and no other, held as by :func:`hold`."""
    day = timedelta(days=1)
    around = {"first": clock.now().date() - day, "last": clock.now().date() + day}
    found = db.session.scalars(_AROUND_TODAY, around).all()
    if len(found) == FEW:  # there may be more
        found = camps_of_today(most=2)
    camps = [camp for camp in found if camp.is_today]
    if len(camps) != 1:
        return None
    first_time(("camp", camps[0].id, False))
    return camps[0]


FEW = 20
_AROUND_TODAY = (
    select(Camp)
    .where(
        Camp.status == Status.SCHEDULED,
        Camp.camp_date.between(bindparam("first", type_=Date), bindparam("last", type_=Date)),
    )
    .limit(FEW)
    .with_for_update(read=True, key_share=True, of=Camp)
    .execution_options(populate_existing=True)
)


def recent_camps(number: int) -> Sequence[Camp]:
    """The last held camps before today, newest first."""
    query = (
        select(Camp).where(held()).order_by(Camp.camp_date.desc(), Camp.start_time.desc(), Camp.id).limit(number + 5)
    )
    return [camp for camp in db.session.scalars(query) if not camp.is_today][:number]


def first_camp() -> Camp | None:
    """The first camp on the calendar."""
    query = select(Camp).where(Camp.status == Status.SCHEDULED).order_by(Camp.camp_date, Camp.start_time, Camp.id)
    return db.session.scalars(query.limit(1)).first()


def next_camp() -> Camp | None:
    """The first scheduled camp still to come."""
    query = (
        select(Camp).where(Camp.status == Status.SCHEDULED, ~held()).order_by(Camp.camp_date, Camp.start_time, Camp.id)
    )
    return db.session.scalars(query.limit(1)).first()


def coming_camps(number: int, until: date) -> Sequence[Camp]:
    """The first scheduled camps that have not begun, up to a local date."""
    first = min(todays().values(), default=until)
    query = (
        select(Camp)
        .where(Camp.status == Status.SCHEDULED, Camp.camp_date.between(first, until))
        .order_by(Camp.camp_date, Camp.start_time, Camp.name, Camp.id)
        .limit(number + 20)  # some of today's may have begun
    )
    return [camp for camp in db.session.scalars(query) if not camp.has_begun][:number]
