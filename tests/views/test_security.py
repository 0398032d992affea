"""Permissions of every route, CSRF, headers, and what is said when the database is gone."""

import logging
import re
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from tests.conftest import People
from tests.views.conftest import HTMX, Camps
from webapp.database import db
from webapp.domain.people.accounts import Person, Role

As = Callable[[Person], FlaskClient]
Token = Callable[[Person], dict[str, str]]

EVERYBODY = set(Role)
MARKERS = {Role.COORDINATOR, Role.ADMIN}
# What each route asks for, once more and by hand: who adds a route decides this here.
PERMISSIONS: dict[str, set[Role] | str] = {
    "home.index": EVERYBODY,
    "accounts.sign_in": "public",
    "accounts.sign_out": "public",
    "accounts.account": EVERYBODY,
    "cabinet.own": EVERYBODY,
    "cabinet.own_live": EVERYBODY,
    "cabinet.answer": EVERYBODY,
    "cabinet.of_person": MARKERS,
    "cabinet.of_person_live": MARKERS,
    "people.index": MARKERS,
    "people.rows": MARKERS,
    "roll_call.today": MARKERS,
    "roll_call.choose": MARKERS,
    "roll_call.camp": MARKERS,
    "roll_call.person": MARKERS,
    "roll_call.mark": MARKERS,
    "roll_call.add": MARKERS,
    "roll_call.everyone": MARKERS,
    "roll_call.close": MARKERS,
    "roll_call.reopen": MARKERS,
    "rows.others": MARKERS,
    "rows.changes": MARKERS,
    "rows.some": MARKERS,
    "sync.sync": MARKERS,
    "sync.session": MARKERS,
    "rows.card": MARKERS,
    "cards.own": EVERYBODY,
    "cards.of_person": MARKERS,
    "cards.sheet": MARKERS,
    "cards.replace_own": EVERYBODY,
    "cards.replace_of_person": MARKERS,
    "installed.manifest": "public",
    "installed.service_worker": "public",
    "installed.offline": "public",
    "health.alive": "public",
    "health.ready": "public",
    "health.measured": "public",  # with METRICS_TOKEN alone
    "leaderboard.index": {Role.ADMIN},
    "leaderboard.mine": EVERYBODY,
    "leaderboard.neighbourhoods": {Role.ADMIN},
    "accounts.leaderboards": EVERYBODY,
    "accounts.data": EVERYBODY,
    "accounts.choose_password": "public",
    "members.add": {Role.ADMIN},
    "members.person": {Role.ADMIN},
    "members.switch": {Role.ADMIN},
    "members.link": {Role.ADMIN},
    "members.anonymise": {Role.ADMIN},
    "members.import_file": {Role.ADMIN},
    "members.store": {Role.ADMIN},
    "members.problems": {Role.ADMIN},
    "office.index": {Role.ADMIN},
    "trail.index": {Role.ADMIN},
    "trail.entry": {Role.ADMIN},
    "trail.export": {Role.ADMIN},
    "settings.index": {Role.ADMIN},
    "start.index": {Role.ADMIN},
    "start.organisation": {Role.ADMIN},
    "start.camp": {Role.ADMIN},
    "start.people": {Role.ADMIN},
    "start.coordinator": {Role.ADMIN},
    "start.skip": {Role.ADMIN},
    "definitions.index": {Role.ADMIN},
    "definitions.definition": {Role.ADMIN},
    "definitions.preview": {Role.ADMIN},
    "definitions.new": {Role.ADMIN},
    "definitions.edit": {Role.ADMIN},
    "definitions.retire": {Role.ADMIN},
    "definitions.reinstate": {Role.ADMIN},
    "definitions.backfill": {Role.ADMIN},
    "jobs.index": {Role.ADMIN},
    "jobs.job": {Role.ADMIN},
    "jobs.progress": {Role.ADMIN},
    "jobs.cancel": {Role.ADMIN},
    "jobs.retry": {Role.ADMIN},
    "calendar.month": {Role.ADMIN},
    "calendar.index": {Role.ADMIN},
    "calendar.rows": {Role.ADMIN},
    "calendar.add": {Role.ADMIN},
    "calendar.camp": {Role.ADMIN},
    "calendar.cancel": {Role.ADMIN},
    "calendar.reinstate": {Role.ADMIN},
    "series.rule": {Role.ADMIN},
    "series.dates": {Role.ADMIN},
    "series.store": {Role.ADMIN},
    "sites.index": {Role.ADMIN},
    "sites.add": {Role.ADMIN},
    "sites.site": {Role.ADMIN},
    "imports.index": {Role.ADMIN},
    "imports.upload": {Role.ADMIN},
    "imports.show": {Role.ADMIN},
    "imports.problems": {Role.ADMIN},
    "imports.start": {Role.ADMIN},
    "imports.throw_away": {Role.ADMIN},
    "exports.index": {Role.ADMIN},
    "exports.people": {Role.ADMIN},
    "exports.attendance": {Role.ADMIN},
    "exports.standings": {Role.ADMIN},
    "api_auth.login": "public",
    "api_users.users": MARKERS,
    "api_attendance.mark": MARKERS,
    "api_badges.my_badges": EVERYBODY,
    "api_badges.their_badges": MARKERS,
    "api_badges.my_progress": EVERYBODY,
    "api_badges.their_progress": MARKERS,
    "api_badges.evaluate": MARKERS,
    "api_docs.openapi": "public",
    "api_docs.page": "public",
}


def routes(app: Flask) -> Iterator[Rule]:
    return (rule for rule in app.url_map.iter_rules() if rule.endpoint != "static")


