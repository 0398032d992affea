"""Camp Badges: recognition for the volunteers of free medical camps."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask_openapi import OpenAPI


def create_app(settings: Mapping[str, Any] | None = None) -> "OpenAPI":
    """The application, set up from the environment; ``settings`` (Flask's names) overrule it.

    Raises :class:`webapp.config.ConfigError` where a setting cannot be used.
    """
    # Not above: gunicorn's master reads its settings from this package, and what it has loaded, a reload does
    # not replace.
    from flask_openapi import OpenAPI
    from werkzeug.middleware.proxy_fix import ProxyFix

    from webapp import cli, config, views
    from webapp.database import db, migrate
    from webapp.domain import audit, jobs
    from webapp.infra.changes import Changes

    root = config.ROOT
    instance = Path(os.environ.get("INSTANCE_PATH") or root / "instance")
    app = OpenAPI(
        "webapp",
        root_path=str(root / "webapp"),
        instance_path=str(instance.resolve()),
        template_folder=str(root / "templates"),
        static_folder=str(root / "static"),
        **views.OPENAPI,
    )
    app.config.from_mapping(config.from_environment(os.environ, instance.resolve()))
    app.config.from_mapping(settings or {})
    if app.config["TRUSTED_PROXIES"]:
        hops = app.config["TRUSTED_PROXIES"]
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)

    db.init_app(app)
    migrate.init_app(app, db, directory=str(root / "migrations"))
    views.init_app(app)
    cli.init_app(app)
    with app.app_context():
        # Entries first: a job whose entry is not there yet is open when it is looked at next, or over.
        app.extensions["changes"] = Changes(db.engine, [audit.EntryFeed, jobs.JobFeed])
    return app
