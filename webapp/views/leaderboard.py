"""The leaderboard: for admins whole, for volunteers their own neighbourhood where the organisation wants it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, ParamSpec
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_sqlalchemy.pagination import Pagination

from webapp.database import writing
from webapp.domain import accounts, camps, leaderboard, organisation
from webapp.domain.accounts import Person, Role
from webapp.domain.camps import Site
from webapp.domain.leaderboard import Line
from webapp.domain.standings import ALL_TIME, EVERYWHERE, RECENT, Board, Measure
from webapp.views.security import permits, viewer

blueprint = Blueprint("leaderboard", __name__, url_prefix="/leaderboard")

P = ParamSpec("P")

PER_PAGE = 50
FIRST_YEAR = 1900  # as in imports
MOST_FOUND = 8  # people offered where a search fits several
ORDERS = {
    "camps": (Measure.VISITS, "Camps"),
    "run": (Measure.LONGEST_STREAK, "Longest run"),
    "badges": (Measure.BADGES, "Badges"),
}


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
    def asked(cls) -> "Choice":
        """From the request's query."""
        site_id = request.args.get("site", type=UUID)
        site = camps.site_by_id(site_id) if site_id else None
        period = request.args.get("period", "")
        is_year = re.fullmatch("[0-9]{4}", period) and int(period) >= FIRST_YEAR
        order = request.args.get("by", "")
        return cls(
            site=site,
            period=period if period in ("this-year", "12-months") or is_year else "all",
            order=order if order in ORDERS else "camps",
        )

    @property
    def measure(self) -> Measure:
        """What the lines are ordered by."""
        return ORDERS[self.order][0]

    @cached_property
    def this_year(self) -> int:
        """The year it is now at the site, or where the organisation is at home."""
        return (self.site or camps.default_site()).today.year

    @cached_property
    def board(self) -> Board:
        """The board that is meant."""
        match self.period:
            case "all":
                period = ALL_TIME
            case "12-months":
                period = RECENT
            case "this-year":
                period = self.this_year
            case year:
                period = int(year)
        return Board(self.site.id if self.site else EVERYWHERE, period)

    @property
    def years(self) -> list[int]:
        """The years to choose from, the chosen one among them."""
        chosen = {int(self.period)} if self.period.isdecimal() else set()
        return sorted(chosen | set(leaderboard.years()), reverse=True)

    def query(self, **changes: object) -> dict[str, Any]:
        """The query of an address that says this choice, with changes; the usual is left out."""
        said = {"site": self.site and self.site.id, "period": self.period, "by": self.order} | changes
        usual = {"site": None, "period": "all", "by": "camps"}
        return {key: value for key, value in said.items() if value != usual.get(key)}


class Lines(Pagination):
    """The pages of a board; one past the end shows the last."""

    def __init__(self, choice: Choice, page: int) -> None:
        self.choice = choice
        self.size = leaderboard.size(choice.board)
        last = max(1, -(-self.size // PER_PAGE))
        super().__init__(page=min(max(1, page), last), per_page=PER_PAGE, error_out=False)

    def _query_items(self) -> list[Line]:
        return leaderboard.lines(self.choice.board, self.choice.measure, offset=self._query_offset, limit=self.per_page)

    def _query_count(self) -> int:
        return self.size


def up_to_date(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """On a new day the last twelve months end a day later; who looks at them first sees to it.
    A large organisation does it at night (``flask keep-up``).
    """

    @wraps(view)
    def kept_up(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if Choice.asked().board.period == RECENT and leaderboard.is_behind():
            with writing():
                leaderboard.keep_up()
        return view(*args, **kwargs)

    return kept_up


@blueprint.get("/")
@permits(Role.ADMIN)
@up_to_date
def index() -> ResponseReturnValue:
    """One page of a board; with ``person`` the page that person stands on, with ``q`` whoever is found."""
    choice = Choice.asked()
    query = request.args.get("q", "")[:200].strip()
    page = request.args.get("page", 1, type=int)
    marked = _person(request.args.get("person", type=UUID))
    found: list[Person] = []
    if query and not marked:
        found = accounts.find_listed(query, MOST_FOUND + 1)
        if len(found) == 1:
            return redirect(_page_of(choice, found[0]))
    if marked:
        place = leaderboard.place_of(marked, choice.board, choice.measure)
        page = page if place is None else place // PER_PAGE + 1
    return render_template(
        "leaderboard/page.html",
        choice=choice,
        lines=Lines(choice, page),
        sites=camps.sites_with_camps() if camps.has_many_sites() else (),
        orders=ORDERS,
        query=query,
        found=found[:MOST_FOUND],
        more=len(found) > MOST_FOUND,
        marked=marked,
        is_on_it=not marked or place is not None,
        neighbourhoods=organisation.shows_neighbourhoods(),
    )


@blueprint.get("/mine")
@permits(*Role)
@up_to_date
def mine() -> ResponseReturnValue:
    """Where one stands: oneself, and some above and below."""
    if not organisation.shows_neighbourhoods():
        abort(404)
    choice = Choice.asked()
    lines = leaderboard.neighbourhood(viewer(), choice.board, choice.measure)
    return render_template(
        "leaderboard/mine.html",
        choice=choice,
        lines=lines,
        size=leaderboard.size(choice.board),
        sites=camps.sites_with_camps() if camps.has_many_sites() else (),
        orders=ORDERS,
        person=viewer(),
    )


@blueprint.post("/neighbourhoods")
@permits(Role.ADMIN)
def neighbourhoods() -> ResponseReturnValue:
    """Let volunteers see where they stand, or not."""
    with writing():
        organisation.show_neighbourhoods(request.form.get("show") == "yes")
    if organisation.shows_neighbourhoods():
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
