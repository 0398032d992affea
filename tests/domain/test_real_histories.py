"""Every person of three real histories, against the oracle: visits, streaks, badges, completing camps."""

import csv
import json
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from webapp import clock
from webapp.database import db
from webapp.domain.evaluation import verify
from webapp.domain.models.totals import Totals
from webapp.domain.people.accounts import Person


def run(app: Flask, *args: str) -> Result:
    db.session.remove()
    result = app.test_cli_runner().invoke(args=args)
    assert result.exit_code == 0, result.output
    return result


def oracle(file: Path, *more: str) -> dict[str, Any]:
    command = [sys.executable, str(file.parent / "oracle.py"), str(file), *more]
    answer = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    people: dict[str, Any] = json.loads(answer.stdout)["people"]
    return people


@pytest.mark.parametrize("name", ["node_meetings.csv", "worldcup_squads.csv", "rails_weeks.csv"])
def test_every_person_agrees_with_the_oracle(app: Flask, data: Path, name: str) -> None:
    with clock.stopped_at(datetime(2026, 12, 1, tzinfo=UTC)):  # after all of them
        compare(app, data / name)


def compare(app: Flask, file: Path) -> None:
    run(app, "import", str(file))
    standings = list(csv.DictReader(run(app, "standings").stdout.splitlines()))
    completed: dict[str, dict[str, str]] = {line["book_no"]: {} for line in standings}
    for award in csv.DictReader(run(app, "awards").stdout.splitlines()):
        completed[award["book_no"]][award["badge"]] = award["camp_date"]
    got = {
        line["book_no"]: {
            "name": line["name"],
            "visits": int(line["visits"]),
            "streak": int(line["longest_streak"]),
            "completed_by": completed[line["book_no"]],
        }
        for line in standings
    }
    assert got == oracle(file)
    for line in standings:
        assert set(filter(None, line["badges"].split(";"))) == completed[line["book_no"]].keys()
    ranks = [int(line["rank"]) for line in standings]
    visits = [int(line["visits"]) for line in standings]
    assert ranks == [visits.index(number) + 1 for number in visits]


@pytest.mark.parametrize("name", ["node_meetings.csv", "worldcup_squads.csv", "rails_weeks.csv"])
def test_what_is_kept_of_every_person_is_what_the_oracle_gives(app: Flask, data: Path, name: str) -> None:
    """Awards of all three kinds with the days that completed them, and totals, without any board."""
    more = ("Two in a Year:visits_in_year:2", "Seven in a Year:visits_in_year:7", "Forty in a Year:visits_in_year:40")
    with clock.stopped_at(datetime(2026, 12, 1, tzinfo=UTC)):
        with app.app_context():
            for title, criteria, value in (each.split(":") for each in more):
                factories.change(factories.badge(title), criteria_type=criteria, criteria_value=value)
        run(app, "import", str(data / name))
        completed: dict[str, dict[str, str]] = defaultdict(dict)
        for award in csv.DictReader(run(app, "awards").stdout.splitlines()):
            completed[award["book_no"]][award["badge"]] = award["camp_date"]
        expected = oracle(data / name, *more)
        assert completed == {who: said["completed_by"] for who, said in expected.items() if said["completed_by"]}
        with app.app_context():
            figures = func.sum(Totals.visits), func.max(Totals.longest_streak)
            query = (
                select(Person.book_no, *figures).join(Totals, Totals.person_id == Person.id).group_by(Person.book_no)
            )
            kept = {str(book_no): tuple(values) for book_no, *values in db.session.execute(query)}
            assert verify.differences() == []
    came = {who: (said["visits"], said["streak"]) for who, said in expected.items() if said["visits"]}
    assert {who: values for who, values in kept.items() if values[0]} == came
