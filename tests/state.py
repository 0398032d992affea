"""What is stored of a history, in words that are the same everywhere: without ids and instants of storing."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from webapp.database import db
from webapp.domain.audit import Action, Entry, EntryAward
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.models.attendance import Attendance
from webapp.domain.models.badge import Award, Badge, Revocation
from webapp.domain.models.totals import Totals
from webapp.domain.people.accounts import Person

State = dict[str, list[Any]]


def everything() -> State:
    """All that an import can change, as the running transaction sees it."""
    db.session.flush()
    db.session.expire_all()
    sites: dict[Any, str | None] = {site.id: site.name for site in db.session.scalars(select(Site))}
    people = {person.id: person.book_no for person in db.session.scalars(select(Person))}
    badges = {badge.id: badge.name for badge in db.session.scalars(select(Badge))}
    camps = {
        camp.id: (sites[camp.site_id], camp.camp_date, camp.name, camp.start_time, camp.status)
        for camp in db.session.scalars(select(Camp))
    }
    return {
        "people": _sorted(
            (each.book_no, each.name, each.search_name, each.role, each.is_active, each.opted_out)
            for each in db.session.scalars(select(Person))
        ),
        "sites": _sorted((each.name, each.time_zone) for each in db.session.scalars(select(Site))),
        "camps": _sorted(camps.values()),
        "attendance": _sorted(
            (
                *(people[each.person_id], camps[each.camp_id], each.camp_role, each.state, each.reason),
                *(each.signed_up_as, each.presumed, each.marked_at is None, each.left_at is None),
            )
            for each in db.session.scalars(select(Attendance))
        ),
        "awards": _sorted(
            (
                *(people[each.person_id], badges[each.badge_id], camps[each.camp_id], each.earned_at),
                *(each.revoked_at is None, each.version),
            )
            for each in db.session.scalars(select(Award))
        ),
        "revocations": _sorted(
            (people[each.person_id], badges[each.badge_id], each.reason, each.returned_at is None)
            for each in db.session.scalars(select(Revocation))
        ),
        "totals": _sorted(
            (people[each.person_id], sites[each.site_id], each.figures) for each in db.session.scalars(select(Totals))
        ),
        "trail": _sorted(
            (people[each.person_id], badges[each.badge_id], each.effect)
            for each in db.session.scalars(
                select(EntryAward).join(Entry, Entry.id == EntryAward.entry_id).where(Entry.action == Action.IMPORTED)
            )
        ),
    }


def earned() -> State:
    """What people have earned, wherever their attendance came from."""
    found = everything()
    return {
        "awards": [(book_no, badge, camp[:3]) for book_no, badge, camp, *_, stands, _ in found["awards"] if stands],
        "totals": found["totals"],
    }


def _sorted(rows: Iterable[Any]) -> list[Any]:
    return sorted(rows, key=repr)
