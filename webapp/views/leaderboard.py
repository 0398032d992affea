"""The leaderboard: for admins whole, for volunteers their own neighbourhood where the organisation wants it."""

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_sqlalchemy.pagination import Pagination

from webapp import clock, worker
from webapp.database import writing
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Site
from webapp.domain.leaderboard import boards, snapshots
from webapp.domain.leaderboard.boards import Line
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, RECENT, Key, RankBy
from webapp.domain.models.board import Board
from webapp.domain.organisation import settings
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.views.presentation import clock_time, day
from webapp.views.security import permits, viewer

blueprint = Blueprint("leaderboard", __name__, url_prefix="/leaderboard")

PER_PAGE = 50
FIRST_YEAR = 1900  # as in imports
MOST_FOUND = 8  # people offered where a search fits several
SILENT_AFTER = timedelta(minutes=2)  # without a first board, after which it is worth saying so
ORDERS = {
    "camps": (RankBy.VISITS, "Camps"),
    "streak": (RankBy.LONGEST_STREAK, "Longest streak"),
    "badges": (RankBy.BADGES, "Badges"),
}
FORMER_ORDERS = {"run": "streak"}  # in addresses that somebody may have kept


@dataclass(frozen=True)
class Choice:
    """Which leaderboard somebody looks at, as the address says it. What it does not say, or says wrongly,
    is the usual: everywhere, all time, by camps.
    """

    site: Site | None
    period: str
    """``all``, ``this-year``, ``12-months`` or a year."""
    order: str

    @classmethod
    def requested(cls) -> "Choice":
        """From the request's query."""
        site_id = request.args.get("site", type=UUID)
        site = calendar.site_by_id(site_id) if site_id else None
        period = request.args.get("period", "")
        is_year = re.fullmatch("[0-9]{4}", period) and int(period) >= FIRST_YEAR
        order = request.args.get("by", "")
        order = FORMER_ORDERS.get(order, order)
        return cls(
            site=site,
            period=period if period in ("this-year", "12-months") or is_year else "all",
            order=order if order in ORDERS else "camps",
        )

    @cached_property
    def this_year(self) -> int:
        """The year it is now at the site, or where the organisation is at home."""
        return (self.site or calendar.default_site()).today.year

    @cached_property
    def key(self) -> Key:
        """The leaderboard that is meant."""
        match self.period:
            case "all":
                period = ALL_TIME
            case "12-months":
                period = RECENT
            case "this-year":
                period = self.this_year
            case year:
                period = int(year)
        site_id = self.site.id if self.site else EVERYWHERE
        return Key(site_id, period, ORDERS[self.order][0])

    @property
    def years(self) -> list[int]:
        """The years to choose from, the chosen one among them."""
        chosen = {int(self.period)} if self.period.isdecimal() else set()
        return sorted(chosen | set(boards.years()), reverse=True)

    def query(self, **changes: object) -> dict[str, Any]:
        """The query of an address that says this choice, with changes; the usual is left out."""
        said = {"site": self.site and self.site.id, "period": self.period, "by": self.order} | changes
        usual = {"site": None, "period": "all", "by": "camps"}
        return {key: value for key, value in said.items() if value != usual.get(key)}


@dataclass(frozen=True)
class Opened:
    """The snapshot of a leaderboard that a page shows; none while the first is being prepared."""

    key: Key
    board: Board | None
    is_current: bool

    @property
    def as_of(self) -> str:
        """Since when it does not know anything, on the organisation's clock: ``10:42``; nothing where
        it is as of this moment.
        """
        if self.board is None or self.is_current:
            return ""
        zone = settings.time_zone()
        local = self.board.as_of.astimezone(ZoneInfo(zone))
        time = clock_time(local, zone)
        return time if local.date() == clock.today(zone) else f"{time} on {day(local.date())}"

    @property
    def waiting_since(self) -> str:
        """Since when a worker should have built the first one, on the organisation's clock; nothing
        while that is not long.
        """
        told = snapshots.request_of(self.key)
        if told is None or clock.now() - told.since < SILENT_AFTER:
            return ""
        return clock_time(told.since, settings.time_zone())


