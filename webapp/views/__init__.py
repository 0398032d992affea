"""The site map: one blueprint a screen, and the JSON API."""

from typing import Any

from flask import Response, request
from flask_compress import Compress
from flask_openapi import OpenAPI

from webapp.views import (
    accounts,
    api,
    cabinet,
    cards,
    errors,
    home,
    installed,
    leaderboard,
    people,
    presentation,
    roll_call,
    security,
    sync,
)

OPENAPI: dict[str, Any] = api.OPENAPI

# A page holds secrets (the CSRF token) beside what a reader typed, which compression could be made to tell
# (BREACH) if another site could make this reader's browser ask for pages; the SameSite cookie forbids that.
compress = Compress()


def _whole(response: Response) -> Response:
    """A static file as a whole: what is compressed piece by piece is never closed by the library."""
    if request.endpoint == "static" and response.direct_passthrough:
        response.direct_passthrough = False
        response.make_sequence()
    return response


def init_app(app: OpenAPI) -> None:
    """Everything a browser or a script meets."""
    security.init_app(app)
    app.config.from_mapping(
        COMPRESS_ALGORITHM=["br", "gzip"], COMPRESS_ALGORITHM_STREAMING=["br", "gzip"], COMPRESS_BR_LEVEL=5
    )
    compress.init_app(app)
    app.after_request(_whole)  # runs before the one of "compress"
    presentation.init_app(app)
    errors.init_app(app)
    for screen in (home, accounts, cabinet, cards, people, roll_call, sync, leaderboard, installed):
        app.register_blueprint(screen.blueprint)
    api.init_app(app)
