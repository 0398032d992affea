"""Settling many people in SQL, held against the rule in Python (streaks.walk) on random attendance."""

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from tests import factories
from webapp import clock
from webapp.database import db, writing
from webapp.domain import badges, camps, histories, settling, standings
from webapp.domain.accounts import Person
from webapp.domain.badges import Award, Revocation
from webapp.domain.camps import Camp, Site, Status
from webapp.domain.records import Attendance, CampRole, State
from webapp.domain.standings import ALL_TIME, EVERYWHERE, Standing

NUMBER = 3  # people
ZONES = {"Hoskote": "Asia/Kolkata", "Newark": "America/New_York", "Apia": "Pacific/Apia"}
# Mostly visits, or no run would ever grow; nothing at all is a state too.
marks = st.sampled_from(
    [None, *[(State.PRESENT, CampRole.VOLUNTEER)] * 5, *((state, role) for state in State for role in CampRole)]
)
# site, days ago (some still to come), hour of the start, cancelled, and a mark for each person
random_camps = st.lists(
    st.tuples(
        st.sampled_from(sorted(ZONES)),
        st.integers(-2, 14),
        st.sampled_from([9, 9, 14]),
        st.sampled_from([False] * 6 + [True]),
        st.tuples(*[marks] * NUMBER),
    ),
    min_size=5,
    max_size=45,
)

Drawn = tuple[str, int, int, bool, tuple[tuple[State, CampRole] | None, ...]]


def write(drawn: Sequence[Drawn]) -> list[Person]:
    """The camps and marks straight into the tables, with nothing settled; the people they are of."""
    with writing():
        for table in (Revocation, Award, Attendance, Camp, Standing, Person, standings.tally):
            db.session.execute(delete(table))
    db.session.expunge_all()
    known = {site.name: site for site in camps.sites()}
    sites: dict[str, Site] = {
        name: known.get(name) or factories.site(name, time_zone) for name, time_zone in ZONES.items()
    }
    people = [factories.person(f"Person {number}") for number in range(NUMBER)]
    now = clock.now()
    made: list[dict[str, Any]] = []
    attended: list[dict[str, Any]] = []
    for number, (name, days_ago, hour, cancelled, states) in enumerate(drawn):
        key = {"site_id": sites[name].id, "camp_date": sites[name].today - timedelta(days_ago)}
        camp_id = uuid4()
        status = Status.CANCELLED if cancelled else Status.SCHEDULED
        camp = {"id": camp_id, "name": f"Camp {number}", "start_time": time(hour), "status": status}
        made.append(camp | key | {"created_at": now})
        for person, mark in zip(people, states, strict=True):
            if mark:
                state, role = mark
                said = {"person_id": person.id, "camp_id": camp_id, "state": state, "camp_role": role}
                attended.append(said | key | {"presumed": False, "created_at": now, "changed_at": now})
    with writing():
        db.session.execute(insert(Camp), made)
        if attended:
            db.session.execute(insert(Attendance), attended)
    return people


def kept_of(person_id: UUID) -> dict[UUID, tuple[int, int]]:
    """Visits and longest streak on each board of all time."""
    query = select(Standing.site_id, Standing.visits, Standing.longest_streak).where(
        Standing.person_id == person_id, Standing.period == ALL_TIME
    )
    return {site_id: (visits, longest) for site_id, visits, longest in db.session.execute(query)}


@pytest.mark.usefixtures("app")
@settings(max_examples=25)
@given(random_camps)
def test_settling_in_sql_is_the_rule_in_python(drawn: list[Drawn]) -> None:
    people = write(drawn)
    with writing():
        done = settling.settle()
    assert done.people == NUMBER
    definitions = badges.definitions()
    number = 0
    for person in people:
        history = histories.history_of(person.id)
        expected = {EVERYWHERE: (len(history.visits), history.longest_streak)}
        for site_id in {visit.site_id for visit in history.visits}:
            there = [visit for visit in history.visits if visit.site_id == site_id]
            expected[site_id] = (len(there), history.runs[site_id].longest)
        assert kept_of(person.id) == expected
        due = {badge_id: visit.camp_id for badge_id, visit in badges.earned(history, definitions).items()}
        awarded = {award.badge_id: award.camp_id for award in badges.awards_of(person.id)}
        assert awarded == due
        number += len(due)
    assert done.new_badges == number
    with writing():
        assert list(settling.differences()) == []
        again = settling.settle()
    assert (again.new_badges, again.returned_badges, again.moved_badges) == (0, 0, 0)
