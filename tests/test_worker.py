"""The worker as a process of its own: killed and started again, beside a table that marks, with each queue."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from tests import factories, state
from tests.conftest import SUNDAY, People
from tests.serving import PATIENCE, ROOT, SECRET, redis, until
from webapp import clock, create_app, worker
from webapp.database import db, is_sqlite, writing
from webapp.domain import jobs
from webapp.domain.attendance import marking
from webapp.domain.evaluation import verify
from webapp.domain.import_export import import_jobs, uploads
from webapp.domain.jobs import Job, Status
from webapp.domain.models.attendance import Attendance
from webapp.domain.people.accounts import Person

KILLS = 10
# The worker of the command line, but that a batch is small, so that there are many of them.
SMALL = """
from flask.cli import main
from webapp.domain.import_export import import_jobs
import_jobs.ROWS_READ, import_jobs.ROWS_STORED, import_jobs.PEOPLE_SETTLED = 50, 50, 5
main()
"""


@contextmanager
def working(
    url: str, instance: Path, *options: str, code: str | None = SMALL, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """``flask work`` in a process of its own."""
    environment = os.environ | {"DATABASE_URL": url, "INSTANCE_PATH": str(instance), "SECRET_KEY": SECRET, **settings}
    flask = [sys.executable, "-c", code] if code else [str(Path(sys.executable).parent / "flask")]
    command = [*flask, "--app", "wsgi", "work", *options]
    with (instance / "worker.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log, stdout=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def a_history(rows: int) -> bytes:
    """So many rows, of camps long past at two sites; a quarter as many people."""
    lines = ["book_no,name,site,camp,camp_date,attended"]
    for row in range(rows):
        book_no, week = 10 + row % (rows // 4), row // (rows // 4)
        day = SUNDAY.date() - timedelta(weeks=4 + week)
        lines.append(f"{book_no},Person {book_no},{('Main site', 'Hosur')[book_no % 2]},Camp,{day},yes")
    return "\n".join(lines).encode()


def sent(content: bytes, by: Person) -> Job:
    """Put it where the view puts it."""
    with writing():
        job = uploads.begin(by=by, lines=content.count(b"\n") + 1)
    parts = [content[at : at + uploads.PART] for at in range(0, len(content), uploads.PART)]
    with writing():
        uploads.add_parts(job.id, 0, parts)
        uploads.complete(job.id)
    return job


def as_it_is(job: Job) -> Job:
    """Read anew, in a transaction of now."""
    db.session.rollback()
    found = jobs.by_id(job.id)
    assert found
    return found


def began(checked: Job, by: Person) -> Job:
    db.session.rollback()
    with writing():
        return import_jobs.choose(checked.id, by=by, keep_good=False)


def over(job: Job) -> bool:
    found = as_it_is(job)
    assert found.status is not Status.FAILED, found.problem
    return not found.is_open


def no_lock_is_left() -> bool:
    """PostgreSQL notices that a process is gone once its statement ends."""
    if is_sqlite():
        return True
    held = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    )
    count = db.session.scalar(held)
    db.session.rollback()
    return not count


@pytest.fixture
def known(app: Flask, people: People, context: None) -> Callable[[], None]:
    """People whose runs go over dates that the file brings."""

    def make() -> None:
        held = [factories.camp(on=SUNDAY.date() - timedelta(weeks=weeks, days=1)) for weeks in (3, 5, 9)]
        for person in (people.volunteer, people.other):
            factories.attend(person, held, people.coordinator)

    return make


def test_killed_ten_times_it_ends_as_one_that_was_not(
    app: Flask, people: People, known: Callable[[], None], database_url: str, tmp_path: Path
) -> None:
    content = a_history(800)
    chance = random.Random(7)
    known()
    checked = sent(content, people.admin)
    kills = 0

    def steps(job: Job) -> tuple[str, str]:
        found = as_it_is(job)
        return found.status, found.cursor

    def work_and_be_killed(job: Job, times: int) -> None:
        """Killed once it has got on, at whatever point it is at then; and at last let be."""
        nonlocal kills
        for _ in range(times):
            with working(database_url, tmp_path) as process:
                for _ in range(chance.randint(1, 3)):
                    before = steps(job)
                    until(lambda before=before: steps(job) != before or over(job))  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.05))  # no waiting: the random point
                process.kill()
                process.wait()
                kills += not over(job)
            until(no_lock_is_left)
        with working(database_url, tmp_path):
            until(lambda: over(job))

    work_and_be_killed(checked, 3)
    imported = began(checked, people.admin)
    work_and_be_killed(imported, KILLS - 3)
    assert kills == KILLS
    found = state.everything()
    told = [as_it_is(job).found for job in (checked, imported)]
    progress = [as_it_is(job).progress.percent for job in (checked, imported)]
    db.session.rollback()

    for table in reversed(db.metadata.sorted_tables):
        if table.name not in ("badge", "definition", "site", "person", "setting"):
            with writing():
                db.session.execute(table.delete())
    with writing():
        db.session.execute(text("DELETE FROM person WHERE book_no >= 10"))
        db.session.execute(text("DELETE FROM site WHERE name = 'Hosur'"))
        verify.repair()  # the totals of those who were there before
    known()
    with clock.running_from(clock._real()):  # as in the worker
        checked = sent(content, people.admin)
        factories.do_jobs()
        imported = began(checked, people.admin)
        factories.do_jobs()
    assert found == state.everything()
    volatile = {"entry", "import_job"}
    for before, after in zip(told, (as_it_is(checked).found, as_it_is(imported).found), strict=True):
        assert {name: before[name] for name in before.keys() - volatile} == {
            name: after[name] for name in after.keys() - volatile
        }
    assert progress == [100, 100]


def test_the_table_goes_on_during_an_import(
    app: Flask, people: People, context: None, database_url: str, tmp_path: Path
) -> None:
    """20,000 rows are stored; meanwhile one mark after the other is made, as by another process."""
    camp = factories.camp(0)
    volunteers = [factories.person(f"At the table {number}", book_no=100_000 + number) for number in range(40)]
    checked = sent(a_history(20_000), people.admin)
    waits: list[float] = []

    def mark() -> None:
        who = volunteers[len(waits) % len(volunteers)]
        again = len(waits) >= len(volunteers)
        start = time.monotonic()
        with writing():
            if again:
                marking.undo(who, camp, by=people.coordinator)
            marking.mark_present(who, camp, by=people.coordinator)
        waits.append(time.monotonic() - start)
        time.sleep(0.05)  # the queue at the table

    for job in (checked, None):
        under_way = job or began(checked, people.admin)
        with working(database_url, tmp_path, code=None):  # it looks for open jobs when it starts
            while not over(under_way):
                mark()
        assert as_it_is(under_way).status is Status.DONE
    assert len(waits) > 20
    assert max(waits) < 5
    assert db.session.query(Attendance).count() == 20_000 + min(len(waits), len(volunteers))
    present = select(Attendance.person_id).where(Attendance.camp_id == camp.id)
    assert len(db.session.scalars(present).all()) == min(len(waits), len(volunteers))


@pytest.fixture(params=["database", "redis"])
def jobs_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the queue is: in the database, or on SQLite in a file beside it; or in Redis."""
    if request.param == "database":
        yield ""
        return
    with redis(tmp_path) as url:
        yield url


