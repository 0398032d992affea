"""The jobs of an uploaded history: looking it through, and storing it, a batch at a time.

The check reads the file into rows (:mod:`webapp.domain.import_export.uploads`), then holds them against the facts. The
import first creates the sites and camps, so that nobody is settled on a calendar that lacks some; then it
settles those whose runs go over dates that are new; then come the rows, whole people at a time, each batch
as :func:`webapp.domain.import_export.imports.store` does it with a whole file.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from webapp.database import analyze, db, one_at_a_time
from webapp.domain import audit, jobs
from webapp.domain.audit import Action
from webapp.domain.errors import ConflictError
from webapp.domain.evaluation import bulk
from webapp.domain.evaluation.bulk import Evaluated
from webapp.domain.import_export import imports, staging, uploads
from webapp.domain.import_export.history_file import Form, Place
from webapp.domain.import_export.imports import Report
from webapp.domain.import_export.uploads import UploadRow
from webapp.domain.jobs import UNFINISHED, Job, Kind, Status
from webapp.domain.people.accounts import Person

# How many in one transaction: each takes some tenths of a second, for marks at a table wait meanwhile.
ROWS_READ = 5_000
ROWS_STORED = 1_000
PEOPLE_SETTLED = 1_000


# --- the check -----------------------------------------------------------------------------------


def check(job: Job) -> bool:
    """Look through the next rows of an uploaded file; whether there are more.

    What it found is in the job's outcome: ``rows`` that are good and how many are ``bad``, the ``people`` of the
    good ones, ``people_to_come`` and ``camps_to_come`` of them, and rows that name somebody otherwise (``renamed``).

    Raises :class:`InvalidError` where the file cannot be read on.
    """
    at = _cursor(job)
    if "book_no" not in at:
        return _read(job, at)
    return _compare(job, at["book_no"])


def _read(job: Job, at: Mapping[str, Any]) -> bool:
    form = Form(at["columns"], at["separator"]) if at else None
    place = Place(at["at"], at["lines"]) if at else Place()
    found = uploads.read(job.id, form, place, ROWS_READ)
    job.add(read=found.rows, bad=found.bad)
    if found.is_end:
        job.total = job.found["read"]
        analyze(UploadRow.__table__)
        _go_on(job, book_no=0)
    else:
        job.total = max(job.total or 0, job.found["read"])
        place, form = found.place, found.form
        _go_on(job, at=place.at, lines=place.lines, columns=form.columns, separator=form.separator)
    job.done = job.found["read"] // 2  # the other half is to hold it against the facts
    return True


def _compare(job: Job, after: int) -> bool:
    last = uploads.last_of_batch(job.id, after, ROWS_READ)
    if last is None:
        _finish_check(job)
        return False
    staging.stage_people(job.id, after, last)
    _, before = staging.number_staged()
    report = Report()
    imports.refuse_what_cannot_be(report)
    uploads.refuse(job.id, report.problems)
    if report.bad:
        staging.forget_refused(job.id, after, last)
    people, rows = staging.number_staged()
    job.add(
        rows=rows,
        bad=report.bad,
        people=people,
        people_to_come=staging.number_of_new_people(),
        renamed=staging.number_renamed(),
        compared=before,
    )
    found = job.found
    job.done = (found["read"] + found["compared"]) // 2
    _go_on(job, book_no=last)
    return True


def _finish_check(job: Job) -> None:
    staging.stage_places(job.id)
    job.add(rows=0, people=0, people_to_come=0, renamed=0, camps_to_come=staging.number_of_new_camps())
    job.done = job.total or 0


# --- what becomes of it --------------------------------------------------------------------------


def choose(check_id: UUID, *, by: Person, keep_good: bool) -> Job:
    """Begin to store what a check found: its good rows, or all of it (``keep_good`` false); the new job.

    Raises :class:`ConflictError` where there is nothing to store: it is checked still, or was stored already,
    or thrown away, or holds no good rows; and where all of it shall be stored, but some rows are bad.
    """
    checked = _waiting(check_id)
    found = checked.found
    if not found["rows"]:
        raise ConflictError("There are no good rows in this file. Nothing was changed.")
    if found["bad"] and not keep_good:
        raise ConflictError(
            f"{found['bad']:,} rows of this file are bad, so it cannot be stored as a whole. Nothing was changed."
        )
    job = jobs.add(Kind.IMPORT, by=by, total=found["people"], params={"check": checked.id, "keep_good": keep_good})
    job.tell(bad=found["bad"])
    checked.tell(import_job=job.id)
    db.session.flush()
    return job


def throw_away(check_id: UUID) -> None:
    """Have done with a file; what was uploaded is then deleted with :func:`uploads.clear_some`.

    Raises :class:`ConflictError` while it is checked or stored, and where that is over already.
    """
    _waiting(check_id, whole=False).tell(gone="thrown away")
    db.session.flush()


def import_of(checked: Job) -> Job | None:
    """The job that stores what a check found, if one was begun."""
    begun = checked.found.get("import_job")
    return jobs.by_id(UUID(begun)) if begun else None


def is_waiting(checked: Job) -> bool:
    """Whether it is to be decided what becomes of a file that was checked."""
    return checked.status is Status.DONE and may_throw_away(checked)


def may_throw_away(checked: Job) -> bool:
    """Whether there is something of a file to have done with."""
    begun = import_of(checked)
    stored = begun is not None and (begun.is_open or begun.status is Status.DONE)
    return not (checked.is_open or stored or "gone" in checked.found)


def _waiting(check_id: UUID, *, whole: bool = True) -> Job:
    checked = jobs.hold(check_id)
    if checked is None or checked.kind is not Kind.IMPORT_CHECK or (checked.is_open or "gone" in checked.found):
        raise ConflictError("This file is being looked through still, or it is gone. Nothing was changed.")
    if whole and checked.status is not Status.DONE:
        raise ConflictError("This file was not looked through to its end. Nothing was changed.")
    begun = import_of(checked)
    if begun and (begun.is_open or begun.status is Status.DONE):
        raise ConflictError("This file is being stored, or was already. Nothing was changed.")
    return checked


def sweep() -> bool:
    """Delete some of a file that nobody decided about for :data:`uploads.KEPT_FOR`; whether there is more."""
    check_id = uploads.expired()
    checked = jobs.hold(check_id) if check_id else None
    if checked is None:
        return False
    begun = import_of(checked)
    if begun and begun.is_open:
        return False
    if "gone" not in checked.found:
        checked.tell(gone="kept too long")
    db.session.flush()
    uploads.clear_some(checked.id)
    return True


# --- the import ----------------------------------------------------------------------------------


def carry_out(job: Job) -> bool:
    """Store the next of a file that was checked; whether there is more.

    Raises :class:`ConflictError` where all of it shall be stored, and a camp of it was cancelled since.
    """
    at = _cursor(job)
    check_id = UUID(job.asked["check"])
    if "gone_over" in at:
        return _settle_others(job, at)
    if "clear" in at:
        return uploads.clear_some(check_id)
    one_at_a_time(bulk.WORK)
    if "book_no" in at:
        return _store(job, check_id, at["book_no"])
    return _begin(job, check_id)


def _begin(job: Job, check_id: UUID) -> bool:
    """Create the sites and camps, and say in the audit trail what is done."""
    staging.stage_places(check_id)
    report = Report()
    imports.refuse_what_cannot_be(report)
    if report.bad and not job.asked["keep_good"]:
        raise ConflictError(f"Since the file was looked through: {report.problems[0].reason} Nothing was stored.")
    new_dates = imports.add_places(report)
    found = jobs.by_id(check_id)
    rows = found.found["rows"] if found else 0
    details = {"rows": rows, "bad": job.found["bad"], "new_camps": report.new_camps}
    job.tell(entry=audit.note(Action.IMPORTED, details=details))
    job.add(new_camps=report.new_camps)
    if new_dates:
        dates = {str(site_id): day.isoformat() for site_id, day in new_dates.items()}
        _go_on(job, unfinished=True, gone_over=dates, after=None)
    else:
        _go_on(job, book_no=0)
    return True


def _settle_others(job: Job, at: Mapping[str, Any]) -> bool:
    """Settle those whose runs go over the new dates, named in the file or not."""
    one_at_a_time(bulk.WORK)
    new_dates = {UUID(site_id): date.fromisoformat(day) for site_id, day in at["gone_over"].items()}
    after = UUID(at["after"]) if at["after"] else None
    done = Evaluated()
    people = imports.gone_over(new_dates)
    last = bulk.evaluate_slice(after, people, done, dated_back=True, entry_id=_entry(job), most=PEOPLE_SETTLED)
    job.add(new_badges=done.new_badges + done.returned_badges)
    if last:
        _go_on(job, unfinished=True, gone_over=at["gone_over"], after=last)
    else:
        _go_on(job, book_no=0)
    return True


def _store(job: Job, check_id: UUID, after: int) -> bool:
    """Store the rows of the next people, and settle them."""
    last = uploads.last_of_batch(check_id, after, ROWS_STORED)
    if last is None:
        _go_on(job, unfinished=True, clear=True)
        return True
    staging.stage_people(check_id, after, last)
    people, _ = staging.number_staged()
    report = Report()
    imports.refuse_what_cannot_be(report)  # once more: camps may have been cancelled since
    imports.refuse_lost(report)
    uploads.refuse(check_id, report.problems)
    if report.bad:
        staging.forget_refused(check_id, after, last)
    imports.take_in(report, _entry(job), {}, known=job.found.get("stored", 0))
    job.add(**{name: number for name, number in report.numbers.items() if name != "new_camps"})
    job.done += people
    _go_on(job, book_no=last)
    return True


def _entry(job: Job) -> UUID:
    return UUID(job.found["entry"])


def _cursor(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job.cursor.removeprefix(UNFINISHED) or "{}")
    return found


def _go_on(job: Job, *, unfinished: bool = False, **at: object) -> None:
    """Note where the next batch begins; ``unfinished`` where the job must not be left before it is done."""
    job.cursor = (UNFINISHED if unfinished else "") + json.dumps(at, default=str)
