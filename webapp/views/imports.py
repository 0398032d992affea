"""Importing a history: a file is sent, looked through, decided about, stored."""

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, cast
from uuid import UUID

from flask import Blueprint, Flask, Request, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import worker
from webapp.database import db, writing
from webapp.domain import cells, jobs
from webapp.domain.camps import calendar
from webapp.domain.errors import InvalidError
from webapp.domain.import_export import import_jobs, uploads
from webapp.domain.import_export.uploads import FileRefused, Sieve
from webapp.domain.jobs import Job, Kind, Status
from webapp.domain.people.accounts import Role
from webapp.views import errors
from webapp.views.csv_out import csv_file, streamed
from webapp.views.paging import page_asked
from webapp.views.presentation import clock_time, day, plural
from webapp.views.security import from_htmx, permits, signed_in, to_sign_in, viewer, wants_json

blueprint = Blueprint("imports", __name__, url_prefix="/office/import")

PER_PAGE = 10
SHOWN = 50  # problems on the page
IN_MEMORY = 1024 * 1024  # bytes of a file; beyond them it arrives in a temporary one
FORM = 64 * 1024  # bytes of the request beside the file


class Incoming(SpooledTemporaryFile[bytes]):
    """A file as it arrives: looked at piece by piece, so that the rest of a wrong one is never read."""

    def __init__(self) -> None:
        super().__init__(IN_MEMORY)
        self.sieve = Sieve()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Raises :class:`FileRefused` once it is clear that this is no history."""
        self.sieve.look(data)
        return super().write(data)


class _Request(Request):
    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if self.endpoint == "imports.upload":
            incoming = Incoming()
            self._incoming.append(incoming)
            return cast(IO[bytes], incoming)
        return super()._get_file_stream(total_content_length, content_type, filename, content_length)

    @cached_property
    def _incoming(self) -> list[Incoming]:
        return []

    def close(self) -> None:
        """The request is over; a file of which the rest was not read is among none that the library knows."""
        super().close()
        for incoming in self._incoming:
            incoming.close()


def init_app(app: Flask) -> None:
    """Before anything reads what was sent (the check of the CSRF token does)."""
    app.request_class = _Request
    app.before_request(_allow_large_file)
    app.after_request(_end_connection)


def _allow_large_file() -> ResponseReturnValue | None:
    """Only where files are sent, and only for those who may: what others send is not read at all."""
    if request.endpoint != "imports.upload":
        return None
    person = signed_in()
    if person is None:
        return to_sign_in()
    if person.role is not Role.ADMIN:
        abort(403)
    request.max_content_length = uploads.MOST_BYTES + FORM
    return None


def _end_connection(response: Response) -> Response:
    """Where a body was refused before it was whole, the rest of it is still to come: what a client sent after it on
    the same connection would be lost.
    """
    is_upload_unread = request.endpoint == "imports.upload" and "form" not in vars(request)
    if is_upload_unread or response.status_code == 413:
        response.headers["Connection"] = "close"
    return response


@blueprint.app_template_filter("file_time")
def file_time(instant: datetime) -> str:
    """When a file was sent, on the clock where the organisation is at home: ``Sun 12 April 2026, 11:30``."""
    here = calendar.default_site()
    return f"{day(instant.astimezone(here.zone).date())}, {clock_time(instant, here.time_zone)}"


@blueprint.app_template_filter("many_rows")
def many_rows(number: int) -> str:
    """``1 row``, ``1,200 rows``."""
    return plural(number, "row")


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """The form, and the files sent until now."""
    return _page()


@blueprint.post("/")
@permits(Role.ADMIN)
def upload() -> ResponseReturnValue:
    """Take a file in and have it looked through."""
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        return _page("Please choose a file first.", 422)
    incoming = cast(Incoming, sent.stream)
    incoming.sieve.finish()
    job = _receive(incoming)
    worker.enqueue(job.id)
    return redirect(url_for("imports.show", check_id=job.id), 303)


@blueprint.errorhandler(FileRefused)
def _refused(error: FileRefused) -> ResponseReturnValue:
    return _said(str(error), 422)


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    return _said(uploads.too_large(), 413)


@blueprint.get("/<uuid:check_id>")
@permits(Role.ADMIN)
def show(check_id: UUID) -> ResponseReturnValue:
    """A file: how far it is looked through, what it holds, what is wrong with it, and what became of it."""
    checked = _find(check_id)
    return render_template(
        "imports/file.html",
        job=checked,
        imported=import_jobs.import_of(checked),
        is_waiting=import_jobs.is_waiting(checked),
        may_throw_away=import_jobs.may_throw_away(checked),
        problems=uploads.problems(check_id, SHOWN),
        number_of_problems=uploads.number_of_problems(check_id),
        kept_for=uploads.KEPT_FOR.days,
        has_many_sites=calendar.has_many_sites(),
    )


@blueprint.get("/<uuid:check_id>/problems.csv")
@permits(Role.ADMIN)
def problems(check_id: UUID) -> ResponseReturnValue:
    """Every bad row of a file with the reason, to be mended in a spreadsheet program."""
    _find(check_id)

    def lines() -> Iterator[str]:
        rows = ((problem.line, problem.reason) for problem in uploads.every_problem(check_id))
        return cells.file_of(("line", "reason"), rows)

    return csv_file(streamed(lines), "problems.csv")


@blueprint.post("/<uuid:check_id>/start")
@permits(Role.ADMIN)
def start(check_id: UUID) -> ResponseReturnValue:
    """Store it: all of it, or the good rows."""
    rows = request.form.get("rows")
    if rows not in ("all", "good"):
        raise InvalidError("It was not said which rows to store. Reload the page and try again.")
    _find(check_id)
    with writing():
        job = import_jobs.choose(check_id, by=viewer(), keep_good=rows == "good")
    worker.enqueue(job.id)
    return redirect(url_for("jobs.job", job_id=job.id), 303)


@blueprint.post("/<uuid:check_id>/throw-away")
@permits(Role.ADMIN)
def throw_away(check_id: UUID) -> ResponseReturnValue:
    """Have done with it, and delete what was uploaded."""
    _find(check_id)
    with writing():
        import_jobs.throw_away(check_id)
    more = True
    while more:
        with writing():
            more = uploads.clear_some(check_id)
    flash("The file was thrown away. Nothing of it was stored.")
    return redirect(url_for("imports.index"), 303)


def _receive(incoming: Incoming) -> Job:
    """Keep a whole file, some parts in each transaction."""
    with writing():
        job = uploads.begin(by=viewer(), lines=incoming.sieve.lines)
    incoming.seek(0)
    parts = iter(lambda: incoming.read(uploads.PART), b"")
    number = 0
    while some := list(islice(parts, uploads.PARTS_TOGETHER)):
        with writing():
            uploads.add_parts(job.id, number, some)
        number += len(some)
    with writing():
        uploads.complete(job.id)
    return job


def _find(check_id: UUID) -> Job:
    job = jobs.by_id(check_id)
    return job if job and job.kind is Kind.IMPORT_CHECK else abort(404)


def _said(problem: str, status: int) -> ResponseReturnValue:
    """What is wrong with a file, on the page it was sent from."""
    return errors.answer(status, problem) if from_htmx() or wants_json() else _page(problem, status)


def _page(problem: str = "", status: int = 200) -> ResponseReturnValue:
    number = page_asked()
    query = select(Job).where(Job.kind == Kind.IMPORT_CHECK).order_by(Job.created_at.desc(), Job.id)
    files = db.paginate(query, page=number, per_page=PER_PAGE, error_out=False)
    page = render_template(
        "imports/page.html",
        files=files,
        states={file.id: _state(file) for file in files},
        problem=problem,
        most=uploads.MOST_BYTES // 1024 // 1024,
        has_many_sites=calendar.has_many_sites(),
    )
    return page, status


def _state(checked: Job) -> str:
    """What became of a file, in a few words."""
    imported = import_jobs.import_of(checked)
    if imported is not None and imported.is_open:
        return "being stored"
    if imported is not None and imported.status is Status.DONE:
        return "stored"
    if "gone" in checked.found:
        return str(checked.found["gone"])
    if import_jobs.is_waiting(checked):
        return "waits for your choice"
    words = {"receiving": "did not arrive whole", "failed": "cannot be read", "cancelled": "cancelled"}
    return words.get(checked.status, "being looked through")
