"""The application served: from a thread of the test, by gunicorn, and behind nginx."""

import getpass
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis, RedisError
from werkzeug.serving import make_server

from tests.conftest import skip_or_fail
from webapp.domain.people.accounts import Person
from webapp.views.security import SessionPerson

ROOT = Path(__file__).parent.parent
PATIENCE = 30  # seconds until a test gives up
SECRET = "only-for-tests-only"
HOST = "camp.example.org"  # as deploy/nginx.conf has it


class _Gate:
    """Lets requests through to the application, and knows how many it is answering."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._changed = threading.Condition()
        self._inside = 0
        self._is_shut = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._changed:
            if self._is_shut:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return []
            self._inside += 1
        try:
            return self._app(environ, start_response)
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """From now on none gets through; waits for those inside. Answers that stream (and only read) go on."""
        with self._changed:
            self._is_shut = True
            assert self._changed.wait_for(lambda: self._inside == 0, PATIENCE)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Host and port of the running server; its clock and database are the test's; many threads. At the end none of
    them writes any more, so that the next test finds its own rows only.
    """
    gate = _Gate(app)
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        gate.shut()


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def until(found: Callable[[], object], what: str = "") -> Any:
    """What ``found`` answers as soon as it is true; ``what`` says what did not come."""
    end = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < end, what or found
        time.sleep(0.02)
    return answer


def seconds(number: float) -> float:
    """How long so many seconds of an idle machine take on this one at present: others work on it, too, and what
    waits for a processor is late by no fault of its own.
    """
    began, busy = time.monotonic(), time.thread_time()
    while (had := time.thread_time() - busy) < 0.1:
        pass
    return number * min(3, max(1, (time.monotonic() - began) / had))


def ask(host: str, port: int, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Status and answer, read as JSON where it is."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    sent = json.dumps(body) if body is not None else None
    connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if response.headers["Content-Type"] == "application/json" else text


@dataclass
class Server:
    """A running gunicorn."""

    host: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and answer, read as JSON where it is."""
        return ask(self.host, self.port, method, path, body, **headers)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def lines(self) -> list[str]:
        """What it has logged."""
        return self.log.read_text().splitlines()

    def workers(self) -> set[int]:
        """The ids of its processes."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in listed.split()}


@contextmanager
def gunicorn(
    url: str, instance: Path, *, host: str = "127.0.0.1", root: Path = ROOT, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server of its own, told about the database as an operator would."""
    instance.mkdir(exist_ok=True)
    port = free_port(host)
    environment = os.environ | {
        "DATABASE_URL": url,
        "INSTANCE_PATH": str(instance),
        "TMPDIR": str(instance),
        "SECRET_KEY": SECRET,
        "HOST": host,
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        **(settings or {}),
    }
    log = instance / f"log.{port}"
    command = [sys.executable, "-m", "gunicorn", "-c", "webapp/server.py"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=root, env=environment, stderr=stderr)
    server = Server(host, port, process, log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return server.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    try:
        until(answers)
        yield server
    finally:
        began = time.monotonic()
        process.terminate()
        process.wait(PATIENCE)
        assert time.monotonic() - began < 10  # open live pages do not hold the stop


class Nginx:
    """deploy/nginx.conf, running: over TLS with a certificate that is trusted here."""

    def __init__(self, port: int, plain_port: int, folder: Path, certificate: Path) -> None:
        self.folder = folder
        self.port = port
        self.plain_port = plain_port
        self._trust = ssl.create_default_context(cafile=str(certificate))

    def connect(self) -> http.client.HTTPConnection:
        """A connection over TLS, to the name in the certificate."""
        connection = http.client.HTTPConnection(HOST, timeout=PATIENCE)
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        connection.sock = self._trust.wrap_socket(plain, server_hostname=HOST)
        return connection

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The response, and its body as it came over the wire."""
        connection = self.connect()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response, text


@contextmanager
def nginx(servers: Sequence[Server], folder: Path) -> Iterator[Nginx]:
    """Debian's nginx with the very file of deploy/, its ports, paths and names replaced."""
    command = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if command is None or shutil.which("openssl") is None:
        skip_or_fail("nginx or openssl is missing; install Debian's packages of these names")
    assert command
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    port, plain_port = free_port(), free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = (ROOT / "deploy/nginx.conf").read_text()
    for written, here in {
        "user www-data;": f"user {getpass.getuser()};",
        "/run/nginx.pid": str(folder / "nginx.pid"),
        "/var/log/nginx": str(folder),
        "http {": f"http {{ {temporary}",
        "listen 80 ": f"listen 127.0.0.1:{plain_port} ",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        f"/etc/letsencrypt/live/{HOST}/fullchain.pem": str(certificate),
        f"/etc/letsencrypt/live/{HOST}/privkey.pem": str(key),
        "/srv/camp-badges": str(ROOT),
        "server 127.0.0.1:8000 ": " ".join(f"server {each.host}:{each.port} max_fails=2;" for each in servers[:-1])
        + f"server {servers[-1].host}:{servers[-1].port} ",
    }.items():
        assert written in file, written
        file = file.replace(written, here)
    (folder / "nginx.conf").write_text(file)
    process = subprocess.Popen(
        [command, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-g", "daemon off;"]
    )

    def answers() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    try:
        until(answers)
        yield Nginx(port, plain_port, folder, certificate)
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Debian's Redis, keeping nothing: its address."""
    command = shutil.which("redis-server")
    if command is None:
        skip_or_fail("redis-server is missing; install Debian's package of this name")
    assert command
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([command, *options], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"

    def answers() -> bool:
        assert process.poll() is None
        try:
            with Redis.from_url(url) as connection:
                return bool(connection.ping())
        except RedisError:
            return False

    try:
        until(answers)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def open_stream(
    connection: http.client.HTTPConnection, cookie: str, path: str = "/cabinet/live?seen="
) -> Iterator[http.client.HTTPResponse]:
    """The events of a live page, line by line."""
    connection.request("GET", path, headers={"Cookie": cookie, "Host": HOST})
    with closing(connection), connection.getresponse() as response:
        assert response.status == 200
        yield response


def cookie_of(app: Flask, person: Person) -> str:
    """The header of a browser in which somebody has signed in."""
    client = app.test_client(user=SessionPerson(person))
    with client.session_transaction() as session:
        session["_fresh"] = True
    cookie = client.get_cookie("session")
    assert cookie
    return f"session={cookie.value}"
