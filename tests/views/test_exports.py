"""Exports as an admin takes them: whole files for Excel, sent while they are read, and entered in the trail."""

import csv
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import People
from webapp.database import db
from webapp.domain import cells
from webapp.domain.audit import Action, Entry
from webapp.domain.import_export import exports
from webapp.domain.people.accounts import Person

As = Callable[[Person], FlaskClient]
WHAT = ("people", "attendance", "standings")


def rows(file: bytes) -> list[list[str]]:
    assert file.startswith(b"\xef\xbb\xbf")  # or Excel would take it for another code page
    return list(csv.reader(StringIO(file.decode("utf-8-sig"))))


@pytest.fixture
def marked(app: Flask, people: People) -> None:
    with app.app_context():
        factories.attend(people.volunteer, factories.weekly(3), people.coordinator)


@pytest.mark.parametrize("what", WHAT)
def test_each_is_a_file_and_is_entered_in_the_trail(
    app: Flask, people: People, as_: As, marked: None, what: str
) -> None:
    admin = as_(people.admin)
    assert f"/office/export/{what}.csv" in admin.get("/office/export/").text
    response = admin.post(f"/office/export/{what}.csv")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{what}.csv"'
    header, *lines = rows(response.data)
    assert "book_no" in header
    assert any("Asha Rao" in line for line in lines)
    with app.app_context():
        (entry,) = db.session.query(Entry).filter(Entry.action == Action.EXPORTED)
        assert (entry.by_id, entry.facts) == (people.admin.id, {"what": what})


def test_nothing_is_exported_by_a_mere_look(app: Flask, people: People, as_: As) -> None:
    for what in WHAT:
        assert as_(people.admin).get(f"/office/export/{what}.csv").status_code == 405
    with app.app_context():
        assert db.session.query(Entry).filter(Entry.action == Action.EXPORTED).count() == 0


def test_an_exported_file_can_be_imported_at_once(app: Flask, people: People, as_: As, marked: None) -> None:
    admin = as_(people.admin)
    file = admin.post("/office/export/attendance.csv").data
    at = admin.post("/office/import/", data={"file": (BytesIO(file), "attendance.csv")}).location
    with app.app_context():
        factories.do_jobs()
    admin.post(f"{at}/start", data={"rows": "all"})
    with app.app_context():
        factories.do_jobs()
    assert "0 rows stored, 3 rows known already" in admin.get(at).text


def test_a_file_is_sent_while_it_is_read(app: Flask, people: People, as_: As, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, no more is in memory than is sent at a time."""
    pulled = 0

    def endless() -> Iterator[exports.Row]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled, "=Somebody", "volunteer", "yes"

    monkeypatch.setattr(exports, "people", endless)
    response = as_(people.admin).post("/office/export/people.csv", buffered=False)
    pieces = response.iter_encoded()
    next(pieces)
    for number in range(1, 4):
        assert f"{(number - 1) * cells.TOGETHER + 1},'=Somebody".encode() in next(pieces)
        assert pulled <= number * cells.TOGETHER + 1
    response.close()
