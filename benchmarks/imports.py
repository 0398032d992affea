"""Importing the history of many camps into SQLite: how long it takes, and how much memory.

``python -m benchmarks.imports FILE`` writes such a history, the same with each call.
"""

import argparse
import csv
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from benchmarks.bulk import run_flask
from benchmarks.data import FAMILY, GIVEN
from benchmarks.figures import Figure, limit

COLUMNS = ("book_no", "name", "site", "camp", "camp_date", "camp_role", "attended")
LAST = date(2026, 4, 5)
CAMPS_OF_FOUR_DATES = (
    "Camp",
    "Camp",
    "Camp",
    "Camp",
    "Eye camp",
)  # the last has two
AT_ONCE = 40  # people who take turns at a site, until others follow them
MOST_SECONDS = 180
MOST_MEMORY = 200  # MB


@dataclass(frozen=True, slots=True)
class History:
    """How much a file tells of: camps spread evenly over sites, people who stay at theirs."""

    rows: int = 500_000
    camps: int = 30_000
    sites: int = 15
    people: int = 10_000

    def __str__(self) -> str:
        return f"{self.rows:,} rows of {self.camps:,} camps, {self.people:,} people"


QUICK = History(rows=20_000, camps=1_000, people=1_000)


def write(file: Path, history: History) -> None:
    """Write a history as a CSV file, camp by camp, oldest first."""
    with file.open("w", newline="", encoding="utf-8") as target:
        table = csv.writer(target)
        table.writerow(COLUMNS)
        table.writerows(_rows(history))


def _rows(history: History) -> Iterator[tuple[object, ...]]:
    """Yield the rows: nine in ten of people who came, the rest doctors, excused, absent, merely
    expected; one in 200 twice.
    """
    chance = random.Random(7)
    names = [f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}" for _ in range(history.people)]
    camps_of_site = history.camps // history.sites
    people_of_site = history.people // history.sites
    left = history.rows
    for number in range(history.camps):
        turn, site = divmod(number, history.sites)
        name, on = _camp(turn, camps_of_site)
        first = turn * (people_of_site - AT_ONCE) // max(1, camps_of_site - 1)
        comers = range(first, first + min(AT_ONCE, people_of_site))
        share = left // (history.camps - number)
        for person in sorted(chance.sample(comers, min(len(comers), share))):
            at = person * history.sites + site
            role = chance.choices(("volunteer", "doctor", "coordinator"), (92, 6, 2))[0]
            state = chance.choices(("yes", "no", "excused", "expected"), (90, 4, 4, 2))[0]
            row = at + 10, names[at], f"Site {site:02}", name, on.isoformat(), role, state
            for _ in range(min(left, 1 + (chance.random() < 1 / 200))):
                yield row
                left -= 1


def _camp(turn: int, camps_of_site: int) -> tuple[str, date]:
    """Return what a camp of a site is called and its date: five camps on every four dates."""
    dates_before, place = divmod(turn, len(CAMPS_OF_FOUR_DATES))
    day = 4 * dates_before + min(place, 3)
    return CAMPS_OF_FOUR_DATES[place], LAST - timedelta(days=3 * (camps_of_site * 4 // 5 - day))


def measure(history: History) -> list[Figure]:
    """Import a history into an empty installation and once more; return seconds and memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.csv"
        write(file, history)
        url = f"sqlite:///{folder}/camp-badges.db"
        run_flask(url, "db", "upgrade")
        figures = []
        for what in ("SQLite, import of", "SQLite, once more"):
            took, memory = run_flask(url, "import", str(file))
            figures += [
                limit(f"{what} {history}", took, MOST_SECONDS, "s"),
                limit(f"{what} {history}: memory", memory, MOST_MEMORY, "MB"),
            ]
        return figures


def main() -> None:
    """Write a history to the named file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("file", type=Path)
    for name in ("rows", "camps", "sites", "people"):
        parser.add_argument(f"--{name}", type=int, default=getattr(History(), name))
    chosen = vars(parser.parse_args())
    write(chosen.pop("file"), History(**chosen))


if __name__ == "__main__":
    main()
