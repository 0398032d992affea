"""gunicorn as `make serve` and systemd run it: reloads, stops, several processes, logs."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from tests import factories
from tests.serving import PATIENCE, ROOT, SECRET, Server, cookie_of, free_port, gunicorn, open_stream, until
from webapp import clock
from webapp.domain.people import credentials
from webapp.domain.people.accounts import Person, Role

TOKEN = "a-token-of-prometheus"
AS_PROMETHEUS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def coordinator(app: Flask) -> Iterator[Person]:
    """With a camp on the real date of today."""
    with clock.running_from(clock._real()):
        with app.app_context():
            made = factories.person("Ravi Gowda", role=Role.COORDINATOR)
            factories.camp(0)
        yield made


@pytest.fixture
def mark(app: Flask, coordinator: Person) -> tuple[str, dict[str, str]]:
    """The address and header that mark the coordinator present, by the JSON API."""
    with app.app_context():
        token = credentials.issue_token(coordinator, SECRET)
    return f"/api/v1/medical-camps/camp/{coordinator.id}/attendance", {"Authorization": f"Bearer {token}"}


class Caller(threading.Thread):
    """Asks one thing over and over on a connection that is kept, as a browser or a proxy does."""

    def __init__(self, server: Server, method: str, path: str, body: str | None = None, **headers: str) -> None:
        super().__init__()
        self.server, self.asked = server, (method, path, body, headers)
        self.statuses: list[int] = []
        self.failures: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        connection = self.server.connect()
        while not self.enough.is_set():
            try:
                connection.request(*self.asked)
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
        connection.close()


def copy_of_the_code(folder: Path) -> Path:
    """A checkout whose code may be changed."""
    for name in ("webapp", "templates", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "static").symlink_to(ROOT / "static")
    shutil.copy(ROOT / "wsgi.py", folder)
    return folder


def test_a_reload_loads_the_new_code_and_fails_no_request(
    app: Flask, database_url: str, tmp_path: Path, coordinator: Person, mark: tuple[str, dict[str, str]]
) -> None:
    """By the signal that systemd's unit and the Makefile send."""
    assert "ExecReload=/bin/kill -HUP $MAINPID" in (ROOT / "deploy/camp-badges.service").read_text()
    assert "kill -HUP" in (ROOT / "Makefile").read_text()
    code = copy_of_the_code(tmp_path / "code")
    settings = {"WEB_CONCURRENCY": "2"}
    with ExitStack() as stack:
        server = stack.enter_context(gunicorn(database_url, tmp_path / "instance", root=code, settings=settings))
        address, bearer = mark
        json_too = bearer | {"Content-Type": "application/json"}
        callers = [
            Caller(server, "GET", "/sign-in"),
            Caller(server, "GET", "/healthz"),
            Caller(server, "PUT", address, "{}", **json_too),
        ]
        stream = stack.enter_context(open_stream(server.connect(), cookie_of(app, coordinator)))
        assert stream.readline().startswith(b"id: ")
        for caller in callers:
            caller.start()
        until(lambda: all(len(caller.statuses) > 10 for caller in callers))
        old = server.workers()
        view = code / "webapp/views/health.py"
        view.write_text(view.read_text().replace('"status": "alive"', '"status": metrics.environment.ANEW'))
        for name, line in (("metrics", "from webapp import environment"), ("environment", 'ANEW = "alive anew"')):
            with (code / f"webapp/{name}.py").open("a") as file:  # the last is of those that the master reads
                file.write(f"{line}\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: not (server.workers() & old))
        until(lambda: server.ask("GET", "/healthz")[1] == {"status": "alive anew"})
        before = [len(caller.statuses) for caller in callers]
        until(lambda: all(len(each.statuses) > count + 10 for each, count in zip(callers, before, strict=True)))
        for caller in callers:
            caller.enough.set()
            caller.join()
        assert [caller.failures for caller in callers] == [[], [], []]
        assert [set(caller.statuses) for caller in callers] == [{200}, {200}, {200}]
        said = stream.read().decode()  # until its end, which came with the reload
        assert re.search(r"retry: \d+\nevent: rest\n", said)


def test_open_live_pages_do_not_hold_a_stop(app: Flask, database_url: str, tmp_path: Path, coordinator: Person) -> None:
    cookie = cookie_of(app, coordinator)
    with ExitStack() as stack:
        server = stack.enter_context(gunicorn(database_url, tmp_path))
        streams = [stack.enter_context(open_stream(server.connect(), cookie)) for _ in range(5)]
        for stream in streams:
            assert stream.readline().startswith(b"id: ")
        began = time.monotonic()
        server.process.terminate()
        for stream in streams:
            assert b"event: rest" in stream.read()
        server.process.wait(PATIENCE)
        assert time.monotonic() - began < 8  # of the 15 that a request may take
        assert not list(tmp_path.glob("camp-badges-counts-*"))


def test_the_processes_of_a_server_count_together(
    app: Flask, database_url: str, tmp_path: Path, coordinator: Person, mark: tuple[str, dict[str, str]]
) -> None:
    address, bearer = mark
    cookie = cookie_of(app, coordinator)
    settings = {"WEB_CONCURRENCY": "2", "METRICS_TOKEN": TOKEN, "THREADS": "8"}
    with ExitStack() as stack:
        server = stack.enter_context(gunicorn(database_url, tmp_path, settings=settings))
        folder = next(tmp_path.glob("camp-badges-counts-*"))

        def count(series: str) -> float:
            status, exposed = server.ask("GET", "/metrics", **AS_PROMETHEUS)
            assert status == 200
            found = re.search(rf"^{re.escape(series)} (\S+)$", exposed.decode(), re.MULTILINE)
            return float(found[1]) if found else 0

        marks = 'camp_badges_requests_total{endpoint="api_attendance.mark",method="PUT",status="200"}'
        number = 0
        while len(list(folder.glob("counter_*.db"))) < 2 or number < 20:  # until both have had some
            assert server.ask("PUT", address, {}, **bearer)[0] == 200
            number += 1
            assert number < 1000
        assert count(marks) == number
        assert count('camp_badges_marks_total{door="api"}') == number
        assert count("camp_badges_awards_total") == 1

        streams = [stack.enter_context(open_stream(server.connect(), cookie)) for _ in range(6)]
        for stream in streams:
            stream.readline()
        open_pages = "camp_badges_live_streams"
        until(lambda: count(open_pages) == 6)
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)  # it can say nothing more
        until(lambda: count(open_pages) == 0)
        assert count(marks) == number  # what it had counted stays


