"""Reading from a real standby: late for others, never for whoever wrote, and never in the way."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import FlaskLoginClient
from flask_migrate import upgrade
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from tests import factories
from tests.replication import Pair, pair_of_servers
from tests.serving import until
from webapp import clock, config, create_app, database, replica
from webapp.database import db, writing
from webapp.domain import accounts, attendance
from webapp.domain.accounts import Person, Role
from webapp.domain.camps import Camp
from webapp.replica import reading
from webapp.views.replica import COOKIE
from webapp.views.security import SessionPerson

SECRET = "only-for-tests-only"


@contextmanager
def application(primary: str, second: str, folder: Path) -> Iterator[Flask]:
    """The application as these two addresses set it up."""

    environment = {"DATABASE_URL": primary, "SECRET_KEY": SECRET} | ({"READ_DATABASE_URL": second} if second else {})
    settings = config.from_environment(environment, folder)
    app: Flask = create_app(settings | {"TESTING": True, "WTF_CSRF_ENABLED": False})
    app.test_client_class = FlaskLoginClient
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_servers() as pair:
        yield pair


@pytest.fixture(scope="module")
def real_time() -> Iterator[None]:
    with clock.running_from(clock._real()):
        yield


class Parts:
    """Two admins and a volunteer, a camp today, of this test alone."""

    def __init__(self) -> None:
        self.writer = factories.person("Meera Krishnan", role=Role.ADMIN)
        self.reader = factories.person("Leela Menon", role=Role.ADMIN)
        self.volunteer = factories.person("Asha Rao")
        self.camp: Camp = factories.camp(0, f"Camp {uuid4()}")


@pytest.fixture(scope="module")
def _app(pair: Pair, real_time: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with application(pair.primary.url, pair.standby.url, tmp_path_factory.mktemp("instance")) as app:
        with app.app_context():
            upgrade()
        yield app


@pytest.fixture
def replicated(_app: Flask) -> Flask:
    """The application as new: nothing is known against the replica."""
    with _app.app_context():
        replica.init_app(_app)
    return _app


@pytest.fixture
def parts(replicated: Flask, pair: Pair) -> Parts:
    with replicated.app_context():
        parts = Parts()
    pair.follow()
    return parts


@pytest.fixture
def paused(pair: Pair, parts: Parts) -> Iterator[Callable[[], None]]:
    """The standby takes in what is written but does not show it, until one calls for it."""

    def resume() -> None:
        pair.standby.ask("SELECT pg_wal_replay_resume()")
        pair.follow()

    pair.standby.ask("SELECT pg_wal_replay_pause()")
    yield resume
    resume()


def camps_of(client: FlaskClient, person: Person) -> int:
    """What the leaderboard says of somebody."""
    page = client.get("/leaderboard/")
    assert page.status_code == 200
    line = page.text.partition(f"/people/{person.id}")[2]
    found = re.search(r'<td role="cell" class="number">(\d+)</td>', line)
    assert found
    return int(found[1])


def mark(client: FlaskClient, parts: Parts, state: str = "present") -> None:
    answer = client.post(f"/roll-call/{parts.camp.id}/people/{parts.volunteer.id}", data={"state": state})
    assert answer.status_code == 303


def signed_in(app: Flask, person: Person) -> FlaskClient:
    client = app.test_client(user=SessionPerson(person))
    client.get("/account")  # from now on it has the session's cookie, as every browser
    return client


def test_whoever_wrote_sees_it_at_once_and_others_when_the_replica_does(
    replicated: Flask, parts: Parts, paused: Callable[[], None], pair: Pair
) -> None:
    writer, reader = signed_in(replicated, parts.writer), signed_in(replicated, parts.reader)
    mark(writer, parts)
    assert camps_of(writer, parts.volunteer) == 1
    assert camps_of(reader, parts.volunteer) == 0
    paused()
    assert camps_of(writer, parts.volunteer) == 1
    assert camps_of(reader, parts.volunteer) == 1


def test_whoever_wrote_reads_from_the_replica_again_once_it_has_come_as_far(
    replicated: Flask, parts: Parts, pair: Pair
) -> None:
    writer, other = signed_in(replicated, parts.writer), signed_in(replicated, parts.reader)
    mark(writer, parts)
    pair.follow()
    pair.standby.ask("SELECT pg_wal_replay_pause()")
    try:
        mark(other, parts, "expected")
        assert camps_of(other, parts.volunteer) == 0
        assert camps_of(writer, parts.volunteer) == 1  # late, as somebody else wrote it
        mark(writer, parts)
        mark(other, parts, "expected")
        assert camps_of(writer, parts.volunteer) == 0  # they wrote since, so it is the primary for them
    finally:
        pair.standby.ask("SELECT pg_wal_replay_resume()")


def test_a_slow_page_of_another_tab_does_not_take_the_memory_back(
    replicated: Flask, parts: Parts, paused: Callable[[], None]
) -> None:
    writer = signed_in(replicated, parts.writer)
    before = writer.get_cookie("session")
    mark(writer, parts)
    assert before
    writer.set_cookie("session", before.value)  # sent with a page that was asked for before the mark
    assert camps_of(writer, parts.volunteer) == 1


def test_only_a_write_is_remembered_and_a_forged_memory_is_none(
    replicated: Flask, parts: Parts, paused: Callable[[], None]
) -> None:
    writer = signed_in(replicated, parts.writer)
    camps_of(writer, parts.volunteer)
    writer.get("/people/")
    assert writer.get_cookie(COOKIE) is None
    mark(writer, parts)
    cookie = writer.get_cookie(COOKIE)
    assert cookie
    assert len(cookie.value) < 50
    assert cookie.http_only
    for forged in ("nonsense", cookie.value[:-1], "FFFFFFFF/FFFFFFFF", "'; DROP TABLE person; --"):
        writer.set_cookie(COOKIE, forged)
        assert camps_of(writer, parts.volunteer) == 0  # as the replica has it


def test_nobody_gets_in_because_the_replica_is_late(
    replicated: Flask, parts: Parts, paused: Callable[[], None]
) -> None:
    reader = signed_in(replicated, parts.reader)
    with replicated.app_context(), writing():
        person = accounts.by_id(parts.reader.id)
        assert person
        person.is_active = False
    assert reader.get("/leaderboard/").status_code == 302


def test_exports_come_from_the_replica(replicated: Flask, parts: Parts, paused: Callable[[], None]) -> None:
    with replicated.app_context(), writing():
        attendance.mark_present(parts.volunteer, parts.camp, by=parts.writer)
    of_standings = f"{parts.volunteer.book_no},Asha Rao,1,1,1,First Step\n"
    of_awards = f"\n{parts.volunteer.book_no},First Step,"
    run = replicated.test_cli_runner().invoke
    assert of_standings not in run(args=["standings"]).output
    assert of_awards not in run(args=["awards"]).output
    paused()
    assert of_standings in run(args=["standings"]).output
    assert of_awards in run(args=["awards"]).output


def test_nothing_can_be_written_to_where_it_is_only_read(replicated: Flask, parts: Parts) -> None:
    with replicated.app_context():
        with pytest.raises(DBAPIError) as refused, reading() as on_replica, writing():
            assert on_replica
            attendance.mark_present(parts.volunteer, parts.camp, by=parts.writer)
        assert isinstance(refused.value.orig, ReadOnlySqlTransaction)
        with writing():
            attendance.mark_present(parts.volunteer, parts.camp, by=parts.writer)


def test_a_read_that_breaks_off_is_done_again_on_the_primary(
    replicated: Flask, parts: Parts, paused: Callable[[], None], pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """The standby ends a query that is in the way of what it must replay, or the connection is lost."""
    reader = signed_in(replicated, parts.reader)
    with replicated.app_context():
        engine = db.engines["replica"]
    asked: list[str] = []

    def end_the_connection(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)
        if "FROM setting" in statement:  # the last one of a page
            pair.standby.end_connections()

    event.listen(engine, "before_cursor_execute", end_the_connection)
    try:
        with replicated.app_context(), writing():
            attendance.mark_present(parts.volunteer, parts.camp, by=parts.writer)
            db.session.merge(parts.volunteer).name = "Asha Rao Patil"
        assert "Asha Rao Patil" in reader.get("/leaderboard/").text  # nothing of what was read before is left
        assert len(asked) > 3
        assert "reading from the primary" in caplog.text
        asked.clear()
        assert camps_of(reader, parts.volunteer) == 1
        assert asked == []  # it is left alone for a while
    finally:
        event.remove(engine, "before_cursor_execute", end_the_connection)


def test_a_replica_that_is_down_is_done_without_and_found_again(
    replicated: Flask, parts: Parts, pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = signed_in(replicated, parts.reader)
    with replicated.app_context():
        dialect = db.engines["replica"].dialect
    tried: list[object] = []
    connect = dialect.connect

    def note(*args: object, **more: object) -> object:
        tried.append(more)
        return connect(*args, **more)

    monkeypatch.setattr(dialect, "connect", note)
    pair.standby.stop()
    try:
        for _ in range(5):
            assert camps_of(reader, parts.volunteer) == 0
    finally:
        pair.standby.start()
    assert len(tried) <= 1
    assert caplog.text.count("reading from the primary for 30 seconds") == 1

    known: replica.Replica = replicated.extensions["replica"]
    known._try_again = 0  # half a minute has gone by
    caplog.set_level(logging.WARNING)
    camps_of(reader, parts.volunteer)
    assert "the replica is back" in caplog.text


def test_a_server_that_is_no_standby_is_not_read(
    pair: Pair, replicated: Flask, parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was promoted, or never was one: what it holds may have gone another way than the primary."""
    with application(pair.primary.url, pair.primary.url, tmp_path) as app:
        reader = signed_in(app, parts.reader)
        assert camps_of(reader, parts.volunteer) == 0
        assert "no standby" in caplog.text
        with app.app_context(), reading() as on_replica:
            assert not on_replica


