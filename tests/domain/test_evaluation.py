"""Very many people at once, held to the plain rules: shapes of data that no table ever makes."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text

from tests.domain import plain
from tests.domain.plain import BADGES, PlainCamp
from webapp import clock
from webapp.database import db, is_sqlite, writing
from webapp.domain.badges import awards, history
from webapp.domain.camps import calendar as camps
from webapp.domain.camps.calendar import Camp, Site, Status
from webapp.domain.evaluation import bulk, verify
from webapp.domain.models.attendance import Attendance, CampRole, State, step_in_sql, step_of
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Revocation
from webapp.domain.models.totals import Figures, Totals
from webapp.domain.people.accounts import Person, Role

ZONES = ("Asia/Kolkata", "America/New_York", "Pacific/Kiritimati")
INSTANTS = (datetime(2026, 4, 12, 6, tzinfo=UTC), datetime(2028, 2, 29, 20, tzinfo=UTC))
# Over more than a year; where the last twelve months begin; today, in each zone; a few to come.
DAYS = (-450, -400, -366, -365, -364, -363, -300, -120, -102, -90, -45, -2, -1, 0, 1, 30)
MORE = [(f"{value} running", "consecutive_visits", value) for value in (1, 2, 4)]
MORE += [(f"{value} in a year", "visits_in_year", value) for value in (1, 2, 4)]

a_camp = st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from(DAYS), st.integers(7, 9), st.integers(0, 9))
a_mark = st.sampled_from(
    [(State.PRESENT, CampRole.VOLUNTEER)] * 6
    + [(state, role) for state in State for role in CampRole]
    + [None] * 6  # nothing is known
)
a_person = st.tuples(st.sampled_from([Role.VOLUNTEER, Role.VOLUNTEER, Role.COORDINATOR]), st.booleans(), st.booleans())
shapes = st.tuples(
    st.sampled_from(INSTANTS),
    st.lists(a_camp, min_size=6, max_size=26),
    st.lists(st.tuples(a_person, st.lists(a_mark, min_size=26, max_size=26)), max_size=4),
)


def fill(the_camps: list[tuple[int, int, int, int]], people: list[tuple[Any, list[Any]]]) -> None:
    """Store a shape in place of whatever there is, past every verb."""
    for table in (Revocation, Award, Attendance, Camp, Totals, Person):
        db.session.execute(delete(table))
    db.session.execute(delete(Site).where(Site.name.in_(ZONES)))
    db.session.expunge_all()
    if not db.session.scalar(select(func.count()).select_from(Badge).where(Badge.name == MORE[0][0])):
        picture = {"shape": "round", "metal": "copper", "ribbon": "teal", "emblem": "lotus"}
        for position, (name, criteria, value) in enumerate(MORE):
            of = {"criteria_type": criteria, "criteria_value": value, "position": 20 + position}
            badge = Badge(id=uuid4(), name=name, description=name, **of, **picture)
            db.session.add(badge)
            db.session.flush()
            db.session.add(BadgeVersion(badge_id=badge.id, version=1, criteria_type=criteria, criteria_value=value))
    sites = [camps.add_site(zone, zone) for zone in ZONES]
    made = []
    for number, (site, days, hour, cancelled) in enumerate(the_camps):
        made.append(
            {
                "id": uuid4(),
                "site_id": sites[site].id,
                "name": f"Camp {number}",
                "camp_date": clock.now().date() + timedelta(days),
                "start_time": time(hour),
                "status": Status.CANCELLED if cancelled == 0 else Status.SCHEDULED,
            }
        )
    if made:
        db.session.execute(insert(Camp), made)
    for number, ((role, is_active, opted_out), marks) in enumerate(people):
        who = Person(id=uuid4(), book_no=number + 1, name=f"P{number % 2}", search_name=f"p{number % 2}", role=role)
        who.is_active, who.opted_out = is_active, opted_out
        db.session.add(who)
        db.session.flush()
        rows = [
            {
                "person_id": who.id,
                "camp_id": camp["id"],
                "site_id": camp["site_id"],
                "camp_date": camp["camp_date"],
                "state": mark[0],
                "camp_role": mark[1],
            }
            for camp, mark in zip(made, marks, strict=False)
            if mark
        ]
        if rows:
            db.session.execute(insert(Attendance), rows)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("as_many", [True, False])
@settings(max_examples=25)
@given(shapes)
def test_bulk_evaluation_is_that_of_each(as_many: bool, shape: tuple[datetime, list[Any], list[Any]]) -> None:
    """With arrays and temporary tables as for very many, and as a few are looked up."""
    instant, the_camps, people = shape
    with pytest.MonkeyPatch.context() as monkeypatch, clock.stopped_at(instant):
        if as_many:
            monkeypatch.setattr(bulk, "FEW", 0)
            monkeypatch.setattr(bulk, "IN_PLACE", 1)
        with writing():
            fill(the_camps, people)
            bulk.evaluate()
        check()
        with writing():
            assert verify.differences() == []
            versions = db.session.execute(select(Totals.person_id, Totals.site_id, Totals.version)).all()
            again = bulk.evaluate()
            assert db.session.execute(select(Totals.person_id, Totals.site_id, Totals.version)).all() == versions
        assert (again.people, again.new_badges, again.returned_badges, again.moved_badges) == (len(people), 0, 0, 0)


def check() -> None:
    """Awards and totals of each person against the general path's history, and against the plain rules."""
    ids = list(db.session.scalars(select(Person.id)))
    definitions = awards.definitions()
    sites = {site.id: site for site in camps.sites()}
    for who, own in history.read(ids).items():
        visits = {badge.id: awards.completed_by(own, badge.requirement) for badge in definitions}
        due = {badge_id: visit.camp_id for badge_id, visit in visits.items() if visit}
        query = select(Award.badge_id, Award.camp_id).where(Award.person_id == who)
        assert dict(db.session.execute(query).tuples().all()) == due
        kept = {
            sites[totals.site_id].name: totals.figures
            for totals in db.session.scalars(select(Totals).where(Totals.person_id == who))
        }
        assert kept == {sites[site_id].name: figures for site_id, figures in own.figures().items()}
        plainly = plain_totals(who)
        assert {name: totals for name, totals in kept.items() if totals.visits} == plainly
        assert set(kept.values()) - set(plainly.values()) <= {Figures()}
        calendar = plain_camps(who)
        for name, criteria, value in (*BADGES, *MORE):
            badge = next(badge for badge in definitions if badge.name == name)
            visit = visits[badge.id]
            # Each site has a date of its own: whatever is not held there is not among these camps.
            on = plain.completed_on(calendar, "P", date.max, criteria, value)
            assert (visit.camp_date if visit else None) == on, name


