"""The rule in SQL, for many at once, held to the plain walk: shapes of data that no table ever makes."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text

from tests.domain.plain import BADGES
from tests.domain.plain_boards import PlainBoards
from webapp import clock
from webapp.database import db, is_sqlite, writing
from webapp.domain import badges, camps, histories, leaderboard, settling, standings
from webapp.domain.accounts import Person, Role
from webapp.domain.badges import Award, Badge, Criteria, Definition, Revocation
from webapp.domain.camps import Camp, Site, Status
from webapp.domain.records import Attendance, CampRole, State
from webapp.domain.standings import ALL_TIME, EVERYWHERE, Standing
from webapp.domain.streaks import Step, after

ZONES = ("Asia/Kolkata", "America/New_York", "Pacific/Kiritimati")
INSTANTS = (datetime(2026, 4, 12, 6, tzinfo=UTC), datetime(2028, 2, 29, 20, tzinfo=UTC))
# Over more than a year; where the last twelve months begin; today, in each zone; a few to come.
DAYS = (-450, -400, -366, -365, -364, -363, -300, -120, -102, -90, -45, -2, -1, 0, 1, 30)
MORE = [(f"{value} running", "consecutive_visits", value) for value in (1, 2, 4)]

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
    for table in (Revocation, Award, Attendance, Camp, Standing, Person, standings.tally):
        db.session.execute(delete(table))
    db.session.execute(delete(Site).where(Site.name.in_(ZONES)))
    db.session.expunge_all()
    if not db.session.scalar(select(func.count()).select_from(Badge).where(Badge.name == MORE[0][0])):
        picture = {"shape": "round", "metal": "copper", "ribbon": "teal", "emblem": "lotus"}
        for position, (name, criteria, value) in enumerate(MORE):
            of = {"criteria_type": Criteria(criteria), "criteria_value": value, "position": 20 + position}
            badge = Badge(id=uuid4(), name=name, description=name, **of, **picture)
            db.session.add(badge)
            db.session.flush()
            db.session.add(Definition(badge_id=badge.id, version=1, criteria_type=criteria, criteria_value=value))
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


def runs_at_the_end(who: UUID) -> dict[UUID, int]:
    """At each site the run that ends with the last visit."""
    runs = {}
    for site_id, of_site in histories.marks_of([who])[who].items():
        run = 0
        for each in histories._dates(of_site, camps.latest_of({site_id})[site_id]):
            run = after(run, each.step, gap=each.gap)
            if each.step is Step.VISIT:
                runs[site_id] = run
    return runs


@pytest.mark.usefixtures("app")
@settings(max_examples=40)
@given(shapes)
def test_settling_many_is_settling_each(shape: tuple[datetime, list[Any], list[Any]]) -> None:
    instant, the_camps, people = shape
    with clock.stopped_at(instant):
        with writing():
            fill(the_camps, people)
            settling.settle()
        check()
        with writing():
            assert list(settling.differences()) == []
            again = settling.settle()
        assert (again.people, again.new_badges, again.returned_badges, again.moved_badges) == (len(people), 0, 0, 0)


def check() -> None:
    """Awards and figures of each person against the walk, and every board against the plain one."""
    ids = list(db.session.scalars(select(Person.id)))
    definitions = badges.definitions()
    for who, history in histories.histories_of(ids).items():
        due = {badge.id: visit.camp_id for badge in definitions if (visit := history.completed_by(*badge.asked))}
        query = select(Award.badge_id, Award.camp_id).where(Award.person_id == who)
        assert dict(db.session.execute(query).tuples().all()) == due
        figures = {
            kept.site_id: (kept.visits, kept.longest_streak, kept.run, kept.last_visit)
            for kept in db.session.scalars(
                select(Standing).where(Standing.person_id == who, Standing.period == ALL_TIME)
            )
        }
        last = max((visit.camp_date for visit in history.visits), default=None)
        assert figures.pop(EVERYWHERE) == (len(history.visits), history.longest_streak, 0, last)
        runs = runs_at_the_end(who)
        assert figures == {
            site_id: (
                sum(visit.site_id == site_id for visit in history.visits),
                history.runs[site_id].longest,
                run,
                max(visit.camp_date for visit in history.visits if visit.site_id == site_id),
            )
            for site_id, run in runs.items()
        }
    plain = PlainBoards([*BADGES, *MORE])
    for board in plain.boards():
        shown = [
            (line.rank, line.person.book_no, line.visits, line.longest_streak, len(line.badges))
            for line in leaderboard.lines(board)
        ]
        expected = plain.lines(board, standings.Measure.VISITS)
        assert shown == [(line.rank, line.book_no, line.visits, line.longest_streak, line.badges) for line in expected]


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
    db.session.execute(insert(Attendance), attended)


def test_a_run_may_break_thousands_of_times(app: Flask, context: None) -> None:
    days = [date(2026, 4, 12) - timedelta(days=number) for number in range(4_400)]
    with writing():
        store([days], lambda _number: ((0, place) for place in range(0, 4_400, 2)), 1)
        settling.settle()
    figures = select(Standing.visits, Standing.longest_streak, Standing.run)
    (kept,) = db.session.execute(figures.where(Standing.site_id != EVERYWHERE, Standing.period == ALL_TIME)).all()
    assert tuple(kept) == (2_200, 1, 1)
    assert list(settling.differences()) == []


def test_a_batch_of_a_thousand_that_the_planner_knows_nothing_of(app: Flask, context: None) -> None:
    """As after a restore: nothing is analysed yet. Joined row by row it would take minutes."""
    days = [date(2026, 4, 12) - timedelta(weeks=number) for number in range(60)]
    with writing():
        store([days] * 3, lambda number: [(at % 3, (number + 13 * at) % 60) for at in range(40)], 1_000)
    for _ in range(2):
        with writing():
            if not is_sqlite():
                db.session.execute(text("SET LOCAL statement_timeout = '20s'"))
            settling.settle_slice(None, None, settling.Settled(), most=1_000)
