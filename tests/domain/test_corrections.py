"""What a correction takes away, and what it leaves alone."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend, badge_names, weekly
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.badges import awards, history
from webapp.domain.camps import calendar
from webapp.domain.errors import ConflictError
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.models.badge import Award, Revocation
from webapp.domain.schedule import schedule


def award_of(people: People, name: str) -> Award:
    query = select(Award).where(Award.person_id == people.volunteer.id).execution_options(populate_existing=True)
    return next(award for award in db.session.scalars(query) if award.badge.name == name)


def test_undo_revokes_and_says_who_when_why(people: People) -> None:
    (camp,) = weekly(1)
    attend(people.volunteer, [camp], people.coordinator)
    with writing():
        outcome = marking.undo(people.volunteer, camp, by=people.admin)
    assert [badge.name for badge in outcome.badges.revoked] == ["First Step"]
    assert badge_names(people.volunteer) == []
    revocation = db.session.scalars(select(Revocation)).one()
    assert (revocation.revoked_by_id, revocation.revoked_at) == (people.admin.id, SUNDAY)
    assert "undone" in revocation.reason


def test_a_badge_earned_again_is_the_same_award_without_celebration(people: People) -> None:
    (camp,) = weekly(1)
    attend(people.volunteer, [camp], people.coordinator)
    before = award_of(people, "First Step").badge_id, award_of(people, "First Step").earned_at
    with clock.stopped_at(SUNDAY + timedelta(hours=1)):
        with writing():
            marking.undo(people.volunteer, camp, by=people.coordinator)
        with writing():
            outcome = marking.mark_present(people.volunteer, camp, by=people.coordinator)
    after = award_of(people, "First Step")
    assert outcome.badges.new == []
    assert [badge.name for badge in outcome.badges.returned] == ["First Step"]
    assert (after.badge_id, after.earned_at) == before
    revocation = db.session.scalars(select(Revocation)).one()
    assert revocation.returned_at == SUNDAY + timedelta(hours=1)
    assert awards.ever_revoked(people.volunteer.id) == {after.badge_id}


def test_only_what_the_mark_supported_goes(people: People) -> None:
    """Four in a row; the last undone leaves three, so nothing goes; the second undone leaves no run."""
    camps_ = weekly(4)
    attend(people.volunteer, camps_, people.coordinator)
    with writing():
        last = marking.undo(people.volunteer, camps_[3], by=people.coordinator)
    assert not last.badges.revoked
    with writing():
        second = marking.undo(people.volunteer, camps_[1], by=people.coordinator)
    assert [badge.name for badge in second.badges.revoked] == ["Certified Volunteer", "On a Roll"]


def test_another_role_is_a_correction(people: People) -> None:
    camps_ = weekly(3)
    attend(people.volunteer, camps_, people.coordinator)
    with writing():
        outcome = marking.mark_present(people.volunteer, camps_[1], by=people.coordinator, camp_role=CampRole.DOCTOR)
    assert [badge.name for badge in outcome.badges.revoked] == ["Certified Volunteer", "On a Roll"]
    assert history.of_person(people.volunteer.id).longest_streak == 2  # skipped, not broken


def test_an_excuse_keeps_the_run(people: People) -> None:
    camps_ = weekly(4)
    attend(people.volunteer, [camps_[0], camps_[1], camps_[3]], people.coordinator)
    with writing():
        outcome = marking.excuse(people.volunteer, camps_[2], by=people.coordinator, reason="at a wedding")
    assert [badge.name for badge in outcome.badges.new] == ["On a Roll"]
    assert outcome.attendance is not None
    assert outcome.attendance.reason == "at a wedding"
    with writing():
        withdrawn = marking.mark_absent(people.volunteer, camps_[2], by=people.coordinator)
    assert [badge.name for badge in withdrawn.badges.revoked] == ["On a Roll"]


def test_a_forgotten_camp_takes_nothing_away_even_at_the_next_correction(people: People) -> None:
    camps_ = weekly(3)
    attend(people.volunteer, camps_, people.coordinator)
    factories.camp(on=camps_[1].camp_date + timedelta(days=1), name="Forgotten")
    assert "On a Roll" in badge_names(people.volunteer)
    extra, _missed = factories.camp(9, "Long ago"), factories.camp(6, "Missed")
    attend(people.volunteer, [extra], people.coordinator)
    with writing():
        outcome = marking.undo(people.volunteer, extra, by=people.coordinator)
    assert not outcome.badges.revoked
    assert "On a Roll" in badge_names(people.volunteer)


def test_a_cancelled_camp_may_add_a_badge_and_takes_none(people: People) -> None:
    camps_ = weekly(4)
    attend(people.volunteer, [camps_[0], camps_[1], camps_[3]], people.coordinator)
    attend(people.other, [camps_[2]], people.coordinator)
    with writing():
        schedule.cancel_camp(camps_[2])
    assert "On a Roll" in badge_names(people.volunteer)
    assert award_of(people, "On a Roll").camp_id == camps_[3].id
    assert badge_names(people.other) == ["First Step"]
    assert history.of_person(people.other.id).visits == []
    with writing():
        schedule.reinstate_camp(camps_[2])
    assert "On a Roll" in badge_names(people.volunteer)
    assert len(history.of_person(people.other.id).visits) == 1


def test_an_award_names_the_camp_that_completes_it_also_after_a_correction(people: People) -> None:
    camps_ = weekly(2)
    attend(people.volunteer, camps_, people.coordinator)
    assert award_of(people, "First Step").camp_id == camps_[0].id
    with writing():
        marking.undo(people.volunteer, camps_[0], by=people.coordinator)
    assert award_of(people, "First Step").camp_id == camps_[1].id


def test_a_future_or_cancelled_camp_cannot_be_marked(people: People) -> None:
    future, cancelled = factories.camp(-1, "Next week"), factories.camp(1, "Rained off")
    with writing():
        schedule.cancel_camp(cancelled)
    for camp, said in ((future, "has not been held yet"), (cancelled, "was cancelled")):
        with pytest.raises(ConflictError, match=said), writing():
            marking.mark_present(people.volunteer, camp, by=people.coordinator)
        assert factories.row_of(camp, people.volunteer).attendance is None


def test_somebody_inactive_cannot_be_marked(people: People) -> None:
    (camp,) = weekly(1)
    with pytest.raises(ConflictError, match="switched off"), writing():
        marking.mark_present(people.stranger, camp, by=people.coordinator)


def test_undo_leaves_who_signed_up_expected_and_takes_a_walk_in_off_the_list(people: People) -> None:
    (camp,) = weekly(1)
    with writing():
        marking.sign_up(people.volunteer, camp)
    attend(people.volunteer, [camp], people.coordinator)
    attend(people.other, [camp], people.coordinator)
    with writing():
        signed_up = marking.undo(people.volunteer, camp, by=people.coordinator)
        walk_in = marking.undo(people.other, camp, by=people.coordinator)
    assert signed_up.attendance is not None
    assert signed_up.attendance.state is State.EXPECTED
    assert walk_in.attendance is None


def test_the_role_signed_up_in_stands_unless_another_is_given(people: People) -> None:
    (camp,) = weekly(1)
    with writing():
        marking.sign_up(people.volunteer, camp, CampRole.DOCTOR)
    with writing():
        outcome = marking.mark_present(people.volunteer, camp, by=people.coordinator)
    assert outcome.attendance is not None
    assert outcome.attendance.camp_role is CampRole.DOCTOR
    assert outcome.badges.new == []


def test_an_undo_brings_back_the_role_signed_up_in(people: People) -> None:
    (camp,) = weekly(1)
    with writing():
        marking.sign_up(people.volunteer, camp)
    attend(people.volunteer, [camp], people.coordinator, CampRole.DOCTOR)
    with writing():
        marking.undo(people.volunteer, camp, by=people.coordinator)
    attend(people.volunteer, [camp], people.coordinator)
    assert badge_names(people.volunteer) == ["First Step"]


def test_nobody_leaves_a_camp_of_the_past(people: People) -> None:
    camp = factories.camp(1)
    attend(people.volunteer, [camp], people.coordinator)
    with pytest.raises(ConflictError, match="is over"), writing():
        marking.check_out(people.volunteer, camp)


def test_leaving_is_recorded_once_and_only_of_somebody_present(people: People) -> None:
    (camp,) = weekly(1)
    with pytest.raises(ConflictError, match="not marked present"), writing():
        marking.check_out(people.volunteer, camp)
    attend(people.volunteer, [camp], people.coordinator)
    with writing():
        marking.check_out(people.volunteer, camp)
    with clock.stopped_at(SUNDAY + timedelta(hours=2)), writing():
        again = marking.check_out(people.volunteer, camp)
    assert again.attendance is not None
    assert again.attendance.left_at == SUNDAY


def test_streaks_are_of_one_site_and_dates_local_to_it(people: People) -> None:
    """06:00 UTC is still Sunday in India, and Saturday night in Honolulu."""
    honolulu = factories.site("Honolulu", "Pacific/Honolulu")
    sunday = SUNDAY.date()
    here = factories.camp(on=sunday)
    there = factories.camp(on=sunday, at=honolulu)
    assert here.is_held
    assert not there.is_held
    assert calendar.camps_of_today() == [here]
    attend(people.volunteer, [*weekly(3, "Village")[:2], here], people.coordinator)
    with pytest.raises(ConflictError), writing():
        marking.mark_present(people.volunteer, there, by=people.coordinator)
    with clock.stopped_at(SUNDAY + timedelta(days=1)):
        attend(people.volunteer, [there], people.coordinator)
        assert history.of_person(people.volunteer.id).longest_streak == 3
