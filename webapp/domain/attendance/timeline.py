"""Days: what a person's own page tells of the camps behind and before them. Read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from hashlib import sha256
from uuid import UUID

from sqlalchemy import and_, func, select

from webapp.database import db
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.badge import Award

FORESEEN = timedelta(days=60)  # how far ahead somebody is asked whether they will come
MOST_COMING = 6


@dataclass(frozen=True)
class Day:
    """One held camp as one person lived it."""

    camp: Camp
    attendance: Attendance | None

    @cached_property
    def kind(self) -> str:
        """``came``, ``other`` (came in another role), ``excused``, ``open`` (today, not yet marked), ``missed``."""
        found = self.attendance
        if found and found.state is State.PRESENT:
            return "came" if found.camp_role is CampRole.VOLUNTEER else "other"
        if found and found.state is State.EXCUSED:
            return "excused"
        if self.camp.is_today and not (found and found.state is State.ABSENT):
            return "open"
        return "missed"


def days_of(person_id: UUID, first: date, last: date) -> list[Day]:
    """The held camps from ``first`` to ``last`` (local dates) at the sites where the person was ever on a
    roll, newest first.
    """
    own_sites = select(Attendance.site_id).where(Attendance.person_id == person_id)
    here = and_(
        Attendance.person_id == person_id,
        Attendance.site_id == Camp.site_id,
        Attendance.camp_date == Camp.camp_date,
        Attendance.camp_id == Camp.id,
    )
    query = (
        select(Camp, Attendance)
        .outerjoin(Attendance, here)
        .where(calendar.held(), Camp.camp_date.between(first, last), Camp.site_id.in_(own_sites))
        .order_by(Camp.camp_date.desc(), Camp.start_time.desc(), Camp.name, Camp.id)
    )
    return [Day(camp, found) for camp, found in db.session.execute(query)]


def first_date_of(person_id: UUID) -> date | None:
    """The local date of the first camp somebody was on the roll of."""
    return db.session.scalar(select(func.min(Attendance.camp_date)).where(Attendance.person_id == person_id))


def stamp_of(person_id: UUID) -> str:
    """A short text that differs whenever the person's attendance or awards do."""
    attended = select(func.count(), func.max(Attendance.changed_at)).where(Attendance.person_id == person_id)
    awarded = select(func.count(), func.count(Award.revoked_at), func.max(Award.earned_at)).where(
        Award.person_id == person_id
    )
    state = [*db.session.execute(attended).one(), *db.session.execute(awarded).one()]
    return sha256(repr(state).encode()).hexdigest()[:16]


def coming_days(person_id: UUID, today: date) -> Sequence[Day]:
    """The next camps, from ``today`` on, each with what the person has said of it."""
    coming = calendar.coming_camps(MOST_COMING, today + FORESEEN)
    query = select(Attendance).where(
        Attendance.person_id == person_id, Attendance.camp_id.in_([camp.id for camp in coming])
    )
    said = {found.camp_id: found for found in db.session.scalars(query)}
    return [Day(camp, said.get(camp.id)) for camp in coming]
