"""The JSON API of the contract, call by call."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import People
from tests.factories import PASSWORD, attend, weekly
from tests.views.conftest import Camps
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.people.accounts import Person, Role

Token = Callable[[Person], dict[str, str]]
BADGE_KEYS = {"name", "description", "earned_at"}


def attendance_url(person: Person) -> str:
    return f"/api/v1/medical-camps/camp/{person.id}/attendance"


def test_login_gives_a_bearer_token(app: Flask, client: FlaskClient, people: People) -> None:
    with app.app_context():
        factories.with_password(people.volunteer)
    answer = client.post("/api/v1/auth/login", json={"book_no": people.volunteer.book_no, "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.get_json().keys() == {"access_token", "token_type", "expires_in"}
    assert answer.get_json()["token_type"] == "bearer"
    bearer = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}
    assert client.get("/api/v1/users/me/badges", headers=bearer).status_code == 200
    forged = {"Authorization": f"Bearer {answer.get_json()['access_token'][:-2]}xx"}
    assert client.get("/api/v1/users/me/badges", headers=forged).status_code == 401


def test_a_wrong_password_and_an_unknown_number_are_answered_alike(
    app: Flask, client: FlaskClient, people: People
) -> None:
    with app.app_context():
        factories.with_password(people.volunteer)
    wrong = client.post("/api/v1/auth/login", json={"book_no": people.volunteer.book_no, "password": "no"})
    unknown = client.post("/api/v1/auth/login", json={"book_no": 999_999, "password": "no"})
    huge = client.post("/api/v1/auth/login", json={"book_no": 10**30, "password": "no"})
    assert wrong.status_code == unknown.status_code == huge.status_code == 401
    assert wrong.get_json() == unknown.get_json() == huge.get_json()


def test_half_a_character_is_no_password(app: Flask, client: FlaskClient, people: People) -> None:
    with app.app_context():
        factories.with_password(people.volunteer)
    body = f'{{"book_no": {people.volunteer.book_no}, "password": "\\ud800"}}'
    assert client.post("/api/v1/auth/login", data=body, content_type="application/json").status_code == 401


def test_too_many_wrong_passwords_are_429(client: FlaskClient, people: People) -> None:
    statuses = [client.post("/api/v1/auth/login", json={"book_no": 1, "password": "no"}).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize("body", [None, {}, {"book_no": "x", "password": "y"}, {"book_no": 1}, [], "text", 5])
def test_a_bad_body_is_400(client: FlaskClient, body: object) -> None:
    answer = client.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["detail"]


def test_what_is_not_json_is_400(client: FlaskClient, people: People, token: Token) -> None:
    answer = client.put(
        attendance_url(people.volunteer), data="{not json", content_type="application/json", headers=token(people.admin)
    )
    assert answer.status_code == 400


def test_people_by_role_in_pages(app: Flask, client: FlaskClient, people: People, token: Token) -> None:
    with app.app_context():
        for number in range(5):
            factories.person(f"Person {number}")
    answer = client.get("/api/v1/users/?role=volunteer&per_page=3&page=2", headers=token(people.coordinator))
    assert [person["name"] for person in answer.get_json()] == ["Person 1", "Person 2", "Person 3"]
    assert answer.get_json()[0].keys() == {"id", "book_no", "name", "role"}
    links = {name: url for url, name in re.findall(r'<([^>]+)>; rel="(\w+)"', answer.headers["Link"])}
    assert links.keys() == {"first", "prev", "next", "last"}
    last = client.get(links["last"], headers=token(people.admin))
    assert [person["name"] for person in last.get_json()] == ["Person 4"]
    everybody = client.get("/api/v1/users/", headers=token(people.admin)).get_json()
    assert {person["role"] for person in everybody} == set(Role)
    assert "Nobody Now" not in {person["name"] for person in everybody}


@pytest.mark.parametrize("query", ["role=king", "page=0", "page=x", "per_page=1000"])
def test_a_bad_query_is_400(client: FlaskClient, people: People, token: Token, query: str) -> None:
    assert client.get(f"/api/v1/users/?{query}", headers=token(people.admin)).status_code == 400


def test_a_mark_answers_attendance_and_new_badges(
    client: FlaskClient, people: People, camps: Camps, token: Token
) -> None:
    body = {"logout": False, "camp_role": "volunteer"}
    answer = client.put(attendance_url(people.volunteer), json=body, headers=token(people.coordinator))
    assert answer.status_code == 200
    assert answer.get_json()["attendance"]["state"] == "present"
    assert answer.get_json()["attendance"]["camp_id"] == str(camps.today.id)
    assert answer.get_json()["attendance"]["user_id"] == str(people.volunteer.id)
    assert [badge["name"] for badge in answer.get_json()["new_badges"]] == ["First Step"]
    assert answer.get_json()["new_badges"][0].keys() == BADGE_KEYS
    badges = client.get(f"/api/v1/users/{people.volunteer.id}/badges", headers=token(people.admin))
    assert badges.get_json() == {"badges": answer.get_json()["new_badges"], "count": 1}
    again = client.put(attendance_url(people.volunteer), json=body, headers=token(people.coordinator))
    assert again.get_json()["new_badges"] == []
    assert again.get_json()["attendance"] == answer.get_json()["attendance"]


def test_earned_at_is_iso_8601_in_utc(client: FlaskClient, people: People, camps: Camps, token: Token) -> None:
    client.put(attendance_url(people.volunteer), json={}, headers=token(people.admin))
    (badge,) = client.get("/api/v1/users/me/badges", headers=token(people.volunteer)).get_json()["badges"]
    assert badge["earned_at"] == "2026-04-12T06:00:00Z"
    assert datetime.fromisoformat(badge["earned_at"]).tzinfo == UTC


def test_logout_records_leaving_only_of_somebody_present(
    client: FlaskClient, people: People, camps: Camps, token: Token
) -> None:
    leave = {"logout": True, "camp_role": "volunteer"}
    early = client.put(attendance_url(people.volunteer), json=leave, headers=token(people.admin))
    assert early.status_code == 409
    assert "not marked present" in early.get_json()["detail"]
    client.put(attendance_url(people.volunteer), json={}, headers=token(people.admin))
    left = client.put(attendance_url(people.volunteer), json=leave, headers=token(people.admin))
    assert left.status_code == 200
    assert left.get_json()["attendance"]["left_at"] == "2026-04-12T06:00:00Z"
    assert left.get_json()["new_badges"] == []


def test_no_camp_today_is_409(client: FlaskClient, people: People, token: Token) -> None:
    answer = client.put(attendance_url(people.volunteer), json={}, headers=token(people.admin))
    assert (answer.status_code, answer.get_json()) == (409, {"detail": "There is no camp today."})


def test_of_several_camps_the_one_signed_up_for_or_named(
    app: Flask, client: FlaskClient, people: People, camps: Camps, token: Token
) -> None:
    with app.app_context():
        evening = factories.camp(0, "Evening camp")
    admin = token(people.admin)
    signed_up = client.put(attendance_url(people.volunteer), json={}, headers=admin)
    assert signed_up.get_json()["attendance"]["camp_id"] == str(camps.today.id)
    unclear = client.put(attendance_url(people.other), json={}, headers=admin)
    assert unclear.status_code == 409
    assert "camp_id" in unclear.get_json()["detail"]
    named = client.put(attendance_url(people.other), json={"camp_id": str(evening.id)}, headers=admin)
    assert named.get_json()["attendance"]["camp_id"] == str(evening.id)
    with app.app_context(), writing():
        marking.sign_up(people.volunteer, evening)
    assert client.put(attendance_url(people.volunteer), json={}, headers=admin).status_code == 409


def test_a_mark_that_cannot_be_is_refused(client: FlaskClient, people: People, camps: Camps, token: Token) -> None:
    admin = token(people.admin)
    for body, status in (
        ({"camp_id": str(camps.future.id)}, 409),
        ({"camp_id": str(uuid4())}, 404),
        ({"camp_id": "nonsense"}, 400),
        ({"camp_role": "nurse"}, 400),
        ({"logout": "perhaps"}, 400),
    ):
        answer = client.put(attendance_url(people.volunteer), json=body, headers=admin)
        assert answer.status_code == status, body
        assert answer.get_json()["detail"]
    assert client.put(attendance_url(people.stranger), json={}, headers=admin).status_code == 409
    assert client.get("/api/v1/users/me/badges", headers=token(people.volunteer)).get_json()["count"] == 0


def test_bad_and_unknown_people(client: FlaskClient, people: People, camps: Camps, token: Token) -> None:
    admin = token(people.admin)
    for method, path in (
        ("GET", "/api/v1/users/{}/badges"),
        ("GET", "/api/v1/users/{}/badge-progress"),
        ("POST", "/api/v1/users/{}/evaluate-badges"),
        ("PUT", "/api/v1/medical-camps/camp/{}/attendance"),
    ):
        for person_id, status in (("nonsense", 400), (uuid4(), 404)):
            answer = client.open(path.format(person_id), method=method, json={}, headers=admin)
            assert answer.status_code == status, (method, path)
            assert answer.get_json()["detail"]


def test_progress_lists_every_badge_and_the_next(
    app: Flask, client: FlaskClient, people: People, token: Token, badge_names: list[str]
) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(4), people.coordinator)
    own = client.get("/api/v1/users/me/badge-progress", headers=token(people.volunteer))
    assert [each["badge"] for each in own.get_json()["progress"]] == badge_names
    assert own.get_json()["progress"][0] == {"badge": "First Step", "current": 4, "required": 1}
    assert own.get_json()["next_badge"] == {"badge": "Consistent Volunteer", "current": 4, "required": 5}
    theirs = client.get(f"/api/v1/users/{people.volunteer.id}/badge-progress", headers=token(people.admin))
    assert theirs.get_json() == own.get_json()


def test_next_badge_is_null_when_all_are_earned(app: Flask, client: FlaskClient, people: People, token: Token) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(36), people.coordinator)
    assert (
        client.get("/api/v1/users/me/badge-progress", headers=token(people.volunteer)).get_json()["next_badge"] is None
    )


def test_evaluation_awards_what_is_due_and_then_nothing(
    app: Flask, client: FlaskClient, people: People, token: Token
) -> None:
    """A camp was cancelled by somebody's hand in the database, so nobody evaluated whom it concerns."""
    from webapp.domain.camps.calendar import Camp, Status

    with app.app_context():
        camps = weekly(4)
        attend(people.volunteer, [camps[0], camps[1], camps[3]], people.coordinator)
        with writing():
            db.session.get_one(Camp, camps[2].id).status = Status.CANCELLED
    url = f"/api/v1/users/{people.volunteer.id}/evaluate-badges"
    first = client.post(url, headers=token(people.coordinator))
    assert first.get_json()["message"] == "1 new badge(s) awarded"
    assert [badge["name"] for badge in first.get_json()["new_badges"]] == ["On a Roll"]
    assert first.get_json()["total_badges"] == 3
    second = client.post(url, headers=token(people.coordinator))
    assert second.get_json() == {"message": "0 new badge(s) awarded", "new_badges": [], "total_badges": 3}


def test_the_api_describes_itself(app: Flask, client: FlaskClient) -> None:
    description = client.get("/api/v1/openapi.json").get_json()
    assert description["openapi"] >= "3.1"
    described = {(path, method) for path, calls in description["paths"].items() for method in calls}
    routed = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api_") and not rule.endpoint.startswith("api_docs")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == routed
    page = client.get("/api/v1/docs").text
    for path, method in described:
        assert f"{method.upper()} {path}" in page
