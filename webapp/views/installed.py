"""What makes an app of the pages: the manifest, the service worker, and the page for no network."""

from flask import Blueprint, Response, current_app, render_template, url_for

from webapp.domain.organisation import settings
from webapp.views.presentation import static_url
from webapp.views.security import CONTENT_SECURITY_POLICY, public

blueprint = Blueprint("installed", __name__)

THEME = "#0b5e63"
GROUND = "#faf6ef"
FILES = ("vendor/styles.css", "app.js", "icon.svg")
ROLL_CALL_FILES = ("vendor/roll_call.js", "vendor/qr-scanner.umd.min.js")
# The reader of QR codes fetches its worker itself, without a version.
QR_WORKER = "vendor/qr-scanner-worker.min.js"


@blueprint.get("/manifest.webmanifest")
@public
def manifest() -> Response:
    """The app's name, icons and first page; that leads each role to its own place."""
    name = settings.name()
    icons = [
        {"src": static_url("icon.svg"), "type": "image/svg+xml", "sizes": "any"},
        {"src": static_url("icons/192.png"), "type": "image/png", "sizes": "192x192"},
        {"src": static_url("icons/512.png"), "type": "image/png", "sizes": "512x512"},
        {"src": static_url("icons/maskable.png"), "type": "image/png", "sizes": "512x512", "purpose": "maskable"},
    ]
    body = current_app.json.dumps(
        {
            "id": "/",
            "name": name,
            "short_name": name if len(name) <= 12 else "Camp Badges",
            "description": "Roll call and badges of the volunteers of free medical camps.",
            "start_url": url_for("home.index"),
            "scope": "/",
            "display": "standalone",
            "theme_color": THEME,
            "background_color": GROUND,
            "icons": icons,
        }
    )
    return Response(body, mimetype="application/manifest+json")


@blueprint.get("/service-worker.js")
@public
def service_worker() -> Response:
    """The service worker. Whenever a static file changes it is another one, and replaces the last."""
    script = render_template(
        "installed/service_worker.js",
        files=[static_url(name) for name in FILES],
        roll_call_files=[*map(static_url, ROLL_CALL_FILES), url_for("static", filename=QR_WORKER)],
        offline=url_for("installed.offline"),
        policy=CONTENT_SECURITY_POLICY,
    )
    return Response(script, mimetype="text/javascript")


@blueprint.get("/offline")
@public
def offline() -> str:
    """What is shown where the network is needed and not there."""
    return render_template("installed/offline.html")
