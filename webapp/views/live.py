"""Live pages: a stream of server-sent events that carries a partial whenever it has changed.

A stream holds a thread. When this process has no more of them to give, the answer is one event and the
end of the stream; the page comes back by itself within the second, which makes a poll of it.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from flask import Response, current_app, request, stream_with_context
from flask_login import current_user

from webapp import clock
from webapp.database import db
from webapp.domain.credentials import person_of
from webapp.signals import Listener
from webapp.views.errors import LOST

log = logging.getLogger(__name__)

HEARTBEAT = 15  # seconds; proxies close what is silent for longer, and a missed signal is made good
COME_BACK = 600  # milliseconds until the page asks again when there was no thread for it

Changed = Callable[[str, datetime], tuple[str, str] | None]
"""Given the stamp last seen and when, the new stamp and HTML; nothing where all is as it was."""


def micros() -> int:
    """Now, in microseconds since 1970."""
    return int(clock.now().timestamp() * 1_000_000)


def token(stamp: str) -> str:
    """What a page says it has seen: a stamp, and that it was now."""
    return f"{stamp}.{micros()}"


def _read(seen: str) -> tuple[str, datetime]:
    stamp, _, micros = seen.partition(".")
    if not micros.isdecimal() or len(micros) > 17:
        return "", clock.now()
    return stamp, datetime.fromtimestamp(int(micros) / 1_000_000, UTC)


def stream(key: UUID, changed: Changed) -> Response:
    """Answer with events about ``key``, each the HTML that ``changed`` gives, until the reader leaves,
    or their session ends.
    """
    seen, since = _read(request.headers.get("Last-Event-ID") or request.args.get("seen", ""))
    session_key = current_user.get_id()
    signals: Listener = current_app.extensions["signals"]

    def events(stay: bool) -> Iterator[str]:
        nonlocal seen, since
        with signals.watch(key) as woken:
            while True:
                woken.clear()
                if person_of(session_key) is None:
                    return
                at = clock.now()
                news = changed(seen, since)
                db.session.remove()  # hold no connection while waiting
                if news:
                    seen, since = news[0], at
                    yield _event(token(seen), news[1])
                else:
                    yield ": still here\n\n"
                if not stay:
                    yield f"retry: {COME_BACK}\nevent: rest\ndata:\n\n"
                    return
                woken.wait(HEARTBEAT)

    def held() -> Iterator[str]:
        with _place() as stay:
            try:
                yield from events(stay)
            except LOST as error:  # the page comes back by itself
                log.warning("a live page ended: %s", error)

    response = Response(stream_with_context(held()), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _event(event_id: str, html: str) -> str:
    data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"id: {event_id}\n{data}\n"


_lock = threading.Lock()
_open = 0


@contextmanager
def _place() -> Iterator[bool]:
    """Whether there is a thread to stay on."""
    global _open
    with _lock:
        stay = _open < current_app.config["LIVE_STREAMS"]
        _open += stay
    try:
        yield stay
    finally:
        with _lock:
            _open -= stay
