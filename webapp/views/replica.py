"""Pages read from the replica, by people who always see what they wrote themselves.

After a request that committed something the browser keeps how far the primary's log of writes had come,
and its later pages come from the replica only once that has come as far. It is a cookie of its own: the
session's is sent anew with every page, so that a slow page of another tab would take the place back.
"""

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec

import psycopg
from flask import Flask, Response, current_app, request, stream_with_context
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, Signer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webapp import replica
from webapp.database import REPLICA, db, snapshot
from webapp.replica import FROM_THE_START, reading
from webapp.views.security import secret

P = ParamSpec("P")

log = logging.getLogger(__name__)

COOKIE = "written"


def init_app(app: Flask) -> None:
    """Remember what people wrote, where a replica may not have it yet."""
    if REPLICA in app.extensions:
        app.after_request(_remember)


def from_replica(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """A page that only reads, from the replica if there is one; from the primary after all if that fails.

    It goes beneath the decorator that says who may see it, so that the primary says who is asking.
    """

    @wraps(view)
    def read(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        on_replica = False
        try:
            with reading(_written()) as on_replica:
                return view(*args, **kwargs)
        except DBAPIError as error:
            if not on_replica or isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction):
                raise
        return view(*args, **kwargs)

    return read


def streamed_from_replica(lines: Callable[[], Iterator[str]]) -> Iterator[str]:
    """What ``lines`` gives, read as it is sent, from the replica if there is one: all of one moment on the primary.
    To be called within the request.
    """
    since = _written()

    def read() -> Iterator[str]:
        with reading(since) as on_replica:
            if not on_replica:
                snapshot()
            try:
                yield from lines()
            finally:
                db.session.rollback()

    return stream_with_context(read())


def _signer() -> Signer:
    return Signer(secret(), salt="camp-badges written")


def _written() -> str:
    """How far a replica must have come for this browser."""
    try:
        return _signer().unsign(request.cookies.get(COOKIE, "")).decode()
    except BadSignature:
        return FROM_THE_START


def _remember(response: Response) -> Response:
    # A script with a token keeps no cookies, and reads nothing from the replica.
    if not replica.committed() or current_app.config["SESSION_COOKIE_NAME"] not in request.cookies:
        return response
    try:
        place = replica.place()
    except SQLAlchemyError as error:  # the primary was lost just now; what is stored is stored
        log.error("a page may show an older state than its reader wrote: %s", error)
        db.session.rollback()
        return response
    response.set_cookie(
        COOKIE,
        _signer().sign(place).decode(),
        max_age=current_app.permanent_session_lifetime,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return response
