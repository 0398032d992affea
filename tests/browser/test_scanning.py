"""Marking by a card before the camera. Chromium's camera is a film of cards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import segno
from flask import Flask
from playwright.sync_api import Page, Playwright, expect

from tests import factories
from tests.browser.conftest import ARGUMENTS, sign_in
from tests.conftest import People
from tests.factories import row_of
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import State
from webapp.domain.people import accounts, cards

SIZE, FRAMES_PER_SECOND = 480, 10
Film = Callable[..., Page]


def film_of(text: str, file: Path) -> Path:
    """A second of a QR code, as raw video (YUV4MPEG2, luma and two even planes of chroma)."""
    rows = [bytes(row) for row in segno.make(text, error="m", micro=False).matrix_iter(scale=1, border=4)]
    scale = SIZE * 3 // 4 // len(rows)
    margin = (SIZE - scale * len(rows)) // 2
    white = bytes([235])
    lines = [white * SIZE] * margin
    for row in rows:
        line = b"".join((b"\x10" if dark else white) * scale for dark in row)
        lines += [(white * margin + line).ljust(SIZE, white)] * scale
    lines += [white * SIZE] * (SIZE - len(lines))
    frame = b"FRAME\n" + b"".join(lines) + bytes([128]) * (SIZE * SIZE // 2)
    file.write_bytes(
        f"YUV4MPEG2 W{SIZE} H{SIZE} F{FRAMES_PER_SECOND}:1 Ip C420jpeg\n".encode() + frame * FRAMES_PER_SECOND
    )
    return file


@pytest.fixture
def today(app: Flask, people: People) -> Camp:
    with app.app_context():
        today = factories.camp()
        with writing():
            marking.sign_up(people.volunteer, today)
    return today


@pytest.fixture
def camera(
    app: Flask, playwright: Playwright, chromium: str, url: str, people: People, today: Camp, tmp_path: Path
) -> Iterator[Film]:
    """The roll call on a phone whose camera sees a code of this text."""
    opened = []

    def film(text: str, permitted: bool = True) -> Page:
        file = film_of(text, tmp_path / "card.y4m")
        fake = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={file}"]
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *fake])
        opened.append(browser)
        context = browser.new_context(base_url=url, permissions=["camera"] if permitted else [])
        page = context.new_page()
        with app.app_context():
            coordinator = factories.with_password(people.coordinator)
        page.goto("/sign-in")
        sign_in(page, coordinator)
        expect(page.locator("#roll-call[data-ready][data-kept]")).to_be_attached()
        return page

    yield film
    for browser in opened:
        browser.close()


def text_of(app: Flask, person: accounts.Person) -> str:
    with app.app_context():
        return cards.text_of(db.session.get_one(accounts.Person, person.id), str(app.config["SECRET_KEY"]))


@pytest.mark.parametrize("online", [True, False])
def test_a_card_before_the_camera_marks_its_person(
    app: Flask, camera: Film, people: People, today: Camp, online: bool
) -> None:
    page = camera(text_of(app, people.volunteer))
    page.context.set_offline(not online)
    page.get_by_role("button", name="Scan").click()
    told = page.locator(".scanned")
    expect(told).to_have_text("Asha Rao is present.", timeout=15_000)
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#count")).to_have_text("1 of 1 present")
    page.context.set_offline(False)
    expect(page.locator("#link")).to_have_text("All sent", timeout=20_000)
    with app.app_context():
        assert row_of(today, people.volunteer).state is State.PRESENT
    page.get_by_role("button", name="Scan").click()
    expect(told).to_have_text("Asha Rao is present already.", timeout=15_000)
    page.get_by_role("button", name="Done").click()


def test_somebody_who_did_not_sign_up_walks_in_with_a_card(
    app: Flask, camera: Film, people: People, today: Camp
) -> None:
    page = camera(text_of(app, people.other))
    page.get_by_role("button", name="Scan").click()
    expect(page.locator(".scanned")).to_have_text("Imran Pasha is present.", timeout=15_000)
    expect(page.locator("#link")).to_have_text("All sent")
    with app.app_context():
        assert row_of(today, people.other).state is State.PRESENT


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("shampoo", "This is not a Camp Badges card."),
        ("forged", "This is not a card of this organisation."),
        ("replaced", "Asha Rao has a newer card; this one was replaced. Mark them by name or book number."),
        ("inactive", "Nobody Now's account is switched off."),
        ("unknown, offline", "This phone does not know this card, and there is no connection to ask."),
    ],
)
def test_a_scan_that_marks_nobody_says_why(
    app: Flask, camera: Film, people: People, today: Camp, case: str, said: str
) -> None:
    text = text_of(app, people.volunteer)
    if case == "shampoo":
        text = "https://example.org/shampoo"
    elif case == "forged":
        text = cards.text_of(people.volunteer, "another secret")
    elif case == "inactive":
        text = text_of(app, people.stranger)
    elif case == "replaced":
        with app.app_context(), writing():
            cards.replace(db.session.merge(people.volunteer))
    else:
        text = cards.PREFIX + "of-elsewhere"
    page = camera(text)
    page.context.set_offline("offline" in case)
    page.get_by_role("button", name="Scan").click()
    expect(page.locator(".scanned")).to_contain_text(said, timeout=15_000)
    with app.app_context():
        assert row_of(today, people.volunteer).state is State.EXPECTED


def test_without_permission_the_book_number_does_it(app: Flask, camera: Film, people: People, today: Camp) -> None:
    page = camera("anything", permitted=False)
    page.get_by_role("button", name="Scan").click()
    expect(page.locator(".scanned")).to_contain_text("type the book number", timeout=15_000)
    page.get_by_role("button", name="Done").click()
    page.get_by_role("searchbox").fill(str(people.volunteer.book_no))
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(page.locator("#count")).to_have_text("1 of 1 present")
