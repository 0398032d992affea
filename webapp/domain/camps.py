"""Sites, camps and the calendar they make."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time
from enum import StrEnum
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, func, or_, select
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice, db
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.streaks import Calendar

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

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(LONGEST_LABEL), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64), default=DEFAULT_TIME_ZONE)

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
    __table_args__ = (UniqueConstraint("site_id", "camp_date", "name"), Index(None, "camp_date"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
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


def add_site(name: str, time_zone: str = DEFAULT_TIME_ZONE) -> Site:
    """Add a site. Raises :class:`InvalidError` for a bad name or a zone that is not in the IANA list."""
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise InvalidError(f"“{time_zone}” is not a time zone such as Asia/Kolkata.") from None
    site = Site(id=uuid4(), name=clean_label(name, "site"), time_zone=time_zone)
    db.session.add(site)
    db.session.flush()
    return site


def default_site() -> Site:
    """Where camps go that name no site: the first site, else the first by name. There is at least one."""
    return db.session.scalars(select(Site).order_by(Site.name != DEFAULT_SITE, Site.name)).first() or add_site(
        DEFAULT_SITE
    )


def add_camp(site: Site, name: str, camp_date: date, start_time: time = USUAL_START) -> Camp:
    """Put a camp on a site's calendar.

    It can only lengthen the calendar, so it adds no badge and, by the contract, takes none away.
    Raises :class:`ConflictError` where the site has a camp of that name on that date.
    """
    name = clean_label(name, "camp")
    twin = select(Camp.id).where(Camp.site_id == site.id, Camp.camp_date == camp_date, Camp.name == name)
    if db.session.scalar(twin):
        raise ConflictError(f"{name} on {camp_date} is on the calendar already.")
    camp = Camp(id=uuid4(), site=site, name=name, camp_date=camp_date, start_time=start_time, status=Status.SCHEDULED)
    db.session.add(camp)
    db.session.flush()
    return camp


def by_id(camp_id: UUID) -> Camp | None:
    """The camp with this id."""
    return db.session.get(Camp, camp_id)


def hold(camp: Camp, *, to_change: bool = False) -> Camp:
    """Read the camp afresh and keep others from changing it until the transaction ends."""
    query = select(Camp).where(Camp.id == camp.id).with_for_update(read=not to_change, of=Camp)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def sites() -> Sequence[Site]:
    """All sites by name."""
    return db.session.scalars(select(Site).order_by(Site.name)).all()


def has_many_sites() -> bool:
    """Whether more than one site has camps. Where one does, nobody sees the word site."""
    return len(db.session.scalars(select(Camp.site_id).distinct().limit(2)).all()) > 1


def held() -> ColumnElement[bool]:
    """The SQL condition on :class:`Camp` that says it is held: each site has a date of its own."""
    by_today: dict[date, list[UUID]] = defaultdict(list)
    for site in sites():
        by_today[site.today].append(site.id)
    if not by_today:
        return Camp.id.is_(None)
    if len(by_today) == 1:
        past = Camp.camp_date <= next(iter(by_today))
    else:
        past = or_(*((Camp.camp_date <= day) & Camp.site_id.in_(ids) for day, ids in by_today.items()))
    return (Camp.status == Status.SCHEDULED) & past


def camps_of_today() -> Sequence[Camp]:
    """Every scheduled camp whose local date is today, by start."""
    return [camp for camp in _around_today() if camp.is_today and not camp.is_cancelled]


def _around_today() -> Sequence[Camp]:
    days = {site.today for site in sites()}
    query = select(Camp).where(Camp.camp_date.in_(days)).options(joinedload(Camp.site))
    return db.session.scalars(query.order_by(Camp.start_time, Camp.name)).all()


def recent_camps(number: int) -> Sequence[Camp]:
    """The last held camps before today, newest first."""
    query = select(Camp).where(held()).order_by(Camp.camp_date.desc(), Camp.start_time.desc()).limit(number + 5)
    return [camp for camp in db.session.scalars(query) if not camp.is_today][:number]


def next_camp() -> Camp | None:
    """The first scheduled camp still to come."""
    query = select(Camp).where(Camp.status == Status.SCHEDULED, ~held()).order_by(Camp.camp_date, Camp.start_time)
    return db.session.scalars(query.limit(1)).first()


def coming_camps(number: int, until: date) -> Sequence[Camp]:
    """The first scheduled camps that have not begun, up to a local date."""
    first = min((site.today for site in sites()), default=until)
    query = (
        select(Camp)
        .where(Camp.status == Status.SCHEDULED, Camp.camp_date.between(first, until))
        .order_by(Camp.camp_date, Camp.start_time, Camp.name)
        .limit(number + 20)  # some of today's may have begun
    )
    return [camp for camp in db.session.scalars(query) if not camp.has_begun][:number]


def calendars(site_ids: Collection[UUID]) -> dict[UUID, Calendar]:
    """The walk of each of these sites: the dates of its held camps."""
    counted = (
        select(Camp.site_id, Camp.camp_date, func.count())
        .where(held(), Camp.site_id.in_(site_ids))
        .group_by(Camp.site_id, Camp.camp_date)
    )
    camps_on: dict[UUID, dict[date, int]] = defaultdict(dict)
    for site_id, camp_date, number in db.session.execute(counted):
        camps_on[site_id][camp_date] = number
    return {site.id: Calendar(camps_on[site.id], site.today) for site in sites() if site.id in site_ids}
