"""Histories: one person's visits and runs, read from their attendance on today's calendar.

What is read grows with the person's own marks, never with the calendar: where dates were missed is
asked of an index, between each marked date and the one before.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Select, Uuid, and_, bindparam, case, exists, false, func, select
from sqlalchemy.orm import aliased

from webapp.database import db
from webapp.domain import camps
from webapp.domain.badges import HeldCamp, History
from webapp.domain.camps import Camp, Status
from webapp.domain.records import Attendance, State, is_marked, step_of
from webapp.domain.standings import ALL_TIME, EVERYWHERE, Board, Figures, Standing
from webapp.domain.streaks import MarkedDate, Step, walk


@dataclass(frozen=True, slots=True)
class MarkedCamp:
    """A held camp with what it was for one person; ``gap`` as in :class:`MarkedDate`."""

    camp: HeldCamp
    step: Step
    gap: bool


Marks = Mapping[UUID, list[MarkedCamp]]
"""What is known of one person at each site, by date."""


def history_of(person_id: UUID) -> History:
    """One person's visits and runs, on today's calendar."""
    return histories_of([person_id])[person_id]


def histories_of(person_ids: Collection[UUID]) -> dict[UUID, History]:
    """The histories of several people; the number of queries does not depend on theirs."""
    marks = marks_of(person_ids)
    calendars = camps.latest_of({site_id for of_one in marks.values() for site_id in of_one})
    return {person_id: history(of_one, calendars) for person_id, of_one in marks.items()}


def marks_of(person_ids: Collection[UUID]) -> dict[UUID, Marks]:
    """Everything but mere sign-ups that is stored of these people for held camps."""
    marked = (
        select(
            Attendance.person_id,
            Attendance.state,
            Attendance.camp_role,
            Camp.camp_date,
            Camp.start_time,
            Camp.id,
            Camp.name,
            Camp.site_id,
            func.lag(Attendance.camp_date)
            .over(partition_by=(Attendance.person_id, Attendance.site_id), order_by=Attendance.camp_date)
            .label("before"),
        )
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(Attendance.person_id.in_(person_ids), is_marked(), camps.held())
        .subquery()
    )
    between = aliased(Camp)
    gap = exists().where(
        between.site_id == marked.c.site_id,
        between.status == Status.SCHEDULED,
        between.camp_date > marked.c.before,
        between.camp_date < marked.c.camp_date,
    )
    query = select(marked, gap).order_by(marked.c.camp_date, marked.c.start_time, marked.c.id)
    marks: dict[UUID, dict[UUID, list[MarkedCamp]]] = {person_id: defaultdict(list) for person_id in person_ids}
    for person_id, state, camp_role, *camp, _before, missed in db.session.execute(query):
        held = HeldCamp(*camp)
        marks[person_id][held.site_id].append(MarkedCamp(held, step_of(state, camp_role), bool(missed)))
    return dict(marks)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where somebody stands when one more visit is to be added: what is stored of them at the camp, their
    figures on the boards it counts for, and whether their run at its site broke after their last visit:
    at a date on which they were neither excused nor there in another role.
    """

    attendance: Attendance | None
    figures: Mapping[Board, Figures]
    broken: bool


def stand_of(person_id: UUID, camp: Camp, periods: Collection[int]) -> Stand:
    """Where somebody, who is held, stands before a camp; read in one go, for a table does this all day."""
    asked = {"person": person_id, "site": camp.site_id, "day": camp.camp_date, "camp": camp.id, "periods": periods}
    figures: dict[Board, Figures] = {}
    stored, broken = None, False
    for stored, site_id, period, *kept, missed in db.session.connection().execute(_STAND, asked):  # noqa: B007
        figures[Board(site_id, period)] = Figures(*kept)
        broken = broken or bool(missed)
    key = person_id, camp.site_id, camp.camp_date, camp.id
    attendance = db.session.get(Attendance, key, populate_existing=True) if stored else None
    return Stand(attendance, figures, broken)


