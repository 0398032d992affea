"""The dates that rules give."""

from datetime import date

import pytest

from webapp.domain.errors import InvalidError
from webapp.domain.schedule.series import MOST_CAMPS, Frequency, Rule

SATURDAY = date(2026, 4, 11)
MONDAY, SUNDAY = 0, 6


def test_every_second_sunday_until_june() -> None:
    rule = Rule(SATURDAY, Frequency.WEEKS, 2, [SUNDAY], until=date(2026, 5, 31))
    assert rule.dates() == [date(2026, 4, 12), date(2026, 4, 26), date(2026, 5, 10), date(2026, 5, 24)]


def test_intervals_are_counted_from_the_first_date_that_fits() -> None:
    """The first Monday after a Saturday is in two days, not in the week after the next."""
    rule = Rule(SATURDAY, Frequency.WEEKS, 2, [MONDAY], count=2)
    assert rule.dates() == [date(2026, 4, 13), date(2026, 4, 27)]
    months = Rule(SATURDAY, Frequency.MONTHS, 3, [SUNDAY], place=1, count=2)
    assert months.dates() == [date(2026, 5, 3), date(2026, 8, 2)]


def test_without_weekdays_it_goes_by_the_first_date() -> None:
    assert Rule(SATURDAY, Frequency.WEEKS, 1, count=2).dates() == [SATURDAY, date(2026, 4, 18)]
    assert Rule(SATURDAY, Frequency.DAYS, 3, count=3).dates()[-1] == date(2026, 4, 17)
    last_days = Rule(date(2026, 1, 31), Frequency.MONTHS, 1, until=date(2026, 5, 31)).dates()
    assert last_days == [date(2026, 1, 31), date(2026, 3, 31), date(2026, 5, 31)]


def test_of_two_ends_the_first_counts() -> None:
    assert len(Rule(SATURDAY, Frequency.WEEKS, count=3, until=date(2026, 4, 18)).dates()) == 2
    assert len(Rule(SATURDAY, Frequency.WEEKS, count=2, until=date(2026, 5, 30)).dates()) == 2


def test_the_last_weekdays_of_months() -> None:
    rule = Rule(SATURDAY, Frequency.MONTHS, 1, [5, SUNDAY], place=-1, count=4)
    assert rule.dates() == [date(2026, 4, 25), date(2026, 4, 26), date(2026, 5, 30), date(2026, 5, 31)]


def test_weeks_know_no_place_in_a_month() -> None:
    assert Rule(SATURDAY, Frequency.WEEKS, 1, [SUNDAY], place=1, count=3).dates()[1] == date(2026, 4, 19)


def test_as_many_as_may_be_and_no_more() -> None:
    assert len(Rule(SATURDAY, Frequency.DAYS, count=MOST_CAMPS).dates()) == MOST_CAMPS
    with pytest.raises(InvalidError, match="more than 200 camps"):
        Rule(SATURDAY, Frequency.DAYS, until=date(2030, 1, 1)).dates()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule(SATURDAY, Frequency.WEEKS), "when the series ends"),
        (Rule(SATURDAY, Frequency.WEEKS, 0, count=1), "from 1 to 52"),
        (Rule(SATURDAY, Frequency.WEEKS, 53, count=1), "from 1 to 52"),
        (Rule(SATURDAY, Frequency.WEEKS, count=0), "from 1 to 200"),
        (Rule(SATURDAY, Frequency.WEEKS, count=201), "from 1 to 200"),
        (Rule(SATURDAY, Frequency.MONTHS, 1, place=-1, count=2), "Tick the weekday"),
        (Rule(SATURDAY, Frequency.WEEKS, until=date(2026, 4, 10)), "No date fits"),
        (Rule(SATURDAY, Frequency.WEEKS, 1, [MONDAY], until=date(2026, 4, 12)), "No date fits"),
    ],
)
def test_rules_that_give_nothing_say_why(rule: Rule, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        rule.dates()


def test_a_rule_at_the_end_of_time_ends() -> None:
    assert Rule(date(9999, 12, 31), Frequency.MONTHS, 52, count=5).dates() == [date(9999, 12, 31)]
