"""Cards on the screens: one's own, printed, a sheet for a camp, replaced; and saying whether one comes."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import People
from tests.factories import row_of
from tests.views.conftest import HTMX, Camps
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.errors import InvalidError
from webapp.domain.models.attendance import State
from webapp.domain.people import cards
from webapp.domain.people.accounts import Person

As = Callable[[Person], FlaskClient]


def codes(page: str) -> list[str]:
    return re.findall(r'<svg[^>]*class="qr".*?</svg>', page, re.DOTALL)


def test_the_cabinet_shows_ones_own_code_and_whose_it_is(as_: As, people: People) -> None:
    mine = as_(people.volunteer).get("/cabinet").text
    assert "Show it to the coordinator" in mine
    theirs = as_(people.coordinator).get(f"/people/{people.volunteer.id}").text
    assert codes(mine) == codes(theirs)
    assert codes(mine) != codes(as_(people.other).get("/cabinet").text)


def test_a_card_can_be_printed_and_a_sheet_for_a_camp(app: Flask, as_: As, people: People, camps: Camps) -> None:
    with app.app_context(), writing():
        marking.sign_up(people.other, camps.today)
    assert len(codes(as_(people.volunteer).get("/cabinet/card").text)) == 1
    sheet = as_(people.coordinator).get(f"/roll-call/{camps.today.id}/cards").text
    assert (len(codes(sheet)), "Asha Rao" in sheet, "Imran Pasha" in sheet) == (2, True, True)
    assert "2 cards, ten to a sheet" in sheet
    empty = as_(people.coordinator).get(f"/roll-call/{camps.past.id}/cards").text
    assert "Nobody has signed up for this camp yet" in empty


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_a_lost_card_is_replaced(app: Flask, as_: As, people: People, headers: dict[str, str]) -> None:
    secret = str(app.config["SECRET_KEY"])
    lost = cards.text_of(people.volunteer, secret)
    client = as_(people.volunteer)
    before = codes(client.get("/cabinet").text)
    answer = client.post("/cabinet/card", headers=headers, follow_redirects=True).text
    assert "The old one does not work any more" in answer
    assert codes(answer) == codes(client.get("/cabinet").text) != before
    with app.app_context(), pytest.raises(InvalidError, match="newer card"):
        cards.read(lost, secret)


def test_a_coordinator_replaces_anybodys(app: Flask, as_: As, people: People) -> None:
    client = as_(people.coordinator)
    page = client.get(f"/people/{people.volunteer.id}").text
    fragment = client.post(f"/people/{people.volunteer.id}/card", headers=HTMX).text
    assert codes(fragment) != codes(page)
    with app.app_context():
        assert db.session.get_one(Person, people.volunteer.id).card_no == 2
    assert client.post(f"/people/{people.other.id}/card").status_code == 303


def test_somebody_switched_off_has_no_card(as_: As, people: People) -> None:
    assert codes(as_(people.coordinator).get(f"/people/{people.stranger.id}").text) == []


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_saying_that_one_comes_and_that_one_cannot(
    app: Flask, as_: As, people: People, camps: Camps, headers: dict[str, str]
) -> None:
    client = as_(people.volunteer)
    at = f"/cabinet/camps/{camps.future.id}"
    answer = client.post(at, data={"answer": "coming"}, headers=headers, follow_redirects=True).text
    assert re.search(r'value="coming" aria-pressed="true"', answer)
    said = {"answer": "not-coming", "reason": "a wedding"}
    answer = client.post(at, data=said, headers=headers, follow_redirects=True).text
    assert "You are excused (“a wedding”). It does not break your run." in answer
    assert ("<html" in answer) is not bool(headers)
    again = client.post(at, data={"answer": "not-coming"}, headers=headers, follow_redirects=True).text
    assert "You are excused (“a wedding”)" in again  # a second tap forgets nothing
    with app.app_context():
        assert row_of(camps.future, people.volunteer).state is State.EXCUSED
    # The coordinator sees it on the list.
    page = as_(people.coordinator).get(f"/roll-call/{camps.future.id}").text
    assert "said so beforehand · “a wedding”" in page


def test_the_answer_to_a_question_stands_verbatim_in_the_page(as_: As, people: People, camps: Camps) -> None:
    client = as_(people.volunteer)
    fragment = client.post(f"/cabinet/camps/{camps.future.id}", data={"answer": "coming"}, headers=HTMX).text
    page = client.get("/cabinet").text
    without_token = re.compile(r'name="csrf_token" value="[^"]*"')
    assert without_token.sub("", fragment).strip() in without_token.sub("", page)


@pytest.mark.parametrize("answer", ["", "perhaps"])
def test_an_answer_that_is_none_changes_nothing(app: Flask, as_: As, people: People, camps: Camps, answer: str) -> None:
    response = as_(people.volunteer).post(f"/cabinet/camps/{camps.future.id}", data={"answer": answer})
    assert response.status_code == 400
    with app.app_context():
        assert row_of(camps.future, people.volunteer).state is None


def test_a_camp_that_has_begun_is_past_saying(as_: As, people: People, camps: Camps) -> None:
    response = as_(people.volunteer).post(f"/cabinet/camps/{camps.today.id}", data={"answer": "coming"}, headers=HTMX)
    assert response.status_code == 409
    assert "has begun" in response.text


def test_nobody_is_asked_where_no_camp_is_coming(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        factories.camp(1)
    assert 'id="coming"' not in as_(people.volunteer).get("/cabinet").text
