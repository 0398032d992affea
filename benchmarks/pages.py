"""Pages of a large organisation beside the same pages of a small one: time in the database, and in all.

``python -m benchmarks.pages URL`` prints the medians of one organisation as JSON; it runs in a process of its own.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from flask_login import FlaskLoginClient
from sqlalchemy import event, select

from benchmarks.data import Shape
from benchmarks.figures import Figure, at_most, limit
from benchmarks.marks import application, prepared
from benchmarks.servers import ROOT, Postgres
from webapp.database import db, writing
from webapp.domain.camps import calendar
from webapp.domain.leaderboard import boards, snapshots
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, OVERALL, RECENT, Key, RankBy
from webapp.domain.models.board import Board
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person
from webapp.views.security import SessionPerson

TURNS = 15
MOST_IN_DATABASE = 30  # milliseconds
BUILT = "built "  # begins the names of boards among those of pages
ALL_TIME_BOARDS = ("all time", "by longest streak", "a site")
MOST_BUILDING = {"all time": 30, "a period": 60}  # seconds
MEMORY = "memory"
MOST_MEMORY = 300  # megabytes


def of_organisation(url: str) -> dict[str, dict[str, float]]:
    """For each page the median milliseconds: in the database, and of the whole request."""
    with application(url) as app, app.app_context():
        app.test_client_class = FlaskLoginClient
        admin = accounts.by_book_no(1)
        assert admin
        client: FlaskClient = app.test_client(user=SessionPerson(admin))
        site = calendar.sites_with_camps()[0].id
        year = calendar.default_site().today.year
        built = built_boards(site, year)
        board = built["all time"]
        of_year, of_site = built["a year"].size, built["a site"].size
        somebody = db.session.scalars(select(Person).where(Person.book_no == board.size // 2)).one()
        last = max(1, -(-board.size // 50))
        pages: dict[str, Callable[[], object]] = {
            "first page": lambda: client.get("/leaderboard/"),
            "middle page": lambda: client.get(f"/leaderboard/?page={last // 2}"),
            "last page": lambda: client.get(f"/leaderboard/?page={last}"),
            "middle page by longest streak": lambda: client.get(f"/leaderboard/?by=streak&page={last // 2}"),
            "a person's rank": lambda: boards.place_of(somebody, board),
            "a person's page": lambda: client.get(f"/leaderboard/?person={somebody.id}"),
            "a year, middle page": lambda: client.get(f"/leaderboard/?period={year}&page={of_year // 100}"),
            "the last twelve months": lambda: client.get("/leaderboard/?period=12-months"),
            "a site": lambda: client.get(f"/leaderboard/?site={site}"),
            "a site's middle page": lambda: client.get(f"/leaderboard/?site={site}&page={of_site // 100}"),
            "neighbourhood": lambda: boards.neighbourhood(somebody, board),
            "cabinet": lambda: client.get(f"/people/{somebody.id}"),
            "progress": lambda: client.get(
                f"/api/v1/users/{somebody.id}/badge-progress", headers={"Authorization": f"Bearer {_token(admin)}"}
            ),
        }
        builds = {f"{BUILT}{name}": {"whole": float(each.took)} for name, each in built.items()}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return builds | {MEMORY: {"whole": memory}} | {name: _median(page) for name, page in pages.items()}


def built_boards(site_id: UUID, year: int) -> dict[str, Board]:
    """Snapshots of each kind, built now."""
    keys = {
        "all time": OVERALL,
        "by longest streak": Key(rank_by=RankBy.LONGEST_STREAK),
        "a site": Key(site_id, ALL_TIME),
        "a year": Key(EVERYWHERE, year),
        "the last twelve months": Key(EVERYWHERE, RECENT),
    }
    built = {}
    for name, key in keys.items():
        with writing():
            built[name] = snapshots.build(key)
    return built


def _token(person: Person) -> str:
    from benchmarks.data import SECRET
    from webapp.domain.people import credentials

    return credentials.issue_token(person, SECRET)


def _median(page: Callable[[], object]) -> dict[str, float]:
    spent = [0.0]
    began = [0.0]

    def before(*_: Any) -> None:
        began[0] = time.perf_counter()

    def after(*_: Any) -> None:
        spent[0] += time.perf_counter() - began[0]

    engine = db.engine
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    database, whole = [], []
    for turn in range(TURNS + 3):
        spent[0] = 0.0
        start = time.perf_counter()
        answer = page()
        took = time.perf_counter() - start
        assert getattr(answer, "status_code", 200) == 200, answer
        db.session.remove()
        if turn >= 3:
            database.append(spent[0] * 1000)
            whole.append(took * 1000)
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)
    return {"database": statistics.median(database), "whole": statistics.median(whole)}


def measure(postgres: Postgres, large: Shape) -> list[Figure]:
    """Both organisations, in turns of a process each. The small one has as many sites and camps: a page that shows
    a year of camps has them whatever the number of people.
    """
    few_people = replace(large, people=1_000)
    names = [f"large_{large.people}", f"few_{large.camps}"]
    for name, shape in zip(names, (large, few_people), strict=True):
        prepared(postgres, name, shape)
    many, few = (_in_a_process(postgres.url(name)) for name in names)
    figures = []
    for page, there in many.items():
        here = few[page]
        if page.startswith(BUILT):
            name = page.removeprefix(BUILT)
            most = MOST_BUILDING["all time" if name in ALL_TIME_BOARDS else "a period"]
            what = f"building the board of {name}: {large.people:,} people"
            figures.append(limit(what, there["whole"] / 1_000, most, "s"))
            continue
        if page == MEMORY:
            figures.append(limit("memory of the process that builds", there["whole"], MOST_MEMORY, "MB"))
            continue
        if page in ("cabinet", "progress"):
            figures.append(at_most(f"{page}: {large.people:,} people", there["whole"], here["whole"], 1.25))
            continue
        what = f"leaderboard, {page}: {large.people:,} people"
        figures.append(at_most(what, there["whole"], here["whole"], 2))
        figures.append(limit(f"{what}, in the database", there["database"], MOST_IN_DATABASE, "ms"))
    return figures


def _in_a_process(url: str) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.pages", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, float]] = json.loads(done.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(of_organisation(sys.argv[1])))
