"""What is said of a job: its title, where it stands, how far it is, what it did."""

from datetime import timedelta

from flask import Flask, url_for

from webapp.domain.jobs import Job, Kind, Status
from webapp.views.presentation import plural

TITLES = {
    Kind.IMPORT_CHECK: "Check of a file",
    Kind.IMPORT: "Import of a history",
    Kind.PEOPLE_IMPORT: "Import of people",
    Kind.BACKFILL: "Backfill of a badge",
}
STATES = {
    Status.RECEIVING: "The file is arriving",
    Status.QUEUED: "Waiting for the worker",
    Status.RUNNING: "Under way",
    Status.DONE: "Done",
    Status.FAILED: "Stopped by a problem",
    Status.CANCELLED: "Cancelled; what was done until then stands",
}
SILENT = {
    Status.QUEUED: "Still waiting: the worker is busy with another job, or does not run",
    Status.RUNNING: "The worker does not answer. The job goes on from here as soon as one runs",
}
UNITS = {
    Kind.IMPORT_CHECK: ("row", "rows"),
    Kind.IMPORT: ("person", "people"),
    Kind.PEOPLE_IMPORT: ("row", "rows"),
    Kind.BACKFILL: ("person", "people"),
}


def init_app(app: Flask) -> None:
    """The filters of the templates."""
    for word in (job_title, job_state, job_line, job_outcome, job_next):
        app.add_template_filter(word)


def job_title(job: Job) -> str:
    """What it is, with what it is about where that is known."""
    about = job.asked.get("title")
    return f"{TITLES[job.kind]}: {about}" if about else TITLES[job.kind]


def job_state(job: Job) -> str:
    """Where it stands."""
    if job.is_silent:
        return SILENT[job.status]
    if job.is_open and job.cancel_asked_at:
        return f"Stopping after the {UNITS[job.kind][1]} it is at"
    return STATES[job.status]


def job_line(job: Job) -> str:
    """How far it is: done of all, rate, time left."""
    progress = job.progress
    done = plural(progress.done, *UNITS[job.kind])
    said = [f"{progress.done:,} of {plural(progress.total, *UNITS[job.kind])}" if progress.total is not None else done]
    if job.status is Status.RUNNING and progress.rate:
        said.append(f"{progress.rate:,.0f} a second")
        if progress.left is not None:
            said.append(f"{duration(progress.left)} left")
    elif job.started_at and job.finished_at:
        said.append(f"took {duration(job.finished_at - job.started_at)}")
    return " · ".join(said)


def duration(time: timedelta) -> str:
    """A time as people say it, rounded up: ``4 s``, ``3 min``, ``2 h 10 min``."""
    seconds = -int(-time.total_seconds() // 1)
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def job_outcome(job: Job) -> list[str]:
    """What it did, a sentence each."""
    found = job.found
    words = {
        "stored": ("row stored", "rows stored"),
        "unchanged": ("row known already", "rows known already"),
        "bad": ("row refused", "rows refused"),
        "new_people": ("new person", "new people"),
        "new_camps": ("new camp", "new camps"),
        "new_badges": ("badge awarded", "badges awarded"),
        "revoked_badges": ("badge taken back", "badges taken back"),
    }
    said = [plural(found[name], *word) for name, word in words.items() if name in found]
    return [", ".join(said) + "."] if said else []


def job_next(job: Job) -> tuple[str, str] | None:
    """Where to go once it is over: the address, and what is there."""
    if job.kind is Kind.IMPORT_CHECK and job.status is Status.DONE:
        return url_for("imports.show", check_id=job.id), "See what the file holds"
    if job.kind is Kind.IMPORT and not job.is_open:
        return url_for("imports.show", check_id=job.asked["check"]), "See the report"
    return None
