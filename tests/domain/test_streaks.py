"""The walk, case by case. Dates are days of January 2026, a step a letter: v visit, s skipped, m missed."""

from datetime import date

import pytest

from webapp.domain.streaks import Calendar, Step, walk

STEPS = {"v": Step.VISIT, "s": Step.SKIPPED, "m": Step.MISSED}


def day(number: int) -> date:
    return date(2026, 1, number)


@pytest.mark.parametrize(
    ("life", "longest", "current"),
    [
        ("", 0, 0),
        ("v", 1, 1),
        ("-", 0, 0),
        ("vvv", 3, 3),
        ("v-v", 1, 1),
        ("vmv", 1, 1),
        ("vsv", 2, 2),
        ("vs", 1, 1),
        ("ssv", 1, 1),
        ("s", 0, 0),
        ("vv-v", 2, 1),
        ("vvm", 2, 0),
        ("vv-", 2, 0),
        ("vsmv", 1, 1),
        ("vssv-vvv", 3, 3),
    ],
)
def test_one_camp_a_date(life: str, longest: int, current: int) -> None:
    """A dash is a camp of which nothing is known of the person. Today is long after."""
    calendar = Calendar({day(number): 1 for number in range(1, len(life) + 1)}, today=day(31))
    marks = {day(number): [STEPS[letter]] for number, letter in enumerate(life, 1) if letter != "-"}
    runs = walk(calendar, marks)
    assert (runs.longest, runs.current) == (longest, current)


def test_several_camps_on_a_date_are_one_step() -> None:
    calendar = Calendar({day(1): 2, day(2): 1}, today=day(31))
    runs = walk(calendar, {day(1): [Step.VISIT, Step.VISIT], day(2): [Step.VISIT]})
    assert runs.longest == 2


@pytest.mark.parametrize(("of_two", "longest"), [("vm", 2), ("vs", 2), ("sm", 1), ("mm", 1)])
def test_the_best_of_a_date_makes_the_step(of_two: str, longest: int) -> None:
    calendar = Calendar({day(1): 1, day(2): 2}, today=day(31))
    runs = walk(calendar, {day(1): [Step.VISIT], day(2): [STEPS[letter] for letter in of_two]})
    assert runs.longest == longest


def test_a_camp_of_today_not_yet_marked_breaks_nothing() -> None:
    calendar = Calendar({day(1): 1, day(2): 1}, today=day(2))
    assert walk(calendar, {day(1): [Step.VISIT]}).current == 1


def test_a_camp_of_yesterday_not_marked_breaks_the_current_run() -> None:
    calendar = Calendar({day(1): 1, day(2): 1}, today=day(3))
    assert walk(calendar, {day(1): [Step.VISIT]}).current == 0


def test_absent_today_breaks_the_run_once_every_camp_of_today_is_marked() -> None:
    marks = {day(1): [Step.VISIT], day(2): [Step.MISSED]}
    assert walk(Calendar({day(1): 1, day(2): 2}, today=day(2)), marks).current == 1
    assert walk(Calendar({day(1): 1, day(2): 1}, today=day(2)), marks).current == 0


def test_each_length_has_the_date_it_was_first_reached() -> None:
    calendar = Calendar({day(number): 1 for number in range(1, 8)}, today=day(31))
    marks = {day(number): [Step.VISIT] for number in (1, 2, 4, 5, 6)}
    assert walk(calendar, marks).reached == {1: day(1), 2: day(2), 3: day(6)}
