"""The site map: one blueprint a screen, and the JSON API."""

from typing import Any

from flask_openapi import OpenAPI

from webapp.views import (
    accounts,
    api,
    cabinet,
    calendar,
    cards,
    compression,
    definitions,
    errors,
    exports,
    health,
    home,
    imports,
    installed,
    job_words,
    jobs,
    leaderboard,
    members,
    observed,
    office,
    people,
    presentation,
    rate_limits,
    security,
    series,
    settings,
    sites,
    start,
    trail,
)
from webapp.views.roll_call import page, stream, sync

OPENAPI: dict[str, Any] = api.OPENAPI


def init_app(app: OpenAPI) -> None:
    """Everything a browser or a script meets."""
    observed.init_app(app)
    imports.init_app(app)
    security.init_app(app)
    rate_limits.init_app(app)
    compression.init_app(app)
    presentation.init_app(app)
    job_words.init_app(app)
    trail.init_app(app)
    errors.init_app(app)
    screens = (
        *(home, accounts, cabinet, cards, people, page, stream, sync, leaderboard, installed, health),
        *(office, calendar, series, sites, definitions, imports, exports, jobs),
        *(members, trail, settings, start),
    )
    for screen in screens:
        app.register_blueprint(screen.blueprint)
    api.init_app(app)
