"""A backfill: everybody who qualifies, once, silently, each award with the camp that completed it."""

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import People
from tests.factories import attend, backfill, held, weekly
from webapp import clock, worker
from webapp.database import db, writing
from webapp.domain import jobs
from webapp.domain.attendance import marking
from webapp.domain.audit import Action, Effect, Entry, EntryAward
from webapp.domain.badges import definitions
from webapp.domain.evaluation import backfill as backfills
from webapp.domain.evaluation import verify
from webapp.domain.jobs import Status
from webapp.domain.models.badge import Award
from webapp.domain.people.accounts import Person


@pytest.fixture
def crowd(people: People, monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """Seven who came twice, evaluated two at a time; one of them is no longer active."""
    monkeypatch.setattr(backfills, "BATCH", 2)
    camps = weekly(2)
    crowd = [factories.person(f"Person {number}") for number in range(7)]
    for person in crowd:
        attend(person, camps, people.coordinator)
    return crowd


def test_everybody_who_qualifies_gets_it_with_the_camp_that_completed_it(people: People, crowd: list[Person]) -> None:
    badge = factories.badge()
    job = backfill(badge, people.admin)
    assert (job.status, job.done, job.total, job.found) == (Status.DONE, 12, 12, {"new_badges": 7})
    awards = db.session.scalars(select(Award).where(Award.badge_id == badge.id)).all()
    assert {award.person_id for award in awards} == {person.id for person in crowd}
    for award in awards:
        assert (award.camp.is_today, award.earned_at) == (True, award.camp.starts_at)
        assert award.found_later
    assert held(people.volunteer) == set()
    with writing():
        assert list(verify.differences()) == []


def test_the_trail_has_one_entry_with_all_that_followed(people: People, crowd: list[Person]) -> None:
    other = factories.badge("Another")
    job = backfill(factories.badge(), people.admin)
    assert definitions.holders([other.id]) == {}  # its own backfill awards it
    entry = db.session.scalars(select(Entry).where(Entry.action == Action.BACKFILLED)).one()
    assert (entry.by_id, entry.device, entry.job_id) == (people.admin.id, worker.DEVICE, job.id)
    followed = db.session.scalars(select(EntryAward).where(EntryAward.entry_id == entry.id)).all()
    assert {each.person_id for each in followed} == {person.id for person in crowd}
    assert {(each.badge_id, each.effect) for each in followed} == {(entry.badge_id, Effect.NEW)}


def test_a_second_one_finds_nothing_to_do(people: People, crowd: list[Person]) -> None:
    badge = factories.badge()
    backfill(badge, people.admin)
    job = backfill(badge, people.admin)
    assert (job.done, job.found) == (12, {"new_badges": 0})


def test_cancelled_it_leaves_whole_people_and_can_be_asked_for_again(people: People, crowd: list[Person]) -> None:
    badge = factories.badge()
    with writing():
        job = backfills.add(badge, by=people.admin)
    for _ in range(4):  # taken up, then three batches
        assert worker._next(job.id)
    with writing():
        jobs.cancel(jobs.by_id(job.id) or job)
    factories.do_jobs()
    job = jobs.by_id(job.id) or job
    assert (job.status, job.done) == (Status.CANCELLED, 6)
    some = definitions.holders([badge.id]).get(badge.id, 0)
    assert some == job.found["new_badges"] < 7
    rest = backfill(badge, people.admin)
    assert rest.found == {"new_badges": 7 - some}
    with writing():
        assert list(verify.differences()) == []


def test_a_mark_between_two_batches_is_not_lost(people: People, crowd: list[Person]) -> None:
    badge = factories.badge()
    with writing():
        job = backfills.add(badge, by=people.admin)
    worker._next(job.id)
    worker._next(job.id)
    camps = weekly(1, "Another")
    for person in crowd:
        with writing():
            marking.mark_present(person, camps[0], by=people.coordinator)
    factories.do_jobs()
    assert definitions.holders([badge.id]) == {badge.id: 7}
    with writing():
        assert list(verify.differences()) == []


def test_a_mark_before_the_backfill_finds_what_an_earlier_camp_completed(people: People) -> None:
    """The badge is there, and its backfill has not begun: a mark finds it, silently. What the mark itself
    completes is earned now, be it at a later camp: here the first of three is marked last.
    """
    first, second, third = weekly(3)
    attend(people.volunteer, [first, second], people.coordinator)
    attend(people.other, [second, third], people.coordinator)
    two, three = factories.badge(), factories.badge("Three Camps", 3)
    for person, camp in ((people.volunteer, third), (people.other, first)):
        with writing():
            changes = marking.mark_present(person, camp, by=people.coordinator).badges
        assert (changes.found_later, changes.new[-1]) == ([two], three)
        assert two not in changes.new
        assert {each.badge_id for each in changes.consequences(person.id)} >= {two.id, three.id}
        completed = {two: (second, second.starts_at, True), three: (third, clock.now(), False)}
        for badge, said in completed.items():
            award = db.session.get_one(Award, (person.id, badge.id))
            assert (award.camp, award.earned_at, award.found_later) == said
    assert backfill(two, people.admin).found == {"new_badges": 0}


def test_an_evaluation_before_the_backfill_awards_what_is_due(people: People) -> None:
    attend(people.volunteer, weekly(2), people.coordinator)
    badge = factories.badge()
    with writing():
        assert marking.evaluate(people.volunteer).new == [badge]


def test_what_was_taken_away_returns_when_less_is_asked(people: People) -> None:
    badge, camps = factories.named("Certified Volunteer"), weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    with writing():
        marking.undo(people.volunteer, camps[2], by=people.coordinator)
    factories.change(badge, criteria_value=2)
    backfill(badge, people.admin)
    award = db.session.get_one(Award, (people.volunteer.id, badge.id), populate_existing=True)
    assert (award.revoked_at, award.camp_id, award.version) == (None, camps[1].id, 2)
    entry = db.session.scalars(select(Entry).where(Entry.action == Action.BACKFILLED)).one()
    (followed,) = db.session.scalars(select(EntryAward).where(EntryAward.entry_id == entry.id)).all()
    assert followed.effect is Effect.RETURNED


def test_in_an_empty_organisation_it_is_over_at_once(people: People) -> None:
    job = backfill(factories.badge(), people.admin)
    assert (job.status, job.found) == (Status.DONE, {"new_badges": 0})
