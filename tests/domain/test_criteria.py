"""What badges may ask for: each criterion's progress, its completing camp, whom it finds, and the fast path's word."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from tests import factories
from tests.conftest import People
from tests.factories import attend, held
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import fast_path, marking
from webapp.domain.badges import awards, history, progress
from webapp.domain.badges.criteria import CRITERIA, MarkContext, asks
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.evaluation import verify
from webapp.domain.models.attendance import CampRole
from webapp.domain.people.accounts import Person
from webapp.domain.people.credentials import Asker
from webapp.domain.schedule import schedule

TODAY = date(2026, 4, 12)
DAYS = [date(2025, 12, 14), date(2025, 12, 21), date(2025, 12, 28), date(2026, 1, 4), date(2026, 1, 11)]


@pytest.fixture
def came(people: People) -> list[Camp]:
    """To three camps at the end of last year, and to the second of two of this one."""
    camps = [factories.camp(name=f"Camp {day}", on=day) for day in DAYS]
    attend(people.volunteer, [*camps[:3], camps[4]], people.coordinator)
    attend(people.other, camps[2:4], people.coordinator)
    return camps


def people_with(criteria: str, value: int) -> set[UUID]:
    return set(db.session.scalars(CRITERIA[criteria].people(value)))


@pytest.mark.parametrize(
    ("criteria", "reached", "completing"),
    [
        ("visits", 4, [0, 1, 2, 4]),
        ("consecutive_visits", 3, [0, 1, 2]),
        ("visits_in_year", 3, [0, 1, 2]),
    ],
)
def test_the_first_visit_that_reached_it_completes_it(
    people: People, came: list[Camp], criteria: str, reached: int, completing: list[int]
) -> None:
    own, criterion = history.of_person(people.volunteer.id), CRITERIA[criteria]
    found = [criterion.completed_by(own, value) for value in range(1, reached + 2)]
    assert [camp.camp_id if camp else None for camp in found] == [*(came[place].id for place in completing), None]


@pytest.mark.parametrize(("criteria", "values"), [("visits", 4), ("consecutive_visits", 3), ("visits_in_year", 3)])
def test_the_query_finds_whom_the_rule_finds(people: People, came: list[Camp], criteria: str, values: int) -> None:
    both = [people.volunteer.id, people.other.id]
    for value in range(1, values + 2):
        histories = history.read(both)
        expected = {who for who in both if CRITERIA[criteria].completed_by(histories[who], value)}
        assert people_with(criteria, value) == expected
    assert people_with(criteria, values) == {people.volunteer.id}
    assert people_with(criteria, values + 1) == set()


def test_a_cancelled_or_future_camp_and_another_role_do_not_count(people: People, came: list[Camp]) -> None:
    with writing():
        schedule.cancel_camp(came[1])
    with writing():
        marking.mark_present(people.volunteer, came[0], by=people.coordinator, camp_role=CampRole.DOCTOR)
    coming = factories.camp(-1)
    with writing():
        marking.sign_up(people.volunteer, coming)
    assert people_with("visits_in_year", 1) == people_with("visits", 2) == {people.volunteer.id, people.other.id}
    assert people_with("visits_in_year", 2) == set()
    assert people_with("visits", 3) == set()


@pytest.mark.parametrize(("criteria", "current"), [("visits", 4), ("consecutive_visits", 3), ("visits_in_year", 1)])
def test_progress_is_not_capped_and_of_this_year(people: People, came: list[Camp], criteria: str, current: int) -> None:
    own = history.of_person(people.volunteer.id)
    assert CRITERIA[criteria].progress(own, None, TODAY) == current


def test_progress_of_a_year_is_that_of_the_completing_one_once_earned(people: People, came: list[Camp]) -> None:
    for name, value in (("Two in a Year", 2), ("Four in a Year", 4)):
        badge = factories.badge(name, value)
        factories.change(badge, criteria_type="visits_in_year")
        factories.backfill(badge, people.admin)
    assert held(people.volunteer) >= {"Two in a Year"}
    own, given = history.of_person(people.volunteer.id), awards.of_person(people.volunteer.id)
    steps = {step.badge.name: step for step in progress.progress_of(own, given)}
    assert (steps["Two in a Year"].current, steps["Two in a Year"].earned) == (3, True)
    assert (steps["Four in a Year"].current, steps["Four in a Year"].missing) == (1, 3)
    with clock.stopped_at(datetime(2027, 2, 1, tzinfo=UTC)):
        steps = {step.badge.name: step for step in progress.progress_of(own, given)}
        assert steps["Two in a Year"].current == 3
        assert steps["Four in a Year"].current == 0


@pytest.mark.parametrize(
    ("criteria", "reach", "is_certain"),
    [("visits", (11, 12), True), ("consecutive_visits", (4, 5), True), ("visits_in_year", (7, 8), False)],
)
def test_what_one_more_visit_reaches(criteria: str, reach: tuple[int, int], is_certain: bool) -> None:
    context = MarkContext(visits=11, longest_streak=4, streak=5, visits_in_year=7)
    assert CRITERIA[criteria].reach(context) == reach
    assert CRITERIA[criteria].is_certain is is_certain


def test_a_shorter_streak_reaches_nothing_new() -> None:
    context = MarkContext(visits=11, longest_streak=4, streak=2, visits_in_year=7)
    assert CRITERIA["consecutive_visits"].reach(context) == (4, 4)


@pytest.mark.parametrize(
    ("criteria", "value", "said"),
    [
        ("visits", 1, "1 camp"),
        ("visits", 1_000, "1,000 camps"),
        ("consecutive_visits", 3, "3 camps in a row"),
        ("visits_in_year", 12, "12 camps within a calendar year"),
    ],
)
def test_what_is_asked_in_words(criteria: str, value: int, said: str) -> None:
    assert asks(criteria, value) == said


# --- the turn of the year ------------------------------------------------------------------------

EVE = datetime(2026, 12, 31, 22, tzinfo=UTC)
"""In Kolkata it is New Year's Day already, in New York the last afternoon of the old year."""


