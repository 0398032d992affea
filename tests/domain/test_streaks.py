"""The walk, case by case. Dates are numbers, a step a letter: v visit, s skipped, m missed."""

import pytest

from webapp.domain.badges.streaks import Streaks, after, walk
from webapp.domain.models.attendance import Step

STEPS = {"v": Step.VISIT, "s": Step.SKIPPED, "m": Step.MISSED}


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
    streaks = walk(*marked(life), missed_since=life.endswith("-"))
    assert (streaks.longest, streaks.current) == (longest, current)


def marked(life: str) -> tuple[list[int], list[Step]]:
    places = [number for number, letter in enumerate(life, 1) if letter != "-"]
    return places, [STEPS[letter] for letter in life if letter != "-"]


def test_each_length_has_the_date_it_was_first_reached() -> None:
    streaks = walk(*marked("vv-vvv-"), missed_since=True)
    assert streaks.reached == [1, 2, 6]


@pytest.mark.parametrize(
    ("life", "at_last_visit"), [("", 0), ("s", 0), ("vv", 2), ("vvm", 2), ("vv-s", 2), ("vvmvs-", 1), ("v-vsv", 2)]
)
def test_the_streak_of_the_last_visit_stays_whatever_was_missed_since(life: str, at_last_visit: int) -> None:
    assert walk(*marked(life), missed_since=True).at_last_visit == at_last_visit


def test_nobody_who_never_came_has_a_streak() -> None:
    assert walk((), (), missed_since=False) == Streaks(reached=[])


@pytest.mark.parametrize(
    ("step", "gap", "streak"),
    [
        (Step.VISIT, False, 4),
        (Step.VISIT, True, 1),
        (Step.SKIPPED, False, 3),
        (Step.SKIPPED, True, 0),
        (Step.MISSED, False, 0),
        (Step.MISSED, True, 0),
    ],
)
def test_one_more_date(step: Step, gap: bool, streak: int) -> None:
    assert after(3, step, gap=gap) == streak
