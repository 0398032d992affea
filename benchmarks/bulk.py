"""Much at once: evaluating everybody, and importing a large file, beside what the database alone needs for it."""

import csv
import os
import random
import re
import subprocess
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from benchmarks.data import FAMILY, GIVEN, SECRET, Shape
from benchmarks.figures import Figure, at_most, limit
from benchmarks.marks import prepared
from benchmarks.servers import ROOT, Postgres, installed

LOOK_EVERY = 0.1  # seconds
MOST_MEMORY = 300  # MB of a process that evaluates or imports


def measure_evaluation(postgres: Postgres, large: Shape) -> list[Figure]:
    """Compare evaluating everybody with one count of everybody's attendance."""
    name = f"large_{large.people}"
    prepared(postgres, name, large)
    # With the memory that an evaluation gives itself. With what PostgreSQL takes as it comes, its hash table of a million
    # people has now and then gone to the disk in so many parts that the count took longer than the evaluation.
    count = (
        "SET work_mem = '64MB'; SELECT count(*) FROM (SELECT person_id, count(*) FROM attendance GROUP BY 1) AS counted"
    )
    base = min(_timed(postgres, name, count) for _ in range(2))
    took, memory = run_flask(postgres.url(name), "evaluate")
    what = f"evaluating everybody: {large}"
    return [
        at_most(what, took, base, 25, "s"),
        limit("evaluating everybody, memory of its process", memory, MOST_MEMORY, "MB"),
    ]


def measure_import(postgres: Postgres, rows: int) -> list[Figure]:
    """A file of many rows beside COPY of what it makes of persons, camps and attendance."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.csv"
        _write(file, rows)
        small = Path(folder) / "small.csv"
        _write(small, rows // 10)
        _empty(postgres, "imported")
        _, memory_small = run_flask(postgres.url("imported"), "import", str(small))
        _empty(postgres, "imported")
        took, memory = run_flask(postgres.url("imported"), "import", str(file))
        base = _copy(postgres, "imported", Path(folder))
    what = f"import of {rows:,} rows"
    return [
        at_most(what, took, base, 3, "s"),
        at_most(f"{what}, memory beside that of a tenth", memory, memory_small, 1.25, "MB"),
    ]


def _empty(postgres: Postgres, name: str) -> None:
    postgres.create(name)
    run_flask(postgres.url(name), "db", "upgrade")


def _write(file: Path, rows: int) -> None:
    """Ten rows a person, at weekly camps of five years at four sites."""
    chance = random.Random(7)
    last = date.today() - timedelta(days=1)  # noqa: DTZ011 - any day of the past will do
    with file.open("w", newline="", encoding="utf-8") as target:
        table = csv.writer(target)
        table.writerow(("book_no", "name", "site", "camp", "camp_date", "camp_role", "attended"))
        for number in range(rows // 10):
            name = f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}"
            site = f"Site {number % 4}"
            for week in sorted(chance.sample(range(260), 10)):
                attended = chance.choices(("yes", "no", "excused"), (90, 5, 5))[0]
                on = last - timedelta(weeks=week)
                table.writerow((number + 10, name, site, "Camp", on.isoformat(), "volunteer", attended))


def run_flask(url: str, *arguments: str) -> tuple[float, float]:
    """Run a command of the ``flask`` tool; seconds, and the most memory its process had, in MB."""
    with tempfile.TemporaryDirectory() as instance, tempfile.TemporaryFile() as errors:
        environment = os.environ | {"DATABASE_URL": url, "SECRET_KEY": SECRET, "INSTANCE_PATH": instance}
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(installed()), "-m", "flask", "--app", "wsgi", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        most = 0.0
        while process.poll() is None:
            most = max(most, _most_memory(process.pid))
            time.sleep(LOOK_EVERY)
        took = time.perf_counter() - began
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(errors.read().decode()[-2000:])
    return took, most


def _most_memory(pid: int) -> float:
    """The most memory that a process had until now, in MB; nothing where it has just ended. What the system tells of
    children that ended has the memory of their parent in it, from before they became a program of their own.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0


def _timed(postgres: Postgres, name: str, statement: str) -> float:
    with postgres.connect(name) as connection:
        began = time.perf_counter()
        connection.execute(statement)
        return time.perf_counter() - began


def _copy(postgres: Postgres, name: str, folder: Path) -> float:
    """Seconds that COPY needs for the same people, camps and attendance into empty tables with their indexes."""
    tables = ("person", "site", "camp", "attendance")
    with postgres.connect(name) as source:
        for table in tables:
            with (folder / table).open("wb") as target, source.cursor().copy(f"COPY {table} TO STDOUT") as copy:
                for block in copy:
                    target.write(block)
    _empty(postgres, "copied")
    with postgres.connect("copied") as target_connection:
        target_connection.execute("DELETE FROM site")
        began = time.perf_counter()
        with target_connection.transaction():
            for table in tables:
                with (
                    (folder / table).open("rb") as given,
                    target_connection.cursor().copy(f"COPY {table} FROM STDIN") as copy,
                ):
                    while block := given.read(1 << 20):
                        copy.write(block)
        return time.perf_counter() - began
