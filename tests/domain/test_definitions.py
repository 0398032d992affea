"""Badges of an organisation's own: what a draft must be, what a change does, and what it leaves alone."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import People
from tests.factories import attend, backfill, change, held, named, weekly
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.audit import Action, Entry
from webapp.domain.badges import awards, definitions, history, progress
from webapp.domain.badges.definitions import ARTWORK, ChangedMeanwhileError, Draft
from webapp.domain.errors import InvalidError
from webapp.domain.evaluation import verify
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Requirement
from webapp.domain.schedule import schedule

GOOD = Draft(
    "Rain or Shine", "Awarded for 7 camps in a row", "consecutive_visits", "7", "petals", "gold", "green", "sun"
)
BAD = [
    ({"name": ""}, "name", "needs a name"),
    ({"name": "x" * 61}, "name", "61 characters; at most 60 fit"),
    ({"name": "fIRST sTEP"}, "name", "There is a badge “First Step” already."),
    ({"name": "a\u202eb"}, "name", "cannot be shown"),
    ({"description": ""}, "description", "Say what it is awarded for."),
    ({"description": "x" * 201}, "description", "at most 200 fit"),
    ({"criteria_type": "magic"}, "criteria_type", "Choose what is counted."),
    *[
        ({"criteria_value": value}, "criteria_value", "A whole number from 1 to 10,000.")
        for value in ("", "0", "-1", "10001", "2.5", "1e3", "٣", "99999999999999999999", "x")
    ],
    *[({part: "nonsense"}, part, f"Choose another {part}.") for part in ARTWORK],
]


def actions() -> list[Action]:
    about = Entry.badge_id.is_not(None)
    return list(db.session.scalars(select(Entry.action).where(about).order_by(Entry.at, Entry.id)))


def versions(badge: Badge) -> list[tuple[int, Requirement]]:
    return [(each.version, each.requirement) for each in definitions.versions_of(badge)]


def differences() -> list[str]:
    with writing():
        return list(verify.differences())


def test_a_new_badge_comes_last_with_its_first_definition(people: People) -> None:
    with writing():
        badge = definitions.add(GOOD)
    assert Draft.of(badge) == GOOD
    assert (badge.position, badge.version, badge.is_active) == (10, 1, True)
    assert versions(badge) == [(1, Requirement("consecutive_visits", 7))]
    assert [each.name for each in awards.definitions()][5:7] == ["Rain or Shine", "Century Contributor"]
    assert actions() == [Action.BADGE_ADDED]


def test_a_name_of_sixty_letters_and_the_largest_number_are_good(people: People) -> None:
    with writing():
        badge = definitions.add(replace(GOOD, name="ष" * 60, criteria_value="10000"))
    assert badge.criteria_value == 10_000


@pytest.mark.parametrize(("wrong", "field", "said"), BAD)
def test_what_is_wrong_is_said_by_field_and_nothing_is_stored(wrong: dict[str, str], field: str, said: str) -> None:
    draft = replace(GOOD, **wrong)
    problems = draft.problems()
    assert list(problems) == [field]
    assert said in problems[field]
    with pytest.raises(InvalidError, match=r"\w"), writing():
        definitions.add(draft)
    seen = definitions.fingerprint(named("On a Roll"))
    with pytest.raises(InvalidError, match=r"\w"), writing():
        definitions.change(named("On a Roll"), draft, seen)
    assert [badge.name for badge in awards.all_definitions()].count("On a Roll") == 1
    assert len(awards.all_definitions()) == 9
    assert actions() == []


def test_every_badge_has_the_definition_it_asks_for(people: People) -> None:
    factories.badge()
    change(named("Two Camps"), criteria_value=4)
    query = select(Badge, BadgeVersion).join(
        BadgeVersion, (BadgeVersion.badge_id == Badge.id) & (BadgeVersion.version == Badge.version), isouter=True
    )
    for badge, definition in db.session.execute(query):
        assert definition is not None, badge.name
        assert definition.requirement == badge.requirement


def test_words_and_medal_change_without_a_new_version(people: People) -> None:
    badge = named("On a Roll")
    change(badge, name="Three Running", description="For three", emblem="sun", metal="gold")
    assert (badge.name, badge.emblem, badge.version) == ("Three Running", "sun", 1)
    assert len(versions(badge)) == 1
    entry = db.session.scalars(select(Entry).where(Entry.action == Action.BADGE_CHANGED)).one()
    assert entry.facts == {"changed": ["name", "description", "metal", "emblem"]}
    change(badge)
    assert actions() == [Action.BADGE_CHANGED]  # what changes nothing is no change


def test_other_criteria_make_a_new_version(people: People) -> None:
    badge = named("On a Roll")
    change(badge, criteria_value=4)
    change(badge, criteria_type="visits")
    assert versions(badge) == [
        (3, Requirement("visits", 4)),
        (2, Requirement("consecutive_visits", 4)),
        (1, Requirement("consecutive_visits", 3)),
    ]


def test_who_comes_second_is_told_and_changes_nothing(people: People) -> None:
    badge = named("On a Roll")
    read, seen = Draft.of(badge), definitions.fingerprint(badge)
    change(badge, description="The first admin's words")
    with pytest.raises(ChangedMeanwhileError, match="Somebody else has changed On a Roll"), writing():
        definitions.change(badge, replace(read, criteria_value="9"), seen)
    db.session.expire_all()
    assert (named("On a Roll").description, named("On a Roll").criteria_value) == ("The first admin's words", 3)


def test_a_raised_threshold_takes_nothing_away_and_its_awards_keep_theirs(people: People) -> None:
    badge, camps = named("Certified Volunteer"), weekly(4)
    attend(people.volunteer, camps[:3], people.coordinator)
    change(badge, criteria_value=4)
    backfill(badge, people.admin)
    assert "Certified Volunteer" in held(people.volunteer)
    assert awards.older_of(people.volunteer.id) == {badge.id: Requirement("visits", 3)}
    assert differences() == []
    # One of the three undone and set again: judged by what was asked when it was earned.
    with writing():
        undone = marking.undo(people.volunteer, camps[2], by=people.coordinator)
    assert badge.name in [each.name for each in undone.badges.revoked]
    assert differences() == []
    with writing():
        again = marking.mark_present(people.volunteer, camps[2], by=people.coordinator)
    assert not again.badges.new
    assert badge.name in [each.name for each in again.badges.returned]
    assert awards.older_of(people.volunteer.id) == {badge.id: Requirement("visits", 3)}
    # Who was not there yet needs four.
    attend(people.other, camps[:3], people.coordinator)
    assert "Certified Volunteer" not in held(people.other)
    attend(people.other, camps[3:], people.coordinator)
    assert "Certified Volunteer" in held(people.other)
    assert awards.older_of(people.other.id) == {}
    assert differences() == []


def test_a_lowered_threshold_reaches_more_and_leaves_the_old_awards(people: People) -> None:
    badge, camps = named("Certified Volunteer"), weekly(4)
    attend(people.volunteer, camps[:3], people.coordinator)
    attend(people.other, camps[:2], people.coordinator)
    change(badge, criteria_value=2)
    assert differences() == [f"book number {people.other.book_no}: Certified Volunteer is earned and not awarded."]
    backfill(badge, people.admin)
    assert differences() == []
    award = db.session.get_one(Award, (people.other.id, badge.id))
    assert (award.camp_id, award.earned_at, award.version) == (camps[1].id, camps[1].starts_at, 2)
    assert awards.older_of(people.volunteer.id) == {badge.id: Requirement("visits", 3)}
    # Two are enough now, also for who earned it with three: taken back by their own, back by what is asked now.
    with writing():
        marking.undo(people.volunteer, camps[2], by=people.coordinator)
    with writing():
        marking.evaluate(people.volunteer)
    assert "Certified Volunteer" in held(people.volunteer)
    assert awards.older_of(people.volunteer.id) == {}
    assert differences() == []


def test_a_retired_badge_stays_is_awarded_no_more_and_is_not_to_come(people: People) -> None:
    badge, camps = named("First Step"), weekly(2)
    attend(people.volunteer, camps[:1], people.coordinator)
    with writing():
        assert definitions.retire(badge)
    with writing():
        assert not definitions.retire(badge)
    attend(people.other, camps[:1], people.coordinator)
    assert (held(people.volunteer), held(people.other)) == ({"First Step"}, set())
    steps = progress.progress_of(history.of_person(people.other.id), ())
    assert "First Step" not in [each.badge.name for each in steps]
    following = progress.next_of(steps)
    assert following
    assert following.badge.name == "Certified Volunteer"
    backfill(badge, people.admin)
    assert held(people.other) == set()
    assert differences() == []
    # Undone and done again: it was theirs.
    with writing():
        undone = marking.undo(people.volunteer, camps[0], by=people.coordinator)
    assert [each.name for each in undone.badges.revoked] == ["First Step"]
    with writing():
        again = marking.mark_present(people.volunteer, camps[1], by=people.coordinator)
    assert [each.name for each in again.badges.returned] == ["First Step"]
    with writing():
        assert definitions.reinstate(badge)
    backfill(badge, people.admin)
    assert (held(people.volunteer), held(people.other)) == ({"First Step"}, {"First Step"})
    assert differences() == []
    assert actions().count(Action.BADGE_RETIRED) == actions().count(Action.BADGE_REINSTATED) == 1


def test_bulk_evaluation_gives_back_by_the_old_definition_too(people: People) -> None:
    """As that of one person does: a cancelled camp and its return are evaluated in bulk."""
    badge, camps = named("Certified Volunteer"), weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    change(badge, criteria_value=5)
    with writing():
        schedule.cancel_camp(camps[1])
    with writing():
        marking.undo(people.volunteer, camps[0], by=people.coordinator)
    assert "Certified Volunteer" in held(people.volunteer)  # the calendar took nothing, and the mark did not carry it
    with writing():
        schedule.reinstate_camp(camps[1])
    with writing():
        marking.mark_present(people.volunteer, camps[0], by=people.coordinator)
    with writing():
        marking.undo(people.volunteer, camps[0], by=people.coordinator)
    assert "Certified Volunteer" not in held(people.volunteer)
    extra = factories.camp(9, "Found again")
    with writing():
        schedule.cancel_camp(extra)
    assert "Certified Volunteer" not in held(people.volunteer)
    with writing():
        marking.mark_present(people.volunteer, camps[0], by=people.coordinator)
    assert awards.older_of(people.volunteer.id) == {badge.id: Requirement("visits", 3)}
    assert differences() == []


def test_a_forecast_says_who_gains_and_who_holds(people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    attend(people.other, camps[:2], people.coordinator)
    crowd = [factories.person(f"Person {number:02}") for number in range(12)]
    for person in crowd:
        attend(person, camps[:1], people.coordinator)
    new = definitions.forecast(Requirement("visits", 1))
    assert (new.reached, new.gaining, new.held, new.beyond) == (14, 14, 0, 0)
    assert [person.name for person in new.names] == ["Asha Rao", "Imran Pasha", *(each.name for each in crowd[:8])]
    lowered = definitions.forecast(Requirement("visits", 2), named("Certified Volunteer"))
    assert (lowered.reached, lowered.gaining, lowered.held, lowered.beyond) == (2, 1, 1, 0)
    assert [person.name for person in lowered.names] == ["Imran Pasha"]
    raised = definitions.forecast(Requirement("consecutive_visits", 4), named("Certified Volunteer"))
    assert (raised.reached, raised.gaining, raised.held, raised.beyond) == (0, 0, 1, 1)
    assert raised.names == []


def test_a_forecast_is_what_the_backfill_does(people: People) -> None:
    camps = weekly(4)
    attend(people.volunteer, camps, people.coordinator)
    attend(people.other, camps[1:3], people.coordinator)
    said = definitions.forecast(Requirement("consecutive_visits", 2))
    badge = factories.badge("Two Running", 2, in_a_row=True)
    job = backfill(badge, people.admin)
    assert job.found == {"new_badges": said.gaining} == {"new_badges": 2}
    assert definitions.holders([badge.id]) == {badge.id: 2}


def test_what_today_asks_for_keeps_an_award_that_its_own_definition_would_not(people: People) -> None:
    badge, camps = named("Certified Volunteer"), weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    change(badge, criteria_value=2)
    for camp, stands in ((camps[2], True), (camps[1], False)):
        with writing():
            marking.undo(people.volunteer, camp, by=people.coordinator)
        assert ("Certified Volunteer" in held(people.volunteer)) is stands
        assert awards.older_of(people.volunteer.id) == {}
        assert differences() == []
        if stands:
            (award,) = [each for each in awards.of_person(people.volunteer.id) if each.badge_id == badge.id]
            assert award.camp_id == camps[1].id
