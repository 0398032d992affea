"""The simulation behind docs/scaling.md is the same every time, and its queues behave as queues do."""

import pytest

from benchmarks.country import MARK, Costs, Job, Shape, load, morning, outage, simulate

ONE = Shape(web=4, servers=1, cores=2, placement="one")


def evenly(a_second: int, seconds: int = 20) -> list[Job]:
    """Marks in a row, of sites and people all over the country."""
    number = a_second * seconds
    return [(each / a_second, MARK, each * 7 % 11 / 11, each * 5 % 13 / 13) for each in range(number)]


def test_a_morning_is_the_same_every_time() -> None:
    first, second = morning(camps=50), morning(camps=50)
    assert first.camps == second.camps
    assert first.seconds == second.seconds
    assert first.marks == sum(camp.size for camp in first.camps)
    assert 8 * 60 < first.peak < 11 * 60


def test_what_is_busy_is_what_was_asked() -> None:
    jobs = evenly(100)
    result = simulate(jobs, ONE, Costs(), 20)
    web, database = load(jobs, Costs(), 20)
    assert (web, database) == pytest.approx((0.3, 0.08))
    assert result.web == pytest.approx(web / ONE.web, rel=0.05)
    assert result.database == pytest.approx(database / ONE.cores, rel=0.05)
    assert 3 < result.p50 < 6


def test_more_than_can_be_served_queues() -> None:
    assert simulate(evenly(1500), ONE, Costs(), 20).p99 > 1000
    enough = Shape(web=10, servers=1, cores=2, placement="one")
    assert simulate(evenly(1500), enough, Costs(), 20).p99 < 50


def test_notices_let_one_commit_go_after_the_other() -> None:
    costs = Costs(flush=5)
    shape = Shape(web=10, servers=1, cores=2, placement="one")
    assert simulate(evenly(300), shape, costs, 20).p99 < 50
    waits = simulate(evenly(300), Shape(10, 1, 2, "one", notices=True), costs, 20)
    assert waits.lane > 1
    assert waits.p99 > 1000


def test_rows_of_a_person_in_two_places_cost_two_servers() -> None:
    costs = Costs()
    by_person, by_site = (simulate(evenly(300), Shape(4, 8, 1, where), costs, 20) for where in ("person", "site"))
    assert by_site.database > 1.3 * by_person.database
    assert by_site.p50 > by_person.p50


def test_what_is_lost_waits_and_is_sent() -> None:
    found = morning(camps=200)
    usual = simulate(evenly(10), ONE, Costs(), 20)
    whole = outage(found, ONE, usual)
    eighth = outage(found, Shape(4, 8, 1, "person"), usual)
    assert whole.share == 1
    assert whole.most_waiting == pytest.approx(8 * eighth.most_waiting, rel=0.01)
    assert 0 < whole.sent_after < 600
