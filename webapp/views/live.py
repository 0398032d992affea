"""Live pages: a stream of server-sent events that carries a partial whenever it has changed.

A stream holds a thread. When this process has no more of them to give, the answer is one event and the
end of the stream; the page comes back by itself within the second, which makes a poll of it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from flask import Response, current_app, request, stream_with_context
from flask_login import current_user

from webapp import clock, metrics
from webapp.database import LOST, db
from webapp.domain.people.credentials import person_of
from webapp.infra.changes import Changes
from webapp.views.security import viewer

log = logging.getLogger(__name__)

HEARTBEAT = 15  # seconds; proxies close what is silent for longer. It costs no look at the database
LOOK_ANYWAY = 300  # seconds; what is no change of the database, such as a new day, is seen by then
PACE = 0.25  # seconds between two looks; a burst of changes is one look
COME_BACK = 600  # milliseconds until the page asks again when there was no thread for it
SCATTERED = (200, 3000)  # milliseconds until a page asks again when this process stops: not all at once
STILL_HERE = ": still here\n\n"
SIGNED_OUT = "event: signed-out\ndata:\n\n"

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


def stream(key: UUID, changed: Changed, *, pace: float = PACE) -> Response:
    """Answer with events about ``key``, each the HTML that ``changed`` gives, until the reader leaves,
    or their session ends. After a look, the next comes ``pace`` seconds later at the earliest.
    """
    seen, since = _read(request.headers.get("Last-Event-ID") or request.args.get("seen", ""))
    session_key = current_user.get_id()
    reader = viewer().id
    changes: Changes = current_app.extensions["changes"]

    def look() -> str | None:
        """What to send now; nothing where the database is gone."""
        nonlocal seen, since
        try:
            if person_of(session_key) is None:
                return SIGNED_OUT
            at = clock.now()
            news = changed(seen, since)
        except LOST as error:
            log.warning("a live page lost the database, and comes back by itself: %s", error)
            return None
        finally:
            db.session.remove()  # hold no connection while waiting
        if news is None:
            return STILL_HERE
        seen, since = news[0], at
        return _event(token(seen), news[1])

    def events(stay: bool) -> Iterator[str]:
        with changes.watch(key, reader) as woken:
            while True:
                woken.clear()
                looked = time.monotonic()
                with _looking:
                    said = look()
                if said is None:
                    return
                yield said
                if said is SIGNED_OUT:
                    return
                if not stay:
                    yield _rest(COME_BACK)
                    return
                until = looked + LOOK_ANYWAY * random.uniform(0.8, 1.2)  # noqa: S311 - so that not all look at once
                while not woken.wait(HEARTBEAT) and time.monotonic() < until:
                    yield STILL_HERE
                if changes.dismissed.wait(max(0, looked + pace - time.monotonic())):
                    yield _rest(random.randint(*SCATTERED))  # noqa: S311
                    return

    def held() -> Iterator[str]:
        with _place() as stay:
            yield from events(stay)

    db.session.remove()  # as many wait for their first look as come at once
    response = Response(stream_with_context(held()), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _rest(come_back: int) -> str:
    """Tells the page when to ask again, in milliseconds, before its stream ends."""
    return f"retry: {come_back}\nevent: rest\ndata:\n\n"


def _event(event_id: str, html: str) -> str:
    data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"id: {event_id}\n{data}\n"


# One look at a time in a process. After a reload, or when a network comes back, everybody looks at once, and the
# marks of a camp go between them; looks at the same time only take the interpreter from each other and from marks.
_looking = threading.Lock()
_lock = threading.Lock()
_open = 0


@contextmanager
def _place() -> Iterator[bool]:
    """Whether there is a thread to stay on."""
    global _open
    with _lock:
        stay = _open < current_app.config["LIVE_STREAMS"]
        _open += stay
    if stay:
        metrics.LIVE_STREAMS.inc()
    else:
        metrics.LIVE_STREAMS_REFUSED.inc()
    try:
        yield stay
    finally:
        with _lock:
            _open -= stay
        if stay:
            metrics.LIVE_STREAMS.dec()
