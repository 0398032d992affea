"""deploy/nginx.conf, run by Debian's nginx in front of gunicorn."""

import gzip
import http.client
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from tests import factories
from tests.serving import HOST, PATIENCE, ROOT, Nginx, cookie_of, gunicorn, nginx, open_stream, seconds, until
from webapp import clock
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.people.accounts import Person, Role

TOKEN = "a-token-of-prometheus"


@pytest.fixture
def volunteer(app: Flask) -> Iterator[Person]:
    """Time passes as it really does."""
    with clock.running_from(clock._real()):
        with app.app_context():
            made = factories.person("Asha Rao")
        yield made


@pytest.fixture(scope="module")
def front(_app: Flask, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    tmp_path = tmp_path_factory.mktemp("front")
    settings = {"TRUSTED_PROXIES": "1", "METRICS_TOKEN": TOKEN, "LOG_FORMAT": "json"}
    with gunicorn(database_url, tmp_path, settings=settings) as server, nginx([server], tmp_path / "nginx") as made:
        yield made


def test_pages_come_over_tls_alone(front: Nginx) -> None:
    response, page = front.ask("GET", "/sign-in?next=/secret-search")
    assert response.status == 200
    assert b"Sign in" in page
    assert "Secure" in response.headers["Set-Cookie"]
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"

    plain = http.client.HTTPConnection("127.0.0.1", front.plain_port, timeout=PATIENCE)
    plain.request("GET", "/sign-in?next=/cabinet", headers={"Host": HOST})
    redirected = plain.getresponse()
    assert (redirected.status, redirected.headers["Location"]) == (301, f"https://{HOST}/sign-in?next=/cabinet")
    plain.close()

    request_id = response.headers["X-Request-ID"]
    until(lambda: request_id in (front.folder / "access.log").read_text())
    both = [file.read_text() for file in (front.folder / "access.log", *front.folder.parent.glob("log.*"))]
    assert len(both) == 2
    assert all(request_id in log for log in both)
    assert not any("secret-search" in log for log in both)


def test_who_asks_is_who_asked_nginx(front: Nginx) -> None:
    """A client that says it is somebody else, or came over HTTP, is not believed."""
    response, _ = front.ask(
        "GET", "/cabinet", **{"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "http", "X-Request-ID": "of-a-client"}
    )
    assert response.headers["Location"].startswith("/sign-in")
    assert response.headers["Strict-Transport-Security"]
    assert response.headers["X-Request-ID"] != "of-a-client"


def test_static_files_come_from_nginx_compressed_and_for_good(front: Nginx) -> None:
    _, page = front.ask("GET", "/sign-in")
    (address,) = re.findall(r'href="(/static/vendor/styles\.css\?v=[^"]+)"', page.decode())
    response, body = front.ask("GET", address, **{"Accept-Encoding": "gzip"})
    assert response.status == 200
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == (ROOT / "static/vendor/styles.css").read_bytes()
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Server"] == "nginx"
    assert "X-Request-ID" not in response.headers  # the application was not asked
    for address, kept in (("/static/vendor/styles.css", "no-cache"), ("/static/nothing.css?v=1", None)):
        assert front.ask("GET", address)[0].headers["Cache-Control"] == kept


def test_the_counts_are_not_there_from_outside(app: Flask, front: Nginx) -> None:
    response, body = front.ask("GET", "/metrics", Authorization=f"Bearer {TOKEN}")
    assert response.status == 404
    assert b"camp_badges" not in body
    assert front.ask("GET", "/readyz")[0].status == 200


def test_a_live_event_comes_through_at_once(app: Flask, front: Nginx, volunteer: Person) -> None:
    with app.app_context():
        camp = factories.camp(0)
    with open_stream(front.connect(), cookie_of(app, volunteer)) as events:
        assert events.readline().startswith(b"id: ")
        while events.readline().strip():
            pass
        with app.app_context(), writing():
            marking.mark_present(volunteer, camp, by=volunteer)
        marked = time.monotonic()
        while b"New: First Step" not in (line := events.readline()):
            assert line
        assert time.monotonic() - marked < seconds(1)


def test_a_file_of_history_may_be_large(app: Flask, front: Nginx, volunteer: Person) -> None:
    with app.app_context():
        admin = factories.person("Meera Krishnan", role=Role.ADMIN)
    page, text = front.ask("GET", "/office/import/", Cookie=cookie_of(app, admin))
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    token = re.search(rb'name="csrf_token" value="([^"]+)"', text)
    assert token
    rows = "7,Asha Rao,Camp,2026-04-05\r\n" * 100_000
    part = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    body = part.format("csrf_token", "", token[1].decode())
    body += part.format("file", '; filename="h.csv"', "book_no,name,camp,camp_date\r\n" + rows) + "--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Cookie": cookie, "Referer": f"https://{HOST}/"}
    response, text = front.ask("POST", "/office/import/", body, **headers)
    assert response.status == 303, text
    assert front.ask("GET", response.headers["Location"], Cookie=cookie)[0].status == 200
    elsewhere, _ = front.ask("POST", "/account", body, **headers)
    assert elsewhere.status == 413


def test_while_the_application_is_gone_it_is_said_so(app: Flask, database_url: str, tmp_path: Path) -> None:
    with ExitStack() as gone:
        server = gone.enter_context(gunicorn(database_url, tmp_path))
        with nginx([server], tmp_path / "nginx") as front:
            gone.close()
            page, text = front.ask("GET", "/cabinet")
            assert page.status == 503
            assert page.headers["Retry-After"] == "10"
            assert "Nothing was lost" in text.decode()
            api, json = front.ask("GET", "/api/v1/users/")
            assert api.status == 503
            assert api.headers["Content-Type"].startswith("application/json")
            assert b'{"detail":"' in json
            assert front.ask("GET", "/static/app.css")[0].status == 200
