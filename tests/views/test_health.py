"""What machines ask: health and counts."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.conftest import People
from tests.views.conftest import HTMX, Camps
from tests.views.test_security import no_database
from webapp.database import db
from webapp.domain.people.accounts import Person

__all__ = ["no_database"]

TOKEN = "a-token-of-prometheus"
AS_PROMETHEUS = {"Authorization": f"Bearer {TOKEN}"}


def test_it_is_alive_and_ready(client: FlaskClient) -> None:
    for path, said in (("/healthz", "alive"), ("/readyz", "ready")):
        response = client.get(path)
        assert (response.status_code, response.get_json()) == (200, {"status": said})
        assert "Set-Cookie" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"


def test_without_a_database_it_is_alive_and_not_ready(client: FlaskClient, no_database: None) -> None:
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()) == (503, {"detail": "The database cannot be reached."})


def test_with_other_tables_it_is_not_ready(app: Flask, client: FlaskClient) -> None:
    def revise(value: str) -> str:
        with app.app_context(), db.engine.execution_options(writing=True).begin() as connection:
            before = str(connection.scalar(text("SELECT version_num FROM alembic_version")))
            connection.execute(text("UPDATE alembic_version SET version_num = :value"), {"value": value})
        return before

    head = revise("another")
    try:
        response = client.get("/readyz")
    finally:
        revise(head)
    assert response.status_code == 503
    assert "flask db upgrade" in response.get_json()["detail"]


def test_the_counts_are_for_who_knows_the_token(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    monkeypatch.setitem(app.config, "METRICS_TOKEN", TOKEN)
    for wrong in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = client.get("/metrics", headers=wrong)
        assert refused.status_code == 401
        assert "camp_badges" not in refused.text
    assert "camp_badges_requests_total" in client.get("/metrics", headers=AS_PROMETHEUS).text


@pytest.fixture
def counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], float]:
    """How much a series has grown since the test began."""
    monkeypatch.setitem(app.config, "METRICS_TOKEN", TOKEN)

    def read(series: str) -> float:
        exposed = app.test_client().get("/metrics", headers=AS_PROMETHEUS).text
        found = re.search(rf"^{re.escape(series)} (\S+)$", exposed, re.MULTILINE)
        return float(found[1]) if found else 0

    before: dict[str, float] = {}

    def growth(series: str) -> float:
        return read(series) - before.setdefault(series, read(series))

    return growth


def test_requests_are_counted_by_endpoint_and_never_by_address(
    app: Flask, client: FlaskClient, counted: Callable[[str], float]
) -> None:
    page = 'camp_badges_requests_total{endpoint="accounts.sign_in",method="GET",status="200"}'
    took = 'camp_badges_request_seconds_count{endpoint="accounts.sign_in"}'
    nowhere = 'camp_badges_requests_total{endpoint="none",method="other",status="404"}'
    for series in (page, took, nowhere):
        counted(series)
    client.get("/sign-in?next=/secret-address")
    client.open("/secret-address", method="BREW")
    assert (counted(page), counted(took), counted(nowhere)) == (1, 1, 1)
    exposed = client.get("/metrics", headers=AS_PROMETHEUS).text
    assert "secret-address" not in exposed
    assert "BREW" not in exposed


def test_marks_and_badges_are_counted_whichever_door_they_come_in_by(
    as_: Callable[[Person], FlaskClient],
    token: Callable[[Person], dict[str, str]],
    people: People,
    camps: Camps,
    counted: Callable[[str], float],
) -> None:
    doors = [f'camp_badges_marks_total{{door="{door}"}}' for door in ("api", "form", "phone")]
    awards = "camp_badges_awards_total"
    for series in (*doors, awards):
        counted(series)
    coordinator = as_(people.coordinator)
    for person, headers in ((people.volunteer, HTMX), (people.admin, {})):
        coordinator.post(f"/roll-call/{camps.today.id}/people/{person.id}", data={"state": "present"}, headers=headers)
    coordinator.post(f"/roll-call/{camps.future.id}/people/{people.other.id}", data={"state": "present"})  # refused
    coordinator.put(
        f"/api/v1/medical-camps/camp/{people.other.id}/attendance", json={}, headers=token(people.coordinator)
    )
    order = {
        "id": "0c8f0df4-8a34-4d3c-9c3f-7f8c1b1f5c11",
        "camp": str(camps.today.id),
        "made_at": "2026-04-12T06:00:00+00:00",
        "action": "mark",
        "person": str(people.coordinator.id),
        "state": "present",
    }
    answer = coordinator.post(
        "/roll-call/sync", json={"owner": str(people.coordinator.id), "operations": [order, order]}
    )
    assert answer.text.count('outcome="done"') == 2
    assert [counted(door) for door in doors] == [1, 2, 1]
    assert counted(awards) == 4
