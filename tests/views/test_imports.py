"""A file is sent, looked through, decided about and stored, as an admin sees it."""

import csv
import http.client
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import SUNDAY, People
from tests.serving import PATIENCE, cookie_of, gunicorn, until
from webapp import clock
from webapp.database import db, writing
from webapp.domain import audit, jobs
from webapp.domain.audit import Entry
from webapp.domain.import_export import uploads
from webapp.domain.jobs import Job
from webapp.domain.models.attendance import Attendance
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

BOUNDARY = "a-boundary"
As = Callable[[Person], FlaskClient]
GOOD = b"book_no,name,camp,camp_date\n70,Lakshmi Devi,Camp,2026-04-05\n71,Binu Thomas,Camp,2026-04-05\n"
BAD = GOOD + b"72,Chitra,Camp,12/04/2026\n"


def send(client: FlaskClient, content: bytes, name: str = "history.csv", **fields: str) -> TestResponse:
    """As a browser does; made here, since the library would put a large file into one that it does not close."""
    parts = [(f'name="{field}"', value.encode()) for field, value in fields.items()]
    parts.append((f'name="file"; filename="{name}"', content))
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + part + b"\r\n"
        for head, part in parts
    )
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return client.post("/office/import/", data=body + f"--{BOUNDARY}--\r\n".encode(), content_type=kind)


def sent(client: FlaskClient, content: bytes, app: Flask) -> str:
    """The address of a file that was sent and looked through."""
    response = send(client, content)
    assert response.status_code == 303, response.text
    with app.app_context():
        factories.do_jobs()
    return str(response.location)


def test_a_good_file_is_previewed_stored_and_reported(app: Flask, people: People, as_: As) -> None:
    admin = as_(people.admin)
    assert "None yet" in admin.get("/office/import/").text
    response = send(admin, GOOD)
    waiting = admin.get(response.location).text
    assert "Waiting for the worker" in waiting
    with app.app_context():
        factories.do_jobs()
    preview = admin.get(response.location).text
    assert re.search(
        r"<dt>good rows</dt><dd>2</dd>.*<dt>new people</dt><dd>2</dd>.*<dt>new camps</dt><dd>1</dd>", preview, re.S
    )
    assert "Every row is good" in preview
    assert "Lakshmi" not in admin.get("/people/").text  # nothing is stored yet
    assert "site" not in admin.get("/office/import/").text.lower()

    started = admin.post(f"{response.location}/start", data={"rows": "all"})
    assert started.status_code == 303
    assert "being stored" in admin.get(response.location).text
    with app.app_context():
        factories.do_jobs()
    assert "2 rows stored" in admin.get(started.location).text
    assert "See the report" in admin.get(started.location).text
    report = admin.get(response.location).text
    assert "It was stored" in report
    assert "2 new people, 1 new camp, 2 badges awarded" in report.replace("\n", " ")
    assert "Lakshmi" in admin.get("/people/").text
    assert "stored · sent by" in admin.get("/office/import/").text

    again = admin.post(f"{response.location}/start", data={"rows": "all"})
    assert again.status_code == 409
    assert "was already" in again.text


def test_a_job_that_no_worker_is_at_says_so(app: Flask, people: People, as_: As) -> None:
    admin = as_(people.admin)
    at = send(admin, GOOD).location
    assert "Waiting for the worker" in admin.get(at).text
    with clock.stopped_at(SUNDAY + timedelta(minutes=3)):
        assert "Still waiting: the worker is busy with another job, or does not run" in admin.get(at).text
        with app.app_context(), writing():
            jobs.begin(db.session.scalars(select(Job)).one())
        assert "Under way" in admin.get(at).text
    with clock.stopped_at(SUNDAY + timedelta(minutes=6)):
        assert "The worker does not answer. The job goes on from here as soon as one runs" in admin.get(at).text


