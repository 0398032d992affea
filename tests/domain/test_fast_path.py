"""The fast path: what it takes, what it leaves to the general path, and what it writes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend, badge_names, weekly
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import fast_path, marking, sync
from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.attendance.sync import Operation
from webapp.domain.audit import Action, Entry
from webapp.domain.camps.calendar import Camp
from webapp.domain.evaluation import verify
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.totals import Totals
from webapp.domain.people.accounts import Person
from webapp.domain.people.credentials import Asker
from webapp.domain.schedule import schedule

pytestmark = pytest.mark.usefixtures("context")


def mark(person: Person, camp: Camp, by: Person, **options: object) -> FastMark | None:
    asker = Asker(by.id, by.session_no)
    made = fast_path.mark(person.id, camp.id, asker, **options)  # type: ignore[arg-type]
    db.session.expire_all()
    return made


def stored(person: Person, camp: Camp) -> Attendance:
    query = select(Attendance).where(Attendance.person_id == person.id, Attendance.camp_id == camp.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def test_a_visit_after_all_others_is_written_whole(people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps[:2], people.coordinator)
    made = mark(people.volunteer, camps[2], people.coordinator)

    assert made is not None
    assert [badge.name for badge in made.outcome.badges.new] == [
        "Certified Volunteer",
        "On a Roll",
    ]
    assert set(badge_names(people.volunteer)) == {"First Step", "Certified Volunteer", "On a Roll"}
    attendance = stored(people.volunteer, camps[2])
    assert (attendance.state, attendance.camp_role) == (State.PRESENT, CampRole.VOLUNTEER)
    assert (attendance.marked_by_id, attendance.marked_at) == (people.coordinator.id, clock.now())
    totals = db.session.scalars(select(Totals).where(Totals.person_id == people.volunteer.id)).one()
    assert (totals.visits, totals.longest_streak, totals.streak) == (3, 3, 3)
    assert (totals.last_visit, totals.visits_in_year) == (camps[2].camp_date, 3)
    here = Entry.camp_id == camps[2].id, Entry.person_id == people.volunteer.id
    entry = db.session.scalars(select(Entry).where(*here)).one()
    assert (entry.action, entry.person_id, entry.by_id) == (
        Action.PRESENT,
        people.volunteer.id,
        people.coordinator.id,
    )
    assert verify.differences() == []


def test_who_had_signed_up_keeps_what_they_said(people: People) -> None:
    first, today = weekly(2)
    attend(people.volunteer, [first], people.coordinator)
    with writing():
        marking.sign_up(people.volunteer, today)
    assert mark(people.volunteer, today, people.coordinator)
    attendance = stored(people.volunteer, today)
    assert (attendance.state, attendance.signed_up_as) == (State.PRESENT, CampRole.VOLUNTEER)
    with writing():
        outcome = marking.undo(people.volunteer, today, by=people.coordinator)
    assert outcome.attendance
    assert outcome.attendance.state is State.EXPECTED


def test_a_newcomer_gets_their_first_badge_and_totals(people: People) -> None:
    (today,) = weekly(1)
    made = mark(people.volunteer, today, people.coordinator)
    assert made
    assert [badge.name for badge in made.outcome.badges.new] == ["First Step"]
    totals = db.session.scalars(select(Totals).where(Totals.person_id == people.volunteer.id)).one()
    assert (totals.visits, totals.streak, totals.version) == (1, 1, 1)
    assert verify.differences() == []


def test_totals_unknown_elsewhere_leave_it_to_the_general_path(people: People) -> None:
    """As after an upgrade: somebody who came to another site five times comes here for the first time."""
    elsewhere = factories.site("Elsewhere")
    attend(people.volunteer, weekly(5, at=elsewhere), people.coordinator)
    with writing():
        db.session.execute(delete(Totals))
    (today,) = weekly(1)
    assert mark(people.volunteer, today, people.coordinator) is None
    attend(people.volunteer, [today], people.coordinator)
    assert "Bronze Volunteer" in badge_names(people.volunteer)
    assert verify.differences() == []


def test_a_repeat_changes_nothing(people: People) -> None:
    first, today = weekly(2)
    attend(people.volunteer, [first], people.coordinator)
    mark(people.volunteer, today, people.coordinator)
    entries = len(db.session.scalars(select(Entry)).all())
    with clock.stopped_at(SUNDAY + timedelta(minutes=5)):
        again = mark(people.volunteer, today, people.coordinator)
    assert again
    assert not again.outcome.badges
    assert stored(people.volunteer, today).marked_at == SUNDAY
    assert len(db.session.scalars(select(Entry)).all()) == entries


@pytest.mark.parametrize("reason", ["unknown", "earlier", "doctor", "inactive", "volunteer asks"])
def test_anything_else_is_left_to_the_general_path(people: People, reason: str) -> None:
    camps = weekly(3)
    by, options = people.coordinator, {}
    attend(people.volunteer, [camps[1]], people.coordinator)
    if reason == "unknown":  # as after an upgrade
        with writing():
            db.session.execute(delete(Totals))
    camp = camps[0] if reason == "earlier" else camps[2]
    person = people.stranger if reason == "inactive" else people.volunteer
    if reason == "doctor":
        options["camp_role"] = CampRole.DOCTOR
    if reason == "volunteer asks":
        by = people.other
    assert mark(person, camp, by, **options) is None
    query = select(Attendance).where(Attendance.camp_id == camp.id)
    assert db.session.scalars(query).all() == []


def test_a_session_that_has_ended_asks_in_vain(people: People) -> None:
    first, today = weekly(2)
    attend(people.volunteer, [first], people.coordinator)
    asker = Asker(people.coordinator.id, people.coordinator.session_no + 1)
    assert fast_path.mark(people.volunteer.id, today.id, asker) is None


def test_a_missed_date_breaks_the_streak_and_a_skipped_one_does_not(people: People) -> None:
    camps = weekly(5)
    attend(people.volunteer, camps[:2], people.coordinator)
    with writing():
        marking.excuse(people.volunteer, camps[2], by=people.coordinator)
    made = mark(people.volunteer, camps[3], people.coordinator)
    assert made
    assert "On a Roll" in [badge.name for badge in made.outcome.badges.new]

    attend(people.other, camps[:2], people.coordinator)
    made = mark(people.other, camps[3], people.coordinator)
    assert made
    assert "On a Roll" not in [badge.name for badge in made.outcome.badges.new]
    assert verify.differences() == []


def test_totals_that_somebody_changed_meanwhile_are_not_written_over(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is another by the time the statement comes."""
    first, today = weekly(2)
    attend(people.volunteer, [first], people.coordinator)
    decide = fast_path.decide

    def stale(facts: fast_path.Facts) -> fast_path.Decision | None:
        decision = decide(facts)
        assert decision
        return replace(decision, versions=decision.versions + 1)

    if db.engine.dialect.name == "postgresql":  # SQLite has the write lock from the question on
        monkeypatch.setattr(fast_path, "decide", stale)
        assert mark(people.volunteer, today, people.coordinator) is None
        monkeypatch.undo()
    assert mark(people.volunteer, today, people.coordinator)
    assert verify.differences() == []


