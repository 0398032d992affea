"""Every person of three real histories, against the oracle: visits, streaks, badges, completing camps."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from webapp import clock
from webapp.database import db


def run(app: Flask, *args: str) -> Result:
    db.session.remove()
    result = app.test_cli_runner().invoke(args=args)
    assert result.exit_code == 0, result.output
    return result


def oracle(file: Path) -> dict[str, Any]:
    answer = subprocess.run(
        [sys.executable, str(file.parent / "oracle.py"), str(file)], capture_output=True, check=True, encoding="utf-8"
    )
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
