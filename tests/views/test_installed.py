"""What makes an app of the pages, and what it weighs."""

import re
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import People
from tests.views.conftest import Camps
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.people.accounts import Person
from webapp.views import presentation

As = Callable[[Person], FlaskClient]


def test_the_manifest_names_the_organisation_and_its_icons_are_there(client: FlaskClient) -> None:
    response = client.get("/manifest.webmanifest")
    assert response.mimetype == "application/manifest+json"
    manifest = response.get_json()
    assert (manifest["start_url"], manifest["display"], manifest["name"]) == ("/", "standalone", "Camp Badges")
    assert {icon.get("purpose", "any") for icon in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        picture = client.get(icon["src"])
        assert (picture.status_code, picture.mimetype) == (200, icon["type"])
        picture.close()
    assert 'rel="manifest"' in client.get("/sign-in").text


def files_of(script: str) -> list[str]:
    return re.findall(r'"(/static/[^"]+)"', script)


def test_the_service_worker_keeps_files_that_exist(client: FlaskClient) -> None:
    response = client.get("/service-worker.js")
    assert response.mimetype == "text/javascript"
    assert response.headers["Cache-Control"] == "no-store"
    files = files_of(response.text)
    assert len(files) == 6
    for file in files:
        kept = client.get(file)
        assert kept.status_code == 200, file
        kept.close()


def test_every_file_of_the_roll_call_is_kept(client: FlaskClient, as_: As, people: People, camps: Camps) -> None:
    page = as_(people.coordinator).get(f"/roll-call/{camps.today.id}").text
    needed = set(re.findall(r'(?:<script src|<link rel="stylesheet" href|data-scanner)="([^"]+)"', page))
    assert len(needed) >= 4
    assert needed <= set(files_of(client.get("/service-worker.js").text))


def test_another_version_of_a_file_is_another_worker(
    app: Flask, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/service-worker.js").text
    assert client.get("/service-worker.js").text == first
    presentation._hash.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(app, "static_folder", str(tmp_path))
        (tmp_path / "roll_call.js").write_text("a new version")
        second = client.get("/service-worker.js").text
    presentation._hash.cache_clear()
    assert first != second


def test_the_page_for_no_network_needs_nobody_signed_in(client: FlaskClient) -> None:
    page = client.get("/offline")
    assert page.status_code == 200
    assert "No connection" in page.text
    assert "Nothing was lost" in page.text


# --- weight ----------------------------------------------------------------------------------------


def wire(client: FlaskClient, path: str) -> int:
    """The bytes of an answer as a phone gets it, head and body."""
    response = client.get(path, headers={"Accept-Encoding": "gzip, br"}, buffered=True)
    assert response.status_code == 200, path
    head = sum(len(name) + len(value) + 4 for name, value in response.headers)
    size = head + len(response.data)
    return size


def test_text_is_compressed_and_says_so(as_: As, people: People) -> None:
    for encoding in ("br", "gzip"):
        response = as_(people.coordinator).get("/people/", headers={"Accept-Encoding": encoding})
        assert response.headers["Content-Encoding"] == encoding
        assert "Accept-Encoding" in response.headers["Vary"]
    page = as_(people.coordinator).get("/people/", headers={"Accept-Encoding": "br"}).data
    assert b"Asha Rao" in brotli.decompress(page)
    assert "Content-Encoding" not in as_(people.coordinator).get("/people/").headers


def test_a_static_file_is_closed_before_its_answer_is_sent(app: Flask) -> None:
    """A server whose reader has gone may never close the answer."""
    file = Path(str(app.static_folder)) / "icon.svg"
    etag = app.test_client().get("/static/icon.svg").headers["ETag"]
    for method, headers in (
        ("GET", {}),
        ("GET", {"Accept-Encoding": "br"}),
        ("GET", {"If-None-Match": etag}),
        ("HEAD", {}),
    ):
        with app.test_request_context("/static/icon.svg", method=method, headers=headers):
            response = app.full_dispatch_request()
            still_open = [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists() and fd.samefile(file)]
            response.close()
        assert not still_open, (method, headers)


def test_live_streams_are_not_compressed_and_so_not_held_up(as_: As, people: People) -> None:
    stream = as_(people.volunteer).get("/cabinet/live", headers={"Accept-Encoding": "br"}, buffered=False)
    assert "Content-Encoding" not in stream.headers
    stream.close()


def test_the_roll_call_of_300_people_is_light(app: Flask, as_: As, people: People, camps: Camps) -> None:
    """Page, scripts, styles, the list of others, the service worker and all it keeps: under 80 KB."""
    with app.app_context(), writing():
        for number in range(300):
            marking.sign_up(factories.unsaved(f"Volunteer Number {number * 7919 % 1000}"), camps.today)
    client = as_(people.coordinator)
    at = f"/roll-call/{camps.today.id}"
    page = client.get(at).text
    assert page.count('data-state="expected"') >= 300
    files = set(files_of(page)) | set(files_of(client.get("/service-worker.js").text))
    files -= {file for file in files if "htmx" in file}  # only where there is nowhere to store an outbox
    weights = {path: wire(client, path) for path in (at, f"{at}/others", "/service-worker.js", "/offline", *files)}
    assert sum(weights.values()) < 80_000, weights


def test_the_first_visit_of_the_cabinet_is_light(as_: As, people: People) -> None:
    """Page, scripts, styles, icons, the service worker and all it keeps: under 60 KB. What comes before the paint,
    page and styles, fits into the first ten packets of a connection each, so that neither takes a second round trip.
    """
    client = as_(people.volunteer)
    page = client.get("/cabinet").text
    files = set(files_of(page)) | set(files_of(client.get("/service-worker.js").text.partition("ROLL_CALL_FILES")[0]))
    assert {"/static/vendor/styles.css", "/static/vendor/htmx-live.js"} <= {file.partition("?")[0] for file in files}
    others = ("/manifest.webmanifest", "/service-worker.js", "/offline")
    weights = {path: wire(client, path) for path in ("/cabinet", *others, *files)}
    assert sum(weights.values()) < 60_000, weights
    (styles,) = (file for file in files if file.partition("?")[0].endswith(".css"))
    assert max(weights["/cabinet"], weights[styles]) < 14_600, weights


def test_the_style_sheet_is_what_it_is_made_of(app: Flask) -> None:
    """It is joined at set-up; after an edit of app.css: ``make static/vendor/installed``."""
    static = Path(str(app.static_folder))
    parts = (static / "vendor" / "modern-normalize.css", static / "app.css")
    assert (static / "vendor" / "styles.css").read_text() == "".join(part.read_text() for part in parts)


def test_one_mark_is_light(as_: As, people: People, camps: Camps) -> None:
    client = as_(people.coordinator)
    order = {
        "id": "0b6ba1f4-3f3a-4d8e-9f39-0c8f2f6f7a10",
        "camp": str(camps.today.id),
        "made_at": "2026-04-12T06:00:00.000Z",
        "action": "mark",
        "person": str(people.volunteer.id),
        "state": "present",
        "base": "expected",
    }
    body = {"owner": str(people.coordinator.id), "sent_at": "2026-04-12T06:00:00.000Z", "operations": [order]}
    response = client.post("/roll-call/sync", json=body, headers={"Accept-Encoding": "br"})
    assert response.status_code == 200
    sent = len(str(body)) + 600  # and its headers, with the session cookie
    came = len(response.data) + sum(len(name) + len(value) + 4 for name, value in response.headers)
    assert sent + came < 3000, (sent, came)