def plain_camps(who: UUID) -> list[PlainCamp]:
    """All held camps as the plain rules have them, with what is stored of one person."""
    said = {
        attendance.camp_id: (attendance.state.value, attendance.camp_role.value)
        for attendance in db.session.scalars(select(Attendance).where(Attendance.person_id == who))
    }
    return [
        PlainCamp(
            camp.site.name,
            camp.camp_date,
            states={"P": said[camp.id]} if camp.id in said else {},
        )
        for camp in db.session.scalars(select(Camp))
        if camp.is_held
    ]


def plain_totals(who: UUID) -> dict[str, Figures]:
    found = plain.totals(plain_camps(who), "P", date.max)
    return {
        site: Figures(number, longest, streak, last, in_year)
        for site, (number, longest, streak, last, in_year) in found.items()
    }


@pytest.mark.usefixtures("app", "context")
def test_each_step_is_the_same_in_sql() -> None:
    """What a mark is on the walk, in every state and role."""
    with writing():
        combinations = list(product(State, CampRole))
        store([[date(2026, 1, number) for number in range(1, len(combinations) + 1)]], lambda _: (), 1)
        who = db.session.scalars(select(Person.id)).one()
        the_camps = db.session.scalars(select(Camp)).all()
        for camp, (state, camp_role) in zip(the_camps, combinations, strict=True):
            where = {"person_id": who, "camp_id": camp.id, "site_id": camp.site_id, "camp_date": camp.camp_date}
            db.session.execute(insert(Attendance).values(**where, state=state, camp_role=camp_role))
        for state, camp_role, step in db.session.execute(select(Attendance.state, Attendance.camp_role, step_in_sql())):
            assert step == step_of(state, camp_role)


def store(camps_of_sites: list[list[date]], visits: Callable[[int], Iterable[tuple[int, int]]], people: int) -> None:
    """Camps on the dates of each of some sites, and for each of so many people whom they visit: site and place."""
    sites = [camps.add_site(f"Site {number}") for number in range(len(camps_of_sites))]
    held = [
        [{"id": uuid4(), "site_id": site.id, "name": "Camp", "camp_date": day} for day in days]
        for site, days in zip(sites, camps_of_sites, strict=True)
    ]
    db.session.execute(insert(Camp), [camp for of_site in held for camp in of_site])
    ids = [uuid4() for _ in range(people)]
    names = ({"book_no": 10 + number, "name": "P", "search_name": "p"} for number in range(people))
    rows = [{"id": each, "role": Role.VOLUNTEER, **name} for each, name in zip(ids, names, strict=True)]
    db.session.execute(insert(Person), rows)
    marked = {"state": State.PRESENT, "camp_role": CampRole.VOLUNTEER}
    attended = [
        {"person_id": each, "camp_id": camp["id"], "site_id": camp["site_id"], "camp_date": camp["camp_date"], **marked}
        for number, each in enumerate(ids)
        for camp in (held[site][place] for site, place in visits(number))
    ]
    if attended:
        db.session.execute(insert(Attendance), attended)


def test_a_streak_may_break_thousands_of_times(app: Flask, context: None) -> None:
    days = [date(2026, 4, 12) - timedelta(days=number) for number in range(4_400)]
    with writing():
        store([days], lambda _number: ((0, place) for place in range(0, 4_400, 2)), 1)
        bulk.evaluate()
    (totals,) = db.session.scalars(select(Totals)).all()
    assert totals.figures == Figures(2_200, 1, 1, days[0], sum(day.year == 2026 for day in days[::2]))
    assert verify.differences() == []


def test_a_batch_of_a_thousand_that_the_planner_knows_nothing_of(app: Flask, context: None) -> None:
    """As after a restore: nothing is analysed yet. Joined row by row it would take minutes."""
    days = [date(2026, 4, 12) - timedelta(weeks=number) for number in range(60)]
    with writing():
        store([days] * 3, lambda number: [(at % 3, (number + 13 * at) % 60) for at in range(40)], 1_000)
    for _ in range(2):
        with writing():
            if not is_sqlite():
                db.session.execute(text("SET LOCAL statement_timeout = '20s'"))
            bulk.evaluate_slice(None, None, bulk.Evaluated(), most=1_000)
