"""Definitions of badges: the list, one with what it asked for before, making, changing, retiring them.

Making and changing take two pages, each a form that carries all that was typed: the draft with its medal, and what it
would do. Nothing is stored before the second is sent.
"""

from dataclasses import asdict
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from webapp import worker
from webapp.database import db, writing
from webapp.domain.badges import definitions
from webapp.domain.badges.definitions import ARTWORK, ChangedMeanwhileError, Draft
from webapp.domain.camps import calendar
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.evaluation import backfill as backfills
from webapp.domain.jobs import Job
from webapp.domain.models.badge import Badge
from webapp.domain.people.accounts import Person, Role
from webapp.views.paging import page_asked
from webapp.views.security import permits, viewer

blueprint = Blueprint("definitions", __name__, url_prefix="/office/badges")

PER_PAGE = 25
# What a part is called where that is not its own name.
PARTS = {
    "flame": "Flame edge",
    "star": "Star",
    "enamel": "Gold, teal enamel",
    "check": "Check mark",
    "links": "Three links",
    "heart": "Heart in hand",
}


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """All of them, the retired ones last."""
    page = db.paginate(definitions.listing(), page=page_asked(), per_page=PER_PAGE, error_out=False)
    holders = definitions.holders([badge.id for badge in page])
    return render_template("definitions/index.html", badges=page, holders=holders)


@blueprint.get("/<uuid:badge_id>")
@permits(Role.ADMIN)
def definition(badge_id: UUID) -> ResponseReturnValue:
    """One, with its versions, and the awards that rest on an older one."""
    badge = _find(badge_id)
    versions = definitions.versions_of(badge)
    older = db.paginate(definitions.older_awards(badge), page=page_asked(), per_page=PER_PAGE, error_out=False)
    people = db.session.scalars(select(Person).where(Person.id.in_([award.person_id for award in older])))
    zone = calendar.default_site().zone
    return render_template(
        "definitions/page.html",
        badge=badge,
        versions=versions,
        since={each.version: each.since.astimezone(zone).date() for each in versions},
        asked={each.version: each.requirement for each in versions},
        held=definitions.held_by_version(badge),
        forecast=definitions.forecast(badge.requirement, badge),
        older=older,
        people={person.id: person for person in people},
        jobs=backfills.of_badge(badge),
    )


@blueprint.get("/preview")
@permits(Role.ADMIN)
def preview() -> ResponseReturnValue:
    """The medal of the parts chosen so far."""
    return render_template("definitions/_preview.html", draft=Draft.typed(request.args).drawable)


@blueprint.route("/new", methods=["GET", "POST"])
@permits(Role.ADMIN)
def new() -> ResponseReturnValue:
    """The draft of a new one, what it would do, and its making."""
    if request.method == "GET":
        return _form(Draft())
    draft, step = _sent()
    problems = draft.problems()
    if step == "save" and not problems:
        try:
            with writing():
                job = backfills.add(definitions.add(draft), by=viewer())
        except InvalidError:
            problems = draft.problems()  # somebody else took the name at the same moment
        else:
            return _to_job(job, f"{draft.name} is there. Whoever has reached it gets it now.")
    return _drafted(draft, step, problems)


@blueprint.route("/<uuid:badge_id>/edit", methods=["GET", "POST"])
@permits(Role.ADMIN)
def edit(badge_id: UUID) -> ResponseReturnValue:
    """The draft of a change, what it would do, and its making."""
    badge = _find(badge_id)
    if request.method == "GET":
        return _form(Draft.of(badge), badge)
    draft, step = _sent()
    seen = request.form.get("seen", "")
    problems = draft.problems(badge)
    if step in ("continue", "save") and definitions.fingerprint(badge) != seen:
        return _form(draft, badge, problems, changed_meanwhile=True)
    if step == "save" and not problems:
        try:
            return _change(badge, draft, seen)
        except ChangedMeanwhileError:
            return _form(draft, _find(badge_id), changed_meanwhile=True)
        except InvalidError:
            problems = draft.problems(badge)
    return _drafted(draft, step, problems, badge)


