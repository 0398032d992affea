"""The leaderboard, for admins."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_sqlalchemy.pagination import Pagination

from webapp.domain import leaderboard
from webapp.domain.accounts import Role
from webapp.domain.leaderboard import Standing
from webapp.views.replica import from_replica
from webapp.views.security import permits

blueprint = Blueprint("leaderboard", __name__, url_prefix="/leaderboard")

PER_PAGE = 50


class Standings(Pagination):
    """The pages of the leaderboard."""

    def _query_items(self) -> list[Standing]:
        return leaderboard.standings(self._query_offset, self.per_page)

    def _query_count(self) -> int:
        return leaderboard.size()


@blueprint.get("/")
@permits(Role.ADMIN)
@from_replica
def index() -> ResponseReturnValue:
    """One page of the standings; one past the end shows the last."""
    page = max(1, request.args.get("page", 1, type=int))
    last = max(1, -(-leaderboard.size() // PER_PAGE))
    standings = Standings(page=min(page, last), per_page=PER_PAGE, error_out=False)
    return render_template("leaderboard/page.html", standings=standings)