@pytest.fixture
def new_york() -> Site:
    return factories.site("Harlem", "America/New_York")


def yearly(value: int, by: Person) -> None:
    badge = factories.badge("In a Year", value)
    factories.change(badge, criteria_type="visits_in_year")
    factories.backfill(badge, by)


def visit(who: Person, camp: Camp, by: Person, *, fast: bool) -> None:
    made = fast_path.mark(who.id, camp.id, Asker(by.id, by.session_no)) if fast else None
    db.session.expire_all()
    if made is None:
        attend(who, [camp], by)


@pytest.mark.parametrize("fast", [True, False])
def test_each_site_has_a_new_year_of_its_own(people: People, new_york: Site, fast: bool) -> None:
    yearly(2, people.admin)
    with clock.stopped_at(EVE):
        here, there = factories.camp(0), factories.camp(0, at=new_york)
        assert (here.camp_date, there.camp_date) == (date(2027, 1, 1), date(2026, 12, 31))
        visit(people.volunteer, there, people.coordinator, fast=fast)
        visit(people.volunteer, here, people.coordinator, fast=fast)
        assert "In a Year" not in held(people.volunteer)
        assert people_with("visits_in_year", 2) == set()
        assert people_with("visits_in_year", 1) == {people.volunteer.id}
        assert verify.differences() == []
    with clock.stopped_at(datetime(2027, 1, 2, 22, tzinfo=UTC)):
        first = factories.camp(0, "First", at=new_york)
        visit(people.volunteer, first, people.coordinator, fast=fast)
        assert "In a Year" in held(people.volunteer)
        (award,) = [each for each in awards.of_person(people.volunteer.id) if each.badge.name == "In a Year"]
        assert award.camp_id == first.id
        assert people_with("visits_in_year", 2) == {people.volunteer.id}
        assert verify.differences() == []


@pytest.mark.parametrize("fast", [True, False])
def test_visits_of_both_sites_in_one_year_add_up(people: People, new_york: Site, fast: bool) -> None:
    """Those of one site in the old year and of the other in the new one do not."""
    yearly(4, people.admin)
    sites = (None, new_york)
    old = [factories.camp(0, on=date(2025, 12, day), at=sites[day % 2]) for day in (27, 28, 29)]
    new = [factories.camp(0, on=date(2026, 1, day), at=sites[day % 2]) for day in (3, 4, 5, 6)]
    for camp in [*old, *new[:3]]:
        visit(people.volunteer, camp, people.coordinator, fast=fast)
    assert "In a Year" not in held(people.volunteer)
    visit(people.volunteer, new[3], people.coordinator, fast=fast)
    (award,) = [each for each in awards.of_person(people.volunteer.id) if each.badge.name == "In a Year"]
    assert award.camp_id == new[3].id
    assert verify.differences() == []


def test_a_year_that_earned_it_before_is_not_earned_again(people: People) -> None:
    """The fast path does not know past years: it leaves the mark to whoever reads them."""
    yearly(2, people.admin)
    camps = [factories.camp(0, on=day) for day in DAYS[1:]]
    for camp in camps:
        visit(people.volunteer, camp, people.coordinator, fast=True)
    (award,) = [each for each in awards.of_person(people.volunteer.id) if each.badge.name == "In a Year"]
    assert award.camp_id == camps[1].id
    assert verify.differences() == []
