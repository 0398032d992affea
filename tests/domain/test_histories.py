"""The walk on a real calendar: several camps on a date, today, and what a mark taken back would leave."""

from datetime import timedelta
from typing import Any

import pytest

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend
from webapp import clock
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.badges import history
from webapp.domain.badges.criteria import CRITERIA
from webapp.domain.badges.history import History
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import CampRole
from webapp.domain.schedule import schedule


def mark(people: People, camp: Camp, letter: str) -> None:
    """What a camp is for the volunteer: v visit, s skipped, m missed."""
    with writing():
        if letter == "v":
            marking.mark_present(people.volunteer, camp, by=people.coordinator)
        elif letter == "s":
            marking.mark_present(people.volunteer, camp, by=people.coordinator, camp_role=CampRole.DOCTOR)
        else:
            marking.mark_absent(people.volunteer, camp, by=people.coordinator)


def streaks(people: People) -> tuple[int, int]:
    own = history.of_person(people.volunteer.id)
    return own.longest_streak, own.current_streak


@pytest.mark.parametrize(("of_two", "longest"), [("vv", 2), ("vm", 2), ("vs", 2), ("sm", 1), ("mm", 1)])
def test_the_best_of_a_date_makes_the_step(people: People, of_two: str, longest: int) -> None:
    attend(people.volunteer, [factories.camp(2)], people.coordinator)
    for letter, name in zip(of_two, ("Morning", "Evening"), strict=True):
        mark(people, factories.camp(1, name), letter)
    assert streaks(people)[0] == longest


def test_a_camp_of_today_not_yet_marked_breaks_nothing(people: People) -> None:
    attend(people.volunteer, [factories.camp(1)], people.coordinator)
    factories.camp(0)
    assert streaks(people) == (1, 1)


def test_a_camp_of_yesterday_not_marked_breaks_the_current_run(people: People) -> None:
    attend(people.volunteer, [factories.camp(1)], people.coordinator)
    factories.camp(0)
    with clock.stopped_at(SUNDAY + timedelta(days=1)):
        assert streaks(people) == (1, 0)


def test_absent_today_breaks_the_run_once_every_camp_of_today_is_marked(people: People) -> None:
    attend(people.volunteer, [factories.camp(1)], people.coordinator)
    mark(people, factories.camp(0, "Morning"), "m")
    assert streaks(people) == (1, 0)
    evening = factories.camp(0, "Evening")
    assert streaks(people) == (1, 1)
    mark(people, evening, "m")
    assert streaks(people) == (1, 0)


def test_a_cancelled_camp_is_no_gap(people: People) -> None:
    three = [factories.camp(weeks) for weeks in (2, 1, 0)]
    attend(people.volunteer, [three[0], three[2]], people.coordinator)
    assert streaks(people) == (1, 1)
    with writing():
        schedule.cancel_camp(three[1])
    assert streaks(people) == (2, 2)


def told(own: History) -> Any:
    """All that a history says, but for the numbers that stand for its dates."""
    longest = range(1, own.longest_streak + 2)
    completed = [CRITERIA["consecutive_visits"].completed_by(own, value) for value in longest]
    return own.visits, own.longest_streak, own.current_streak, own.figures(), completed


@pytest.mark.parametrize("life", ["vvv", "v-v", "vsv", "vmvv", "v-vv", "sv-v"])
def test_a_mark_thought_away_is_the_same_as_one_taken_back(people: People, life: str) -> None:
    """Each date has a second camp where the person was not, on even places also marked missed."""
    days = [factories.camp(len(life) - place, "Morning") for place in range(len(life))]
    for place, (camp, letter) in enumerate(zip(days, life, strict=True)):
        other = factories.camp(len(life) - place, "Evening")
        if letter != "-":
            mark(people, camp, letter)
        if place % 2:
            mark(people, other, "m")
    for camp, letter in zip(days, life, strict=True):
        if letter != "v":
            continue
        thought = history.of_person(people.volunteer.id).changed(camp.id, None)
        with writing():
            marking.undo(people.volunteer, camp, by=people.coordinator)
        assert told(history.of_person(people.volunteer.id)) == told(thought)
        mark(people, camp, "v")
