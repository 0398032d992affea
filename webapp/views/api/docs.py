"""The API's own description: for tools as OpenAPI, for people as a page."""

from typing import Any, cast

from flask import Blueprint, current_app, jsonify, render_template
from flask.typing import ResponseReturnValue
from flask_openapi import OpenAPI

from webapp.views.security import public

blueprint = Blueprint("api_docs", __name__)


@blueprint.get("/openapi.json")
@public
def openapi() -> ResponseReturnValue:
    """OpenAPI 3.1 or later."""
    return jsonify(_description())


@blueprint.get("/docs")
@public
def page() -> ResponseReturnValue:
    """The same to read, without a script."""
    return render_template("api/docs.html", api=_description())


def _description() -> dict[str, Any]:
    return cast(dict[str, Any], cast(OpenAPI, current_app).api_doc)