def _stand() -> Select[Any]:
    person, site = bindparam("person", type_=Uuid), bindparam("site", type_=Uuid)
    day, camp = bindparam("day", type_=Date), bindparam("camp", type_=Uuid)
    skipped_at = aliased(Camp)
    skipping = aliased(Attendance)
    skipped = exists().where(
        skipping.person_id == person,
        skipping.site_id == site,
        skipping.camp_date == Camp.camp_date,
        skipping.state.in_((State.PRESENT, State.EXCUSED)),
        skipped_at.id == skipping.camp_id,
        skipped_at.status == Status.SCHEDULED,
    )
    missed = exists().where(
        Camp.site_id == site,
        Camp.status == Status.SCHEDULED,
        Camp.camp_date > Standing.last_visit,
        Camp.camp_date < day,
        ~skipped,
    )
    here = and_(Standing.site_id == site, Standing.period == ALL_TIME)
    return (
        select(
            Attendance.camp_id,
            Standing.site_id,
            Standing.period,
            Standing.visits,
            Standing.longest_streak,
            Standing.badges,
            Standing.run,
            Standing.last_visit,
            case((here, missed), else_=false()),
        )
        .select_from(Standing)
        .outerjoin(
            Attendance,
            and_(
                Attendance.person_id == person,
                Attendance.site_id == site,
                Attendance.camp_date == day,
                Attendance.camp_id == camp,
            ),
        )
        .where(
            Standing.person_id == person,
            Standing.site_id.in_((bindparam("everywhere", EVERYWHERE, type_=Uuid), site)),
            Standing.period.in_(bindparam("periods", expanding=True)),
        )
    )


_STAND = _stand()


def history(marks: Marks, calendars: Mapping[UUID, camps.Latest]) -> History:
    """The history that somebody's marks make on the calendars of their sites."""
    runs = {}
    for site_id, of_site in marks.items():
        latest = calendars[site_id]
        dates = _dates(of_site, latest)
        last = dates[-1].date if dates else date.min
        missed_since = latest.before_today is not None and latest.before_today > last
        runs[site_id] = walk(dates, missed_since=missed_since)
    visits = sorted(each.camp for of_site in marks.values() for each in of_site if each.step is Step.VISIT)
    return History(visits, runs)


def without(marks: Marks, camp: Camp, instead: Step | None = None) -> Marks:
    """Somebody's marks as they would be without the one at a camp; with ``instead`` it is that step."""
    of_site = marks.get(camp.site_id, [])
    if instead is not None:
        left = [replace(each, step=instead) if each.camp.camp_id == camp.id else each for each in of_site]
    else:
        left = [each for each in of_site if each.camp.camp_id != camp.id]
        if camp.camp_date not in {each.camp.camp_date for each in left}:
            # The date stays on the calendar, and is now a gap before the next marked one.
            following = min(
                (each.camp.camp_date for each in left if each.camp.camp_date > camp.camp_date), default=None
            )
            left = [replace(each, gap=True) if each.camp.camp_date == following else each for each in left]
    return {**marks, camp.site_id: left}


def _dates(of_site: list[MarkedCamp], latest: camps.Latest) -> list[MarkedDate]:
    """The marked dates of a site, several camps on one date made one step."""
    dates: list[MarkedDate] = []
    marked_today = 0
    for each in of_site:
        day = each.camp.camp_date
        marked_today += day == latest.today
        if dates and dates[-1].date == day:
            dates[-1] = MarkedDate(day, max(dates[-1].step, each.step), dates[-1].gap or each.gap)
        else:
            dates.append(MarkedDate(day, each.step, each.gap))
    if dates and dates[-1].step is Step.MISSED and dates[-1].date == latest.today and marked_today < latest.camps_today:
        dates.pop()  # they can still be marked at another camp of today
    return dates
