"""A worker killed with SIGKILL again and again ends where one ends that was not."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Row

from tests import factories
from tests.conftest import People
from tests.factories import weekly
from tests.serving import ROOT, SECRET, until
from webapp import clock
from webapp.database import db, writing
from webapp.domain.audit import Action, Entry, EntryAward
from webapp.domain.badges import definitions
from webapp.domain.evaluation import backfill, bulk, verify
from webapp.domain.jobs import Job, Status
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.badge import Award, Badge
from webapp.domain.models.totals import Totals
from webapp.domain.people.accounts import Person, Role

PEOPLE = 300
KILLS = 5
# The command itself, with small batches so that there are many points to be killed at.
WORK = "import webapp.domain.evaluation.backfill as b; b.BATCH = 10; from flask.cli import main; main()"


@pytest.fixture
def crowd(app: Flask, people: People) -> None:
    """Hundreds of people, of whom every other came three times."""
    with app.app_context():
        camps = weekly(3)
        now = clock.now()
        with writing():
            crowd = [
                {"book_no": 1000 + number, "name": f"P{number}", "search_name": f"p{number}", "role": Role.VOLUNTEER}
                for number in range(PEOPLE)
            ]
            ids = list(db.session.scalars(insert(Person).returning(Person.id), crowd))
            marks = [
                {
                    "person_id": person_id,
                    "camp_id": camp.id,
                    "site_id": camp.site_id,
                    "camp_date": camp.camp_date,
                    "state": State.PRESENT,
                    "camp_role": CampRole.VOLUNTEER,
                    "marked_at": now,
                }
                for person_id in ids[::2]
                for camp in camps
            ]
            db.session.execute(insert(Attendance), marks)
            bulk.evaluate()
            definitions.retire(factories.named("First Step"))


def worker_of(database_url: str, instance: Path) -> subprocess.Popen[bytes]:
    environment = {"DATABASE_URL": database_url, "INSTANCE_PATH": str(instance), "SECRET_KEY": SECRET}
    with (instance / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", WORK, "--app", "wsgi", "work"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )


def job_now() -> Job:
    db.session.rollback()
    return db.session.scalars(select(Job).execution_options(populate_existing=True)).one()


def state_of(badge: Badge) -> list[list[Row[Any]]]:
    """Everything that the job wrote, and what it counts in."""
    db.session.rollback()
    award = select(Award.person_id, Award.camp_id, Award.earned_at, Award.revoked_at, Award.version, Award.found_later)
    followed = select(EntryAward.person_id, EntryAward.badge_id, EntryAward.effect)
    entries = select(Entry.badge_id, Entry.by_id, Entry.action).where(Entry.action == Action.BACKFILLED)
    figures = select(Totals.person_id, Totals.site_id, Totals.visits, Totals.longest_streak, Totals.streak)
    return [
        list(db.session.execute(award.where(Award.badge_id == badge.id).order_by(Award.person_id))),
        list(db.session.execute(followed.order_by(EntryAward.person_id))),
        list(db.session.execute(entries)),
        list(db.session.execute(figures.order_by(Totals.person_id, Totals.site_id))),
    ]


def test_killed_anywhere_nothing_is_left_out_and_nothing_done_twice(
    app: Flask, database_url: str, people: People, crowd: None, tmp_path: Path
) -> None:
    chance = random.Random(5)
    with app.app_context():
        badge = factories.badge("Three Times", 3)
        with writing():
            backfill.add(badge, by=people.admin)
        for _ in range(KILLS):
            process = worker_of(database_url, tmp_path)
            target = job_now().done + 10 * chance.randint(1, 4)
            until(lambda: job_now().done >= target or not job_now().is_open)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        stood = job_now().done
        assert 0 < stood < PEOPLE, "the worker was to be killed while it was at it"
        process = worker_of(database_url, tmp_path)
        until(lambda: not job_now().is_open, "the worker did not end the job")
        process.send_signal(signal.SIGINT)
        process.wait()
        job = job_now()
        assert (job.status, job.done, job.found) == (Status.DONE, job.total, {"new_badges": PEOPLE // 2})
        killed = state_of(badge)
        with writing():
            assert verify.differences() == []
            assert bulk.evaluate(dated_back=True).new_badges == 0
        # The same once more, in peace.
        with writing():
            for table in (EntryAward, Entry, Job):
                db.session.execute(delete(table))
            db.session.execute(delete(Award).where(Award.badge_id == badge.id))
        factories.backfill(badge, people.admin)
        assert state_of(badge) == killed
