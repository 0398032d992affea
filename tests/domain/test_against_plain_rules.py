"""Random marks, undos, excuses, new and cancelled camps, held against the plain rules after each step."""

from datetime import date

import pytest
from flask import Flask
from hypothesis import given, settings

from tests.domain import plain
from tests.domain.plain import PlainCamp
from tests.domain.world import A_SUNDAY, Step, World, steps
from webapp import clock
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.badges import awards


@pytest.mark.usefixtures("app")
@settings(max_examples=40)
@given(steps())
def test_the_product_agrees_with_the_plain_rules(life: list[Step]) -> None:
    with clock.stopped_at(A_SUNDAY):
        world = World()
        for step in life:
            world.step(*step)
            world.check()
        for person in world.people:
            with writing():
                marking.evaluate(person)
            world.evaluate(person.name)
        world.check()


def test_the_plain_rules_themselves(app: Flask) -> None:
    """So that both are not wrong in the same way: the streak of one person, by hand."""
    days = [date(2026, 1, number) for number in range(1, 6)]
    states = [("present", "volunteer"), ("excused", "volunteer"), ("present", "volunteer"), None, ("present", "doctor")]
    life = [
        PlainCamp("North", day, states={"A": state} if state else {}) for day, state in zip(days, states, strict=True)
    ]
    assert plain.streaks(life, "A", date(2026, 2, 1)) == (2, 0)
    assert plain.streaks(life[:3], "A", date(2026, 1, 3)) == (2, 2)
    assert plain.earned(life, "A", date(2026, 2, 1)) == {"First Step"}
    assert awards.definitions()[0].name == "First Step"


def test_the_plain_rules_count_years_and_name_days(app: Flask) -> None:
    days = [date(2025, 12, 14), date(2025, 12, 28), date(2026, 1, 4), date(2026, 1, 11), date(2026, 1, 18)]
    came = [True, True, True, False, True]
    life = [
        PlainCamp("North", day, states={"A": ("present", "volunteer")} if came else {})
        for day, came in zip(days, came, strict=True)
    ]
    today = date(2026, 2, 1)
    assert plain.amounts(life, "A", today) == {"visits": 4, "consecutive_visits": 3, "visits_in_year": 2}
    assert plain.completed_on(life, "A", today, "visits_in_year", 2) == date(2025, 12, 28)
    assert plain.completed_on(life, "A", today, "consecutive_visits", 3) == date(2026, 1, 4)
    assert plain.completed_on(life, "A", today, "visits", 4) == date(2026, 1, 18)
    assert plain.completed_on(life, "A", today, "visits", 5) is None
    assert plain.totals(life, "A", today) == {"North": (4, 3, 1, date(2026, 1, 18), 2)}
