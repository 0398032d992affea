"""The whole list at once: everyone is here, closing and reopening; what an undo would take away."""

import pytest

from tests import factories
from tests.conftest import People
from tests.factories import attend, badge_names, row_of, weekly
from webapp.database import db, writing
from webapp.domain.attendance import marking, roll_call
from webapp.domain.badges import awards
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def camp(people: People) -> Camp:
    """Today's camp: two have signed up and are expected, the admin is excused."""
    camp = factories.camp()
    with writing():
        marking.sign_up(people.volunteer, camp)
        marking.sign_up(people.other, camp, CampRole.DOCTOR)
        marking.excuse(people.admin, camp, by=people.coordinator)
    return camp


def states(camp: Camp, *some: Person) -> list[State | None]:
    return [row_of(camp, person).state for person in some]


def test_everyone_who_signed_up_is_here_in_the_role_they_signed_up_in(camp: Camp, people: People) -> None:
    with writing():
        outcomes = roll_call.everyone_is_here(camp, by=people.coordinator)
    assert outcomes.keys() == {people.volunteer.id, people.other.id}
    assert states(camp, people.volunteer, people.other, people.admin) == [State.PRESENT, State.PRESENT, State.EXCUSED]
    assert badge_names(people.volunteer) == ["First Step"]
    assert badge_names(people.other) == []  # a doctor's presence is no visit
    assert [badge.name for badge in outcomes[people.volunteer.id].badges.new] == ["First Step"]


def test_everyone_means_those_whom_the_coordinator_saw(camp: Camp, people: People) -> None:
    with writing():
        roll_call.everyone_is_here(camp, by=people.coordinator, only=[people.volunteer.id, people.admin.id])
    assert states(camp, people.volunteer, people.other, people.admin) == [State.PRESENT, State.EXPECTED, State.EXCUSED]


def test_everyone_leaves_out_accounts_that_were_switched_off(camp: Camp, people: People) -> None:
    with writing():
        accounts.deactivate(db.session.merge(people.other))
        roll_call.everyone_is_here(camp, by=people.coordinator)
    assert states(camp, people.volunteer, people.other) == [State.PRESENT, State.EXPECTED]


def test_closing_makes_absent_whoever_is_still_expected_and_reopening_takes_it_back(camp: Camp, people: People) -> None:
    with writing():
        marking.mark_present(people.volunteer, camp, by=people.coordinator)
        roll_call.close(camp, by=people.coordinator)
    assert states(camp, people.volunteer, people.other, people.admin) == [State.PRESENT, State.ABSENT, State.EXCUSED]
    closing = roll_call.closing_of(camp)
    assert closing is not None
    assert closing.closed_by_id == people.coordinator.id
    with writing():
        roll_call.reopen(camp, by=people.admin)
    assert states(camp, people.volunteer, people.other, people.admin) == [State.PRESENT, State.EXPECTED, State.EXCUSED]
    assert roll_call.closing_of(camp) is None
    assert badge_names(people.volunteer) == ["First Step"]


def test_reopening_leaves_whom_somebody_marked_absent(camp: Camp, people: People) -> None:
    with writing():
        marking.mark_absent(people.volunteer, camp, by=people.coordinator)
        roll_call.close(camp, by=people.coordinator)
        roll_call.reopen(camp, by=people.coordinator)
    assert states(camp, people.volunteer, people.other) == [State.ABSENT, State.EXPECTED]


def test_marking_somebody_absent_after_the_closing_makes_it_a_decision(camp: Camp, people: People) -> None:
    with writing():
        roll_call.close(camp, by=people.coordinator)
        marking.mark_absent(people.volunteer, camp, by=people.admin)
        roll_call.reopen(camp, by=people.coordinator)
    assert states(camp, people.volunteer, people.other) == [State.ABSENT, State.EXPECTED]


def test_a_late_mark_stands_on_a_closed_roll_and_closing_twice_keeps_who_closed_it(camp: Camp, people: People) -> None:
    with writing():
        roll_call.close(camp, by=people.coordinator)
        marking.mark_present(people.volunteer, camp, by=people.coordinator)
        roll_call.close(camp, by=people.admin)
    assert states(camp, people.volunteer) == [State.PRESENT]
    closing = roll_call.closing_of(camp)
    assert closing is not None
    assert closing.closed_by_id == people.coordinator.id


@pytest.mark.parametrize("verb", [roll_call.everyone_is_here, roll_call.close, roll_call.reopen])
@pytest.mark.parametrize("weeks_ago", [-1, 0])
def test_a_future_or_cancelled_camp_is_left_alone(people: People, verb: object, weeks_ago: int) -> None:
    camp = factories.camp(weeks_ago)
    with writing():
        marking.sign_up(people.volunteer, camp)
        if weeks_ago == 0:
            schedule.cancel_camp(camp)
    with pytest.raises(ConflictError, match="Nothing was changed"), writing():
        verb(camp, by=people.coordinator)  # type: ignore[operator]
    assert states(camp, people.volunteer) == [State.EXPECTED]
    assert roll_call.closing_of(camp) is None


def test_a_row_names_what_its_undo_takes_away(people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    assert [badge.name for badge in row_of(camps[2], people.volunteer).at_risk] == ["Certified Volunteer", "On a Roll"]
    with writing():
        changes = marking.undo(people.volunteer, camps[2], by=people.coordinator).badges
    assert [badge.name for badge in changes.revoked] == ["Certified Volunteer", "On a Roll"]
    assert row_of(camps[2], people.volunteer).at_risk == ()


def test_what_no_badge_hangs_on_is_at_no_risk(people: People) -> None:
    camps = weekly(4)
    attend(people.volunteer, camps, people.coordinator)
    assert row_of(camps[3], people.volunteer).at_risk == []
    attend(people.other, camps[3:], people.coordinator, CampRole.DOCTOR)
    assert row_of(camps[3], people.other).at_risk == ()


def test_walk_ins_are_those_of_the_latest_camps_first_and_only_active_ones(people: People) -> None:
    early, late, today = factories.camp(2), factories.camp(1), factories.camp()
    attend(people.volunteer, [late], people.coordinator)
    attend(people.other, [early], people.coordinator)
    with writing():
        marking.sign_up(people.coordinator, today)
    found = roll_call.others(today, 10)
    assert [person.id for person in found] == [people.volunteer.id, people.other.id, people.admin.id]
    assert [person.id for person in roll_call.others(today, 1)] == [people.volunteer.id]


def test_leaving_is_recorded_corrected_and_taken_back(camp: Camp, people: People) -> None:
    with writing():
        marking.mark_present(people.volunteer, camp, by=people.coordinator)
        marking.check_out(people.volunteer, camp)
    found = row_of(camp, people.volunteer).attendance
    assert found is not None
    noon = found.left_at
    assert noon is not None
    earlier = noon.replace(hour=noon.hour - 1)
    with writing():
        marking.check_out(people.volunteer, camp)  # a repetition
    assert found.left_at == noon
    with writing():
        marking.check_out(people.volunteer, camp, at=earlier)
    assert found.left_at == earlier
    with pytest.raises(ConflictError, match="has not come yet"), writing():
        marking.check_out(people.volunteer, camp, at=noon.replace(hour=noon.hour + 1))
    with pytest.raises(ConflictError, match="on the day of the camp"), writing():
        marking.check_out(people.volunteer, camp, at=noon.replace(day=noon.day - 1))
    with writing():
        marking.stay(people.volunteer, camp)
    assert found.left_at is None
    assert awards.of_person(people.volunteer.id)  # none of it touches what was earned
