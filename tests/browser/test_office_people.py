"""People as an admin looks after them: found, added, given a link, switched off, imported, forgotten."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests import factories
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.looks import has_no_faults
from tests.conftest import People
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Role

OpenAs = Callable[..., Page]
LONG_NAME = "Venkata Satyanarayana Lakshmi Narasimha Ramachandra Murthy Garu"


def test_somebody_is_added_chooses_a_password_and_becomes_a_coordinator(
    open_as: OpenAs, browser: Browser, people: People, url: str
) -> None:
    page = open_as(people.admin, viewport=DESKTOP)
    page.get_by_role("link", name="Office").click()
    page.get_by_role("main").get_by_role("link", name=re.compile("^People")).click()
    page.get_by_role("link", name="Add somebody").click()
    page.get_by_label("Name").fill("Lakshmi N.")
    page.get_by_label("Book number").fill("77")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Lakshmi N. has book number 77.")).to_be_visible()
    expect(page.get_by_text("They have no password yet")).to_be_visible()

    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
    page.get_by_role("button", name="Copy it").click()
    expect(page.locator("#copied")).not_to_be_empty()
    link = page.get_by_label("Or send it to them alone").input_value()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("A link to choose one is handed out")).to_be_visible()

    theirs = browser.new_page(viewport={"width": 360, "height": 740})
    theirs.goto(link)
    theirs.get_by_label("New password", exact=True).fill("marigold garland")
    theirs.get_by_label("New password, once more").fill("marigold garland")
    theirs.get_by_role("button", name="Set this password").click()
    theirs.get_by_label("Book number").fill("77")
    theirs.get_by_label("Password").fill("marigold garland")
    theirs.get_by_role("button", name="Sign in").click()
    expect(theirs.get_by_role("heading", name="Lakshmi N.")).to_be_visible()
    theirs.goto(link)
    expect(theirs.get_by_role("heading", name="This link does not work any more")).to_be_visible()

    page.get_by_label("Account role").select_option("coordinator")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    theirs.goto("/".join((url, "roll-call/")))
    expect(theirs.get_by_role("link", name="Roll call")).to_be_visible()
    theirs.close()


def test_the_list_is_filtered_while_it_is_typed_and_a_lost_card_is_replaced(
    open_as: OpenAs, app: Flask, people: People
) -> None:
    page = open_as(people.admin)
    page.goto("/people/")
    page.get_by_label("Account", exact=True).select_option("off")
    expect(page.locator("#people .name")).to_have_text(["Nobody Now"])
    page.get_by_label("Account", exact=True).select_option("")
    page.get_by_label("Account role").select_option("volunteer")
    page.get_by_role("searchbox").fill("rao")
    expect(page.locator("#people .name")).to_have_text(["Asha Rao"])
    page.get_by_role("link", name="Account of Asha Rao").click()
    page.get_by_role("button", name="Lost? Replace it").click()
    page.get_by_role("button", name="Make a new card").click()
    expect(page.get_by_text("This is the new card.")).to_be_visible()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("Asha Rao’s account is switched off.")).to_be_visible()
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Asha Rao’s account is on again.")).to_be_visible()
    with app.app_context():
        person = accounts.by_id(people.volunteer.id)
        assert person
        assert person.card_no == people.volunteer.card_no + 1


def test_a_list_is_imported(open_as: OpenAs, app: Flask, people: People, tmp_path: Path) -> None:
    file = tmp_path / "helpers.csv"
    file.write_bytes("\ufeffname;book_no\r\nJosé;100\r\nराम;101\r\nBad;none\r\n".encode())
    page = open_as(people.admin)
    page.goto("/people/")
    page.get_by_role("link", name="Import a list").click()
    page.get_by_label("A CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_text("2 new people, 0 known already, 1 bad line")).to_be_visible()
    expect(page.get_by_text("“none” is not a book number")).to_be_visible()
    with page.expect_download() as report:
        page.get_by_role("button", name="Download all bad lines").click()
    assert "none" in report.value.path().read_text(encoding="utf-8-sig")
    page.get_by_role("button", name="Add 2 people, leave out 1 bad line").click()
    expect(page.get_by_role("heading", name="Import of people: helpers.csv")).to_be_visible()
    with app.app_context():
        factories.do_jobs()
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_text("2 new people.")).to_be_visible()


def test_somebody_takes_their_data_along_and_is_forgotten(open_as: OpenAs, app: Flask, people: People) -> None:
    volunteer, admin = open_as(people.volunteer), open_as(people.admin)
    volunteer.goto("/account")
    with volunteer.expect_download() as taken:
        volunteer.get_by_role("button", name="Download my data").click()
    assert json.loads(taken.value.path().read_text())["profile"]["name"] == "Asha Rao"

    admin.goto(f"/people/{people.volunteer.id}")
    admin.get_by_role("link", name="Account: name, role, password").click()
    admin.get_by_role("link", name="Anonymise …").click()
    admin.get_by_label("Type their book number").fill("4711")
    admin.get_by_role("button", name="Anonymise Asha Rao").click()
    expect(admin.get_by_text("This is not the book number")).to_be_visible()
    admin.get_by_label("Type their book number").fill(str(people.volunteer.book_no))
    admin.get_by_role("button", name="Anonymise Asha Rao").click()
    expect(admin.get_by_role("heading", name="Former volunteer")).to_be_visible()
    volunteer.goto("/account")
    expect(volunteer.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_every_screen_fits_and_can_be_read(
    app: Flask, open_as: OpenAs, people: People, tmp_path: Path, size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling, and no accessibility fault that axe knows of."""
    with app.app_context():
        long = factories.person(LONG_NAME, role=Role.COORDINATOR)
    page = open_as(people.admin, viewport=size, color_scheme=scheme)
    account = f"/office/people/{long.id}"
    for path in (
        *("/people/", "/people/?q=zzz", "/office/people/add", "/office/people/import", "/account"),
        *(account, f"{account}/anonymise", f"/people/{long.id}", f"/office/people/{people.stranger.id}"),
    ):
        page.goto(path)
        has_no_faults(page)
    page.goto(account)
    page.get_by_role("button", name="Make a link").click()
    page.wait_for_url("**/link")
    has_no_faults(page, "the link")
    link = page.get_by_label("Or send it to them alone").input_value()
    page.goto(link)
    has_no_faults(page, "choosing a password")
    page.get_by_role("button", name="Set this password").click()
    expect(page.get_by_text("Please enter a new password.")).to_be_visible()
    has_no_faults(page, "choosing a password, refused")
    page.goto("/password?link=old")
    has_no_faults(page, "a link that is over")
    file = tmp_path / "people.csv"
    file.write_text(f"book_no,name,role\n{long.book_no},Other Name,admin\n900,{LONG_NAME},\n{'9' * 80},A,\n")
    page.goto("/office/people/import")
    page.get_by_label("A CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at it first").click()
    page.get_by_role("heading", name="people.csv").wait_for()
    has_no_faults(page, "the preview")
