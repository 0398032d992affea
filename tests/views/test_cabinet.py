from collections.abc import Callable
from datetime import date
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import People
from tests.factories import attend, weekly
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.people.accounts import Person

As = Callable[[Person], FlaskClient]


def test_a_new_volunteer_sees_what_comes_first(as_: As, people: People) -> None:
    page = as_(people.volunteer).get("/cabinet").text
    assert "No badges yet." in page
    assert "Next: First Step" in page
    assert "1 more camp to First Step" in page
    assert "No camps in this time yet." in page


def test_earned_badges_name_date_and_camp_and_locked_ones_progress(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(3, "Hosur"), people.coordinator)
    page = as_(people.volunteer).get("/cabinet").text
    assert "Earned Sun 29 March 2026 at Hosur." in page
    assert "Earned today at Hosur." in page
    assert "2 more camps to Consistent Volunteer" in page
    assert "3 of 36 camps" in page
    assert "3 camps in a row right now" in page


def test_every_badge_earned_leaves_nothing_next(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(36), people.coordinator)
    page = as_(people.volunteer).get("/cabinet").text
    assert "Every badge is earned" in page
    assert "Still to come" not in page


def test_the_year_has_a_cell_for_each_camp(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        camps = weekly(5)
        attend(people.volunteer, [camps[0], camps[3]], people.coordinator)
        with writing():
            marking.excuse(people.volunteer, camps[1], by=people.coordinator)
    page = as_(people.volunteer).get("/cabinet").text
    assert page.count('<li class="cell came"') == 2
    assert page.count('<li class="cell excused"') == 1
    assert page.count('<li class="cell missed"') == 1
    assert page.count('<li class="cell open"') == 1
    assert "Sun 22 March 2026: excused" in page
    assert "does not break a run" in page


def test_an_older_year_can_be_opened(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, [factories.camp(on=date(2024, 2, 29), name="Leap camp")], people.coordinator)
    client = as_(people.volunteer)
    assert "Leap camp" not in client.get("/cabinet").text.partition('id="year-title"')[2]
    assert "Leap camp" in client.get("/cabinet?year=2024").text.partition('id="year-title"')[2]


@pytest.mark.parametrize("year", ["x", "0", "99999", "-1", "9999"])
def test_a_year_that_is_none_shows_the_last_twelve_months(as_: As, people: People, year: str) -> None:
    assert "The last twelve months" in as_(people.volunteer).get(f"/cabinet?year={year}").text


def test_those_who_mark_open_anybodys_cabinet(as_: As, people: People) -> None:
    for viewer in (people.coordinator, people.admin):
        assert "Asha Rao" in as_(viewer).get(f"/people/{people.volunteer.id}").text
        assert as_(viewer).get(f"/people/{uuid4()}").status_code == 404
    assert as_(people.volunteer).get(f"/people/{people.other.id}").status_code == 403


def test_names_are_never_markup(app: Flask, as_: As) -> None:
    with app.app_context():
        person = factories.person("<script>alert('x')</script>")
    page = as_(person).get("/cabinet").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
