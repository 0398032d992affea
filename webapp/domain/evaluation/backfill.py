"""Backfills: after a definition was added or changed, the badge is awarded to everybody who qualifies.

A job, some people a batch. It is silent: an award is dated to the camp that completed it, and nobody's page
celebrates it.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from webapp.database import db
from webapp.domain import audit, jobs
from webapp.domain.audit import Action
from webapp.domain.evaluation import bulk
from webapp.domain.evaluation.bulk import Evaluated
from webapp.domain.jobs import Job, Kind, Status
from webapp.domain.models.badge import Badge
from webapp.domain.organisation import settings
from webapp.domain.people.accounts import Person
from webapp.infra.ids import new_id

BATCH = 1_000  # people


def add(badge: Badge, *, by: Person) -> Job:
    """The job that awards a badge to whoever qualifies; ``by`` is who asked for it."""
    everybody = db.session.scalar(select(func.count()).select_from(Person)) or 0
    # The entry of the audit trail is written with the first batch; each further one adds what followed.
    params = {"title": badge.name, "badge_id": badge.id, "entry_id": new_id()}
    return jobs.add(Kind.BACKFILL, by=by, total=everybody, params=params)


def batch(job: Job) -> bool:
    """Award it to the next people, by id from the last on that :attr:`Job.cursor` names; whether there may be more."""
    entry_id, badge_id = UUID(job.asked["entry_id"]), UUID(job.asked["badge_id"])
    if not job.cursor:
        audit.note(Action.BACKFILLED, badge_id=badge_id, entry_id=entry_id)
    done = Evaluated()
    after = UUID(job.cursor) if job.cursor else None
    last = bulk.evaluate_slice(after, None, done, dated_back=True, entry_id=entry_id, most=BATCH, badge_id=badge_id)
    job.done += done.people
    job.add(new_badges=done.new_badges + done.returned_badges)
    if last is None:
        return False
    job.cursor = str(last)
    return done.people == BATCH


def of_badge(badge: Badge) -> Sequence[Job]:
    """The latest backfills of a badge, the newest first."""
    about = Job.kind == Kind.BACKFILL, Job.params.contains(f'"{badge.id}"')
    return db.session.scalars(select(Job).where(*about).order_by(Job.created_at.desc(), Job.id).limit(5)).all()


def left_undone(job: Job) -> Badge | None:
    """The badge of a backfill that was cancelled, while it is awarded still and this was its last backfill."""
    if (job.kind, job.status) != (Kind.BACKFILL, Status.CANCELLED):
        return None
    badge = db.session.get(Badge, UUID(job.asked["badge_id"]))
    return badge if badge and badge.is_active and of_badge(badge)[0].id == job.id else None


def fill_totals() -> bool:
    """Work out the totals of the next people, where an upgrade left them to be filled; whether there
    are more. Inside the caller's transaction.
    """
    said = settings.get(settings.TOTALS)
    if not said:
        return False
    last = UUID(said) if said != settings.TO_BE_FILLED else None
    last = bulk.evaluate_next(last, Evaluated(), most=BATCH)
    if last is None:
        settings.drop(settings.TOTALS)
        return False
    settings.put(settings.TOTALS, str(last))
    return True
