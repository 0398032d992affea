"""The first day, the hub, the settings and the audit trail, as an admin goes through them."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests import factories
from tests.browser.conftest import DESKTOP, PATIENCE, PHONE, sign_in
from tests.browser.looks import has_no_faults
from tests.conftest import People
from tests.factories import PASSWORD, attend
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.people.accounts import Role

OpenAs = Callable[..., Page]
LONG_NAME = "Venkata Satyanarayana Lakshmi Narasimha Ramachandra Murthy Garu"


def test_from_an_empty_installation_to_the_first_mark_by_keyboard(app: Flask, browser: Browser, url: str) -> None:
    context = browser.new_context(base_url=url, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto("/")
    expect(page.get_by_text("create-admin")).to_be_visible()
    has_no_faults(page)
    with app.app_context():
        admin = factories.with_password(factories.person("Meera Krishnan", role=Role.ADMIN))
    sign_in(page, admin)
    expect(page.get_by_role("heading", name="The first day")).to_be_visible()
    has_no_faults(page)

    def go_on(step: str) -> None:
        """With the keyboard alone: the open step is the next one."""
        expect(page.locator("[aria-current=step]")).to_have_id(f"step-{step}")

    go_on("organisation")
    page.get_by_label("Name of your organisation").focus()
    page.keyboard.type("Arogya Health Camps")
    page.keyboard.press("Tab")
    page.keyboard.type("Asia/Kol")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Arogya Health Camps it is.")
    go_on("camp")
    page.get_by_label("Name of the camp").focus()
    page.keyboard.type("Hoskote Community Hall")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("is on the calendar, Sun 12 April 2026.")
    go_on("people")
    page.get_by_label("One name a line").focus()
    page.keyboard.type(f"Asha Rao\nAsha Rao\n42 {LONG_NAME}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#people-error")).to_contain_text("Line 1: Asha Rao is in the list twice")
    expect(page.get_by_label("One name a line")).to_have_value(re.compile("^Asha Rao"))
    has_no_faults(page)
    page.get_by_label("One name a line").fill(f"Asha Rao\nRavi Gowda\n42 {LONG_NAME}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("3 people are here now.")
    go_on("coordinator")
    page.get_by_label("Name or book number").focus()
    page.keyboard.type("ravi")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Ravi Gowda is a coordinator, and signs in with book number 44.")
    go_on("roll_call")
    has_no_faults(page)
    page.get_by_role("link", name="Open the roll call").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hoskote Community Hall")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Kavitha Reddy")
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.get_by_role("button", name="Add, present").click()
    expect(page.locator(".person.present")).to_contain_text("Kavitha Reddy")
    page.goto("/")
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    context.close()


@pytest.fixture
def done(app: Flask, people: People) -> None:
    """Marks of two camps, with badges, one of them taken back."""
    with app.app_context():
        camps = [factories.camp(weeks) for weeks in (2, 1, 0)]
        attend(people.volunteer, camps, people.coordinator)
        attend(factories.person(LONG_NAME), camps, people.admin)
        with writing():
            marking.excuse(people.volunteer, camps[1], by=people.coordinator, reason="fever")


def test_an_admin_searches_the_trail_and_takes_it_away(
    open_as: OpenAs, people: People, done: None, tmp_path: Path
) -> None:
    page = open_as(people.admin, viewport=DESKTOP)
    page.get_by_role("link", name="Office").click()
    expect(page.get_by_text("Ravi Gowda excused Asha Rao from Camp, Sun 5 April 2026")).to_be_visible()
    page.get_by_role("link", name="Audit trail").click()
    page.get_by_text("Search by person, action, camp or day").click()
    page.get_by_label("Whom it concerns").fill("asha rao")
    page.get_by_label("What was done").select_option("Marked present")
    page.get_by_role("button", name="Search").click()
    entries = page.locator(".trail li")
    expect(entries).to_have_count(3)
    expect(page.get_by_label("Chosen")).to_contain_text("about Asha Rao")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download these as CSV").click()
    file = tmp_path / "trail.csv"
    download.value.save_as(file)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["by"], row["person"]) for row in rows] == [("Ravi Gowda", "Asha Rao")] * 3

    page.get_by_label("Chosen").get_by_role("link").click()
    expect(entries).to_have_count(6)
    entries.first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Marked present")).to_be_visible()
    page.get_by_role("link", name=LONG_NAME).first.click()
    expect(page.get_by_role("heading", name="Why these badges")).to_be_visible()


def test_the_settings_change_the_head_of_every_page(open_as: OpenAs, people: People, done: None) -> None:
    page = open_as(people.admin)
    page.goto("/office/")
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Name of your organisation").fill("Arogya Health Camps")
    page.get_by_label("Time zone").select_option("Asia/Colombo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("The settings are saved.")
    expect(page.get_by_role("banner")).to_contain_text("Arogya Health Camps")
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Colombo")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_every_screen_fits_and_can_be_read(
    app: Flask, open_as: OpenAs, people: People, done: None, size: dict[str, int], scheme: str
) -> None:
    page = open_as(people.admin, viewport=size, color_scheme=scheme)
    paths = [
        "/office/",
        "/office/settings/",
        "/office/start/",
        "/office/trail/",
        f"/office/trail/?person={people.volunteer.id}&by=zzz",
        "/office/trail/?person=a",
        "/office/trail/?action=role_changed",
        f"/people/{people.volunteer.id}",
    ]
    for path in paths:
        page.goto(path)
        has_no_faults(page)
    page.goto("/office/trail/")
    page.locator(".trail li a").first.click()
    page.wait_for_url(re.compile(r"/office/trail/[0-9a-f-]{36}"))
    has_no_faults(page)
