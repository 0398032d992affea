"""The JSON API, for the mobile app and scripts that already speak to eHRS."""

from typing import Any

from flask import Response, make_response
from flask_openapi import OpenAPI
from pydantic import ValidationError

from webapp.views.api import attendance, auth, badges, docs, users
from webapp.views.api.schemas import ErrorAnswer
from webapp.views.errors import answer
from webapp.views.security import csrf

PREFIX = "/api/v1"


def _refuse(error: ValidationError) -> Response:
    """What is wrong with a request, field by field, in one sentence each."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        faults.append(f"{where}: {fault['msg']}" if where else "The body must be a JSON object.")
    return make_response(answer(400, " ".join(faults)))


OPENAPI: dict[str, Any] = {
    "info": {
        "title": "Camp Badges",
        "version": "1",
        "description": "Attendance and badges of the volunteers of free medical camps. Dates are local to "
        "the camp's site, instants are ISO 8601 in UTC, ids are UUIDs. Every failure is answered with "
        'a reason: {"detail": "…"}.',
    },
    "security_schemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    "doc_ui": False,
    "validation_error_status": 400,
    "validation_error_model": ErrorAnswer,
    "validation_error_callback": _refuse,
}


def init_app(app: OpenAPI) -> None:
    """Bearer tokens, never cookies, let one in here, so there is no CSRF to guard against."""
    for part in (auth, users, attendance, badges):
        csrf.exempt(part.blueprint)
        app.register_api(part.blueprint, url_prefix=PREFIX)
    app.register_blueprint(docs.blueprint, url_prefix=PREFIX)
