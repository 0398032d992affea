"""What machines ask: whether this process lives, whether it can work, and how it fares."""

from functools import cache
from hmac import compare_digest

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from sqlalchemy.exc import SQLAlchemyError

from webapp import metrics
from webapp.database import db
from webapp.views.security import public

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def alive() -> ResponseReturnValue:
    """This process answers. Looks at nothing else."""
    return {"status": "alive"}


@blueprint.get("/readyz")
@public
def ready() -> ResponseReturnValue:
    """The database answers, and has the tables that this version knows; else 503 with the reason."""
    try:
        with db.engine.connect() as connection:
            present = set(MigrationContext.configure(connection).get_current_heads())
    except SQLAlchemyError:
        return _not_ready("The database cannot be reached.")
    if present != _wanted():
        return _not_ready("The database has the tables of another version; run flask db upgrade.")
    return {"status": "ready"}


@blueprint.get("/metrics")
@public
def measured() -> ResponseReturnValue:
    """For Prometheus, which shows METRICS_TOKEN as its bearer token. Without that setting there is nothing here."""
    token = current_app.config["METRICS_TOKEN"]
    if not token:
        abort(404)
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not compare_digest(shown.strip().encode(), token.encode()):
        return Response("", 401, {"WWW-Authenticate": "Bearer"})
    return Response(metrics.exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _not_ready(reason: str) -> ResponseReturnValue:
    return jsonify(detail=reason), 503


@cache
def _wanted() -> frozenset[str]:
    """The newest migrations that this version brings."""
    return frozenset(ScriptDirectory(current_app.extensions["migrate"].directory).get_heads())
