"""People and camps for the tests. Each needs an application context, and commits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from sqlalchemy import select

from webapp import worker
from webapp.database import db, writing
from webapp.domain import jobs
from webapp.domain.attendance import marking, roll_call
from webapp.domain.attendance.roll_call import Row
from webapp.domain.badges import awards, definitions
from webapp.domain.badges.definitions import Draft
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.evaluation import backfill as backfills
from webapp.domain.jobs import Job
from webapp.domain.leaderboard import snapshots
from webapp.domain.leaderboard.snapshots import Key
from webapp.domain.models.attendance import CampRole
from webapp.domain.models.badge import Badge
from webapp.domain.models.board import Board
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.schedule import schedule

PASSWORD = "correct horse"
_hashed: list[str] = []


def person(
    name: str = "Somebody", *, role: Role = Role.VOLUNTEER, book_no: int | None = None, is_active: bool = True
) -> Person:
    with writing():
        added = accounts.add_person(name, book_no=book_no, role=role)
        if not is_active:
            accounts.deactivate(added)
    return added


def with_password(who: Person) -> Person:
    """Their password is :data:`PASSWORD`; it is hashed once, since that is made to take long."""
    if not _hashed:
        _hashed.append(credentials.hash_password(PASSWORD))
    with writing():
        who = db.session.merge(who)
        credentials.set_password(who, _hashed[0])
    return who


def site(name: str, time_zone: str = calendar.DEFAULT_TIME_ZONE) -> Site:
    with writing():
        return calendar.add_site(name, time_zone)


def camp(weeks_ago: int = 0, name: str = "Camp", at: Site | None = None, *, on: date | None = None) -> Camp:
    """A camp some weeks ago, or in the future where that is negative; or on a date."""
    with writing():
        at = at or calendar.default_site()
        return schedule.add_camp(at, name, on or at.today - timedelta(weeks=weeks_ago))


def weekly(number: int, name: str = "Camp", at: Site | None = None) -> list[Camp]:
    """Weekly camps, the last of them today."""
    return [camp(weeks_ago, name, at) for weeks_ago in reversed(range(number))]


def attend(who: Person, camps_: Sequence[Camp], by: Person, camp_role: CampRole | None = None) -> None:
    for each in camps_:
        with writing():
            marking.mark_present(who, each, by=by, camp_role=camp_role)


def badge(
    name: str = "Two Camps", value: int = 2, *, in_a_row: bool = False, parts: Mapping[str, str] | None = None
) -> Badge:
    """A badge of the organisation's own; nobody is awarded it yet."""
    criteria = "consecutive_visits" if in_a_row else "visits"
    with writing():
        return definitions.add(Draft(name, "Awarded by us", criteria, str(value), **(parts or {})))


def change(of: Badge, **fields: object) -> None:
    """Change some fields of a badge; nobody is awarded anything yet."""
    of = db.session.get_one(Badge, of.id, populate_existing=True)
    draft = Draft.of(of)
    with writing():
        definitions.change(
            of, replace(draft, **{name: str(value) for name, value in fields.items()}), definitions.fingerprint(of)
        )


def backfill(of: Badge, by: Person) -> Job:
    """Award a badge to whoever has reached it, as its job does."""
    with writing():
        job = backfills.add(of, by=by)
    do_jobs()
    return db.session.get_one(Job, job.id, populate_existing=True)


def named(name: str) -> Badge:
    """The badge of this name."""
    return db.session.scalars(select(Badge).where(Badge.name == name)).one()


def held(who: Person) -> set[str]:
    """The names of all badges somebody holds, retired ones too."""
    return {award.badge.name for award in awards.of_person(who.id)}


def badge_names(who: Person) -> list[str]:
    """What somebody holds, in the order of the definitions."""
    held = {award.badge_id for award in awards.of_person(who.id)}
    return [badge.name for badge in awards.definitions() if badge.id in held]


def row_of(camp: Camp, who: Person) -> Row:
    """Somebody's line of a camp's roll call."""
    return roll_call.rows_of(camp, [who.id])[0]


def unsaved(name: str) -> Person:
    """Somebody added within the caller's own transaction."""
    return accounts.add_person(name)


def board(key: Key = snapshots.OVERALL) -> Board:
    """A leaderboard as it is at this very moment."""
    with writing():
        return snapshots.build(key)


def do_jobs() -> None:
    """What the worker does with all that is in its queue."""
    for job_id in jobs.open_jobs():
        worker.run(job_id)