def test_every_line_of_the_log_is_json_from_the_first_to_the_last(
    database_url: str, app: Flask, tmp_path: Path
) -> None:
    with gunicorn(database_url, tmp_path, settings={"LOG_FORMAT": "json", "TRUSTED_PROXIES": "1"}) as server:
        server.ask("GET", "/people/?q=somebody-searched-for", **{"X-Request-ID": "id-of-this-request"})
    lines = [json.loads(line) for line in server.lines()]
    assert "Starting gunicorn" in lines[0]["message"]
    assert "Shutting down" in lines[-1]["message"]
    (line,) = [line for line in lines if line.get("request_id") == "id-of-this-request"]
    assert line["path"] == "/people/"
    assert line["status"] == 302
    assert "somebody" not in server.log.read_text()


def test_nobody_signs_in_uncounted(app: Flask, database_url: str, tmp_path: Path) -> None:
    """The Redis that counts the attempts is not there."""
    settings = {"RATELIMIT_STORAGE_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with gunicorn(database_url, tmp_path, settings=settings) as server:
        status, answer = server.ask("POST", "/api/v1/auth/login", {"book_no": 1, "password": "right or wrong"})
        assert status == 503
        assert "cannot be counted" in answer["detail"]
        assert server.ask("GET", "/readyz")[0] == 200


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LOG_FORMAT", "yaml", "LOG_FORMAT must be text or json"),
        ("METRICS_TOKEN", "short", "METRICS_TOKEN must have at least 16 characters"),
        ("THREADS", "many", "THREADS must be a whole number"),
    ],
)
def test_a_bad_setting_stops_the_start(
    app: Flask, database_url: str, tmp_path: Path, name: str, value: str, said: str
) -> None:
    with pytest.raises(AssertionError, match=said), gunicorn(database_url, tmp_path, settings={name: value}):
        pass


def test_make_serve_upgrades_and_serves_and_make_reload_reloads(tmp_path: Path) -> None:
    """On a database of its own, which is empty."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "LOG_FORMAT")},
        "INSTANCE_PATH": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        serving = subprocess.Popen(
            ["make", "serve"], cwd=ROOT, env=environment, stderr=stderr, stdout=stderr, start_new_session=True
        )
    try:
        server = Server("127.0.0.1", port, serving, log)

        def ready() -> bool:
            assert serving.poll() is None, log.read_text()
            try:
                return server.ask("GET", "/readyz")[0] == 200
            except OSError:
                return False

        until(ready)
        worker = int(until(lambda: written(tmp_path / "worker.pid")))
        os.kill(worker, signal.SIGKILL)
        back = int(until(lambda: (text := written(tmp_path / "worker.pid")) != str(worker) and text))
        (tmp_path / "worker.pid").write_text(str(back) + " ")  # its own hand writes no space
        subprocess.run(["make", "reload"], cwd=ROOT, env=environment, check=True, capture_output=True)
        until(lambda: written(tmp_path / "worker.pid") == str(back))  # begun anew, the same process
        until(lambda: "Hang up" in log.read_text())
        assert until(ready)
        assert '"logger": "gunicorn.error"' in log.read_text()  # JSON, unless told otherwise
    finally:
        os.kill(serving.pid, signal.SIGTERM)
        serving.wait(PATIENCE)
    until(lambda: not lives(back), "the worker stays when the server is gone")


def written(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
