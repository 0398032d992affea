"""Settings, read from the environment once and strictly: a bad value stops the start with a clear line."""

import os
import secrets
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from webapp.environment import ConfigError as ConfigError
from webapp.environment import whole_number

DIRECT = "direct"  # as in webapp.database
ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("sqlite", "postgresql+psycopg")
SHORTEST_SECRET = 16  # characters
MOST_KEPT_FREE = 64  # threads; two cores do not do more at once, however many live pages are open
# A database server that does not answer (its machine lost power, its network is cut) is given up on: one
# being connected to after 3 s, one connected after 10 (9 when nothing is being sent).
LOST_AFTER = {
    "connect_timeout": 3,  # seconds, for each host of the address
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives_idle": 3,  # seconds, as is the interval
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


def from_environment(environment: Mapping[str, str], instance: Path) -> dict[str, Any]:
    """Flask's configuration from the environment; ``instance`` is where files of this installation go.

    Raises :class:`ConfigError` for a value that cannot be used.
    """
    url = environment.get("DATABASE_URL") or f"sqlite:///{instance / 'camp_badges.db'}"
    threads = whole_number(environment, "THREADS", default=64, least=8)
    return {
        "SECRET_KEY": _secret_key(environment, instance),
        "SQLALCHEMY_DATABASE_URI": _database_url(url),
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(url, threads),
        "SQLALCHEMY_BINDS": _direct(url, threads),
        "RATELIMIT_STORAGE_URI": environment.get("RATELIMIT_STORAGE_URL") or "memory://",
        "JOBS_URL": _jobs_url(environment.get("JOBS_URL")),
        "TRUSTED_PROXIES": whole_number(environment, "TRUSTED_PROXIES", default=0),
        "METRICS_TOKEN": _metrics_token(environment),
        # Open live pages hold a thread each; what is left must be enough for everybody else.
        "LIVE_STREAMS": threads - min(threads // 4, MOST_KEPT_FREE),
        "PERMANENT_SESSION_LIFETIME": timedelta(days=14),
        "MAX_CONTENT_LENGTH": 1024 * 1024,
    }


def engine_options(url: str, threads: int) -> dict[str, Any]:
    """How connections are pooled: enough for every thread, checked before use, given up on in time."""
    options: dict[str, Any] = {"pool_size": 8, "max_overflow": threads, "pool_timeout": 10}
    options["hide_parameters"] = True  # an error is logged with its statement, which must not say whom it was about
    if not url.startswith("sqlite"):
        # The few connections last used are used again, so that they need not be asked whether they live.
        options |= {"max_overflow": 8, "pool_use_lifo": True, "connect_args": LOST_AFTER}
    return options


def _direct(url: str, threads: int) -> dict[str, dict[str, Any]]:
    """Describe the second engine of PostgreSQL, whose statements commit by themselves."""
    if url.startswith("sqlite"):
        return {}
    options = engine_options(url, threads)
    options["connect_args"] = LOST_AFTER | {"application_name": DIRECT}
    return {DIRECT: {"url": url, **options, "pool_reset_on_return": None}}


def _jobs_url(url: str | None) -> str:
    """Where the queue of jobs is. Empty: in the database, or embedded in a file beside it."""
    if url and not url.startswith(("redis://", "rediss://")):
        raise ConfigError("JOBS_URL must begin with redis:// or rediss://; without it the queue is in the database.")
    return url or ""


def _metrics_token(environment: Mapping[str, str]) -> str | None:
    token = environment.get("METRICS_TOKEN") or None
    if token and len(token) < SHORTEST_SECRET:
        raise ConfigError(f"METRICS_TOKEN must have at least {SHORTEST_SECRET} characters.")
    return token


def _database_url(url: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("DATABASE_URL is not a database address.") from None
    if parsed.drivername not in ENGINES:
        known = " or ".join(f"{engine}://" for engine in ENGINES)
        raise ConfigError(f"DATABASE_URL must begin with {known}, not “{parsed.drivername}://”.")
    hosts = parsed.query.get("host", "")
    if isinstance(hosts, str) and "," in hosts and ":" in hosts:
        raise ConfigError("DATABASE_URL must give each of several servers as host=name:port, joined by “&”.")
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("DATABASE_URL must name a file; a database in memory ends with its connection.")
    return url


def _secret_key(environment: Mapping[str, str], instance: Path) -> str:
    """From SECRET_KEY, else a file made at the first start, which all processes here then share."""
    given = environment.get("SECRET_KEY")
    if given is not None:
        if len(given) < SHORTEST_SECRET:
            raise ConfigError(f"SECRET_KEY must have at least {SHORTEST_SECRET} characters.")
        return given
    instance.mkdir(parents=True, exist_ok=True)
    file = instance / "secret_key"
    candidate = instance / f"secret_key.{os.getpid()}.{secrets.token_hex(4)}"
    if not file.exists():
        candidate.touch(mode=0o600)
        candidate.write_text(secrets.token_hex(32))
        try:
            os.link(candidate, file)  # whole or not at all, and only the first of several wins
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return file.read_text()
