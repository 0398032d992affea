"""Jobs: long work done outside a request, a batch at a time, whose row says how far it is.

What a batch does and how far the job is are one transaction, so that a worker that is killed in the middle
leaves whole batches, and the next goes on after the last of them. The queue only says which jobs there are
to look at (:mod:`webapp.worker`); everything that counts is here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, ForeignKey, Index, LargeBinary, Row, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.database import Instant, Model, choice, db
from webapp.domain.errors import ConflictError
from webapp.domain.people.accounts import Person
from webapp.infra.changes import News
from webapp.infra.ids import new_id

LONGEST_PROBLEM = 300  # characters
SILENT_AFTER = timedelta(minutes=2)  # the longest batches take seconds
UNFINISHED = "!"  # how a cursor begins where the job must not be left as it is


class Kind(StrEnum):
    """What a job does."""

    IMPORT_CHECK = "import_check"
    IMPORT = "import"
    PEOPLE_IMPORT = "people_import"
    BACKFILL = "backfill"


class Status(StrEnum):
    """Where a job stands."""

    RECEIVING = "receiving"
    """Its file is still arriving."""
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (Status.QUEUED, Status.RUNNING)


class Job(Model):
    """One job."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "status"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[Kind] = mapped_column(choice(Kind, "kind"))
    status: Mapped[Status] = mapped_column(choice(Status, "job_status"), default=Status.QUEUED)
    created_at: Mapped[datetime] = mapped_column(Instant, default=clock.now)
    by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    seen_at: Mapped[datetime | None] = mapped_column(Instant)
    """When a worker was last at it, or was asked to be."""
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    cancel_asked_at: Mapped[datetime | None] = mapped_column(Instant)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    cursor: Mapped[str] = mapped_column(Text, default="")
    """Where the next batch begins, in the words of the kind."""
    params: Mapped[str] = mapped_column(Text, default="{}")
    outcome: Mapped[str] = mapped_column(Text, default="{}")
    problem: Mapped[str | None] = mapped_column(String(LONGEST_PROBLEM))
    by: Mapped[Person] = relationship()

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done."""
        return self.status in OPEN

    @property
    def is_silent(self) -> bool:
        """Whether no worker has been heard of for so long that it is worth saying so."""
        return self.is_open and clock.now() - (self.seen_at or self.created_at) > SILENT_AFTER

    @property
    def may_stop(self) -> bool:
        """Whether what was done until now can be left as it is; otherwise a wish to cancel waits."""
        return not self.cursor.startswith(UNFINISHED)

    @property
    def asked(self) -> dict[str, Any]:
        """:attr:`params`, read."""
        found: dict[str, Any] = json.loads(self.params)
        return found

    @property
    def found(self) -> dict[str, Any]:
        """:attr:`outcome`, read."""
        found: dict[str, Any] = json.loads(self.outcome)
        return found

    def tell(self, **facts: object) -> None:
        """Put facts into the outcome, in place of what was there under their names."""
        self.outcome = json.dumps(self.found | facts, default=str)

    def add(self, **numbers: int) -> None:
        """Add numbers to those of the outcome."""
        known = self.found
        self.tell(**{name: known.get(name, 0) + number for name, number in numbers.items()})

    @property
    def progress(self) -> "Progress":
        """How far it is."""
        return Progress(self.done, self.total, self.started_at, self.finished_at or clock.now())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    done: int
    total: int | None
    started_at: datetime | None
    now: datetime

    @property
    def percent(self) -> int | None:
        """How much of it is done, rounded down; nothing while it is not known how much there is."""
        if self.total is None:
            return None
        return 100 if self.total == 0 else min(100, 100 * self.done // self.total)

    @property
    def rate(self) -> float:
        """Done a second since it began."""
        seconds = (self.now - self.started_at).total_seconds() if self.started_at else 0
        return self.done / seconds if seconds > 0 else 0.0

    @property
    def left(self) -> timedelta | None:
        """How long it will still take at that rate."""
        if self.total is None or self.rate <= 0:
            return None
        return timedelta(seconds=max(0, self.total - self.done) / self.rate)


class Upload(Model):
    """A part of the file that a job reads. It lies in the database, since the worker may be on another host."""

    __tablename__ = "upload"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)


def add(kind: Kind, *, by: Person, total: int | None = None, params: Mapping[str, object] | None = None) -> Job:
    """A new job, to be done once the caller's transaction is committed and the queue has been told."""
    job = Job(
        id=new_id(),
        kind=kind,
        status=Status.QUEUED,
        by_id=by.id,
        created_at=clock.now(),
        total=total,
        done=0,
        cursor="",
        params=json.dumps(params or {}, default=str),
        outcome="{}",
    )
    db.session.add(job)
    db.session.flush()
    return job


def by_id(job_id: UUID) -> Job | None:
    """The job with this id, as it is now."""
    return db.session.get(Job, job_id, populate_existing=True)


def hold(job_id: UUID) -> Job | None:
    """The job with this id, as it is now; nobody else changes it until the transaction ends."""
    query = select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    return db.session.scalars(query).one_or_none()


def open_jobs() -> Sequence[UUID]:
    """The ids of all jobs still to be done, the oldest first."""
    return db.session.scalars(select(Job.id).where(Job.status.in_(OPEN)).order_by(Job.created_at, Job.id)).all()


def begin(job: Job) -> None:
    """A worker has taken it up, for the first time or again."""
    job.status = Status.RUNNING
    job.seen_at = clock.now()
    job.started_at = job.started_at or job.seen_at


def went_on(job: Job) -> None:
    """A batch is done."""
    job.seen_at = clock.now()


def end(job: Job, status: Status, problem: str | None = None) -> None:
    """It is over."""
    job.status = status
    job.finished_at = clock.now()
    job.problem = problem[:LONGEST_PROBLEM] if problem else None


def cancel(job: Job) -> None:
    """Ask for an end after the present batch. Raises :class:`ConflictError` where it is over already."""
    if not job.is_open:
        raise ConflictError("This job is over already. Nothing was changed.")
    job.cancel_asked_at = clock.now()
    db.session.flush()


def retry(job: Job) -> None:
    """Go on with a job that failed, from where it stood. Raises :class:`ConflictError` for any other."""
    if job.status is not Status.FAILED:
        raise ConflictError("Only a job that failed can be tried again. Nothing was changed.")
    job.status, job.problem, job.finished_at, job.cancel_asked_at = Status.QUEUED, None, None, None
    job.seen_at = clock.now()
    db.session.flush()


# --- what open pages hear -------------------------------------------------------------------------

_WATCHED = (Job.id, Job.kind, Job.status, Job.seen_at, Job.done, Job.cursor, Job.cancel_asked_at)
_OPEN = select(*_WATCHED).where(Job.status.in_(OPEN))


class JobFeed:
    """Tells which jobs went on since the last look, and that batches changed what people have:
    whose, it would take too long to say.

    A job that began and ended between two looks is not told. Its entry in the audit trail is then
    as new, and tells as much. Hence entries are to be read before jobs.
    """

    def __init__(self) -> None:
        self._known: dict[UUID, Row[Any]] = {}

    def news(self, connection: Connection) -> News:
        """The jobs whose rows changed, as they do with every batch; see
        :class:`webapp.infra.changes.Feed`.
        """
        open_now = {job.id: job for job in connection.execute(_OPEN)}
        known, self._known = self._known, open_now

        either = known | open_now
        changed = {job_id for job_id in either if known.get(job_id) != open_now.get(job_id)}
        give_badges = (Kind.IMPORT, Kind.BACKFILL)
        return News(changed, any(either[job_id].kind in give_badges for job_id in changed))
