"""Up, down and up again; twice, interrupted, half there already, many at once; and the models agree."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade

from tests import factories
from tests.conftest import ENGINE
from webapp import create_app
from webapp.database import db, writing
from webapp.domain.attendance import fast_path
from webapp.domain.badges import definitions, history
from webapp.domain.badges.definitions import Draft
from webapp.domain.evaluation import backfill, verify
from webapp.domain.organisation import settings
from webapp.domain.people.accounts import Role
from webapp.domain.people.credentials import Asker


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An application whose database has nothing in it yet."""
    name = f"empty_{tmp_path.name}".lower().replace("-", "_")[:60]
    if ENGINE == "postgresql":
        url = sa.make_url(request.getfixturevalue("postgresql_url"))
        admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        monkeypatch.setenv("DATABASE_URL", url.set(database=name).render_as_string(hide_password=False))
    else:
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    app = create_app({"TESTING": True, "SECRET_KEY": "only-for-tests-only"})
    with app.app_context():
        yield app
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
    if ENGINE == "postgresql":
        with admin.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE "{name}"'))
        admin.dispose()


def tables() -> set[str]:
    return set(sa.inspect(db.engine).get_table_names())


def badges() -> list[Any]:
    with db.engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT name, criteria_value FROM badge ORDER BY position")))


def expect_whole() -> None:
    assert tables() == {*db.metadata.tables, "alembic_version"}
    assert len(badges()) == 9
    with db.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM site")) == 1


def test_up_down_and_up_again(empty: Flask) -> None:
    upgrade()
    expect_whole()
    downgrade(revision="base")
    assert tables() == {"alembic_version"}
    upgrade()
    expect_whole()


def test_twice_changes_nothing(empty: Flask) -> None:
    upgrade()
    first = badges()
    upgrade()
    assert badges() == first
    expect_whole()


def test_some_of_the_tables_are_there_already(empty: Flask) -> None:
    upgrade()
    with db.engine.execution_options(writing=True).begin() as connection:
        for gone in ("revocation", "award", "attendance", "definition", "alembic_version"):
            connection.execute(sa.text(f"DROP TABLE {gone}"))
        connection.execute(sa.text("DELETE FROM badge WHERE criteria_value > 5"))
    upgrade()
    expect_whole()


@pytest.mark.parametrize("table", ["badge", "former_name"])
def test_an_interrupted_upgrade_leaves_nothing_and_is_completed(
    empty: Flask, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """In the first migration or the last: all are one transaction, or another process could come in between."""
    from alembic.operations import Operations

    create_table = Operations.create_table

    def fail_there(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if name == table:
            raise KeyboardInterrupt
        return create_table(self, name, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Operations, "create_table", fail_there)
        with pytest.raises(KeyboardInterrupt):
            upgrade()
    assert tables() == set()
    upgrade()
    expect_whole()


def test_many_processes_starting_at_once_make_nine_badges(empty: Flask) -> None:
    """Threads here; each upgrades through a connection of its own, one after the other."""
    failures: list[BaseException] = []
    env = Path(__file__).parent.parent / "migrations"

    def start() -> None:
        import subprocess
        import sys

        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"], cwd=env.parent, capture_output=True
        )
        if done.returncode:
            failures.append(RuntimeError(done.stderr.decode()))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    expect_whole()


def test_models_and_migrations_agree(empty: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), db.metadata) == []


def test_the_nine_badges_are_those_of_the_contract(empty: Flask) -> None:
    from tests.domain.plain import BADGES

    upgrade()
    assert [tuple(row) for row in badges()] == [(name, value) for name, _, value in BADGES]


def test_a_database_of_the_former_version_serves_marks_at_once(empty: Flask) -> None:
    """Its people have attendance and awards, and nobody has worked out their totals."""
    upgrade()
    ravi = factories.person("Ravi Gowda", role=Role.COORDINATOR)
    people = [factories.person(f"Person {number}") for number in range(5)]
    *past, today = factories.weekly(4)
    for person in people:
        factories.attend(person, past, ravi)
    with writing():
        badge = definitions.add(Draft("Five a year", "Awarded by us", "visits_in_year", "5"))
    before = counted()

    downgrade(revision="0005")
    assert {"standing", "tally"} <= tables()
    assert badge.name not in [name for name, _ in badges()]
    upgrade()
    assert counted() == before
    assert settings.get(settings.TOTALS) == settings.TO_BE_FILLED
    asker = Asker(ravi.id, ravi.session_no)
    assert fast_path.mark(people[0].id, today.id, asker) is None  # nobody knows their totals
    factories.attend(people[0], [today], ravi)
    assert history.of_person(people[0].id).longest_streak == 4
    assert fast_path.mark(people[0].id, today.id, asker)
    assert verify.differences() == []

    is_more = True
    while is_more:
        with writing():
            is_more = backfill.fill_totals()
    db.session.remove()
    assert settings.get(settings.TOTALS) == ""
    assert fast_path.mark(people[1].id, today.id, asker)
    assert verify.differences() == []


def counted() -> dict[str, int]:
    with db.engine.connect() as connection:
        return {
            table: connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0
            for table in ("person", "camp", "attendance", "award")
        }
