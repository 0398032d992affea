"""8,482 people of whom thousands are equal: every page of the boards against the file alone."""

import csv
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from flask import Flask

from tests import factories
from tests.domain import plain
from webapp import clock
from webapp.database import db
from webapp.domain.camps import calendar as camps
from webapp.domain.leaderboard import boards
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, Key, RankBy
from webapp.domain.models.board import Board
from webapp.domain.people import accounts

PAGE = 50
AFTER_ALL = datetime(2026, 12, 1, tzinfo=UTC)
YEAR = 2018


class Plain(NamedTuple):
    """One line as the file gives it."""

    rank: int
    book_no: int
    visits: int
    longest_streak: int
    badges: frozenset[str]


class Squads:
    """The file, read plainly. Every row of it says that a volunteer was there; each site has one camp a date."""

    def __init__(self, file: Path) -> None:
        self.names: dict[int, str] = {}
        self.came: dict[int, dict[str, set[date]]] = defaultdict(lambda: defaultdict(set))
        calendar: dict[str, set[date]] = defaultdict(set)
        with file.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                assert (row["camp_role"], row["attended"]) == ("volunteer", "yes")
                book_no, day = int(row["book_no"]), date.fromisoformat(row["camp_date"])
                assert day not in self.came[book_no][row["site"]]
                self.names.setdefault(book_no, row["name"])
                self.came[book_no][row["site"]].add(day)
                calendar[row["site"]].add(day)
        self.calendar = {site: sorted(days) for site, days in calendar.items()}
        self.completed = {book_no: self._completed(book_no) for book_no in self.names}

    def longest(self, site: str, days: Collection[date]) -> int:
        """The longest run of some days among all of the site's."""
        run = best = 0
        for day in self.calendar[site]:
            run = run + 1 if day in days else 0
            best = max(best, run)
        return best

    def _completed(self, book_no: int) -> dict[str, tuple[str, date]]:
        """Each badge they earned: at which site and when, by letting the days pass."""
        of_sites = self.came[book_no]
        days = sorted((day, site) for site, of_site in of_sites.items() for day in of_site)
        completed: dict[str, tuple[str, date]] = {}
        for number, (day, site) in enumerate(days, 1):
            until = {each for each in of_sites[site] if each <= day}
            amounts = {"visits": number, "consecutive_visits": self.longest(site, until)}
            for name, criteria, value in plain.BADGES:
                if amounts[criteria] >= value:
                    completed.setdefault(name, (site, day))
        return completed

    def board(self, rank_by: RankBy, *, site: str | None = None, year: int | None = None) -> list[Plain]:
        """The whole board: who came there then, or everybody, in order and with ranks."""
        entries = []
        for book_no, of_sites in self.came.items():
            days = {
                each: {day for day in of_site if year in (None, day.year)}
                for each, of_site in of_sites.items()
                if site in (None, each)
            }
            visits = sum(map(len, days.values()))
            badges = frozenset(
                name
                for name, (where, when) in self.completed[book_no].items()
                if site in (None, where) and year in (None, when.year)
            )
            if visits or (site is None and year is None):
                longest = max(self.longest(each, of_site) for each, of_site in days.items())
                entries.append((book_no, visits, longest, badges))

        def figure(entry: tuple[int, int, int, frozenset[str]]) -> int:
            return {
                RankBy.VISITS: entry[1],
                RankBy.LONGEST_STREAK: entry[2],
                RankBy.BADGES: len(entry[3]),
            }[rank_by]

        entries.sort(key=lambda entry: (-figure(entry), accounts.fold(self.names[entry[0]]), entry[0]))
        first: dict[int, int] = {}
        for place, entry in enumerate(entries, 1):
            first.setdefault(figure(entry), place)
        return [Plain(first[figure(entry)], *entry) for entry in entries]


def page(board: Board, offset: int) -> list[Plain]:
    return [
        Plain(
            line.rank,
            line.person.book_no,
            line.visits,
            line.longest_streak,
            frozenset(badge.name for badge in line.badges),
        )
        for line in boards.lines(board, offset=offset, limit=PAGE)
    ]


def compare(key: Key, expected: list[Plain], *, every: int = 1) -> None:
    """Every page, or every so many, and the places of some forty people."""
    board = factories.board(key)
    assert board.size == len(expected) > 0
    for offset in range(0, len(expected) + 1, every * PAGE):
        assert page(board, offset) == expected[offset : offset + PAGE], (key, offset)
    for place in range(0, len(expected), max(1, len(expected) // 40)):
        person = accounts.by_book_no(expected[place].book_no)
        assert person is not None
        assert boards.place_of(person, board) == place + 1


@pytest.mark.usefixtures("app")
def test_every_page_is_what_the_file_gives(app: Flask, data: Path) -> None:
    file = data / "worldcup_squads.csv"
    squads = Squads(file)
    assert len(squads.names) == 8_482
    with clock.stopped_at(AFTER_ALL):
        db.session.remove()
        result = app.test_cli_runner().invoke(args=["import", str(file)])
        assert result.exit_code == 0, result.output
        sites = {site.name: site.id for site in camps.sites_with_camps()}
        assert sites.keys() == squads.calendar.keys()
        years = {day.year for days in squads.calendar.values() for day in days}
        assert boards.years() == sorted(years, reverse=True)
        # The file has one site, so that its board repeats that of everywhere; some of its pages will do.
        site = min(squads.calendar, key=lambda name: (len(squads.calendar[name]), name))
        for rank_by in RankBy:
            compare(Key(rank_by=rank_by), squads.board(rank_by))
            compare(Key(EVERYWHERE, YEAR, rank_by), squads.board(rank_by, year=YEAR))
            compare(Key(sites[site], ALL_TIME, rank_by), squads.board(rank_by, site=site), every=5)
