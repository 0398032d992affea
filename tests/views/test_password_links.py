"""The one-time link by which somebody gives themselves a password."""

import hashlib
import logging
import re
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import PASSWORD
from webapp import clock
from webapp.database import db, writing
from webapp.domain.audit import Action, Entry
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import PasswordLink

As = Callable[[Person], FlaskClient]
NEW = "another horse"


@pytest.fixture
def admin(as_: As, people: People) -> FlaskClient:
    return as_(people.admin)


def make(admin: FlaskClient, person: Person) -> str:
    """The path of a new link."""
    page = admin.post(f"/office/people/{person.id}/link")
    assert page.status_code == 200
    found = re.search(r'value="http://localhost(/password\?link=[^"]+)"', page.text)
    assert found
    return found[1]


def choose(client: FlaskClient, link: str, new: str = NEW, again: str | None = None) -> TestResponse:
    return client.post(link, data={"new": new, "again": again or new})


def signs_in(app: Flask, person: Person, password: str) -> bool:
    sent = {"book_no": str(person.book_no), "password": password}
    return app.test_client().post("/sign-in", data=sent).status_code == 302


def over(response: TestResponse) -> str:
    assert response.status_code == 410
    assert "This link does not work any more" in response.text
    return response.text


def test_a_link_is_shown_once_and_works_once(
    app: Flask, admin: FlaskClient, client: FlaskClient, people: People
) -> None:
    page = f"/office/people/{people.volunteer.id}"
    made = admin.post(f"{page}/link")
    assert "<svg" in made.text
    assert made.headers["Cache-Control"] == "no-store"
    link = make(admin, people.volunteer)
    assert "link=" not in admin.get(page).text
    assert "works for another 24 h" in admin.get(page).text
    form = client.get(link)
    assert "For Asha Rao, book number" in form.text
    done = choose(client, link)
    assert done.location == "/sign-in"
    assert "The password is set." in client.get("/sign-in").text
    assert client.get("/cabinet").status_code == 302  # nobody is signed in by it
    assert signs_in(app, people.volunteer, NEW)
    assert "It was used already" in over(client.get(link))
    assert "It was used already" in over(choose(client, link, "a third horse"))
    assert signs_in(app, people.volunteer, NEW)
    with app.app_context():
        entries = db.session.scalars(select(Entry).where(Entry.person_id == people.volunteer.id)).all()
    done_by = {entry.action: entry.by_id for entry in entries}
    assert done_by[Action.LINK_MADE] == people.admin.id
    assert done_by[Action.PASSWORD_SET] == people.volunteer.id


def test_only_the_digest_is_kept(app: Flask, admin: FlaskClient, people: People) -> None:
    secret = make(admin, people.volunteer).partition("link=")[2]
    with app.app_context():
        link = db.session.scalars(select(PasswordLink)).one()
    assert link.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert len(secret) >= 43  # 32 bytes


