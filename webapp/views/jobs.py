"""Jobs: how far each is, its end, and a way to stop it."""

from uuid import UUID

from flask import Blueprint, Response, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from webapp import worker
from webapp.database import db, writing
from webapp.domain import jobs
from webapp.domain.evaluation import backfill
from webapp.domain.jobs import Job
from webapp.domain.people.accounts import Role
from webapp.views.paging import page_asked
from webapp.views.security import permits

blueprint = Blueprint("jobs", __name__, url_prefix="/office/jobs")

PER_PAGE = 25
STOP_POLLING = 286  # htmx asks no more


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """All jobs, the newest first."""
    number = page_asked()
    query = select(Job).order_by(Job.created_at.desc(), Job.id)
    return render_template("jobs/index.html", jobs=db.paginate(query, page=number, per_page=PER_PAGE, error_out=False))


@blueprint.get("/<uuid:job_id>")
@permits(Role.ADMIN)
def job(job_id: UUID) -> ResponseReturnValue:
    """One job."""
    found = _find(job_id)
    return render_template("jobs/page.html", job=found, left_undone=backfill.left_undone(found))


@blueprint.get("/<uuid:job_id>/progress")
@permits(Role.ADMIN)
def progress(job_id: UUID) -> ResponseReturnValue:
    """The part of its page that changes, asked for again and again until it is over."""
    found = _find(job_id)
    page = render_template("jobs/_progress.html", job=found, left_undone=backfill.left_undone(found))
    return Response(page, 200 if found.is_open else STOP_POLLING)


@blueprint.post("/<uuid:job_id>/cancel")
@permits(Role.ADMIN)
def cancel(job_id: UUID) -> ResponseReturnValue:
    """Stop it after the batch under way; what was done until then stands."""
    with writing():
        jobs.cancel(_find(job_id))
    flash("The job stops in a moment. What was done until then stands.")
    return redirect(url_for("jobs.job", job_id=job_id), 303)


@blueprint.post("/<uuid:job_id>/retry")
@permits(Role.ADMIN)
def retry(job_id: UUID) -> ResponseReturnValue:
    """Go on with one that failed."""
    with writing():
        jobs.retry(_find(job_id))
    worker.enqueue(job_id)
    return redirect(url_for("jobs.job", job_id=job_id), 303)


def _find(job_id: UUID) -> Job:
    return jobs.by_id(job_id) or abort(404)
