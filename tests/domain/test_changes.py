"""Whom an open page's process hears of: whoever is named by what was committed since, and nobody twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask

from tests import factories
from tests.conftest import ENGINE, SUNDAY, People
from webapp import clock
from webapp.database import db, writing
from webapp.domain import audit, jobs
from webapp.domain.attendance import marking, roll_call
from webapp.domain.audit import Action, EntryFeed
from webapp.domain.evaluation import backfill
from webapp.domain.jobs import JobFeed, Kind, Status
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.infra.changes import Changes, Feed, News

NOTHING = News()
PROBE = uuid4()


class Looks:
    """What a feed tells, from now on."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self()

    def __call__(self) -> News:
        with db.engine.connect() as connection:
            return self.feed.news(connection)


class Entries(Looks):
    """As an :class:`EntryFeed` is read; its next look is one back, or is none."""

    feed: EntryFeed

    def __init__(self) -> None:
        super().__init__(EntryFeed())

    def back(self) -> News:
        self.feed._look_back_at = 0
        return self()

    def __call__(self) -> News:
        told = super().__call__()
        self.feed._look_back_at = float("inf")
        return told


def enter(action: Action, ago: timedelta = timedelta(), *, person_id: UUID | None = None) -> None:
    with clock.stopped_at(SUNDAY - ago), writing():
        audit.note(action, person_id=person_id)


def test_a_mark_names_its_person_and_its_camp_and_is_told_once(people: People) -> None:
    camp = factories.camp(0)
    entries = Entries()
    with writing():
        marking.mark_present(people.volunteer, camp, by=people.coordinator)
    assert entries() == News({people.volunteer.id, camp.id})
    assert entries() == NOTHING
    assert entries.back() == NOTHING


def test_the_roll_call_that_is_closed_wakes_its_camp_and_whom_it_makes_absent(people: People) -> None:
    camp = factories.camp(0)
    with writing():
        marking.sign_up(people.volunteer, camp)
    entries = Entries()
    with writing():
        roll_call.close(camp, by=people.coordinator)
    assert entries() == News({camp.id, people.volunteer.id})
    with writing():
        roll_call.reopen(camp, by=people.coordinator)
    assert entries() == News({camp.id, people.volunteer.id})


@pytest.mark.parametrize(("ago", "when"), [(0, "at once"), (0.9, "at once"), (2, "back"), (14, "back"), (16, "never")])
def test_an_entry_that_was_committed_late_is_told(people: People, ago: float, when: str) -> None:
    enter(Action.PRESENT, person_id=people.other.id)
    entries = Entries()
    enter(Action.PRESENT, timedelta(seconds=ago), person_id=people.volunteer.id)
    told = News({people.volunteer.id})
    assert entries() == (told if when == "at once" else NOTHING)
    assert entries.back() == (told if when == "back" else NOTHING)


def test_bulk_work_is_told_however_long_it_took(people: People) -> None:
    enter(Action.PRESENT, person_id=people.other.id)
    entries = Entries()
    enter(Action.CAMP_CANCELLED, timedelta(minutes=59))
    assert entries() == NOTHING
    assert entries.back() == News(concerns_all=True)
    assert entries.back() == NOTHING


def test_a_clock_that_is_set_back_hides_nothing(people: People) -> None:
    enter(Action.PRESENT, person_id=people.other.id)
    entries = Entries()
    enter(Action.PRESENT, -timedelta(days=400), person_id=people.other.id)  # some host's was wrong
    assert entries() == News({people.other.id})
    enter(Action.PRESENT, person_id=people.volunteer.id)
    assert entries() == News({people.volunteer.id})
    with clock.stopped_at(SUNDAY - timedelta(hours=2)):
        enter(Action.PRESENT, timedelta(hours=2), person_id=people.stranger.id)
        assert people.stranger.id in entries().keys


