"""Own data: everything that is kept of one person, for themselves to take along.

Other people are in it by nothing but what they did to this person's own records; nobody else is named.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from webapp.database import db
from webapp.domain import audit
from webapp.domain.audit import Action, Entry
from webapp.domain.badges import awards
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.models.attendance import Attendance
from webapp.domain.models.badge import Award, Badge
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person


def of(person: Person) -> dict[str, Any]:
    """Profile, attendance, awards and what the audit trail has of somebody, as plain values of JSON; instants
    are ISO 8601 in UTC. That it was taken along is entered into the trail.
    """
    audit.note(Action.DATA_DOWNLOADED, person_id=person.id)
    return {
        "profile": {
            "book_no": person.book_no,
            "name": person.name,
            "former_names": accounts.former_names(person),
            "role": person.role,
            "account_is_on": person.is_active,
            "has_password": person.password_hash is not None,
            "on_leaderboards": not person.opted_out,
            "added_at": _instant(person.created_at),
        },
        "attendance": _attendance(person),
        "awards": _awards(person),
        "audit": list(_entries(person)),
    }


def _attendance(person: Person) -> list[dict[str, Any]]:
    found = (
        select(Attendance, Camp.name, Site.name)
        .join(Camp, Camp.id == Attendance.camp_id)
        .join(Site, Site.id == Camp.site_id)
        .where(Attendance.person_id == person.id)
        .order_by(Attendance.camp_date, Camp.start_time, Camp.id)
    )
    many_sites = calendar.has_many_sites()
    return [
        {
            **({"site": site} if many_sites else {}),
            "camp": camp,
            "date": each.camp_date.isoformat(),
            "camp_role": each.camp_role,
            "signed_up_as": each.signed_up_as,
            "state": each.state,
            "reason": each.reason,
            "said_not_coming_at": _instant(each.declined_at),
            "marked_at": _instant(each.marked_at),
            "left_at": _instant(each.left_at),
        }
        for each, camp, site in db.session.execute(found).tuples()
    ]


def _awards(person: Person) -> list[dict[str, Any]]:
    revocations = awards.revocations_of(person.id)
    found = (
        select(Award, Badge, Camp)
        .join(Badge, Badge.id == Award.badge_id)
        .join(Camp, Camp.id == Award.camp_id)
        .where(Award.person_id == person.id)
        .order_by(Award.earned_at, Badge.position)
    )
    return [
        {
            "badge": badge.name,
            "description": badge.description,
            "earned_at": _instant(award.earned_at),
            "camp": camp.name,
            "date": camp.camp_date.isoformat(),
            "is_held": award.revoked_at is None,
            "taken_away": [
                {"at": _instant(each.revoked_at), "why": each.reason, "returned_at": _instant(each.returned_at)}
                for each in revocations
                if each.badge_id == badge.id
            ],
        }
        for award, badge, camp in db.session.execute(found).tuples()
    ]


def _entries(person: Person) -> Iterable[dict[str, Any]]:
    """What was done to them, and what they did. Whom they did it to is those people's."""
    own = or_(Entry.person_id == person.id, Entry.by_id == person.id)
    found = (
        select(Entry, Camp.name, Camp.camp_date, Badge.name)
        .outerjoin(Camp, Camp.id == Entry.camp_id)
        .outerjoin(Badge, Badge.id == Entry.badge_id)
        .where(own)
        .order_by(Entry.at, Entry.id)
    )
    for entry, camp, day, badge in db.session.execute(found):
        by_me = entry.by_id == person.id
        yield {
            "at": _instant(entry.at),
            "action": entry.action,
            "by_me": by_me,
            "about_me": entry.person_id == person.id,
            "device": entry.device if by_me else None,
            "camp": camp,
            "date": day.isoformat() if day else None,
            "badge": badge,
            "details": entry.facts if entry.person_id == person.id else {},
        }


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
