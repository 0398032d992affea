import time

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from tests.conftest import People
from tests.factories import PASSWORD
from webapp.views import rate_limits


@pytest.fixture
def asked(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the counts are asked for."""
    with app.app_context():
        counter = rate_limits.counter()
    calls: list[str] = []
    for name in ("test", "hit", "get_window_stats"):
        real = getattr(counter, name)

        def note(*args: object, _name: str = name, _real: object = real) -> object:
            calls.append(_name)
            assert callable(_real)
            return _real(*args)

        monkeypatch.setattr(counter, name, note)
    assert isinstance(counter, FixedWindowRateLimiter)
    return calls


def test_a_route_without_a_limit_asks_nothing(client: FlaskClient, asked: list[str]) -> None:
    for page in ("/healthz", "/offline", "/sign-in"):  # the form of a sign-in may be looked at
        answer = client.get(page)
        assert answer.status_code == 200
        assert "X-RateLimit-Limit" not in answer.headers
    assert asked == []


def test_an_answer_says_what_is_left(client: FlaskClient, people: People) -> None:
    wrong = {"book_no": people.volunteer.book_no, "password": "wrong password"}
    for left in (59, 58):
        answer = client.post("/sign-in", data=wrong)
        assert answer.status_code == 422
        assert answer.headers["X-RateLimit-Limit"] == "60"
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        reset = int(answer.headers["X-RateLimit-Reset"]) - time.time()
        assert 0 <= reset <= 61
        assert abs(int(answer.headers["Retry-After"]) - reset) <= 1


def used(app: Flask, limit: str, times: int, *who: str) -> None:
    """As if somebody had failed so often."""
    with app.app_context():
        for _ in range(times):
            rate_limits.counter().hit(parse(limit), *who)


def test_an_address_is_refused_after_sixty_failures_and_no_other_is(app: Flask, client: FlaskClient) -> None:
    body = {"book_no": 1, "password": PASSWORD}
    here = {"REMOTE_ADDR": "192.0.2.1"}
    used(app, "60/minute", 59, "192.0.2.1", "api_auth.login")
    answers = [client.post("/api/v1/auth/login", json=body, environ_base=here).status_code for _ in range(3)]
    assert answers == [401, 429, 429]
    assert client.post("/api/v1/auth/login", json=body).status_code == 401
    assert client.post("/sign-in", data=body, environ_base=here).status_code == 422


def test_the_longer_window_is_the_one_that_counts_once_it_is_used_up(app: Flask, client: FlaskClient) -> None:
    used(app, "600/hour", 600, "127.0.0.1", "accounts.choose_password")
    refused = client.get("/password?link=guess")
    assert refused.status_code == 429
    assert refused.headers["X-RateLimit-Limit"] == "600"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert int(refused.headers["Retry-After"]) > 60