def test_a_worker_hears_of_a_job_through_each_queue(
    app: Flask, people: People, database_url: str, tmp_path: Path, jobs_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there already when the job comes, so that it finds it in the queue and not by looking."""
    monkeypatch.setenv("JOBS_URL", jobs_url)
    monkeypatch.setenv("INSTANCE_PATH", str(tmp_path))
    other = create_app({"TESTING": True, "SECRET_KEY": SECRET})
    with other.app_context():
        first = sent(a_history(40), people.admin)
        with working(database_url, tmp_path, JOBS_URL=jobs_url):
            until(lambda: over(first))  # it is up now, and has looked
            second = sent(a_history(40), people.admin)
            worker.enqueue(second.id)
            asked = time.monotonic()
            until(lambda: over(second))
            assert time.monotonic() - asked < 10
            until(lambda: worker.queue().pending_count() == 0)  # it may have found the job by looking first
        worker.queue().storage.close()
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


def test_without_its_queue_a_job_is_found_by_looking(
    app: Flask, people: People, context: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis(tmp_path) as url:
        pass  # gone again
    monkeypatch.setenv("JOBS_URL", url)
    monkeypatch.setenv("INSTANCE_PATH", str(tmp_path))
    other = create_app({"TESTING": True, "SECRET_KEY": SECRET})
    with other.app_context():
        job = sent(a_history(40), people.admin)
        worker.enqueue(job.id)
        assert jobs.open_jobs() == [job.id]
        worker.run(job.id)
        assert over(job)
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_once_in_the_middle_of_a_job(
    app: Flask, people: People, context: None, database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    job = sent(a_history(20_000), people.admin)
    with working(database_url, tmp_path) as process:
        until(lambda: as_it_is(job).done)
        asked = time.monotonic()
        process.send_signal(how)
        process.wait(PATIENCE)
        assert time.monotonic() - asked < 5
    assert as_it_is(job).status is Status.RUNNING
    until(no_lock_is_left)


def test_it_begins_anew_when_told_to(
    app: Flask, people: People, context: None, database_url: str, tmp_path: Path
) -> None:
    """As by ``make reload``: with the code as it is then, and the job under way goes on."""
    job = sent(a_history(20_000), people.admin)
    pid = tmp_path / "pid"
    with working(database_url, tmp_path, "--pid", str(pid), code=None) as process:
        until(lambda: as_it_is(job).done)
        pid.unlink()
        process.send_signal(signal.SIGHUP)
        until(pid.exists)
        assert int(pid.read_text()) == process.pid
        until(lambda: over(job))


def test_it_goes_when_the_server_it_is_beside_is_gone(
    app: Flask, context: None, database_url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen(["sleep", "60"]))
        options = ("--until-gone", str(server.pid))
        process = stack.enter_context(working(database_url, tmp_path, *options, code=None))
        server.kill()
        server.wait()
        assert process.wait(PATIENCE) == 0
