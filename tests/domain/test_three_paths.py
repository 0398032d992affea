"""The fast path, the general path and bulk evaluation: one rule, so that the same life comes to the same."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import given, settings
from sqlalchemy import func, select

from tests import factories
from tests.conftest import ENGINE, People
from tests.domain.world import A_SUNDAY, VERBS, Step, World, steps
from tests.factories import attend
from webapp import clock
from webapp.database import db, is_sqlite, writing
from webapp.domain.attendance import fast_path, marking
from webapp.domain.badges import awards, definitions, history
from webapp.domain.camps.calendar import Camp
from webapp.domain.evaluation import backfill, bulk, verify
from webapp.domain.jobs import Job
from webapp.domain.models.attendance import Attendance, State
from webapp.domain.models.badge import Badge
from webapp.domain.models.totals import Figures, Totals
from webapp.domain.people.accounts import Person
from webapp.domain.people.credentials import Asker
from webapp.domain.schedule import schedule

# On SQLite one transaction follows the other from the question on: a fast one cannot be begun and left open.
FAST_IN_A_SESSION = [True, False] if ENGINE == "postgresql" else [False]
LIVED = Counter[str]()


# --- one after the other -------------------------------------------------------------------------


@pytest.fixture
def array_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk evaluation reads arrays and temporary tables even of a few, as it does of very many."""
    monkeypatch.setattr(bulk, "FEW", 0)
    monkeypatch.setattr(bulk, "IN_PLACE", 1)


@pytest.mark.usefixtures("app", "array_of_each")
@settings(max_examples=8)
@given(steps((*VERBS, "come", "come", "come", "come", "come"), most=20))
def test_all_paths_come_to_the_same(life: list[Step]) -> None:
    outcomes = {}
    with clock.stopped_at(A_SUNDAY):
        for path in ("fast", "general", "bulk"):
            world = World(path)
            for step in life:
                world.step(*step)
                if path == "bulk":
                    world.check()
                elif path == "fast":
                    world.check_people()
            world.check()  # the general path after each step: test_against_plain_rules.py
            outcomes[path] = world.outcome()
            LIVED[path] += world.fast_marks
    assert outcomes["fast"] == outcomes["general"] == outcomes["bulk"]


def test_the_fast_path_was_taken(app: Flask) -> None:
    """Else the test above, which ran before in this process, compared nothing."""
    if LIVED:
        assert LIVED["fast"] > 10
        assert LIVED["general"] == LIVED["bulk"] == 0


# --- at the same time ----------------------------------------------------------------------------


@pytest.fixture
def regulars(people: People) -> list[UUID]:
    """Eight people who came to the two camps before today's, so that their third visit is a fast mark."""
    earlier = [factories.camp(2), factories.camp(1)]
    regulars = [factories.person(f"Person {number}") for number in range(8)]
    for person in regulars:
        attend(person, earlier, people.coordinator)
    return [person.id for person in regulars]


@pytest.fixture
def today(regulars: list[UUID]) -> UUID:
    return factories.camp(0).id


@pytest.fixture
def asker(people: People) -> Asker:
    return Asker(people.coordinator.id, people.coordinator.session_no)


