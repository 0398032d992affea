"""Volunteers say of themselves, before a camp, whether they come."""

from datetime import timedelta

import pytest

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend, row_of, weekly
from webapp import clock
from webapp.database import writing
from webapp.domain.attendance import marking, roll_call, timeline
from webapp.domain.badges import history
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.models.attendance import State
from webapp.domain.schedule import schedule

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def coming(people: People) -> Camp:
    """Next week's camp."""
    return factories.camp(-1, "Next camp")


def state(camp: Camp, people: People) -> State | None:
    return row_of(camp, people.volunteer).state


def test_coming_not_coming_and_coming_after_all(coming: Camp, people: People) -> None:
    for said, stands in (
        (marking.say_coming, State.EXPECTED),
        (marking.say_not_coming, State.EXCUSED),
        (marking.say_not_coming, State.EXCUSED),
        (marking.say_coming, State.EXPECTED),
        (marking.say_coming, State.EXPECTED),
    ):
        with writing():
            said(people.volunteer, coming)
        assert state(coming, people) is stands


def test_not_coming_without_having_signed_up_then_coming(coming: Camp, people: People) -> None:
    with writing():
        marking.say_not_coming(people.volunteer, coming, "  a   wedding ")
    found = row_of(coming, people.volunteer).attendance
    assert found is not None
    assert (found.state, found.reason) == (State.EXCUSED, "a wedding")
    with writing():
        marking.say_coming(people.volunteer, coming)
    assert state(coming, people) is State.EXPECTED


def test_an_excused_camp_does_not_break_the_run_once_it_is_held(people: People) -> None:
    camps = weekly(2)
    coming, after = factories.camp(-1), factories.camp(-2)
    attend(people.volunteer, camps, people.coordinator)
    with writing():
        marking.say_not_coming(people.volunteer, coming)
    with clock.stopped_at(SUNDAY + timedelta(weeks=2)):
        attend(people.volunteer, [after], people.coordinator)
        own = history.of_person(people.volunteer.id)
        assert (own.longest_streak, own.current_streak) == (3, 3)


def test_a_mark_that_is_undone_does_not_forget_what_was_said(coming: Camp, people: People) -> None:
    with writing():
        marking.say_not_coming(people.volunteer, coming)
    with clock.stopped_at(SUNDAY + timedelta(weeks=1)), writing():
        marking.mark_present(people.volunteer, coming, by=people.coordinator)
        marking.undo(people.volunteer, coming, by=people.coordinator)
    assert state(coming, people) is State.EXCUSED
    with clock.stopped_at(SUNDAY + timedelta(weeks=1)), writing():
        marking.undo(people.volunteer, coming, by=people.coordinator)  # the coordinator takes the excuse itself back
    assert state(coming, people) is None


def test_nothing_can_be_said_once_the_camp_has_begun(people: People) -> None:
    today = factories.camp()  # begins at 9:00; it is 11:30
    for verb in (marking.say_coming, marking.say_not_coming):
        with pytest.raises(ConflictError, match="has begun"), writing():
            verb(people.volunteer, today)
    with clock.stopped_at(SUNDAY - timedelta(hours=3)), writing():  # 8:30
        marking.say_not_coming(people.volunteer, today)
    assert state(today, people) is State.EXCUSED


def test_nothing_can_be_said_of_a_cancelled_camp_or_against_a_coordinators_mark(people: People) -> None:
    cancelled, today = factories.camp(-1), factories.camp()
    with clock.stopped_at(SUNDAY - timedelta(hours=4)), writing():
        schedule.cancel_camp(cancelled)
        marking.mark_present(people.volunteer, today, by=people.coordinator)
    with pytest.raises(ConflictError, match="was cancelled"), writing():
        marking.say_not_coming(people.volunteer, cancelled)
    early = clock.stopped_at(SUNDAY - timedelta(hours=4))
    with early, pytest.raises(ConflictError, match="coordinator has marked"), writing():
        marking.say_not_coming(people.volunteer, today)
    assert state(today, people) is State.PRESENT


def test_closing_leaves_excused_whoever_said_so(people: People) -> None:
    today = factories.camp()
    with clock.stopped_at(SUNDAY - timedelta(hours=4)), writing():
        marking.say_not_coming(people.volunteer, today)
    with writing():
        roll_call.close(today, by=people.coordinator)
    assert state(today, people) is State.EXCUSED


def test_the_next_camps_are_those_that_have_not_begun(people: People) -> None:
    factories.camp(0, "Begun")
    next_ones = [factories.camp(-weeks, f"Camp {weeks}") for weeks in range(1, 10)]
    with writing():
        marking.say_coming(people.volunteer, next_ones[1])
    found = timeline.coming_days(people.volunteer.id, SUNDAY.date())
    assert [day.camp.name for day in found] == [f"Camp {weeks}" for weeks in range(1, 7)]
    assert [bool(day.attendance) for day in found] == [False, True, False, False, False, False]
