"""The contract's twelve hard cases by name; those about addresses and permissions go through the API."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.conftest import People
from tests.factories import attend, badge_names, weekly
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.badges import awards, history
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.badge import Award
from webapp.domain.people.accounts import Person

Token = Callable[[Person], dict[str, str]]


def test_no_visits_no_badges(people: People) -> None:
    weekly(3)
    assert badge_names(people.volunteer) == []
    assert marking.evaluate(people.volunteer).new == []


def test_one_visit_gives_first_step(people: People) -> None:
    attend(people.volunteer, weekly(1), people.coordinator)
    assert badge_names(people.volunteer) == ["First Step"]


def test_three_at_once_give_several_badges(people: People) -> None:
    """Two camps of today and one of last week, found together by an evaluation."""
    camps = [*weekly(2), factories.camp(0, "Evening camp")]
    attend(people.volunteer, camps[:2], people.coordinator)
    with writing():
        outcome = marking.mark_present(people.volunteer, camps[2], by=people.coordinator)
    assert [badge.name for badge in outcome.badges.new] == ["Certified Volunteer"]

    attend(people.other, weekly(3, "Another camp")[:2], people.coordinator)
    with writing():
        third = marking.mark_present(people.other, camps[1], by=people.coordinator)
    assert [badge.name for badge in third.badges.new] == ["Certified Volunteer", "On a Roll"]


def test_three_in_a_row_give_on_a_roll(people: People) -> None:
    attend(people.volunteer, weekly(3), people.coordinator)
    assert badge_names(people.volunteer) == ["First Step", "Certified Volunteer", "On a Roll"]


def test_a_missed_camp_breaks_the_run(people: People) -> None:
    camps = weekly(4)
    attend(people.volunteer, [camps[0], camps[1], camps[3]], people.coordinator)
    assert badge_names(people.volunteer) == ["First Step", "Certified Volunteer"]
    assert history.of_person(people.volunteer.id).longest_streak == 2


def test_an_earned_badge_is_not_given_again(people: People) -> None:
    (camp,) = weekly(1)
    attend(people.volunteer, [camp], people.coordinator)
    with writing():
        again = marking.mark_present(people.volunteer, camp, by=people.coordinator)
    with writing():
        evaluated = marking.evaluate(people.volunteer)
    assert not again.badges
    assert not evaluated
    assert db.session.scalar(select(func.count()).select_from(Award)) == 1


def test_sign_up_awards_nothing(people: People) -> None:
    (camp,) = weekly(1)
    with writing():
        outcome = marking.sign_up(people.volunteer, camp)
    with writing():
        evaluated = marking.evaluate(people.volunteer)
    assert not outcome.badges
    assert not evaluated
    assert badge_names(people.volunteer) == []


def test_a_mark_awards_in_its_own_transaction(people: People) -> None:
    """Taken back, the mark takes the award with it: neither is there without the other."""
    (camp,) = weekly(1)
    with pytest.raises(RuntimeError), writing():
        outcome = marking.mark_present(people.volunteer, camp, by=people.coordinator)
        assert [badge.name for badge in outcome.badges.new] == ["First Step"]
        raise RuntimeError("the lights went out")
    assert badge_names(people.volunteer) == []
    assert factories.row_of(camp, people.volunteer).attendance is None
    attend(people.volunteer, [camp], people.coordinator)
    assert badge_names(people.volunteer) == ["First Step"]


def together(app: Flask, jobs: list[Callable[[], Any]]) -> list[Exception]:
    """Run the jobs at the same moment, each in a thread and connection of its own."""
    start = threading.Barrier(len(jobs))
    failures: list[Exception] = []

    def run(job: Callable[[], Any]) -> None:
        with app.app_context():
            start.wait()
            try:
                with writing():
                    job()
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_concurrent_evaluation_loses_nothing_and_duplicates_nothing(app: Flask, people: People) -> None:
    """Eight coordinators at once: two mark each of four camps, and so reach three visits and a run."""
    camps: list[Camp] = weekly(4)
    db.session.commit()

    def mark(camp: Camp) -> Callable[[], Any]:
        return lambda: marking.mark_present(people.volunteer, camp, by=people.coordinator)

    def evaluate() -> Any:
        return marking.evaluate(people.volunteer)

    failures = together(app, [*(mark(camp) for camp in camps for _ in range(2)), evaluate, evaluate])
    assert failures == []
    assert badge_names(people.volunteer) == ["First Step", "Certified Volunteer", "On a Roll"]
    assert len(awards.of_person(people.volunteer.id)) == 3
    assert len(history.of_person(people.volunteer.id).visits) == 4


def test_undo_and_mark_at_once_end_in_one_of_the_two(app: Flask, people: People) -> None:
    (camp,) = weekly(1)
    attend(people.volunteer, [camp], people.coordinator)
    jobs: list[Callable[[], Any]] = [
        lambda: marking.undo(people.volunteer, camp, by=people.coordinator),
        lambda: marking.mark_present(people.volunteer, camp, by=people.admin),
    ]
    assert together(app, jobs * 3) == []
    db.session.commit()
    present = len(history.of_person(people.volunteer.id).visits) == 1
    assert badge_names(people.volunteer) == (["First Step"] if present else [])


def test_bad_uuid_400(app: Flask, people: People, token: Token) -> None:
    response = app.test_client().get("/api/v1/users/not-a-uuid/badges", headers=token(people.admin))
    assert response.status_code == 400
    assert "not-a-uuid" in response.get_json()["detail"]


def test_unknown_person_404(app: Flask, people: People, token: Token) -> None:
    response = app.test_client().get(f"/api/v1/users/{uuid4()}/badges", headers=token(people.admin))
    assert response.status_code == 404
    assert response.get_json()["detail"]


def test_a_volunteer_asking_for_anothers_badges_403(app: Flask, people: People, token: Token) -> None:
    asked = f"/api/v1/users/{people.other.id}/badges"
    response = app.test_client().get(asked, headers=token(people.volunteer))
    assert response.status_code == 403
    own = app.test_client().get(f"/api/v1/users/{people.volunteer.id}/badges", headers=token(people.volunteer))
    assert own.status_code == 200