@blueprint.route("/<uuid:badge_id>/retire", methods=["GET", "POST"])
@permits(Role.ADMIN)
def retire(badge_id: UUID) -> ResponseReturnValue:
    """What retiring does, and doing it."""
    badge = _find(badge_id)
    if request.method == "GET":
        return _ask(badge)
    with writing():
        done = definitions.retire(badge)
    flash(f"{badge.name} is retired. Who has it keeps it." if done else f"{badge.name} is retired already.")
    return redirect(url_for("definitions.definition", badge_id=badge_id), 303)


@blueprint.route("/<uuid:badge_id>/reinstate", methods=["GET", "POST"])
@permits(Role.ADMIN)
def reinstate(badge_id: UUID) -> ResponseReturnValue:
    """What reinstating does, and doing it."""
    badge = _find(badge_id)
    if request.method == "GET":
        return _ask(badge)
    with writing():
        job = backfills.add(badge, by=viewer()) if definitions.reinstate(badge) else None
    if job is None:
        flash(f"{badge.name} is awarded already.")
        return redirect(url_for("definitions.definition", badge_id=badge_id), 303)
    return _to_job(job, f"{badge.name} is awarded again. Whoever reached it meanwhile gets it now.")


@blueprint.post("/<uuid:badge_id>/backfill")
@permits(Role.ADMIN)
def backfill(badge_id: UUID) -> ResponseReturnValue:
    """Award it to whoever has reached it, for example after a backfill was cancelled."""
    badge = _find(badge_id)
    if not badge.is_active:
        raise ConflictError(f"{badge.name} is retired, so nobody is awarded it. Nothing was changed.")
    with writing():
        found = next((job for job in backfills.of_badge(badge) if job.is_open), None)
        job = found or backfills.add(badge, by=viewer())
    return _to_job(job)


def _find(badge_id: UUID) -> Badge:
    return definitions.by_id(badge_id) or abort(404)


def _sent() -> tuple[Draft, str]:
    """What was typed, and the button that was pressed."""
    return Draft.typed(request.form), request.form.get("do", "continue")


def _change(badge: Badge, draft: Draft, seen: str) -> ResponseReturnValue:
    with writing():
        is_other = definitions.change(badge, draft, seen)
        job = backfills.add(badge, by=viewer()) if is_other and badge.is_active else None
    if job:
        return _to_job(job, f"{draft.name} asks for something else now. Whoever has reached that gets it.")
    flash(f"{draft.name} is saved.")
    return redirect(url_for("definitions.definition", badge_id=badge.id), 303)


def _to_job(job: Job, said: str = "") -> ResponseReturnValue:
    worker.enqueue(job.id)
    if said:
        flash(said)
    return redirect(url_for("jobs.job", job_id=job.id), 303)


def _drafted(draft: Draft, step: str, problems: dict[str, str], badge: Badge | None = None) -> ResponseReturnValue:
    """The draft again, or what it would do where that was asked for and nothing is wrong with it."""
    if step not in ("continue", "save"):
        return _form(draft, badge, seen=request.form.get("seen", ""))
    if problems:
        return _form(draft, badge, problems)
    is_other = badge is None or badge.requirement != draft.requirement
    return render_template(
        "definitions/confirm.html",
        badge=badge,
        draft=draft,
        fields=asdict(draft),
        is_other=is_other,
        backfills=is_other and (badge is None or badge.is_active),
        forecast=definitions.forecast(draft.requirement, badge),
        seen=definitions.fingerprint(badge) if badge else "",
    )


def _form(
    draft: Draft,
    badge: Badge | None = None,
    problems: dict[str, str] | None = None,
    *,
    seen: str = "",
    changed_meanwhile: bool = False,
) -> ResponseReturnValue:
    """The draft, as it was typed. ``seen`` stays what it was until the reader was told of another's change."""
    page = render_template(
        "definitions/form.html",
        badge=badge,
        draft=draft.drawable,
        problems=problems or {},
        seen=seen or (definitions.fingerprint(badge) if badge else ""),
        changed_meanwhile=changed_meanwhile,
        artwork=ARTWORK,
        parts=PARTS,
    )
    return page, 409 if changed_meanwhile else 422 if problems else 200


def _ask(badge: Badge) -> ResponseReturnValue:
    return render_template("definitions/ask.html", badge=badge, forecast=definitions.forecast(badge.requirement, badge))