def open_board(key: Key) -> Opened:
    """Open a leaderboard: the kept snapshot if it is current or takes long to build, else a new one.

    It writes, in transactions of its own, though the request only reads: a new snapshot, or that a
    worker was told to build one.
    """
    board = snapshots.newest(key)
    if board and snapshots.is_current(board):
        return Opened(key, board, is_current=True)
    if snapshots.may_build_now(key, board):
        with writing():
            return Opened(key, snapshots.build(key), is_current=True)

    if snapshots.is_due(key):
        with writing():
            is_untold = snapshots.tell_worker(key)
        if is_untold:
            worker.enqueue_board(key)
    return Opened(key, board, is_current=False)


class Lines(Pagination):
    """The pages of a board; one past the end shows the last."""

    def __init__(self, board: Board, page: int) -> None:
        self.board = board
        last = max(1, -(-board.size // PER_PAGE))
        super().__init__(page=min(max(1, page), last), per_page=PER_PAGE, error_out=False)

    def _query_items(self) -> list[Line]:
        return boards.lines(self.board, offset=self._query_offset, limit=self.per_page)

    def _query_count(self) -> int:
        return self.board.size


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """One page of a board; with ``person`` the page that person stands on, with ``q`` whoever is found."""
    choice = Choice.requested()
    query = request.args.get("q", "")[:200].strip()
    page = request.args.get("page", 1, type=int)
    marked = _person(request.args.get("person", type=UUID))
    found: list[Person] = []
    if query and not marked:
        found = accounts.find_listed(query, MOST_FOUND + 1)
        if len(found) == 1:
            return redirect(_page_of(choice, found[0]))

    opened = open_board(choice.key)
    place = boards.place_of(marked, opened.board) if marked and opened.board else None
    if place is not None:
        page = (place - 1) // PER_PAGE + 1
    return render_template(
        "leaderboard/page.html",
        choice=choice,
        opened=opened,
        lines=Lines(opened.board, page) if opened.board else None,
        sites=calendar.sites_with_camps() if calendar.has_many_sites() else (),
        orders=ORDERS,
        query=query,
        found=found[:MOST_FOUND],
        more=len(found) > MOST_FOUND,
        marked=marked,
        is_on_it=not marked or place is not None,
        neighbourhoods=settings.shows_neighbourhoods(),
    )


@blueprint.get("/mine")
@permits(*Role)
def mine() -> ResponseReturnValue:
    """Where one stands: oneself, and some above and below."""
    if not settings.shows_neighbourhoods():
        abort(404)
    choice = Choice.requested()
    person = viewer()
    opened = open_board(choice.key)
    return render_template(
        "leaderboard/mine.html",
        choice=choice,
        opened=opened,
        lines=boards.neighbourhood(person, opened.board) if opened.board else [],
        sites=calendar.sites_with_camps() if calendar.has_many_sites() else (),
        orders=ORDERS,
        person=person,
    )


@blueprint.post("/neighbourhoods")
@permits(Role.ADMIN)
def neighbourhoods() -> ResponseReturnValue:
    """Let volunteers see where they stand, or not."""
    with writing():
        settings.show_neighbourhoods(request.form.get("show") == "yes")
    if settings.shows_neighbourhoods():
        flash("Volunteers see where they stand, with some above and below them.")
    else:
        flash("Only admins see the leaderboard.")
    return redirect(url_for("leaderboard.index"), 303)


def _person(person_id: UUID | None) -> Person | None:
    person = accounts.by_id(person_id) if person_id else None
    return person if person and person.is_listed else None


def _page_of(choice: Choice, person: Person) -> str:
    """The address of the page somebody stands on, at their line."""
    return url_for("leaderboard.index", **choice.query(person=person.id), _anchor=f"line-{person.id}")
