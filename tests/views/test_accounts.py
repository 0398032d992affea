"""Signing in and out, and changing the password."""

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import People
from tests.factories import PASSWORD
from webapp.database import db, writing
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person
from webapp.views.accounts import WRONG

SignIn = Callable[..., FlaskClient]


@pytest.fixture
def known(app: Flask, people: People) -> People:
    """Everybody has the password of the factories."""
    with app.app_context():
        for part in ("volunteer", "coordinator", "admin", "stranger"):
            setattr(people, part, factories.with_password(getattr(people, part)))
    return people


def sign_in(client: FlaskClient, book_no: object, password: str = PASSWORD, **more: str) -> TestResponse:
    return client.post("/sign-in", data={"book_no": str(book_no), "password": password, **more})


@pytest.mark.parametrize(
    ("part", "place"), [("volunteer", "/cabinet"), ("coordinator", "/roll-call/"), ("admin", "/office/start/")]
)
def test_each_role_lands_where_its_work_begins(client: FlaskClient, known: People, part: str, place: str) -> None:
    response = sign_in(client, getattr(known, part).book_no)
    assert response.status_code == 302
    assert response.location == place
    assert client.get("/").location == place


def test_the_answer_is_the_same_for_every_wrong_pair(client: FlaskClient, known: People, people: People) -> None:
    pages = []
    for book_no, password in (
        (known.volunteer.book_no, "wrong password"),
        (987654, PASSWORD),
        (people.other.book_no, PASSWORD),
        (known.stranger.book_no, PASSWORD),
        ("abc", PASSWORD),
        (known.volunteer.book_no, "x" * 5000),
    ):
        response = sign_in(client, book_no, password)
        assert response.status_code == 422
        pages.append(response.text.replace(f'value="{book_no}"', ""))
    assert WRONG in pages[0]
    assert len(set(pages)) == 1


def test_an_empty_form_says_what_is_missing(client: FlaskClient) -> None:
    response = client.post("/sign-in", data={})
    assert response.status_code == 422
    assert "Please enter your book number." in response.text
    assert "Please enter your password." in response.text


def test_ten_failures_a_minute_close_the_account_but_not_others(client: FlaskClient, known: People) -> None:
    for _ in range(10):
        assert sign_in(client, known.volunteer.book_no, "wrong password").status_code == 422
    refused = sign_in(client, known.volunteer.book_no)
    assert refused.status_code == 429
    assert "wait a minute" in refused.text
    assert sign_in(client, known.admin.book_no).status_code == 302


def test_forty_attempts_at_once_are_counted_before_they_are_looked_at(app: Flask, known: People) -> None:
    statuses: list[int] = []

    def attempt() -> None:
        statuses.append(sign_in(app.test_client(), f"0{known.volunteer.book_no}", "wrong password").status_code)

    threads = [threading.Thread(target=attempt) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [422] * 10 + [429] * 30
    body = {"book_no": known.volunteer.book_no, "password": PASSWORD}
    assert app.test_client().post("/api/v1/auth/login", json=body).status_code == 429


def test_forty_people_of_one_camp_can_sign_in_from_one_address(app: Flask, known: People) -> None:
    for _ in range(70):
        assert sign_in(app.test_client(), known.volunteer.book_no).status_code == 302


def test_at_most_two_hashes_run_at_once(app: Flask, known: People, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, gate = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    class Slow:
        def verify(self, password_hash: str, password: str) -> bool:
            nonlocal running, most
            with gate:
                running += 1
                most = max(most, running)
            both.wait(5)  # goes on once two are inside
            with gate:
                running -= 1
            return True

    monkeypatch.setattr(credentials, "_hasher", Slow())

    def attempt() -> None:
        with app.app_context():
            credentials.authenticate(known.volunteer.book_no, PASSWORD)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_sign_out_ends_the_session(client: FlaskClient, known: People) -> None:
    sign_in(client, known.volunteer.book_no)
    assert client.get("/cabinet").status_code == 200
    assert client.post("/sign-out").location == "/sign-in"
    assert client.get("/cabinet").location == "/sign-in?next=/cabinet"


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/people/?q=asha", "/people/?q=asha"),
        ("https://evil.example/", "/roll-call/"),
        ("//evil.example/", "/roll-call/"),
        ("/\\evil.example", "/roll-call/"),
        ("http://localhost//evil.example", "/roll-call/"),
        ("/\t/evil.example", "/roll-call/"),
        ("javascript:alert(1)", "/roll-call/"),
    ],
)
def test_after_sign_in_one_goes_on_within_this_site_only(
    client: FlaskClient, known: People, target: str, place: str
) -> None:
    assert sign_in(client, known.coordinator.book_no, next=target).location == place


def test_the_session_cookie_is_guarded(client: FlaskClient, known: People) -> None:
    plain = client.post("/sign-in", data={"book_no": known.volunteer.book_no, "password": PASSWORD})
    cookie = plain.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    secure = client.post(
        "/sign-in", data={"book_no": known.volunteer.book_no, "password": PASSWORD}, base_url="https://localhost"
    )
    assert "Secure" in secure.headers["Set-Cookie"]
    assert "max-age" in secure.headers["Strict-Transport-Security"]


def change(client: FlaskClient, present: str, new: str, again: str | None = None) -> TestResponse:
    return client.post("/account", data={"present": present, "new": new, "again": again or new})


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(app: Flask, known: People) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(here, known.volunteer.book_no)
    sign_in(there, known.volunteer.book_no)
    with app.app_context():
        volunteer = accounts.by_book_no(known.volunteer.book_no)
        assert volunteer is not None
        bearer = {"Authorization": f"Bearer {credentials.issue_token(volunteer, app.config['SECRET_KEY'])}"}
    assert app.test_client().get("/api/v1/users/me/badges", headers=bearer).status_code == 200
    assert change(here, PASSWORD, "another horse").status_code == 302
    assert here.get("/cabinet").status_code == 200
    assert there.get("/cabinet").status_code == 302
    assert app.test_client().get("/api/v1/users/me/badges", headers=bearer).status_code == 401
    assert sign_in(there, known.volunteer.book_no).status_code == 422
    assert sign_in(there, known.volunteer.book_no, "another horse").status_code == 302


@pytest.mark.parametrize(
    ("present", "new", "again", "said"),
    [
        ("wrong", "another horse", None, "not your present password"),
        (PASSWORD, "short", None, "at least 8 characters"),
        (PASSWORD, "x" * 201, None, "at most 200 characters"),
        (PASSWORD, "another horse", "another house", "two new passwords differ"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(
    client: FlaskClient, known: People, present: str, new: str, again: str | None, said: str
) -> None:
    sign_in(client, known.volunteer.book_no)
    response = change(client, present, new, again)
    assert response.status_code == 422
    assert said in response.text
    client.post("/sign-out")
    assert sign_in(client, known.volunteer.book_no).status_code == 302


def test_a_deactivated_account_is_out_at_once(app: Flask, client: FlaskClient, known: People) -> None:
    sign_in(client, known.volunteer.book_no)
    with app.app_context(), writing():
        accounts.deactivate(db.session.get_one(Person, known.volunteer.id))
    assert client.get("/cabinet").status_code == 302
    assert sign_in(client, known.volunteer.book_no).status_code == 422
