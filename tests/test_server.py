"""The real server: two processes on one database, a mark in one, an open page in the other."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from tests import factories
from tests.factories import PASSWORD
from tests.serving import gunicorn, open_stream, seconds
from webapp import clock
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.people.accounts import Person, Role
from webapp.views.security import SessionPerson


@pytest.fixture
def parts(app: Flask) -> Iterator[tuple[Person, Person]]:
    """An admin and a volunteer, a camp on the real date of today."""
    with clock.running_from(clock._real()):
        with app.app_context():
            admin = factories.with_password(factories.person("Meera Krishnan", role=Role.ADMIN))
            volunteer = factories.with_password(factories.person("Asha Rao"))
            camp = factories.camp(0)
            with writing():
                marking.sign_up(volunteer, camp)
        yield admin, volunteer


def test_a_mark_in_one_process_reaches_a_page_held_by_another(
    app: Flask, database_url: str, parts: tuple[Person, Person], tmp_path: Path
) -> None:
    admin, volunteer = parts
    client = app.test_client(user=SessionPerson(volunteer))
    page = client.get("/cabinet").text
    cookie = client.get_cookie("session")
    assert cookie
    stream_path = page.partition('hx-sse:connect="')[2].partition('"')[0]
    with ExitStack() as opened:
        here, there = (opened.enter_context(gunicorn(database_url, tmp_path)) for _ in range(2))
        events = opened.enter_context(open_stream(here.connect(), f"session={cookie.value}", stream_path))
        assert events.readline() == b": still here\n"

        _, login = there.ask("POST", "/api/v1/auth/login", {"book_no": admin.book_no, "password": PASSWORD})
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        mark = f"/api/v1/medical-camps/camp/{volunteer.id}/attendance"
        status, answer = there.ask("PUT", mark, {"logout": False, "camp_role": "volunteer"}, **bearer)
        marked = time.monotonic()
        assert status == 200
        assert [badge["name"] for badge in answer["new_badges"]] == ["First Step"]
        line = events.readline()
        while b"New: First Step" not in line:
            line = events.readline()
            assert line
        assert time.monotonic() - marked < seconds(1)


def test_the_scripts_of_the_mobile_app(database_url: str, parts: tuple[Person, Person], tmp_path: Path) -> None:
    admin, volunteer = parts
    with gunicorn(database_url, tmp_path) as server:

        def token(person: Person) -> dict[str, str]:
            body = {"book_no": person.book_no, "password": PASSWORD}
            return {"Authorization": f"Bearer {server.ask('POST', '/api/v1/auth/login', body)[1]['access_token']}"}

        as_admin, as_volunteer = token(admin), token(volunteer)
        _, users = server.ask("GET", "/api/v1/users/?role=volunteer", **as_admin)
        user_id = users[0]["id"]
        server.ask("PUT", f"/api/v1/medical-camps/camp/{user_id}/attendance", {"logout": False}, **as_admin)
        _, badges = server.ask("GET", f"/api/v1/users/{user_id}/badges", **as_admin)
        assert badges["count"] == 1
        _, evaluated = server.ask("POST", f"/api/v1/users/{user_id}/evaluate-badges", **as_admin)
        assert evaluated["message"] == "0 new badge(s) awarded"
        assert server.ask("GET", "/api/v1/users/me/badges", **as_volunteer) == (200, badges)
        assert server.ask("GET", f"/api/v1/users/{user_id}/badges")[0] == 401
        assert server.ask("GET", f"/api/v1/users/{admin.id}/badges", **as_volunteer)[0] == 403
