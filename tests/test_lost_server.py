"""The server is lost under a running application, and found again: by the next request, or the one after."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from sqlalchemy import create_engine

from tests import factories
from tests.replication import Pair, application, pair_of_servers
from tests.serving import until
from webapp import clock, database
from webapp.database import db
from webapp.domain.camps.calendar import Camp
from webapp.domain.people.accounts import Person, Role
from webapp.views.security import SessionPerson


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_servers() as pair:
        yield pair


@pytest.fixture(scope="module")
def app(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("instance")
    with clock.running_from(clock._real()), application(pair.primary.url, folder) as app:
        with app.app_context():
            upgrade()
        yield app


class Parts:
    """Two admins and a volunteer, a camp today, of this test alone."""

    def __init__(self) -> None:
        self.writer = factories.person("Meera Krishnan", role=Role.ADMIN)
        self.reader = factories.person("Leela Menon", role=Role.ADMIN)
        self.volunteer = factories.person("Asha Rao")
        self.camp: Camp = factories.camp(0, f"Camp {uuid4()}")


@pytest.fixture
def parts(app: Flask, pair: Pair) -> Parts:
    with app.app_context():
        parts = Parts()
    pair.follow()
    return parts


def signed_in(app: Flask, person: Person) -> FlaskClient:
    client = app.test_client(user=SessionPerson(person))
    client.get("/account")  # from now on it has the session's cookie, as every browser
    return client


def test_a_connection_that_lay_idle_is_not_trusted(
    app: Flask, parts: Parts, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = signed_in(app, parts.reader)
    pair.primary.end_connections()
    monkeypatch.setattr(database, "STALE_AFTER", 0)
    assert reader.get("/account").status_code == 200


def test_asking_leaves_a_connection_as_it_was(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "STALE_AFTER", 0)
    engine = create_engine(pair.primary.url, isolation_level="AUTOCOMMIT")
    for _ in range(2):
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM pg_class")  # which no transaction allows
    engine.dispose()


def test_a_connection_just_used_is_trusted_once(app: Flask, parts: Parts, pair: Pair) -> None:
    """The request that finds out is told so, and none after it: all connections are made anew."""
    reader = signed_in(app, parts.reader)
    with app.app_context():
        several = [db.engine.connect() for _ in range(3)]
    for each in several:
        each.close()
    pair.primary.end_connections()
    assert [reader.get("/account").status_code for _ in range(5)] == [503, 200, 200, 200, 200]


def test_a_crash_is_said_until_the_server_has_recovered(app: Flask, parts: Parts, pair: Pair) -> None:
    writer = signed_in(app, parts.writer)
    with app.app_context(), db.engine.connect() as idle:
        pair.primary.crash()
        said: set[int] = set()
        address = f"/roll-call/{parts.camp.id}/people/{parts.volunteer.id}"

        def marked() -> bool:
            answer = writer.post(address, data={"state": "present"})
            said.add(answer.status_code)
            if answer.status_code == 503:
                assert "this may not have been stored" in answer.text
                assert "again in a minute" in answer.text
            return answer.status_code == 303

        until(marked, "the server does not come back")
        idle.invalidate()  # or the next test would be the one that finds out
    assert said == {503, 303}
    pair.follow()


def test_a_write_that_meets_a_standby_says_so_and_looks_for_the_primary(
    pair: Pair, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(pair.standby.url, tmp_path) as app:
        writer = signed_in(app, parts.writer)
        with app.app_context():
            dialect = db.engine.dialect
        connect = dialect.connect
        made: list[object] = []

        def note(*args: object, **more: object) -> object:
            made.append(more)
            return connect(*args, **more)

        monkeypatch.setattr(dialect, "connect", note)
        for number in (0, 1):
            answer = writer.post(f"/roll-call/{parts.camp.id}/people/{parts.volunteer.id}", data={"state": "present"})
            assert answer.status_code == 503
            assert "The database cannot be reached" in answer.text
            assert len(made) == number  # it asks at the address again, where the primary may be by now
        assert writer.get("/account").status_code == 200