def test_after_a_quiet_night_the_first_entry_is_told(people: People) -> None:
    entries = Entries()
    with clock.stopped_at(SUNDAY + timedelta(hours=9)):
        assert entries.back() == NOTHING
        enter(Action.PRESENT, -timedelta(hours=9), person_id=people.volunteer.id)
        assert entries() == News({people.volunteer.id})


@pytest.mark.parametrize("change", [Action.EXPORTED, Action.PERSON_ADDED])
def test_what_no_page_shows_wakes_nobody(people: People, change: Action) -> None:
    entries = Entries()
    enter(change)
    assert entries.back() == NOTHING


def deactivate(person: Person) -> None:
    accounts.deactivate(person)


def demote(person: Person) -> None:
    accounts.change_role(person, Role.VOLUNTEER)


def rename(person: Person) -> None:
    accounts.rename(person, "Another Name")


@pytest.mark.parametrize("verb", [deactivate, demote, rename])
def test_what_ends_a_session_or_changes_a_name_names_the_person(people: People, verb: Callable[[Person], None]) -> None:
    entries = Entries()
    with writing():
        verb(db.session.get_one(Person, people.coordinator.id))
    assert people.coordinator.id in entries().keys


def test_every_batch_of_a_backfill_is_told_though_its_entry_is_old(people: People) -> None:
    """The clock stands still, so that no time tells them apart."""
    with writing():
        job = backfill.add(factories.named("First Step"), by=people.admin)
    feed = Looks(JobFeed())
    news = News({job.id}, concerns_all=True)
    for cursor in ("a", "b"):
        with writing():
            job.cursor = cursor
        assert feed() == news
        assert feed() == NOTHING
    with writing():
        jobs.end(job, Status.DONE)
    assert feed() == news
    assert feed() == NOTHING


def test_a_file_that_is_looked_through_wakes_nobody_but_its_own_page(people: People) -> None:
    feed = Looks(JobFeed())
    with writing():
        job = jobs.add(Kind.IMPORT_CHECK, by=people.admin)
    assert feed() == News({job.id})


@contextmanager
def watching(app: Flask, *people: Person) -> Iterator[list[threading.Event]]:
    """Set once the watchers of these people are woken; what wakes everybody at the start has passed."""
    changes: Changes = app.extensions["changes"]
    with ExitStack() as stack:
        *events, started = (stack.enter_context(changes.watch(key)) for key in (*(each.id for each in people), PROBE))
        for _ in range(2):  # the first may be the start's
            enter(Action.PRESENT, person_id=PROBE)
            assert started.wait(10)
            started.clear()
        for event in events:
            event.clear()
        yield events


def test_whoever_watches_a_person_is_woken_by_them_alone(app: Flask, people: People) -> None:
    camp = factories.camp(0)
    with watching(app, people.volunteer, people.other) as (volunteer, other):
        with writing():
            marking.mark_present(people.other, camp, by=people.coordinator)
        assert other.wait(10)
        assert not volunteer.is_set()
        with writing():
            marking.mark_present(people.volunteer, camp, by=people.coordinator)
        assert volunteer.wait(10)


if ENGINE == "postgresql":  # SQLite has one writer at a time

    def test_a_transaction_that_commits_after_a_younger_one_wakes_its_watchers(app: Flask, people: People) -> None:
        entered, commit = threading.Event(), threading.Event()

        def slow() -> None:
            with app.app_context(), writing():
                audit.note(Action.PRESENT, person_id=people.volunteer.id)
                entered.set()
                commit.wait(10)

        with clock.running_from(SUNDAY), watching(app, people.volunteer, people.other) as (volunteer, other):
            thread = threading.Thread(target=slow)
            thread.start()
            assert entered.wait(10)
            assert not volunteer.wait(1.5)
            with writing():
                audit.note(Action.PRESENT, person_id=people.other.id)
            assert other.wait(10)
            assert not volunteer.is_set()
            commit.set()
            assert volunteer.wait(10)
            thread.join()
