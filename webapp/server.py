"""gunicorn's configuration: ``gunicorn -c webapp/server.py``.

Threads, because open live pages hold one each; a few processes on PostgreSQL, one on SQLite, where
only one can write anyway. SIGHUP starts new processes and lets the old ones finish what they have begun.
"""

import gc
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from logging.config import dictConfig
from pathlib import Path
from types import FrameType
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from webapp import logs
from webapp.environment import one_of, whole_number


class _Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no annotations
    """Open live pages would hold a stop until its end; they are asked to leave, and come back elsewhere."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM. The main loop does the rest: a signal interrupts what may hold a lock."""
        if self.alive and (app := getattr(self, "wsgi", None)):  # it may not be loaded yet
            self.method_queue.defer(app.extensions["changes"].dismiss)
        super().handle_exit(sig, frame)


class _Log(Logger):  # type: ignore[misc]
    """gunicorn's words and the application's in one log; the application logs each request itself."""

    def setup(self, cfg: Any) -> None:
        """At the start, and at each reload."""
        super().setup(cfg)
        dictConfig(dict(logs.configuration(_log_format, cfg.loglevel)))

    def access(self, *args: object) -> None:
        """Nothing: its line would hold what was searched for."""


def post_fork(server: Any, _worker: object) -> None:
    """The process loads the application anew, and with it what knows of requests."""
    from webapp import logs

    dictConfig(dict(logs.configuration(_log_format, server.cfg.loglevel)))


def _ending(wsgi_app: Callable[..., Any]) -> Callable[..., Any]:
    """gunicorn drops what an application says of its connection: ``Connection: close`` has to be told to it."""

    def answer(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            if ("Connection", "close") in headers:
                start_response.__self__.force_close()
            return start_response(status, headers, *error)

        return wsgi_app(environ, start)

    return answer


def post_worker_init(worker: Any) -> None:
    """What is loaded now stays: looking through it again and again for garbage was a tenth of a mark's time."""
    worker.wsgi.wsgi_app = _ending(worker.wsgi.wsgi_app)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def worker_exit(_server: object, worker: Any) -> None:
    """Nothing is left to be done; to take the interpreter apart would take it a second or more."""
    leaving = sys.exc_info()[1]
    if worker.pid == os.getpid() and isinstance(leaving, SystemExit) and not leaving.code:
        os._exit(0)


def on_exit(_server: object) -> None:
    """The counts go with the server that made them."""
    if Path(_counts).name.startswith(_PREFIX):
        shutil.rmtree(_counts, ignore_errors=True)


def child_exit(_server: object, worker: Any) -> None:
    """Live pages of a process that is gone are open no more."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


wsgi_app = "wsgi:app"
bind = f"{os.environ.get('HOST', '0.0.0.0')}:{whole_number(os.environ, 'PORT', default=8000, least=1)}"  # noqa: S104 - phones in the same network open it too
worker_class = _Worker
logger_class = _Log
_log_format = one_of(os.environ, "LOG_FORMAT", logs.FORMATS)
threads = whole_number(os.environ, "THREADS", default=64, least=8)
_embedded = os.environ.get("DATABASE_URL", "sqlite").startswith("sqlite")
workers = whole_number(os.environ, "WEB_CONCURRENCY", default=1 if _embedded else 2, least=1)
worker_connections = threads + 1000  # beyond those being answered, browsers and proxies keep idle ones
keepalive = 15  # seconds; a phone's next tap comes without a new connection
graceful_timeout = 15  # seconds; longer than a sign-in may wait for its turn
timeout = 60  # seconds without a sign of life from a worker
control_socket_disable = True  # two installations on a machine would share its one path

# Debian lets a process open 1,024 files unless it asks for more; a live page is one, and nginx may bring others.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = threads + worker_connections + 1024
if _soft != resource.RLIM_INFINITY and _soft < _files:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (_files if _hard == resource.RLIM_INFINITY else min(_files, _hard), _hard)
    )

# Where the processes of this server count together: a folder of its own, empty at the start. This file is
# read again at a reload, which must find the same one.
_PREFIX = "camp-badges-counts-"
_counts = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix=_PREFIX)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts

# What the master has loaded its processes inherit, however the files have changed since: it keeps nothing.
for _name in [name for name in sys.modules if name.partition(".")[0] == "webapp"]:
    del sys.modules[_name]
