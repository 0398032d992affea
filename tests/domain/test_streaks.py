"""The walk, case by case. Dates are days of January 2026, a step a letter: v visit, s skipped, m missed."""

from datetime import date

import pytest

from webapp.domain.streaks import MarkedDate, Step, walk

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
    runs = walk(marked(life), missed_since=life.endswith("-"))
    assert (runs.longest, runs.current) == (longest, current)


def marked(life: str) -> list[MarkedDate]:
    return [
        MarkedDate(day(number), STEPS[letter], gap=life[max(0, number - 2)] == "-")
        for number, letter in enumerate(life, 1)
        if letter != "-"
    ]


def test_each_length_has_the_date_it_was_first_reached() -> None:
    runs = walk(marked("vv-vvv-"), missed_since=True)
    assert runs.reached == {1: day(1), 2: day(2), 3: day(6)}
