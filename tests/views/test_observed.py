"""The log: one line a request and a record, each with the request's id, and nothing about anybody."""

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests import factories
from tests.conftest import People
from tests.factories import PASSWORD
from webapp import logs
from webapp.database import db
from webapp.domain.people.accounts import Person

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The log of a server that writes JSON."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logging.config.dictConfig(dict(logs.configuration("json", "info")))
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.stream = io.StringIO()
    yield handler.stream
    root.handlers[:], root.level = before


@pytest.fixture
def lines(written: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


def test_each_request_is_one_line_with_an_id_that_the_answer_bears(client: FlaskClient, lines: Lines) -> None:
    response = client.get("/sign-in?next=/cabinet")
    (line,) = lines()
    assert line.pop("ms") >= 0
    assert line == {
        "time": "2026-04-12T06:00:00.000Z",
        "level": "info",
        "logger": "webapp.requests",
        "message": "GET /sign-in 200",
        "request_id": response.headers["X-Request-ID"],
        "method": "GET",
        "path": "/sign-in",
        "endpoint": "accounts.sign_in",
        "status": 200,
    }


def test_health_is_asked_too_often_to_be_a_line(client: FlaskClient, lines: Lines) -> None:
    client.get("/healthz")
    client.get("/readyz")
    assert lines() == []


@pytest.mark.parametrize(
    ("proxies", "sent", "believed"),
    [
        (1, "4f3a.B-c_9876543", True),
        (0, "4f3a.B-c_9876543", False),
        (1, "short", False),
        (1, "x" * 65, False),
        (1, "with spaces in it", False),
        (1, 'quoted"injection', False),
    ],
)
def test_an_id_is_taken_from_a_proxy_that_is_trusted_when_it_is_sane(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, proxies: int, sent: str, believed: bool
) -> None:
    monkeypatch.setitem(app.config, "TRUSTED_PROXIES", proxies)
    given = client.get("/sign-in", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert (given == sent) is believed
    assert sane(given)


def sane(given: str) -> bool:
    return 8 <= len(given) <= 64 and given.replace(".", "").replace("-", "").replace("_", "").isalnum()


def test_a_failure_is_a_line_with_its_traceback_and_the_id_of_its_request(
    app: Flask,
    as_: Callable[[Person], FlaskClient],
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    written: io.StringIO,
    lines: Lines,
) -> None:
    """The database refuses a statement about a person: neither it nor PostgreSQL's own words may say whom."""
    client = as_(people.coordinator)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    def fail(**_: object) -> str:
        db.session.execute(
            text("UPDATE person SET role = :role, search_name = :name WHERE id = id"),
            {"role": "nonsense", "name": "very secret"},
        )
        return ""

    monkeypatch.setitem(app.view_functions, "people.index", fail)
    response = client.get("/people/?q=somebody-searched-for")
    assert response.status_code == 500
    error, request = lines()
    assert error["level"] == "error"
    assert "Traceback" in error["exception"]
    assert "IntegrityError" in error["exception"]
    assert error["request_id"] == request["request_id"] == response.headers["X-Request-ID"]
    for secret in ("very secret", "somebody-searched-for", "Asha", "asha"):
        assert secret not in written.getvalue()


def test_nothing_about_anybody_is_logged(
    app: Flask, client: FlaskClient, people: People, written: io.StringIO, token: Callable[[Person], dict[str, str]]
) -> None:
    with app.app_context():
        person = factories.with_password(people.coordinator)
    client.post("/sign-in", data={"book_no": person.book_no, "password": PASSWORD})
    client.get("/people/?q=Asha")
    client.get("/people/rows?q=Asha")
    header = token(people.coordinator)
    client.get("/api/v1/users/me/badges", headers=header)
    found = written.getvalue()
    assert found.count("\n") == 4
    for secret in (
        PASSWORD,
        PASSWORD.replace(" ", "+"),
        "Asha",
        "Ravi",
        header["Authorization"].split()[1],
        "session=",
    ):
        assert secret not in found


def test_for_people_the_log_is_text_and_an_address_is_no_line_of_its_own(
    client: FlaskClient, written: io.StringIO
) -> None:
    logging.config.dictConfig(dict(logs.configuration("text", "info")))
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.stream = written
    response = client.get("/nowhere%0A2026-04-12 ERROR forged")
    (line,) = written.getvalue().splitlines()
    assert line == (
        f"2026-04-12T06:00:00.000Z INFO {response.headers['X-Request-ID']} webapp.requests: "
        "GET /nowhere%0A2026-04-12%20ERROR%20forged 404"
    )
