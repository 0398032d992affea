"""Three hosts, as far as one machine can show: three gunicorns on three addresses, each with a folder of its
own, behind nginx. They share a PostgreSQL, a secret, and a Redis for what is counted.

Collected with TEST_ENGINE=postgresql alone: SQLite is for one machine.
"""

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from flask import Flask

from tests import factories
from tests.factories import PASSWORD
from tests.serving import SECRET, Nginx, Server, cookie_of, gunicorn, nginx, open_stream, redis, seconds, until
from webapp import clock
from webapp.domain.people import credentials
from webapp.domain.people.accounts import Person, Role

LOGIN = "/api/v1/auth/login"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@dataclass
class Hosts:
    """The three, a fourth for the test that kills one, and nginx before them."""

    servers: list[Server]
    doomed: Server
    front: Nginx


@pytest.fixture
def coordinator(app: Flask) -> Iterator[Person]:
    """With a camp on the real date of today."""
    with clock.running_from(clock._real()):
        with app.app_context():
            made = factories.with_password(factories.person("Ravi Gowda", role=Role.COORDINATOR))
            factories.camp(0)
        yield made


@pytest.fixture(scope="module")
def hosts(_app: Flask, database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    tmp_path = tmp_path_factory.mktemp("hosts")
    settings = {"RATELIMIT_STORAGE_URL": redis_url, "TRUSTED_PROXIES": "1"}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(gunicorn(database_url, tmp_path / host, host=host, settings=settings))
            for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
        ]
        yield Hosts(servers[:3], servers[3], stack.enter_context(nginx(servers, tmp_path / "nginx")))


def test_a_session_of_one_host_is_good_on_all(app: Flask, hosts: Hosts, coordinator: Person) -> None:
    here, *others = hosts.servers
    _, login = here.ask("POST", LOGIN, {"book_no": coordinator.book_no, "password": PASSWORD})
    cookie = cookie_of(app, coordinator)
    for server in (here, *others):
        bearer = {"Authorization": f"Bearer {login['access_token']}"}
        assert server.ask("GET", "/api/v1/users/me/badges", **bearer)[0] == 200
        assert server.ask("GET", "/cabinet", Cookie=cookie)[0] == 200


def test_a_live_page_hears_within_a_second_of_a_mark_on_another_host(
    app: Flask, hosts: Hosts, coordinator: Person
) -> None:
    here, there, _ = hosts.servers
    with app.app_context():
        bearer = {"Authorization": f"Bearer {credentials.issue_token(coordinator, SECRET)}"}
    with open_stream(here.connect(), cookie_of(app, coordinator)) as events:
        while events.readline().strip():
            pass
        mark = f"/api/v1/medical-camps/camp/{coordinator.id}/attendance"
        assert there.ask("PUT", mark, {}, **bearer)[0] == 200
        marked = time.monotonic()
        while b"New: First Step" not in (line := events.readline()):
            assert line
        assert time.monotonic() - marked < seconds(1)


def test_sign_in_attempts_are_counted_together(hosts: Hosts, coordinator: Person) -> None:
    """Ten a minute for an account, wherever they come in."""
    wrong = {"book_no": coordinator.book_no, "password": "guessed"}
    statuses = [hosts.servers[number % 3].ask("POST", LOGIN, wrong)[0] for number in range(11)]
    assert statuses == [401] * 10 + [429]
    right = {"book_no": coordinator.book_no, "password": PASSWORD}
    assert [server.ask("POST", LOGIN, right)[0] for server in hosts.servers] == [429] * 3


def test_a_host_that_is_killed_fails_no_request(app: Flask, hosts: Hosts, coordinator: Person) -> None:
    """Pages, and marks of the JSON API, which nginx may send to the next host."""
    cookie = cookie_of(app, coordinator)
    with app.app_context():
        bearer = {"Authorization": f"Bearer {credentials.issue_token(coordinator, SECRET)}"}
    mark = f"/api/v1/medical-camps/camp/{coordinator.id}/attendance"
    asked = [("GET", "/cabinet", None, {"Cookie": cookie}), ("GET", "/sign-in", None, {}), ("PUT", mark, "{}", bearer)]
    enough = threading.Event()
    statuses: list[list[int | str]] = [[] for _ in asked]

    def ask(number: int) -> None:
        method, path, body, headers = asked[number]
        while not enough.is_set():
            try:
                answer, _ = hosts.front.ask(method, path, body, **{"Content-Type": "application/json"}, **headers)
                statuses[number].append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                statuses[number].append(repr(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked))]
    for thread in threads:
        thread.start()
    until(lambda: all(len(each) > 10 for each in statuses))
    killed = hosts.doomed
    for pid in (killed.process.pid, *killed.workers()):
        os.kill(pid, signal.SIGKILL)
    before = [len(each) for each in statuses]
    until(lambda: all(len(each) > count + 20 for each, count in zip(statuses, before, strict=True)))
    enough.set()
    for thread in threads:
        thread.join()
    assert [set(each) for each in statuses] == [{200}] * 3
