"""The real server: two processes on one database, a mark in one, an open page in the other."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests import factories
from tests.factories import PASSWORD
from webapp import clock
from webapp.database import writing
from webapp.domain import attendance
from webapp.domain.accounts import Person, Role
from webapp.views.security import SessionPerson

ROOT = Path(__file__).parent.parent
PATIENCE = 30  # seconds until a test gives up


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def gunicorn(url: str, tmp_path: Path, **settings: str) -> Iterator[int]:
    """A server of its own, told about the database as an operator would; its port."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": url,
        "INSTANCE_PATH": str(tmp_path),
        "SECRET_KEY": "only-for-tests-only",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        **settings,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "webapp/server.py", "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                status, _ = ask(port, "GET", "/sign-in")
                assert status == 200
                break
            except ConnectionError:
                assert server.poll() is None
                assert time.monotonic() < until
        yield port
    finally:
        began = time.monotonic()
        server.terminate()
        server.wait(PATIENCE)
        assert time.monotonic() - began < 10  # open live pages do not hold the stop


def ask(port: int, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(
        method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json", **headers}
    )
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if response.headers["Content-Type"] == "application/json" else text


@pytest.fixture
def parts(app: Flask) -> Iterator[tuple[Person, Person]]:
    """An admin and a volunteer, a camp on the real date of today."""
    with clock.running_from(clock._real()):
        with app.app_context():
            admin = factories.with_password(factories.person("Meera Krishnan", role=Role.ADMIN))
            volunteer = factories.with_password(factories.person("Asha Rao"))
            camp = factories.camp(0)
            with writing():
                attendance.sign_up(volunteer, camp)
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
    with ExitStack() as servers:
        here, there = (servers.enter_context(gunicorn(database_url, tmp_path)) for _ in range(2))
        stream = http.client.HTTPConnection("127.0.0.1", here, timeout=PATIENCE)
        stream.request("GET", stream_path, headers={"Cookie": f"session={cookie.value}"})
        events = stream.getresponse()
        assert events.readline() == b": still here\n"

        _, login = ask(there, "POST", "/api/v1/auth/login", {"book_no": admin.book_no, "password": PASSWORD})
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        mark = f"/api/v1/medical-camps/camp/{volunteer.id}/attendance"
        status, answer = ask(there, "PUT", mark, {"logout": False, "camp_role": "volunteer"}, **bearer)
        marked = time.monotonic()
        assert status == 200
        assert [badge["name"] for badge in answer["new_badges"]] == ["First Step"]
        line = events.readline()
        while b"New: First Step" not in line:
            line = events.readline()
            assert line
        assert time.monotonic() - marked < 1
        stream.close()


def test_the_scripts_of_the_mobile_app(database_url: str, parts: tuple[Person, Person], tmp_path: Path) -> None:
    admin, volunteer = parts
    with gunicorn(database_url, tmp_path) as port:

        def token(person: Person) -> dict[str, str]:
            body = {"book_no": person.book_no, "password": PASSWORD}
            return {"Authorization": f"Bearer {ask(port, 'POST', '/api/v1/auth/login', body)[1]['access_token']}"}

        as_admin, as_volunteer = token(admin), token(volunteer)
        _, users = ask(port, "GET", "/api/v1/users/?role=volunteer", **as_admin)
        user_id = users[0]["id"]
        ask(port, "PUT", f"/api/v1/medical-camps/camp/{user_id}/attendance", {"logout": False}, **as_admin)
        _, badges = ask(port, "GET", f"/api/v1/users/{user_id}/badges", **as_admin)
        assert badges["count"] == 1
        _, evaluated = ask(port, "POST", f"/api/v1/users/{user_id}/evaluate-badges", **as_admin)
        assert evaluated["message"] == "0 new badge(s) awarded"
        assert ask(port, "GET", "/api/v1/users/me/badges", **as_volunteer) == (200, badges)
        assert ask(port, "GET", f"/api/v1/users/{user_id}/badges")[0] == 401
        assert ask(port, "GET", f"/api/v1/users/{admin.id}/badges", **as_volunteer)[0] == 403
