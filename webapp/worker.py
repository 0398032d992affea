"""The queue of jobs and the worker that does them.

The queue (huey: a file of SQLite beside an embedded installation, else PostgreSQL or Redis) only carries the
ids of jobs to look at, so it may lose one or hold one twice: a job is done by whoever holds its lock, a
worker that starts looks through all that are open, and looks again every minute.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
from flask import Flask, current_app
from sqlalchemy import Engine

from webapp.database import LOST, db, is_sqlite, only_one, writing
from webapp.domain import audit, jobs
from webapp.domain.audit import Actor
from webapp.domain.errors import DomainError
from webapp.domain.evaluation import backfill
from webapp.domain.import_export import import_jobs, people_file
from webapp.domain.jobs import Job, Kind, Status
from webapp.domain.leaderboard import snapshots
from webapp.domain.leaderboard.snapshots import Key, RankBy

# huey is imported where it is used, and Redis with it: most web processes never are asked for a job, and it is large.
if TYPE_CHECKING:
    from huey.api import Huey

log = logging.getLogger(__name__)

NAME = "camp-badges"
DEVICE = "background job"

Batch = Callable[[Job], bool]
"""Does the next batch of a job in the running transaction, and notes in it how far it is; whether there is more."""

BATCHES: Mapping[Kind, Batch] = {
    Kind.PEOPLE_IMPORT: people_file.store,
    Kind.BACKFILL: backfill.batch,
    Kind.IMPORT_CHECK: import_jobs.check,
    Kind.IMPORT: import_jobs.carry_out,
}
GIVE_WAY = 0.12  # seconds; SQLite lets whoever waits for the write lock look again after 0.1 s at the latest


def queue() -> "Huey":
    """The application's queue, opened with its first use: the database may come up later than the application."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    with _opening:
        if "jobs" not in app.extensions:
            app.extensions["jobs"] = _open(app)
    found: Huey = app.extensions["jobs"]
    return found


_opening = threading.Lock()


def _connect(engine: Engine) -> psycopg.Connection:
    """As all others are made, so that it finds the server that may be written to."""
    pooled = engine.raw_connection()
    connection = pooled.driver_connection
    pooled.detach()
    assert isinstance(connection, psycopg.Connection)
    connection.autocommit = True
    return connection


def _open(app: Flask) -> "Huey":
    from huey import PostgresHuey, RedisHuey, SqliteHuey, crontab

    url, instance = app.config["JOBS_URL"], Path(app.instance_path)
    opened: Huey
    if url:
        opened = RedisHuey(NAME, url=url, results=False)
    elif not is_sqlite():
        opened = PostgresHuey(NAME, connection=partial(_connect, db.engine), results=False)
    else:
        instance.mkdir(parents=True, exist_ok=True)
        opened = SqliteHuey(NAME, filename=str(instance / "jobs.db"), results=False)

    def look() -> None:
        with app.app_context():
            enqueue_open()
            fill_totals()

    def sweep() -> None:
        with app.app_context():
            delete_old_uploads()
            delete_old_boards()

    def do(job_id: str) -> None:
        with app.app_context():
            run(UUID(job_id))

    def build(site_id: str, period: int, rank_by: str) -> None:
        with app.app_context():
            build_board(Key(UUID(site_id), period, RankBy(rank_by)))

    opened.periodic_task(crontab(), name="look")(look)
    opened.on_startup(name="look")(look)
    opened.periodic_task(crontab(minute="17"), name="sweep")(sweep)
    app.extensions["run job"] = opened.task(name="run")(do)
    app.extensions["build board"] = opened.task(name="board")(build)
    return opened


def fill_totals() -> None:
    """Work out the totals of whoever has none since an upgrade, some people at a time."""
    with only_one("filling totals") as is_mine:
        while is_mine:
            with writing():
                is_mine = backfill.fill_totals()
            db.session.remove()


def enqueue(job_id: UUID) -> None:
    """Tell a worker of a job, once its row is committed. Where the queue cannot be reached it is found later."""
    _put("run job", str(job_id))


def enqueue_board(key: Key) -> None:
    """Tell a worker of a board to be built. Where the queue cannot be reached, a later reader does."""
    _put("build board", str(key.site_id), key.period, key.rank_by.value)


def _put(task: str, *arguments: str | int) -> None:
    from huey.exceptions import HueyException
    from redis import RedisError

    try:
        queue()
        current_app.extensions[task](*arguments)
    except (HueyException, OSError, psycopg.Error, sqlite3.Error, RedisError, *LOST) as error:
        log.warning("a task could not be put into the queue, and is found later: %s", error)


def enqueue_open() -> None:
    """Tell the workers of every job that is not over: its worker may have died, or never have heard of it."""
    try:
        found = jobs.open_jobs()
    finally:
        db.session.remove()
    for job_id in found:
        enqueue(job_id)


def delete_old_uploads() -> None:
    """Delete uploaded files that nobody decided about for a week, a transaction for some of each."""
    _delete_by_and_by(import_jobs.sweep)


def build_board(key: Key) -> None:
    """Build a board, unless another worker is at it. What goes wrong is for the log: the board that is
    kept stays, and a later reader asks again.
    """
    with only_one(f"board {key}") as is_mine:
        if not is_mine:
            return
        try:
            with _giving_way(), writing():
                snapshots.rebuild(key)
        except LOST as error:
            log.warning("a board was not built, as the database was lost: %s", error)
        finally:
            db.session.remove()


def delete_old_boards() -> None:
    """Delete the boards that nobody has read for a week, a transaction for each."""
    _delete_by_and_by(snapshots.forget_old)


def _delete_by_and_by(delete_some: Callable[[], bool]) -> None:
    """Delete some in each transaction, while ``delete_some`` says that there are more."""
    more = True
    try:
        while more:
            with _giving_way(), writing():
                more = delete_some()
    finally:
        db.session.remove()


def run(job_id: UUID) -> None:
    """Do a job to its end, a transaction a batch, unless another worker is at it."""
    with only_one(f"job {job_id}") as ours:
        if not ours:
            return
        try:
            more = True
            while more:
                with _giving_way():
                    more = _next(job_id)
        except LOST:
            log.warning("job %s lost the database, and goes on with the next look", job_id)
        finally:
            db.session.remove()


@contextmanager
def _giving_way() -> Iterator[None]:
    """After a batch, on SQLite, as long a pause as it took: transactions one upon the other would keep the marks
    of other processes from ever finding the write lock free.
    """
    began = monotonic()
    yield
    if is_sqlite():
        sleep(min(GIVE_WAY, monotonic() - began))


def _next(job_id: UUID) -> bool:
    """Do the next batch of a job; whether there is more to do."""
    try:
        with writing():
            job = jobs.by_id(job_id)
            if job is None or not job.is_open:
                return False
            if job.cancel_asked_at and job.may_stop:
                jobs.end(job, Status.CANCELLED)
                return False
            if job.status is Status.QUEUED:
                jobs.begin(job)
                return True
            with audit.acting(Actor(job.by_id, DEVICE, job.id)):
                more = BATCHES[job.kind](job)
            jobs.went_on(job)
            if not more:
                jobs.end(job, Status.DONE)
            return more
    except LOST:
        raise
    except DomainError as error:
        _fail(job_id, str(error))
    except Exception:
        log.exception("job %s failed", job_id)
        _fail(job_id, "Something went wrong here; it is in the log. What was done until then stands.")
    return False


def _fail(job_id: UUID, problem: str) -> None:
    with writing():
        job = jobs.by_id(job_id)
        if job and job.is_open:
            jobs.end(job, Status.FAILED, problem)
