"""The application on partitioned tables: nothing of it changes (docs/scaling.md)."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from benchmarks.partitioned import PARTITIONS, check, partition_all, touched
from tests import factories
from tests.conftest import SUNDAY
from webapp import clock, create_app
from webapp.database import db, direct_connection, writing
from webapp.domain.attendance import fast_path, marking, roll_call
from webapp.domain.badges import history
from webapp.domain.camps.calendar import Camp
from webapp.domain.evaluation import verify
from webapp.domain.models.totals import Totals
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import Asker
from webapp.domain.schedule import schedule

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
        partition_all()
        yield app
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
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
    assert history.of_person(imran.id).longest_streak == 4
    assert len(factories.badge_names(imran)) > len(factories.badge_names(asha)) > 0

    today = calendars[0][-1]
    with writing():
        marking.undo(imran, today, by=admin)
    with writing():
        marking.excuse(imran, today, by=admin, reason="ill")
    with writing():
        schedule.cancel_camp(calendars[1][1])
    assert [row.state for row in roll_call.roll(today)] == ["excused"]
    visits = sa.select(Person.name, sa.func.sum(Totals.visits)).join(Totals, Totals.person_id == Person.id)
    by_name = visits.group_by(Person.name).order_by(Person.name)
    assert [tuple(row) for row in db.session.execute(by_name)] == [("Asha Rao", 2), ("Imran Pasha", 4 * SITES - 2)]
    here = sa.select(Totals.visits).where(Totals.person_id == imran.id, Totals.site_id == today.site_id)
    assert db.session.scalars(here).all() == [3]
    assert len(rows_in_parts("attendance")) > 3
    assert sum(rows_in_parts("attendance")) == 2 + 4 * SITES
    assert 1 <= len(rows_in_parts("totals")) <= 2  # a person's are together
    assert sum(rows_in_parts("totals")) == 1 + SITES
    db.session.remove()
    assert check(partitioned) == "Everything agrees with the attendance."


def test_a_fast_mark_is_written_to_its_partitions(partitioned: Flask) -> None:
    admin, asha = db.session.scalars(sa.select(Person).order_by(Person.role, Person.book_no)).all()
    who, asker = asha.id, Asker(admin.id, admin.session_no)
    with clock.stopped_at(SUNDAY + timedelta(weeks=1)):
        camp = factories.camp(0)
        for _ in range(2):
            made = fast_path.mark(who, camp.id, asker)
            assert made
        assert "On a Roll" in factories.held(db.session.get_one(Person, who))
        assert sum(rows_in_parts("attendance")) == 3
        db.session.remove()
        assert check(partitioned) == "Everything agrees with the attendance."


def test_a_fast_mark_reads_one_partition_and_the_general_path_a_history(partitioned: Flask) -> None:
    admin, asha = db.session.scalars(sa.select(Person).order_by(Person.role, Person.book_no)).all()
    camp = db.session.scalars(sa.select(Camp).order_by(Camp.camp_date.desc()).limit(1)).one()
    values = {"person": asha.id, "asker": admin.id, "camp": camp.id}
    assert len(read_by(fast_path._question(False, True), values)) == 1

    new = factories.person("Imran Pasha")
    assert touched("attendance", lambda: factories.attend(new, [camp], admin)) == [1, PARTITIONS]
    assert touched("attendance", lambda: history.of_person(new.id)) == [PARTITIONS]


def read_by(question: str, values: dict[str, Any]) -> set[str]:
    """The partitions of attendance that a question of the fast path really reads."""
    with direct_connection() as connection, connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {question}", values)
        (plan,) = cursor.fetchone()

    def scanned(node: dict[str, Any]) -> set[str]:
        name = str(node.get("Relation Name", ""))
        own = {name} if name.startswith("attendance_") and node["Actual Loops"] else set()
        return own.union(*(scanned(below) for below in node.get("Plans", [])))

    return scanned(plan[0]["Plan"])


def test_verify_finds_and_mends_on_partitions(partitioned: Flask) -> None:
    with writing():
        db.session.execute(sa.update(Totals).values(visits=Totals.visits + 1))
    db.session.remove()
    with pytest.raises(RuntimeError, match="are kept wrongly"):
        check(partitioned)
    with writing():
        verify.repair()
    db.session.remove()
    assert check(partitioned) == "Everything agrees with the attendance."