def test_bad_rows_are_shown_with_line_and_reason_and_the_good_ones_can_be_stored(
    app: Flask, people: People, as_: As
) -> None:
    admin = as_(people.admin)
    rows = [b"%d,Person,Camp,12/04/2026" % number for number in range(100, 160)]
    at = sent(admin, BAD + b"\n".join(rows) + b"\n", app)
    page = admin.get(at).text
    assert "61 rows are bad" in page
    assert "The first 50 are here" in page
    assert page.count("“12/04/2026” is not a date; write year, month and day as 2026-04-12.") == 50
    assert 'value="all"' not in page
    report = admin.get(f"{at}/problems.csv")
    assert report.mimetype == "text/csv"
    assert report.data.startswith(b"\xef\xbb\xbf")
    lines = list(csv.reader(StringIO(report.data.decode("utf-8-sig"))))
    assert lines[0] == ["line", "reason"]
    assert [line[0] for line in lines[1:]] == [str(number) for number in range(4, 65)]

    refused = admin.post(f"{at}/start", data={"rows": "all"})
    assert refused.status_code == 409
    assert "cannot be stored as a whole" in refused.text
    assert admin.post(f"{at}/start", data={"rows": "some"}).status_code == 400
    admin.post(f"{at}/start", data={"rows": "good"})
    with app.app_context():
        factories.do_jobs()
        assert accounts.by_book_no(70)
        assert accounts.by_book_no(100) is None
    page = admin.get(at).text
    assert "2 rows stored" in page
    assert "61 rows are bad" in page  # the report stays
    assert len(admin.get(f"{at}/problems.csv").text.splitlines()) == 62


def test_a_file_can_be_thrown_away(app: Flask, people: People, as_: As) -> None:
    admin = as_(people.admin)
    at = sent(admin, BAD, app)
    response = admin.post(f"{at}/throw-away", follow_redirects=True)
    assert "Nothing of it was stored" in response.text
    page = admin.get(at).text
    assert "was thrown away" in page
    assert "Store the" not in page
    assert admin.post(f"{at}/throw-away").status_code == 409
    assert admin.post(f"{at}/start", data={"rows": "good"}).status_code == 409


def a_zip() -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("history.csv", GOOD)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (a_zip(), "a workbook or another zip archive, not a CSV file"),
        (b"\0" * 3_000_000, "This is no text"),
        (b"name,camp\nA,B\n", "missing: book_no, camp_date"),
        (GOOD + "72,Zoë,Camp,2026-04-05\n".encode("cp1252"), "not UTF-8 text (first noticed near line 4)"),
        (b"", "The file is empty"),
    ],
)
def test_what_is_no_history_is_refused_on_the_page(
    app: Flask, people: People, as_: As, content: bytes, said: str
) -> None:
    response = send(as_(people.admin), content)
    assert response.status_code == 422
    assert said in response.text
    assert 'aria-invalid="true"' in response.text
    assert number_of_jobs(app) == 0


def number_of_jobs(app: Flask) -> int:
    with app.app_context():
        return db.session.query(Job).count()


def test_no_file_at_all_is_asked_for(people: People, as_: As) -> None:
    for data in ({}, {"file": (BytesIO(b""), "")}):
        response = as_(people.admin).post("/office/import/", data=data, content_type="multipart/form-data")
        assert response.status_code == 422
        assert "choose a file first" in response.text


def test_one_larger_than_allowed_is_refused(
    app: Flask, people: People, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1024 * 1024)
    response = send(as_(people.admin), GOOD + b"70,Lakshmi Devi,Camp,2026-04-05\n" * 50_000)
    assert response.status_code == 413
    assert "This file is too large: at most 1 MB fit" in response.text
    assert number_of_jobs(app) == 0


def test_only_admins_may_send_much(app: Flask, people: People, as_: As, client: FlaskClient) -> None:
    much = GOOD * 50_000
    to_sign_in, refused = send(client, much), send(as_(people.coordinator), much)
    assert to_sign_in.location.startswith("/sign-in")
    assert refused.status_code == 403
    everywhere_else = as_(people.admin).post("/account", data={"present": "x" * 2_000_000})
    assert everywhere_else.status_code == 413
    for unread in (to_sign_in, refused, everywhere_else):
        assert unread.headers["Connection"] == "close"
    assert "Connection" not in send(as_(people.admin), GOOD).headers


def test_what_is_not_there_is_not_found(people: People, as_: As, app: Flask) -> None:
    admin = as_(people.admin)
    nowhere = "/office/import/00000000-0000-0000-0000-000000000001"
    assert admin.get(nowhere).status_code == 404
    assert admin.get(f"{nowhere}/problems.csv").status_code == 404
    assert admin.post(f"{nowhere}/throw-away").status_code == 404
    assert admin.post(f"{nowhere}/start", data={"rows": "all"}).status_code == 404


