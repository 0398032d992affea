"""What those who run this see of each request: its id, a line in the log, and counts."""

import logging
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote
from uuid import uuid4

import ua_parser
from flask import Flask, Response, current_app, g, request

from webapp import logs, metrics
from webapp.domain import audit
from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.attendance.marking import Outcome
from webapp.domain.audit import Actor

log = logging.getLogger("webapp.requests")

SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET = ("health.alive", "health.ready", "health.measured")  # asked every few seconds, by machines


def init_app(app: Flask) -> None:
    """Before everything else comes in, and after everything else has gone out."""
    app.before_request(_begin)
    app.after_request(_end)


@lru_cache(maxsize=1024)
def device_of(user_agent: str) -> str:
    """What a browser or script says it is, in words such as “Chrome Mobile, Android”."""
    if not user_agent:
        return "unknown device"
    found = ua_parser.parse(user_agent[:400])
    parts = [part.family for part in (found.user_agent, found.os) if part and part.family != "Other"]
    return ", ".join(parts) or "".join(letter for letter in user_agent[:40] if letter.isprintable())


def count_marks(door: str, outcomes: Iterable[Outcome | FastMark]) -> None:
    """Count what was carried out and committed; ``door`` is ``api``, ``form`` or ``phone``."""
    new = [len(outcome.badges.new) for outcome in outcomes]
    metrics.marked(door, len(new), sum(new))


def _begin() -> None:
    g.began = time.perf_counter()
    told = request.headers.get("X-Request-ID", "") if current_app.config["TRUSTED_PROXIES"] else ""
    logs.request_id.set(told if SANE.fullmatch(told) else uuid4().hex)
    # Until it is known who asks, nobody does; the thread may have served somebody else before.
    audit.act(Actor(None, device_of(request.headers.get("User-Agent", ""))))


def _end(response: Response) -> Response:
    if "began" not in g:
        return response
    seconds = time.perf_counter() - g.began
    endpoint, status = request.endpoint, response.status_code
    response.headers["X-Request-ID"] = logs.request_id.get()
    metrics.answered(endpoint, request.method, status, seconds)
    level = logging.DEBUG if endpoint in QUIET and status < 400 else logging.INFO
    if log.isEnabledFor(level):
        path = quote(request.path)  # without the query, which may hold what was searched for
        fields = {
            "method": request.method,
            "path": path,
            "endpoint": endpoint,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        log.log(level, "%s %s %d", request.method, path, status, extra={"fields": fields})
    return response
