"""The badge cabinet: one's own, or anybody's for those who mark; and its live form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.database import writing
from webapp.domain.attendance import marking, timeline
from webapp.domain.attendance.timeline import Day
from webapp.domain.badges import awards, history
from webapp.domain.badges.history import History
from webapp.domain.badges.progress import Progress, next_of, progress_of
from webapp.domain.camps import calendar
from webapp.domain.errors import InvalidError
from webapp.domain.models.badge import Award, Requirement
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.views import live, trail
from webapp.views.security import from_htmx, permits, viewer

blueprint = Blueprint("cabinet", __name__)


@dataclass(frozen=True)
class Cabinet:
    """What one cabinet shows."""

    person: Person
    zone: ZoneInfo
    history: History
    awards: Sequence[Award]
    progress: Sequence[Progress]
    days: Sequence[Day]
    year: int | None
    years: Sequence[int]
    many_sites: bool
    coming: Sequence[Day] = ()
    just_earned: frozenset[UUID] = frozenset()
    older: Mapping[UUID, Requirement] = field(default_factory=dict)
    """The badges that asked for something else when they were earned; told to admins alone."""

    @property
    def next(self) -> Progress | None:
        """The first badge not yet earned."""
        return next_of(self.progress)

    @property
    def locked(self) -> list[Progress]:
        """Every badge not yet earned."""
        return [each for each in self.progress if not each.earned]

    @property
    def months(self) -> list[tuple[date, list[Day]]]:
        """The days by month, both from the oldest."""
        oldest_first = reversed(self.days)
        by_month = groupby(oldest_first, key=lambda day: day.camp.camp_date.replace(day=1))
        return [(month, list(days)) for month, days in by_month]

    @cached_property
    def kinds(self) -> Counter[str]:
        """How many days of each kind the picture has."""
        return Counter(day.kind for day in self.days)


def open_cabinet(
    person: Person,
    year: int | None = None,
    since: datetime | None = None,
    *,
    mine: bool = False,
    for_admin: bool = False,
) -> Cabinet:
    """Gather a person's cabinet: the last twelve months, or a ``year``; in one's own the next camps too.

    Awards made after ``since`` for the first time are the ones to celebrate, but for those found later.
    """
    site = calendar.default_site()
    today = site.today
    first, last = (date(year, 1, 1), date(year, 12, 31)) if year else (today - timedelta(days=365), today)
    began = timeline.first_date_of(person.id)
    own = history.of_person(person.id)
    given = awards.of_person(person.id)
    fresh = {each.badge_id for each in given if since and each.earned_at > since and not each.found_later}
    return Cabinet(
        person=person,
        zone=site.zone,
        history=own,
        awards=given,
        progress=progress_of(own, given, today),
        days=timeline.days_of(person.id, first, last),
        year=year,
        years=range(began.year, today.year + 1) if began else (),
        many_sites=calendar.has_many_sites(),
        coming=timeline.coming_days(person.id, today) if mine else (),
        just_earned=frozenset(fresh - awards.ever_revoked(person.id)),
        older=awards.older_of(person.id) if for_admin else {},
    )


@blueprint.get("/cabinet")
@permits(*Role)
def own() -> ResponseReturnValue:
    """One's own cabinet."""
    return _page(viewer())


@blueprint.get("/people/<uuid:person_id>")
@permits(Role.COORDINATOR, Role.ADMIN)
def of_person(person_id: UUID) -> ResponseReturnValue:
    """Anybody's cabinet, for those who mark."""
    return _page(_find(person_id))


@blueprint.post("/cabinet/camps/<uuid:camp_id>")
@permits(*Role)
def answer(camp_id: UUID) -> ResponseReturnValue:
    """Say of oneself whether one comes to a camp."""
    camp = calendar.by_id(camp_id) or abort(404)
    said = request.form.get("answer")
    with writing():
        if said == "coming":
            marking.say_coming(viewer(), camp)
        elif said == "not-coming":
            marking.say_not_coming(viewer(), camp, request.form.get("reason"))
        else:
            raise InvalidError("It was not said whether you come. Reload the page and try again.")
    if from_htmx():
        return render_template("cabinet/_coming.html", cabinet=open_cabinet(viewer(), mine=True))
    return redirect(url_for("cabinet.own", _anchor="coming"), 303)


@blueprint.get("/cabinet/live")
@permits(*Role)
def own_live() -> ResponseReturnValue:
    """The stream of one's own open page."""
    return _stream(viewer())


@blueprint.get("/people/<uuid:person_id>/live")
@permits(Role.COORDINATOR, Role.ADMIN)
def of_person_live(person_id: UUID) -> ResponseReturnValue:
    """The stream of anybody's open page."""
    return _stream(_find(person_id))


def _find(person_id: UUID) -> Person:
    return accounts.by_id(person_id) or abort(404)


def _year() -> int | None:
    year = request.args.get("year", type=int)
    return year if year and 1900 <= year <= 9998 else None


def _page(person: Person) -> ResponseReturnValue:
    mine = person.id == viewer().id
    year = _year()
    seen = live.token(timeline.stamp_of(person.id))
    if mine:
        stream = url_for("cabinet.own_live", year=year, seen=seen)
    else:
        stream = url_for("cabinet.of_person_live", person_id=person.id, year=year, seen=seen)
    cabinet = open_cabinet(person, year, mine=mine, for_admin=viewer().role is Role.ADMIN)
    return render_template(
        "cabinet/page.html",
        cabinet=cabinet,
        mine=mine,
        stream=stream,
        person=person,
        why=trail.why(person, cabinet.zone) if viewer().role is Role.ADMIN and not mine else None,
    )


def _stream(person: Person) -> Response:
    """Sends the cabinet, as the page includes it, whenever what it shows has changed."""
    year, mine, person_id, for_admin = _year(), person.id == viewer().id, person.id, viewer().role is Role.ADMIN

    def changed(seen: str, since: datetime) -> tuple[str, str] | None:
        found = accounts.by_id(person_id)
        stamp = timeline.stamp_of(person_id)
        if found is None or stamp == seen:
            return None
        cabinet = open_cabinet(found, year, since, mine=mine, for_admin=for_admin)
        return stamp, render_template("cabinet/_live.html", cabinet=cabinet, mine=mine)

    return live.stream(person_id, changed)