def test_files_sent_are_listed_page_by_page(app: Flask, people: People, as_: As) -> None:
    admin = as_(people.admin)
    for _ in range(11):
        sent(admin, GOOD, app)
    assert admin.get("/office/import/").text.count("waits for your choice") == 10
    assert admin.get("/office/import/?page=2").text.count("waits for your choice") == 1


def test_two_who_send_at_once_both_have_theirs_stored(app: Flask, people: People, as_: As) -> None:
    """The two files name the same people and camps."""
    with app.app_context():
        other = factories.person("Another Admin", role=accounts.Role.ADMIN)
    clients = [as_(people.admin), as_(other)]
    found: list[str] = []
    ready = threading.Barrier(2)

    def worked(client: FlaskClient, at: str, said: str) -> bool:
        with app.app_context():
            factories.do_jobs()
        return said in client.get(at).text

    def do(client: FlaskClient, content: bytes) -> None:
        ready.wait(PATIENCE)
        at = send(client, content).location
        until(lambda: worked(client, at, "What shall be stored?"))
        ready.wait(PATIENCE)
        client.post(f"{at}/start", data={"rows": "all"})
        until(lambda: worked(client, at, "It was stored"))
        found.append(at)

    rows = [b"%d,Person,Camp,2026-04-05\n" % number for number in range(100, 400)]
    threads = [
        threading.Thread(target=do, args=(client, GOOD + b"".join(rows) + b"%d,Own,Camp,2026-03-29\n" % number))
        for number, client in enumerate(clients, start=900)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    with app.app_context():
        assert accounts.by_book_no(900)
        assert accounts.by_book_no(901)
        assert len(list(db.session.query(Attendance))) == 302 + 2


def test_the_trail_says_who_imported_and_names_nobody(app: Flask, people: People, as_: As) -> None:
    admin = as_(people.admin)
    at = sent(admin, GOOD, app)
    admin.post(f"{at}/start", data={"rows": "all"})
    with app.app_context():
        factories.do_jobs()
        (entry,) = db.session.query(Entry).filter(Entry.action == audit.Action.IMPORTED)
        assert entry.by_id == people.admin.id
        assert entry.facts == {"rows": 2, "bad": 0, "new_camps": 1}
        assert "history" not in entry.details


def test_csrf_is_asked_for_before_a_file_is_kept(
    app: Flask, people: People, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    admin = as_(people.admin)
    assert send(admin, GOOD).status_code == 400
    assert number_of_jobs(app) == 0
    token = re.search(r'name="csrf_token" value="([^"]+)"', admin.get("/office/import/").text)
    assert token
    assert send(admin, b"\0" * 100_000, csrf_token=token[1]).status_code == 422
    assert send(admin, GOOD, csrf_token=token[1]).status_code == 303


HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="zeros.csv"\r\n\r\n'.encode()


def test_two_gigabytes_of_zeros_are_refused_at_once(
    app: Flask, people: People, database_url: str, tmp_path: Path
) -> None:
    """Told beforehand how long they are, or not: no more is read than shows what it is."""
    cookie = cookie_of(app, people.admin)
    with gunicorn(database_url, tmp_path) as server:
        for length, status, said in (
            (f"Content-Length: {2 * 1024**3}", 413, b"too large"),
            (f"Content-Length: {150 * 1024**2}", 422, b"This is no text"),
            ("Transfer-Encoding: chunked", 422, b"This is no text"),
        ):
            began = time.monotonic()
            with socket.create_connection((server.host, server.port), PATIENCE) as connection:
                request = (
                    f"POST /office/import/ HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{length}\r\n"
                    f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
                )
                body = HEAD + b"\0" * 200_000
                if "chunked" in length:
                    body = b"%x\r\n" % len(body) + body + b"\r\n"
                connection.sendall(request.encode() + body)  # and no more: the answer does not wait for the rest
                response = http.client.HTTPResponse(connection)
                response.begin()
                page = response.read()
            assert response.status == status
            assert response.headers["Connection"] == "close"  # nobody sends another request after such a body
            assert said in page
            assert time.monotonic() - began < 5
    assert number_of_jobs(app) == 0