def address(rule: Rule, person_id: object, camp_id: object) -> str:
    path = re.sub(r"<(?:uuid:)?(?:person_id|user_id)>", str(person_id), rule.rule)
    path = path.replace("<uuid:camp_id>", str(camp_id))
    return re.sub(r"<uuid:\w+>", str(UUID(int=1)), path)  # of nothing that is there: permission comes first


def methods(rule: Rule) -> set[str]:
    return (rule.methods or set()) & {"GET", "POST", "PUT", "DELETE", "PATCH"}


def test_every_route_has_its_permission(app: Flask) -> None:
    found = {}
    for rule in routes(app):
        permission = getattr(app.view_functions[rule.endpoint], "permission", None)
        found[rule.endpoint] = set(permission) if isinstance(permission, tuple) else permission
    assert found == PERMISSIONS


def test_nobody_signed_in_gets_nowhere(app: Flask, people: People, camps: Camps) -> None:
    for rule in routes(app):
        if PERMISSIONS[rule.endpoint] == "public":
            continue
        for method in methods(rule):
            response = app.test_client().open(
                address(rule, people.volunteer.id, camps.today.id), method=method, json={}
            )
            if rule.endpoint.startswith("api"):
                assert response.status_code == 401, rule
                assert response.get_json()["detail"], rule
            else:
                assert response.location.startswith("/sign-in"), rule


def test_the_wrong_role_is_refused_on_every_route(
    app: Flask, people: People, camps: Camps, as_: As, token: Token
) -> None:
    parts = (people.volunteer, people.coordinator, people.admin)
    refused = 0
    for rule in routes(app):
        allowed = PERMISSIONS[rule.endpoint]
        for person in parts:
            if allowed == "public" or person.role in allowed:
                continue
            for method in methods(rule):
                at = address(rule, people.other.id, camps.today.id)
                response = as_(person).open(at, method=method, json={}, headers=token(person))
                assert response.status_code == 403, (rule, person)
                refused += 1
    assert refused >= 12


def test_a_session_cookie_opens_no_api(as_: As, people: People) -> None:
    assert as_(people.admin).get("/api/v1/users/").status_code == 401


def test_every_form_and_htmx_request_needs_the_csrf_token(
    app: Flask, as_: As, people: People, camps: Camps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    admin = as_(people.admin)
    tried = 0
    for rule in routes(app):
        if rule.endpoint.startswith("api"):
            continue
        for method in methods(rule) - {"GET"}:
            for headers in ({}, HTMX):
                at = address(rule, people.volunteer.id, camps.today.id)
                response = admin.open(at, method=method, data={"state": "present"}, headers=headers)
                assert response.status_code == 400, rule
                assert "Reload it and try again" in response.text
                tried += 1
    assert tried >= 8
    page = admin.get(f"/roll-call/{camps.today.id}").text
    token = re.search(r'"X-CSRFToken": "([^"]+)"', page)
    assert token
    marked = admin.post(
        f"/roll-call/{camps.today.id}/people/{people.volunteer.id}",
        data={"state": "present"},
        headers=HTMX | {"X-CSRFToken": token[1]},
    )
    assert marked.status_code == 200


def test_pages_forbid_inline_code_and_other_sites(app: Flask, as_: As, people: People, camps: Camps) -> None:
    admin = as_(people.admin)
    for path in ("/leaderboard/", f"/roll-call/{camps.today.id}", "/cabinet", "/people/", "/api/v1/docs", "/nowhere"):
        response = admin.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert not re.search(
            r"<style|style=|\son[a-z]+=|<script(?![^>]*src=)|https?://(?!www\.w3\.org)", response.text
        ), path


def test_static_files_are_kept_for_good_by_their_content(client: FlaskClient) -> None:
    page = client.get("/sign-in").text
    for url in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        response = client.get(url)
        assert response.status_code == 200, url
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Vary"] == "Accept-Encoding"  # and not with the cookie, which changes often
        response.close()


def test_what_is_not_there_is_said_in_words(client: FlaskClient, as_: As, people: People) -> None:
    page = as_(people.volunteer).get("/nowhere")
    assert page.status_code == 404
    assert "There is nothing here" in page.text
    api = client.get("/api/v1/nowhere")
    assert (api.status_code, api.get_json()) == (404, {"detail": "There is nothing here"})
    wrong = client.delete("/api/v1/auth/login")
    assert wrong.status_code == 405
    assert wrong.get_json()["detail"]


@pytest.fixture
def no_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections are lost, and no new one can be made."""

    def refuse(*args: object, **kwargs: object) -> None:
        import psycopg

        raise psycopg.OperationalError("connection refused")

    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
        engine = db.engine
    if engine.dialect.name == "sqlite":
        import sqlite3

        def refuse(*args: object, **kwargs: object) -> None:
            raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(engine.dialect, "connect", refuse)


def test_a_lost_database_is_said_to_be_lost(
    app: Flask, people: People, as_: As, token: Token, no_database: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        page = as_(people.volunteer).get("/cabinet")
        api = app.test_client().get("/api/v1/users/me/badges", headers=token(people.volunteer))
    assert page.status_code == 503
    assert "The database cannot be reached" in page.text
    assert "Nothing was changed" in page.text
    assert page.headers["Retry-After"] == "10"
    assert (api.status_code, api.get_json()) == (503, {"detail": "The database cannot be reached"})
    assert caplog.text.count("database unreachable") == 2


def test_an_unknown_person_in_the_session_is_nobody(app: Flask, people: People) -> None:
    client = app.test_client()
    for key in (f"{uuid4()}:1", "nonsense", f"{people.volunteer.id}:7", f"{people.volunteer.id}:x"):
        with client.session_transaction() as session:
            session["_user_id"] = key
        assert client.get("/cabinet").status_code == 302
