"""The log: a line a record, as JSON for machines or as text for people, each with its request's id.

Nobody's name, password or token, and nothing that was searched for, may come in here: log ids, and
addresses without their query.
"""

import json
import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC
from typing import Any

from webapp import clock

FORMATS = ("text", "json")
# PostgreSQL tells the values of a row that it refuses.
_VALUES = re.compile(r"^DETAIL: .*$", re.MULTILINE)


request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request that this thread answers, or answered last."""


class _Identified(logging.Filter):
    """Notes on each record which request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets everything pass."""
        record.request_id = request_id.get()
        return True


class _Formatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """The instant by the one clock, in UTC."""
        return clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, a traceback on those after it."""
        return _VALUES.sub("DETAIL: (not logged)", super().format(record))


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, whatever it holds."""
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found = getattr(record, "request_id", "-")
        if found != "-":
            line["request_id"] = found
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        for key in ("message", "exception"):
            if key in line:
                line[key] = _VALUES.sub("DETAIL: (not logged)", line[key])
        return json.dumps(line, ensure_ascii=False)


def configuration(form: str, level: str) -> Mapping[str, Any]:
    """For :func:`logging.config.dictConfig`: everything, gunicorn's own words too, to standard error.

    ``form`` is one of :data:`FORMATS`, ``level`` a level's name.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"identified": {"()": _Identified}},
        "formatters": {
            "text": {"()": _Formatter, "fmt": "%(asctime)s %(levelname)s %(request_id)s %(name)s: %(message)s"},
            "json": {"()": _JsonFormatter},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["identified"]}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "handlers": [], "propagate": True},
            "alembic": {"level": "WARNING"},  # it tells what it has found whenever it is asked
        },
    }
