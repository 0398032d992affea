"""What is said when something cannot be done: a page for people, ``{"detail": …}`` for scripts."""

import logging

from flask import Flask, Response, current_app, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from webapp.database import LOST, db
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.people.credentials import BusyError
from webapp.views.security import from_htmx, signed_in, to_sign_in, wants_json

log = logging.getLogger(__name__)

SAID = {
    400: ("That did not arrive as it should", "Nothing was changed. Go back, reload the page and try again."),
    403: ("This page is not for your account", "If you think it should be, ask an admin of your organisation."),
    404: ("There is nothing here", "The address may be mistyped, or what it showed is gone."),
    405: ("That cannot be done here", "Nothing was changed. Go back and try again."),
    409: ("That does not fit the facts", "Nothing was changed."),
    413: ("That is too large", "Nothing was changed."),
    429: ("Too many attempts", "Please wait a minute and try again. Nothing was changed."),
    500: ("Something went wrong on our side", "Nothing was changed. Please try again."),
    503: ("The database cannot be reached", "Nothing was changed. Please try again in a minute."),
}

# Where the connection is lost while the database commits, nobody can know; what is sent again is counted once.
UNCERTAIN = "The database cannot be reached, so this may not have been stored. Please try again in a minute."


def init_app(app: Flask) -> None:
    """One answer for each way to fail."""
    app.register_error_handler(CSRFError, _bad_csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(InvalidError, lambda error: answer(400, str(error)))
    app.register_error_handler(ConflictError, lambda error: answer(409, str(error)))
    app.register_error_handler(BusyError, lambda error: answer(503, str(error)))
    for lost in LOST:
        app.register_error_handler(lost, _lost_database)
    app.register_error_handler(DBAPIError, _database)
    if app.config["RATELIMIT_STORAGE_URI"].startswith("redis"):
        from redis import RedisError  # not needed otherwise, and large

        app.register_error_handler(RedisError, _lost_counts)


def answer(status: int, said: str = "") -> Response:
    """The response for a failure, as a page or as JSON; ``said`` replaces the usual explanation."""
    title, usual = SAID.get(status, SAID[500])
    if wants_json():
        response = jsonify(detail=said or title)
    elif from_htmx():
        response = Response(said or f"{title}. {usual}", mimetype="text/plain")  # page.js shows it
    else:
        # Without the context processors: they ask the database who is signed in.
        page = current_app.jinja_env.get_template("error.html")
        response = make_response(page.render(title=title, said=said or usual, status=status))
    response.status_code = status
    return response


def _http(error: HTTPException) -> Response:
    if error.response is not None or error.code is None or error.code < 400:
        return make_response(error.get_response())
    response = answer(error.code)
    if error.code == 429 and (retry := getattr(error, "retry_after", None)):
        response.headers["Retry-After"] = str(retry)
    if error.code == 405:
        response.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or ())
    return response


def _bad_csrf(_error: CSRFError) -> ResponseReturnValue:
    view = current_app.view_functions.get(request.endpoint or "")
    if signed_in() is None and getattr(view, "permission", "public") != "public":
        return to_sign_in()  # signed out in another tab: the token went with the session
    return answer(400, "This page was open for too long or is from before you signed in. Reload it and try again.")


def _lost_database(error: Exception) -> Response:
    log.error("database unreachable: %s", error)
    db.session.remove()
    response = answer(503, "" if request.method in ("GET", "HEAD") else UNCERTAIN)
    response.headers["Retry-After"] = "10"
    return response


def _lost_counts(error: Exception) -> Response:
    """Nobody signs in uncounted."""
    log.error("redis unreachable: %s", error)
    return answer(503, "Sign-in attempts cannot be counted right now. Please try again in a minute.")


def _database(error: DBAPIError) -> Response:
    if error.connection_invalidated:
        return _lost_database(error)
    log.exception("database error")
    return answer(500)
