"""The roll call: for the coordinator, the admin, a volunteer, nobody; by htmx and by plain form."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import People
from tests.views.conftest import HTMX, Camps
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

As = Callable[[Person], FlaskClient]


def mark_url(camp: Camp, person: Person) -> str:
    return f"/roll-call/{camp.id}/people/{person.id}"


def plain(page: str) -> str:
    """Without the CSRF tokens, which tell the second they were made in."""
    return re.sub(r'(name="csrf_token" value=")[^"]+', r"\1", page)


def state(app: Flask, camp: Camp, person: Person) -> State | None:
    with app.app_context():
        return factories.row_of(camp, person).state


@pytest.fixture
def coordinator(as_: As, people: People) -> FlaskClient:
    return as_(people.coordinator)


def test_today_leads_straight_to_the_only_camp(coordinator: FlaskClient, camps: Camps) -> None:
    assert coordinator.get("/roll-call/").location == f"/roll-call/{camps.today.id}"


def test_several_camps_of_today_are_offered(app: Flask, coordinator: FlaskClient, camps: Camps) -> None:
    with app.app_context():
        factories.camp(0, "Evening camp")
    page = coordinator.get("/roll-call/").text
    assert "Camp of today" in page
    assert "Evening camp" in page


def test_no_camp_today_says_which_comes_next(app: Flask, coordinator: FlaskClient, people: People) -> None:
    with app.app_context():
        factories.camp(-1, "Next camp")
        factories.camp(1, "Past camp")
    page = coordinator.get("/roll-call/").text
    assert "There is no camp today." in page
    assert "Next camp on Sun 19 April 2026" in page
    assert "Past camp" in page


def test_an_empty_installation_says_what_to_do(coordinator: FlaskClient) -> None:
    assert "An admin adds camps in the calendar" in coordinator.get("/roll-call/").text


def test_the_page_lists_who_signed_up_and_counts(coordinator: FlaskClient, camps: Camps, people: People) -> None:
    page = coordinator.get(f"/roll-call/{camps.today.id}").text
    assert "Asha Rao" in page
    assert "Imran Pasha" not in page
    assert "<strong>0 of 1</strong> present" in page


def test_a_row_has_the_address_of_its_mark(app: Flask, coordinator: FlaskClient, camps: Camps, people: People) -> None:
    for root in ("", "/badges"):  # below another address, behind a proxy
        page = coordinator.get(f"/roll-call/{camps.today.id}", environ_overrides={"SCRIPT_NAME": root})
        assert f'formaction="{root}{mark_url(camps.today, people.volunteer)}"' in page.text


def test_somebody_who_did_not_sign_up_is_found_and_added(
    app: Flask, coordinator: FlaskClient, camps: Camps, people: People
) -> None:
    page = coordinator.get(f"/roll-call/{camps.today.id}?q=pas").text
    assert "Add Imran Pasha present" in page
    coordinator.post(mark_url(camps.today, people.other), data={"state": "present"}, headers=HTMX)
    assert state(app, camps.today, people.other) is State.PRESENT


def test_a_mark_answers_with_the_row_and_its_badges_and_reads_no_list(
    app: Flask,
    coordinator: FlaskClient,
    camps: Camps,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("webapp.domain.attendance.roll_call.counts")
    response = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX)
    assert response.status_code == 200
    assert "First Step" in response.text
    assert "Asha Rao is present. New: First Step." in response.text
    assert "<html" not in response.text
    assert state(app, camps.today, people.volunteer) is State.PRESENT


def test_the_fragments_of_a_mark_stand_verbatim_in_the_page(
    coordinator: FlaskClient, camps: Camps, people: People
) -> None:
    coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX)
    again = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX).text
    row = plain(again).partition(">")[2].partition("</hx-partial>")[0]
    page = plain(coordinator.get(f"/roll-call/{camps.today.id}").text)
    assert row.strip().startswith("<li")
    assert row.strip().removesuffix('<p class="closing"></p>').strip() in page
    assert "<strong>1 of 1</strong> present" in page


def test_repeating_a_mark_changes_nothing(app: Flask, coordinator: FlaskClient, camps: Camps, people: People) -> None:
    for _ in range(3):
        response = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX)
        assert response.status_code == 200
    assert "just-earned" not in response.text
    with app.app_context():
        assert factories.badge_names(people.volunteer) == ["First Step"]


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("present", State.PRESENT),
        ("present:doctor", State.PRESENT),
        ("excused", State.EXCUSED),
        ("absent", State.ABSENT),
        ("expected", State.EXPECTED),
    ],
)
def test_a_state_is_set_not_toggled(
    app: Flask, coordinator: FlaskClient, camps: Camps, people: People, sent: str, left: State
) -> None:
    for _ in range(2):
        coordinator.post(mark_url(camps.today, people.volunteer), data={"state": sent}, headers=HTMX)
        assert state(app, camps.today, people.volunteer) is left
    with app.app_context():
        row = factories.row_of(camps.today, people.volunteer).attendance
    assert row is not None
    assert row.camp_role is (CampRole.DOCTOR if "doctor" in sent else CampRole.VOLUNTEER)


def test_undo_takes_the_badge_back_and_says_so(coordinator: FlaskClient, camps: Camps, people: People) -> None:
    coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX)
    page = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "expected"}, headers=HTMX).text
    assert "Asha Rao is expected again. Taken back: First Step." in page
    assert "<strong>0 of 1</strong> present" in coordinator.get(f"/roll-call/{camps.today.id}").text


def test_without_javascript_a_form_leads_back_to_the_page(
    coordinator: FlaskClient, camps: Camps, people: People
) -> None:
    response = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present", "q": "ash"})
    assert response.status_code == 303
    assert response.location == f"/roll-call/{camps.today.id}?q=ash#person-{people.volunteer.id}"
    page = coordinator.get(response.location).text
    assert "Asha Rao is present. New: First Step." in page


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_a_future_camp_cannot_be_marked(
    app: Flask, coordinator: FlaskClient, camps: Camps, people: People, headers: dict[str, str]
) -> None:
    response = coordinator.post(
        mark_url(camps.future, people.volunteer), data={"state": "present"}, headers=headers, follow_redirects=True
    )
    assert response.status_code == (409 if headers else 200)
    assert "has not been held yet" in response.text
    assert state(app, camps.future, people.volunteer) is None


def test_a_cancelled_camp_cannot_be_marked(app: Flask, coordinator: FlaskClient, camps: Camps, people: People) -> None:
    with app.app_context(), writing():
        schedule.cancel_camp(camps.today)
    assert "This camp was cancelled" in coordinator.get(f"/roll-call/{camps.today.id}").text
    response = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX)
    assert response.status_code == 409
    assert "was cancelled" in response.text
    assert state(app, camps.today, people.volunteer) is State.EXPECTED


@pytest.mark.parametrize("sent", ["", "here", "present:nurse", "PRESENT"])
def test_a_state_that_is_none_changes_nothing(
    app: Flask, coordinator: FlaskClient, camps: Camps, people: People, sent: str
) -> None:
    response = coordinator.post(mark_url(camps.today, people.volunteer), data={"state": sent}, headers=HTMX)
    assert response.status_code == 400
    assert response.mimetype == "text/plain"
    assert state(app, camps.today, people.volunteer) is State.EXPECTED


def test_unknown_camps_and_people_are_404(coordinator: FlaskClient, camps: Camps, people: People) -> None:
    assert coordinator.get(f"/roll-call/{uuid4()}").status_code == 404
    assert coordinator.get("/roll-call/nonsense").status_code == 404
    unknown = f"/roll-call/{camps.today.id}/people/{uuid4()}"
    assert coordinator.post(unknown, data={"state": "present"}).status_code == 404


def test_a_long_list_shows_its_beginning(
    app: Flask, coordinator: FlaskClient, camps: Camps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.views.roll_call.page.MOST_ROWS", 3)
    with app.app_context():
        for number in range(5):
            person = factories.person(f"Person {number}")
            with writing():
                marking.sign_up(person, camps.today)
    page = coordinator.get(f"/roll-call/{camps.today.id}").text
    assert page.partition("<template")[0].count('class="person ') == 3
    assert "The first 3 are shown" in page


def test_a_search_for_nothing_printable_lists_no_strangers(coordinator: FlaskClient, camps: Camps) -> None:
    for query in ("%00", "%CC%80", "%20"):
        assert "Imran Pasha" not in coordinator.get(f"/roll-call/{camps.today.id}?q={query}").text


def test_signed_out_in_another_tab_htmx_is_sent_to_sign_in(
    app: Flask, client: FlaskClient, camps: Camps, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    response = client.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=HTMX)
    assert response.status_code == 401
    assert response.headers["HX-Redirect"].startswith("/sign-in")


def test_a_session_that_ended_sends_htmx_to_sign_in(client: FlaskClient, camps: Camps, people: People) -> None:
    headers = HTMX | {"HX-Current-URL": f"http://localhost/roll-call/{camps.today.id}?q=a"}
    response = client.post(mark_url(camps.today, people.volunteer), data={"state": "present"}, headers=headers)
    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == f"/sign-in?next=/roll-call/{camps.today.id}?q%3Da"