def test_without_a_replica_nothing_is_asked_and_nothing_kept(pair: Pair, parts: Parts, tmp_path: Path) -> None:
    asked: list[str] = []
    with application(pair.primary.url, "", tmp_path) as app:
        writer = signed_in(app, parts.writer)
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", lambda _c, _k, query, *_: asked.append(query))
        mark(writer, parts)
        assert camps_of(writer, parts.volunteer) == 1
        assert writer.get_cookie(COOKIE) is None
    assert asked
    assert not [query for query in asked if "wal" in query or "recovery" in query]


def test_a_script_keeps_no_cookie_and_asks_nothing_more(replicated: Flask, parts: Parts) -> None:
    from webapp.domain.credentials import issue_token

    header = {"Authorization": f"Bearer {issue_token(parts.writer, SECRET)}"}
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    with replicated.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    answer = replicated.test_client().put(
        f"/api/v1/medical-camps/camp/{parts.volunteer.id}/attendance",
        json={"logout": False, "camp_id": str(parts.camp.id)},
        headers=header,
    )
    event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert not [statement for statement in asked if "wal" in statement]


# --- losing the primary ----------------------------------------------------------------------------


def test_a_connection_that_lay_idle_is_not_trusted(
    replicated: Flask, parts: Parts, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = signed_in(replicated, parts.reader)
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


def test_a_connection_just_used_is_trusted_once(replicated: Flask, parts: Parts, pair: Pair) -> None:
    """The request that finds out is told so, and none after it: all connections are made anew."""
    reader = signed_in(replicated, parts.reader)
    with replicated.app_context():
        several = [db.engine.connect() for _ in range(3)]
    for each in several:
        each.close()
    pair.primary.end_connections()
    assert [reader.get("/account").status_code for _ in range(5)] == [503, 200, 200, 200, 200]


def test_a_crash_is_said_until_the_server_has_recovered(replicated: Flask, parts: Parts, pair: Pair) -> None:
    writer = signed_in(replicated, parts.writer)
    with replicated.app_context(), db.engine.connect():
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
    assert said == {503, 303}
    pair.follow()


def test_a_write_that_meets_a_standby_says_so_and_looks_for_the_primary(
    pair: Pair, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(pair.standby.url, "", tmp_path) as app:
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
