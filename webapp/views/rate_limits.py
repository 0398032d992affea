"""How often something may be tried: asked by the routes that have a limit, and by nobody else.

The counts are where ``RATELIMIT_STORAGE_URL`` says. While they cannot be reached, a route with a limit
fails: nobody signs in uncounted.
"""

import time
from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec

from flask import Flask, Response, abort, after_this_request, current_app, request
from flask.typing import ResponseReturnValue
from limits import RateLimitItem, parse_many
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

P = ParamSpec("P")

_EXTENSION = "rate_limits"


def init_app(app: Flask) -> None:
    """Count where the settings say."""
    storage = storage_from_string(app.config["RATELIMIT_STORAGE_URI"])
    app.extensions[_EXTENSION] = FixedWindowRateLimiter(storage)


def counter() -> FixedWindowRateLimiter:
    """What counts for this application."""
    found: FixedWindowRateLimiter = current_app.extensions[_EXTENSION]
    return found


def limited(
    limits: str,
    *,
    counts: Callable[[Response], bool],
    methods: Collection[str] = ("GET", "HEAD", "POST"),
) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
    """Answer 429 to an address that had too many answers which count.

    ``limits`` are, for example, ``60/minute;600/hour``. The headers of every answer say how many are
    left in the shortest window, or in the one that is used up.
    """
    windows = sorted(parse_many(limits))

    def decorate(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def limited_view(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            if request.method in methods:
                _limit(windows, counts)
            return view(*args, **kwargs)

        return limited_view

    return decorate


def _limit(windows: list[RateLimitItem], counts: Callable[[Response], bool]) -> None:
    who = request.remote_addr or "127.0.0.1", request.endpoint or ""
    used_up = next((window for window in windows if not counter().test(window, *who)), None)

    @after_this_request
    def count(response: Response) -> Response:
        if counts(response):
            for window in windows:
                counter().hit(window, *who)
        return _with_headers(response, used_up or windows[0], who)

    if used_up:
        abort(429)


def _with_headers(response: Response, window: RateLimitItem, who: tuple[str, str]) -> Response:
    stats = counter().get_window_stats(window, *who)
    reset_at = int(stats.reset_time + 1)
    response.headers["X-RateLimit-Limit"] = str(window.amount)
    response.headers["X-RateLimit-Remaining"] = str(stats.remaining)
    response.headers["X-RateLimit-Reset"] = str(reset_at)
    if "Retry-After" not in response.headers:
        response.headers["Retry-After"] = str(int(reset_at - time.time()))
    return response