def at_once(app: Flask, calls: list[Callable[[], Any]]) -> list[Any]:
    """Do all of it at the same time, each in a thread and a session of its own."""
    answers: list[Any] = [None] * len(calls)
    begun = threading.Barrier(len(calls))

    def run(place: int) -> None:
        with app.app_context():
            begun.wait()
            try:
                answers[place] = calls[place]()
            except Exception as error:  # told by the test, not by the thread
                answers[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    db.session.rollback()
    db.session.expire_all()
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    assert errors == []
    return answers


def mark(person_id: UUID, camp_id: UUID, asker: Asker) -> bool:
    """Mark as a door does: the fast path, else the general one; whether it was fast."""
    if fast_path.mark(person_id, camp_id, asker):
        return True
    with writing():
        person, camp = db.session.get_one(Person, person_id), db.session.get_one(Camp, camp_id)
        marking.mark_present(person, camp, by=db.session.get_one(Person, asker.person_id))
    return False


def kept(person_id: UUID) -> Figures:
    query = select(Totals).where(Totals.person_id == person_id)
    return db.session.scalars(query.execution_options(populate_existing=True)).one().figures


def held(person_id: UUID) -> list[str]:
    """The badges somebody holds, in the order they were earned."""
    return [award.badge.name for award in awards.of_person(person_id)]


def agree() -> bool:
    with writing():
        return verify.differences() == []


def test_the_same_person_marked_by_many_at_once(app: Flask, regulars: list[UUID], today: UUID, asker: Asker) -> None:
    person = regulars[0]
    at_once(app, [partial(mark, person, today, asker)] * 6)
    assert db.session.scalar(select(func.count()).where(Attendance.camp_id == today)) == 1
    assert kept(person).visits == kept(person).longest_streak == 3
    assert held(person) == ["First Step", "Certified Volunteer", "On a Roll"]
    assert agree()


def test_different_people_marked_at_once(app: Flask, regulars: list[UUID], today: UUID, asker: Asker) -> None:
    fast = at_once(app, [partial(mark, person, today, asker) for person in regulars])
    assert all(fast)
    for person in regulars:
        assert kept(person).visits == kept(person).longest_streak == 3
        assert "On a Roll" in held(person)
    assert agree()


def test_one_person_at_several_camps_of_a_day_at_once(
    app: Flask, regulars: list[UUID], today: UUID, asker: Asker
) -> None:
    """Only one of them can be the latest; whoever is not goes the general way, and nothing is lost."""
    person = regulars[0]
    camps = [today, *(factories.camp(0, f"Camp {number}").id for number in range(3))]
    at_once(app, [partial(mark, person, camp, asker) for camp in camps])
    assert (kept(person).visits, kept(person).longest_streak) == (6, 3)
    assert set(held(person)) == {
        "First Step",
        "Certified Volunteer",
        "On a Roll",
        "Consistent Volunteer",
        "Bronze Volunteer",
    }
    assert agree()


def test_a_fast_mark_while_another_is_undone(app: Flask, regulars: list[UUID], today: UUID, asker: Asker) -> None:
    """Last week's is taken back as today's is marked: two visits, whoever was first, and no third one's badge."""
    last_week = history.of_person(regulars[0]).visits[-1].camp_id

    def undo(person_id: UUID) -> None:
        with writing():
            person, by = db.session.get_one(Person, person_id), db.session.get_one(Person, asker.person_id)
            marking.undo(person, db.session.get_one(Camp, last_week), by=by)

    for person in regulars:
        at_once(app, [partial(mark, person, today, asker), partial(undo, person)])
        assert (kept(person).visits, kept(person).longest_streak) == (2, 1)
        assert held(person) == ["First Step"]
    assert agree()


# --- between the question and the statement ------------------------------------------------------


def cancel(camp_id: UUID) -> None:
    with writing():
        schedule.cancel_camp(db.session.get_one(Camp, camp_id))


def add_forgotten(camp_id: UUID) -> None:
    """One of three days before, of which nobody knew."""
    with writing():
        camp = db.session.get_one(Camp, camp_id)
        schedule.add_camp(camp.site, "Forgotten", camp.camp_date - timedelta(days=3))


class Meanwhile:
    """Lets something happen in another thread after the first question, and before what it decides is written.

    On SQLite the write lock is taken before the question: what happens meanwhile waits until it is written.
    """

    def __init__(self, app: Flask, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
        self.app, self.change = app, change
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.written: list[bool] = []
        write = fast_path._write

        def after_the_change(*args: Any) -> list[Badge] | None:
            if self.thread.ident is None:
                self.thread.start()
                self.thread.join(0.3 if is_sqlite() else 30)
            new = write(*args)
            self.written.append(new is not None)
            return new

        monkeypatch.setattr(fast_path, "_write", after_the_change)

    def _run(self) -> None:
        try:
            with self.app.app_context():
                self.change()
        except Exception as error:  # told in the test, not by the thread
            self.error = error

    def is_over(self) -> None:
        """Wait until it has happened."""
        self.thread.join(30)
        assert not self.thread.is_alive()
        assert self.error is None
        db.session.rollback()
        db.session.expire_all()


def test_a_forgotten_camp_added_meanwhile_breaks_the_streak(
    app: Flask, regulars: list[UUID], today: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = Meanwhile(app, monkeypatch, partial(add_forgotten, today))
    fast = mark(regulars[0], today, asker)
    meanwhile.is_over()
    sqlite = is_sqlite()
    assert (fast, meanwhile.written) == (sqlite, [sqlite])
    figures = kept(regulars[0])
    assert (figures.visits, figures.longest_streak, figures.streak) == (3, 2, 1)
    # On SQLite it was earned before the camp was known: a change of the calendar takes nothing away.
    assert ("On a Roll" in held(regulars[0])) is sqlite
    assert agree()


def test_the_camp_before_cancelled_meanwhile_is_no_visit_any_more(
    app: Flask, regulars: list[UUID], today: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_week = history.of_person(regulars[0]).visits[-1].camp_id
    meanwhile = Meanwhile(app, monkeypatch, partial(cancel, last_week))
    fast = mark(regulars[0], today, asker)
    meanwhile.is_over()
    sqlite = is_sqlite()
    assert (fast, meanwhile.written) == (sqlite, [sqlite])
    figures = kept(regulars[0])
    assert (figures.visits, figures.longest_streak, figures.streak) == (2, 2, 2)
    assert ("Certified Volunteer" in held(regulars[0])) is sqlite
    assert agree()


def test_the_very_camp_cancelled_meanwhile(
    app: Flask, regulars: list[UUID], today: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = Meanwhile(app, monkeypatch, partial(cancel, today))
    made = fast_path.mark(regulars[0], today, asker)
    meanwhile.is_over()
    assert bool(made) is is_sqlite()
    query = select(func.count()).where(Attendance.camp_id == today, Attendance.state == State.PRESENT)
    assert db.session.scalar(query) == bool(made)
    assert kept(regulars[0]).visits == 2
    assert agree()


def test_another_mark_of_the_same_person_meanwhile(
    app: Flask, regulars: list[UUID], today: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = factories.camp(0, "Evening").id

    def other() -> None:
        with writing():
            person, camp = db.session.get_one(Person, regulars[0]), db.session.get_one(Camp, second)
            marking.mark_present(person, camp, by=db.session.get_one(Person, asker.person_id))

    meanwhile = Meanwhile(app, monkeypatch, other)
    fast = mark(regulars[0], today, asker)
    meanwhile.is_over()
    assert fast is is_sqlite()
    assert (kept(regulars[0]).visits, kept(regulars[0]).longest_streak) == (4, 3)
    assert agree()


def test_a_badge_that_asks_for_less_meanwhile_is_awarded_all_the_same(
    app: Flask, people: People, regulars: list[UUID], today: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its backfill came by before the mark was written, and comes by no more."""
    admin = people.admin.id

    def lower() -> None:
        badge = factories.named("Consistent Volunteer")
        factories.change(badge, criteria_value=3)
        factories.backfill(badge, db.session.get_one(Person, admin))

    meanwhile = Meanwhile(app, monkeypatch, lower)
    mark(regulars[0], today, asker)
    meanwhile.is_over()
    assert "Consistent Volunteer" in held(regulars[0])
    assert agree()


# --- the first mark at a site --------------------------------------------------------------------


@pytest.fixture
def newcomer(people: People) -> UUID:
    """Nobody's first camp is worth a badge here, so that it cannot keep two first marks apart."""
    with writing():
        definitions.retire(factories.named("First Step"))
    factories.badge("Two Camps", 2)
    return people.volunteer.id


def test_a_newcomer_marked_at_two_sites_at_once(
    app: Flask, newcomer: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = factories.camp(0).id, factories.camp(0, at=factories.site("Elsewhere")).id
    meanwhile = Meanwhile(app, monkeypatch, partial(mark, newcomer, there, asker))
    mark(newcomer, here, asker)
    meanwhile.is_over()
    assert held(newcomer) == ["Two Camps"]
    assert agree()


def test_a_newcomer_marked_at_two_camps_of_a_site_at_once(
    app: Flask, newcomer: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = factories.camp(0).id, factories.camp(1).id
    meanwhile = Meanwhile(app, monkeypatch, partial(mark, newcomer, there, asker))
    mark(newcomer, here, asker)
    meanwhile.is_over()
    assert held(newcomer) == ["Two Camps"]
    assert kept(newcomer).longest_streak == 2
    assert agree()


@pytest.mark.parametrize("first_here", [True, False])
def test_somebody_marked_at_two_sites_at_once(
    app: Flask, people: People, newcomer: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch, first_here: bool
) -> None:
    """They are known at a third site, or at the very one; what counts together is counted together."""
    elsewhere = factories.site("Elsewhere")
    other = factories.site("Another") if first_here else None
    attend(people.volunteer, [factories.camp(1, at=other)], people.coordinator)
    factories.badge("Three Camps", 3)
    here, there = factories.camp(0).id, factories.camp(0, at=elsewhere).id
    meanwhile = Meanwhile(app, monkeypatch, partial(mark, newcomer, there, asker))
    mark(newcomer, here, asker)
    meanwhile.is_over()
    assert {"Two Camps", "Three Camps", "Certified Volunteer"} <= set(held(newcomer))
    assert agree()


def test_a_badge_that_asks_for_less_is_awarded_to_a_newcomer_all_the_same(
    app: Flask, people: People, newcomer: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    today, admin = factories.camp(0).id, people.admin.id

    def lower() -> None:
        badge = factories.named("Two Camps")
        factories.change(badge, criteria_value=1)
        factories.backfill(badge, db.session.get_one(Person, admin))

    meanwhile = Meanwhile(app, monkeypatch, lower)
    mark(newcomer, today, asker)
    meanwhile.is_over()
    assert held(newcomer) == ["Two Camps"]
    assert agree()


def test_newcomers_marked_by_many_at_once(app: Flask, people: People, newcomer: UUID, asker: Asker) -> None:
    """Six coordinators, a newcomer, and a camp at each of three sites: no deadlock, nothing lost."""
    camps = [factories.camp(0).id, *(factories.camp(0, at=factories.site(name)).id for name in ("A", "B"))]
    newcomers = [newcomer, *(factories.person(f"New {number}").id for number in range(3))]
    for person in newcomers:
        at_once(app, [partial(mark, person, camp, asker) for camp in camps * 2])
        assert set(held(person)) == {"Two Camps", "Certified Volunteer"}
    assert agree()


def begun(app: Flask, work: Callable[[], object], *, seconds: float = 0.7) -> threading.Thread:
    """Begin a transaction in another thread that does some work, and commits it only after a while."""
    is_done = threading.Event()

    def run() -> None:
        with app.app_context(), writing():
            work()
            is_done.set()
            time.sleep(seconds)

    thread = threading.Thread(target=run)
    thread.start()
    assert is_done.wait(30)
    return thread


def mark_in_session(person_id: UUID, camp_id: UUID, asker: Asker, *, fast: bool) -> None:
    """Mark by the general path, or by the statements of the fast one, in the session's transaction."""
    if fast:
        connection = db.session.connection().connection.driver_connection
        assert connection is not None
        with connection.cursor() as cursor:
            facts = fast_path._ask(cursor, person_id, camp_id, asker)
            assert fast_path._carry_out(cursor, facts, asker, None, None, None)
        return
    person, camp = db.session.get_one(Person, person_id), db.session.get_one(Camp, camp_id)
    marking.mark_present(person, camp, by=db.session.get_one(Person, asker.person_id))


@pytest.mark.parametrize("fast", FAST_IN_A_SESSION)
@pytest.mark.parametrize("known_at", ["nowhere", "here", "there", "a third site"])
def test_a_statement_that_waits_for_another_mark_does_not_miss_it(
    app: Flask, people: People, newcomer: UUID, asker: Asker, known_at: str, fast: bool
) -> None:
    """It has begun before the other is committed, and sees what was there when it began."""
    factories.badge("Three Camps", 3)
    elsewhere, third = factories.site("Elsewhere"), factories.site("Third")
    sites = {"here": None, "there": elsewhere, "a third site": third}
    if known_at in sites:
        attend(people.volunteer, [factories.camp(1, at=sites[known_at])], people.coordinator)
    here, there = factories.camp(0).id, factories.camp(0, at=elsewhere).id
    other = begun(app, partial(mark_in_session, newcomer, there, asker, fast=fast))
    mark(newcomer, here, asker)
    other.join(30)
    db.session.rollback()
    db.session.expire_all()
    expected = {"Two Camps"} if known_at == "nowhere" else {"Two Camps", "Three Camps", "Certified Volunteer"}
    assert set(held(newcomer)) == expected
    assert agree()


def test_a_statement_that_waits_for_a_backfill_does_not_miss_it(
    app: Flask, people: People, newcomer: UUID, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark of a newcomer was decided before the badge asked for less, and waits while its backfill goes by."""
    today, badge = factories.camp(0).id, factories.named("Two Camps")
    with writing():
        job = backfill.add(badge, by=people.admin).id
    others: list[threading.Thread] = []
    write = fast_path._write

    def lower() -> None:
        factories.change(factories.named("Two Camps"), criteria_value=1)
        others.append(begun(app, lambda: backfill.batch(db.session.get_one(Job, job))))

    def after_the_change(*args: Any) -> Any:
        if not others and not is_sqlite():
            thread = threading.Thread(target=in_context, args=(app, lower))
            thread.start()
            thread.join(30)
        return write(*args)

    monkeypatch.setattr(fast_path, "_write", after_the_change)
    mark(newcomer, today, asker)
    for other in others:
        other.join(30)
    if is_sqlite():
        factories.change(factories.named("Two Camps"), criteria_value=1)
        with writing():
            backfill.batch(db.session.get_one(Job, job))
    db.session.rollback()
    db.session.expire_all()
    assert held(newcomer) == ["Two Camps"]
    assert agree()


def in_context(app: Flask, work: Callable[[], object]) -> None:
    with app.app_context():
        work()