def test_no_log_has_the_secret(
    admin: FlaskClient, client: FlaskClient, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        link = make(admin, people.volunteer)
        client.get(link)
        choose(client, link)
    assert caplog.records
    secret = link.partition("link=")[2]
    assert not any(secret in str(vars(record)) for record in caplog.records if record.name.startswith("webapp"))


def test_it_expires(admin: FlaskClient, client: FlaskClient, app: Flask, people: People) -> None:
    link = make(admin, people.volunteer)
    with clock.stopped_at(SUNDAY + timedelta(hours=23, minutes=59)):
        assert client.get(link).status_code == 200
    with clock.stopped_at(SUNDAY + timedelta(hours=24)):
        assert "It has expired" in over(client.get(link))
        assert "It has expired" in over(choose(client, link))
        assert "is handed out" not in admin.get(f"/office/people/{people.volunteer.id}").text
    assert not signs_in(app, people.volunteer, NEW)


def test_a_newer_link_replaces_it(admin: FlaskClient, client: FlaskClient, people: People) -> None:
    first, second = make(admin, people.volunteer), make(admin, people.volunteer)
    over(client.get(first))
    assert choose(client, second).status_code == 303


def test_it_ends_with_the_account_and_does_not_come_back(
    app: Flask, admin: FlaskClient, client: FlaskClient, people: People
) -> None:
    link = make(admin, people.volunteer)
    page = f"/office/people/{people.volunteer.id}"
    admin.post(f"{page}/switch", data={"on": "no"})
    over(client.get(link))
    assert admin.post(f"{page}/link").status_code == 409
    admin.post(f"{page}/switch", data={"on": "yes"})
    over(choose(client, link))
    assert not signs_in(app, people.volunteer, NEW)


def test_a_password_set_otherwise_ends_it(app: Flask, admin: FlaskClient, client: FlaskClient, people: People) -> None:
    link = make(admin, people.volunteer)
    with app.app_context():
        factories.with_password(people.volunteer)
    over(choose(client, link))
    assert signs_in(app, people.volunteer, PASSWORD)


@pytest.mark.parametrize("link", ["/password", "/password?link=", "/password?link=nonsense", "/password?link=%F0%28"])
def test_what_never_was_a_link_is_none(client: FlaskClient, people: People, link: str) -> None:
    over(client.get(link))
    over(choose(client, link))


@pytest.mark.parametrize(
    ("new", "again", "said"),
    [
        ("short", None, "at least 8 characters"),
        ("x" * 201, None, "at most 200 characters"),
        (NEW, "another house", "two new passwords differ"),
        ("", None, "Please enter a new password"),
    ],
)
def test_a_password_that_will_not_do_leaves_the_link(
    admin: FlaskClient, client: FlaskClient, people: People, new: str, again: str | None, said: str
) -> None:
    link = make(admin, people.volunteer)
    response = choose(client, link, new, again)
    assert response.status_code == 422
    assert said in response.text
    assert choose(client, link).status_code == 303


def test_it_ends_the_sessions_of_its_person_and_of_nobody_else(
    app: Flask, admin: FlaskClient, as_: As, people: People
) -> None:
    theirs, coordinator = as_(people.volunteer), as_(people.coordinator)
    assert theirs.get("/cabinet").status_code == 200
    link = make(admin, people.volunteer)
    done = choose(coordinator, link)  # in a browser where somebody else is signed in
    assert done.status_code == 303
    assert theirs.get("/cabinet").status_code == 302
    assert coordinator.get("/account").status_code == 200
    assert "Ravi Gowda" in coordinator.get("/account").text
    with app.app_context():
        set_by = select(Entry.by_id).where(Entry.action == Action.PASSWORD_SET)
        assert db.session.scalars(set_by).all() == [people.volunteer.id]


def test_two_who_use_it_at_once_do_not_both_succeed(app: Flask, admin: FlaskClient, people: People) -> None:
    secret = make(admin, people.volunteer).partition("link=")[2]
    said: list[str] = []
    ended = threading.Event()

    def use() -> None:
        with app.app_context():
            try:
                with writing():
                    credentials.use_link(secret, "second")
            except credentials.LinkOver as error:
                said.append(str(error))
            finally:
                ended.set()

    thread = threading.Thread(target=use)
    with app.app_context():
        with writing():
            credentials.use_link(secret, "first")
            thread.start()
            assert not ended.wait(0.5)
        thread.join()
        assert said
        person = accounts.by_id(people.volunteer.id)
        assert person
        assert person.password_hash == "first"


def test_guessing_is_limited_as_signing_in_is(client: FlaskClient, people: People) -> None:
    for _ in range(60):
        over(client.get("/password?link=guess"))
    refused = client.get("/password?link=guess")
    assert refused.status_code == 429


def test_good_links_are_not_counted(app: Flask, admin: FlaskClient, client: FlaskClient, people: People) -> None:
    """A whole camp chooses passwords behind one address."""
    link = make(admin, people.volunteer)
    for _ in range(70):
        assert client.get(link).status_code == 200


def test_another_role_that_may_do_less_ends_it_one_that_may_do_more_does_not(
    app: Flask, admin: FlaskClient, client: FlaskClient, people: People
) -> None:
    link = make(admin, people.volunteer)
    with app.app_context(), writing():
        accounts.change_role(db.session.get_one(Person, people.volunteer.id), Role.COORDINATOR)
    assert client.get(link).status_code == 200
    with app.app_context(), writing():
        accounts.change_role(db.session.get_one(Person, people.volunteer.id), Role.VOLUNTEER)
    over(client.get(link))
