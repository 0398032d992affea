"""The application on partitioned tables: nothing of it changes (docs/scaling.md)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from benchmarks.partitioned import PARTITIONS, check, partition_all, touched
from tests import factories
from tests.conftest import SUNDAY
from webapp import clock, create_app
from webapp.database import db, writing
from webapp.domain import attendance, calendar, histories, leaderboard, rolls, settling
from webapp.domain.accounts import Person, Role
from webapp.domain.camps import Camp
from webapp.domain.standings import ALL_TIME, Board, Standing

SITES = 8


@pytest.fixture
def partitioned(postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The application on PostgreSQL, partitioned when it already held two marks."""
    url = sa.make_url(postgresql_url)
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE partitioned"))
    monkeypatch.setenv("DATABASE_URL", url.set(database="partitioned").render_as_string(hide_password=False))
    monkeypatch.setenv("INSTANCE_PATH", str(tmp_path))
    app = create_app({"TESTING": True, "SECRET_KEY": "only-for-tests-only"})
    with clock.stopped_at(SUNDAY), app.app_context():
        upgrade()
        early, admin_person = factories.person("Asha Rao"), factories.person("Meera Krishnan", role=Role.ADMIN)
        factories.attend(early, factories.weekly(2, "Before"), admin_person)
        partition_all(range(2025, 2028))
        yield app
        db.session.remove()
        db.engine.dispose()
    app.extensions["changes"].close()
    with admin.connect() as connection:
        connection.execute(sa.text("DROP DATABASE partitioned"))
    admin.dispose()


def rows_in_parts(table: str) -> list[int]:
    """How many rows each partition has that has any."""
    counted = sa.text(f"SELECT count(*) FROM {table} GROUP BY tableoid ORDER BY 1")
    return list(db.session.scalars(counted))


def test_every_verb_works_as_it_did(partitioned: Flask) -> None:
    admin, asha = db.session.scalars(sa.select(Person).order_by(Person.role, Person.book_no)).all()
    imran = factories.person("Imran Pasha")
    calendars = [factories.weekly(4, at=factories.site(f"Site {number}")) for number in range(SITES)]
    for of_site in calendars:
        factories.attend(imran, of_site, admin)
    assert histories.history_of(imran.id).longest_streak == 4
    assert len(factories.badge_names(imran)) > len(factories.badge_names(asha)) > 0

    today = calendars[0][-1]
    with writing():
        attendance.undo(imran, today, by=admin)
    with writing():
        attendance.excuse(imran, today, by=admin, reason="ill")
    with writing():
        calendar.cancel_camp(calendars[1][1])
    assert [row.state for row in rolls.roll(today)] == ["excused"]
    assert [(line.rank, line.person.name, line.visits) for line in leaderboard.lines()] == [
        (1, "Imran Pasha", 4 * SITES - 2),
        (2, "Asha Rao", 2),
    ]
    assert [line.visits for line in leaderboard.lines(Board(today.site_id, ALL_TIME))] == [3]
    assert leaderboard.years() == [2026]
    assert len(rows_in_parts("attendance")) > 3
    assert sum(rows_in_parts("attendance")) == 2 + 4 * SITES
    assert len(rows_in_parts("standing")) == 3
    db.session.remove()
    assert check(partitioned) == "Everything agrees with the attendance."


def test_a_mark_reads_one_partition(partitioned: Flask) -> None:
    admin = db.session.scalars(sa.select(Person).where(Person.role == Role.ADMIN)).one()
    camp = db.session.scalars(sa.select(Camp).order_by(Camp.camp_date.desc()).limit(1)).one()
    new = factories.person("Imran Pasha")

    assert touched("attendance", lambda: factories.attend(new, [camp], admin)) == [1]
    assert touched("attendance", lambda: histories.history_of(new.id)) == [PARTITIONS]


def test_verify_finds_and_mends_on_partitions(partitioned: Flask) -> None:
    with writing():
        db.session.execute(sa.update(Standing).values(visits=Standing.visits + 1))
    db.session.remove()
    with pytest.raises(RuntimeError, match="is kept wrongly"):
        check(partitioned)
    with writing():
        settling.repair()
    db.session.remove()
    assert check(partitioned) == "Everything agrees with the attendance."