def test_every_change_of_a_calendar_raises_its_version(people: People) -> None:
    site = weekly(1)[0].site

    def version() -> int:
        db.session.refresh(site)
        return site.calendar_version

    before = version()
    with writing():
        camp = schedule.add_camp(site, "Forgotten", site.today - timedelta(days=3))
    after_adding = version()
    with writing():
        schedule.cancel_camp(camp)
    after_cancelling = version()
    with writing():
        schedule.change_camp(camp, None, site.today - timedelta(days=4), None)
    assert before < after_adding < after_cancelling < version()


def test_an_operation_of_a_phone_is_stored_with_its_mark_once(people: People) -> None:
    first, today = weekly(2)
    attend(people.volunteer, [first], people.coordinator)
    sent = {
        "id": "6f2f1d52-6a3f-4f0e-9a3e-0d8a5a6f8a11",
        "camp": str(today.id),
        "made_at": SUNDAY.isoformat(),
        "action": "mark",
        "person": str(people.volunteer.id),
        "state": "present",
    }
    order = sync.parse(sent)
    asker = Asker(people.coordinator.id, people.coordinator.session_no)
    assert sync.mark_fast(order, asker, secret="x" * 16)
    assert sync.mark_fast(order, asker, secret="x" * 16) is None
    operation = db.session.scalars(select(Operation)).one()
    assert (operation.by_id, operation.action) == (people.coordinator.id, "mark")
    assert operation.order["state"] == "present"
    with writing():
        done = sync.carry_out(order, by=people.coordinator, secret="x" * 16)
    assert done.outcomes == {}


def test_a_camp_of_another_site_counts_into_the_same_badges(people: People) -> None:
    here = weekly(2)
    elsewhere = factories.site("Elsewhere")
    attend(people.volunteer, [here[0]], people.coordinator)
    there = factories.camp(at=elsewhere, on=elsewhere.today - timedelta(days=1))
    attend(people.volunteer, [there], people.coordinator)
    made = mark(people.volunteer, here[1], people.coordinator)
    assert made
    assert [badge.name for badge in made.outcome.badges.new] == ["Certified Volunteer"]
    assert verify.differences() == []
