"""An admin brings a history in, looks at what is wrong with it, stores the good rows, and takes it out again."""

import csv
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests import factories
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.looks import has_no_faults
from tests.conftest import People
from webapp.database import db

OpenAs = Callable[..., Page]
HEADER = "book_no;name;camp;camp_date;attended"


@pytest.fixture
def worker(app: Flask, url: str) -> Iterator[None]:
    """Does what is to be done, by the clock of the test."""
    enough = threading.Event()

    def work() -> None:
        with app.app_context():
            while not enough.wait(0.1):
                factories.do_jobs()
                db.session.remove()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    enough.set()
    thread.join()


def a_file(folder: Path, *rows: str) -> Path:
    file = folder / "history.csv"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, *rows, ""]).encode())
    return file


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_a_history_is_brought_in_and_taken_out(
    app: Flask,
    open_as: OpenAs,
    people: People,
    worker: None,
    tmp_path: Path,
    size: dict[str, int],
    scheme: str,
) -> None:
    page = open_as(people.admin, viewport=size, color_scheme=scheme)
    page.get_by_role("link", name="Office").click()
    page.get_by_role("link", name="Import Bring in").click()
    expect(page.get_by_label("CSV file")).to_be_visible()
    has_no_faults(page)

    wrong = tmp_path / "history.zip.csv"
    wrong.write_bytes(b"PK\x03\x04 and so on")
    page.get_by_label("CSV file").set_input_files(wrong)
    page.get_by_role("button", name="Look the file through").click()
    expect(page.get_by_role("alert").filter(has_text="not a CSV file")).to_be_visible()
    has_no_faults(page)

    rows = [f"{100 + n};Person {n};Camp;2026-04-05;yes" for n in range(300)]
    page.get_by_label("CSV file").set_input_files(a_file(tmp_path, *rows, "7;Asha;Camp;12/04/2026;yes"))
    page.get_by_role("button", name="Look the file through").click()
    # It is looked through meanwhile; the page says when it is done.
    expect(
        page.get_by_role("link", name="See what the file holds").or_(page.get_by_text("good rows")).first
    ).to_be_visible(timeout=30_000)
    if page.get_by_role("link", name="See what the file holds").count():
        has_no_faults(page)
        page.get_by_role("link", name="See what the file holds").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("302")
    expect(page.get_by_role("row").nth(1)).to_contain_text("write year, month and day as 2026-04-12")
    has_no_faults(page)
    page.locator(".figures dd").evaluate_all("figures => figures.forEach(each => each.textContent = '3,000,000')")
    has_no_faults(page)
    with page.expect_download() as report:
        page.get_by_role("link", name="Download all as CSV").click()
    assert "302," in Path(report.value.path()).read_text("utf-8-sig")

    page.get_by_role("button", name="Store the 300 rows that are good").click()
    page.wait_for_url("**/office/jobs/*")
    page.reload()  # the bar lives through it
    expect(page.get_by_text("300 rows stored")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("progressbar", name="Done")).to_have_attribute("value", "100")
    has_no_faults(page)
    page.get_by_role("link", name="See the report").click()
    expect(page.get_by_text("1 row refused, 300 new people, 1 new camp, 300 badges awarded")).to_be_visible()
    has_no_faults(page)

    page.goto("/office/export/")
    has_no_faults(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download attendance").click()
    lines = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert lines[1] == ["100", "Person 0", "Camp", "2026-04-05", "volunteer", "yes"]
    assert len(lines) == 301


def test_a_large_wrong_file_is_refused_in_the_middle(
    app: Flask, open_as: OpenAs, people: People, tmp_path: Path
) -> None:
    """Nine megabytes of rows, then something that is no text, then much more of it."""
    page = open_as(people.admin)
    page.goto("/office/import/")
    file = a_file(tmp_path, *(f"{n};Person;Camp;2026-04-05;yes" for n in range(300_000)))
    with file.open("r+b") as large:
        large.truncate(file.stat().st_size + 30_000_000)
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look the file through").click()
    expect(page.get_by_role("alert").filter(has_text="This is no text")).to_be_visible()
