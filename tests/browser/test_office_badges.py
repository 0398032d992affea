"""Badges of one's own, as an admin makes them: composed, tried, saved, watched, changed, retired."""

from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests import factories
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.looks import has_no_faults
from tests.conftest import People
from tests.factories import attend, weekly
from webapp.database import writing
from webapp.domain.badges import definitions
from webapp.domain.badges.definitions import ARTWORK
from webapp.domain.models.badge import Badge

OpenAs = Callable[..., Page]
LONG = "Wholeheartedly" * 4 + "Here"


@pytest.fixture
def came(app: Flask, people: People) -> None:
    """The volunteer came three times, the other twice."""
    with app.app_context():
        camps = weekly(3, "Hosur")
        attend(people.volunteer, camps, people.coordinator)
        attend(people.other, camps[:2], people.coordinator)


def choose(page: Page, part: str, value: str) -> None:
    page.get_by_role("group", name=part).get_by_role("radio", name=value, exact=True).check()


def test_a_badge_is_composed_tried_saved_and_awarded(app: Flask, open_as: OpenAs, people: People, came: None) -> None:
    page = open_as(people.admin)
    page.get_by_role("link", name="Office").click()
    page.get_by_role("link", name="Badges What each").click()
    page.get_by_role("link", name="New badge").click()
    page.get_by_role("textbox", name="Name").fill("Twice Here")
    page.get_by_label("How many camps").fill("two")
    preview = page.locator("#preview")
    expect(page.locator("#artwork[data-htmx-powered]")).to_be_attached()
    choose(page, "Shape", "Petals")
    expect(preview.locator('use[href="#shape-petals"]')).to_have_count(8)
    choose(page, "Metal", "Silver")
    choose(page, "Emblem", "Sun")
    expect(preview.locator('.metal-silver use[href="#emblem-sun"]')).to_have_count(4)
    choose(page, "Ribbon", "Green")
    expect(preview.locator(".ribbon-green")).to_have_count(4)
    widths = preview.locator("svg").evaluate_all(
        "all => all.map(each => Math.round(each.getBoundingClientRect().width))"
    )
    assert widths == [32, 96, 96, 256]

    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("A whole number from 1 to 10,000.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Twice Here")
    expect(preview.locator('.metal-silver use[href="#emblem-sun"]')).to_have_count(4)
    page.get_by_label("How many camps").fill("2")
    page.get_by_label("Awarded for").fill("Awarded for coming back")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("2 people get it: Asha Rao, Imran Pasha.")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Backfill of a badge: Twice Here")).to_be_visible()
    with app.app_context():
        factories.do_jobs()
    expect(page.get_by_text("2 badges awarded.")).to_be_visible()
    expect(page.get_by_text("5 of 5 people")).to_be_visible()
    page.goto(f"/people/{people.other.id}")
    expect(page.get_by_role("button", name="Twice Here")).to_be_visible()
    expect(page.get_by_text("New", exact=True)).to_have_count(0)


def test_two_admins_change_one_badge(app: Flask, open_as: OpenAs, people: People, came: None) -> None:
    with app.app_context():
        badge = factories.named("Certified Volunteer")
        second = factories.person("Latha Nair", role=people.admin.role)
    first, other = open_as(people.admin, viewport=DESKTOP), open_as(second, viewport=DESKTOP)
    for page in (first, other):
        page.goto(f"/office/badges/{badge.id}")
        page.get_by_role("link", name="Change", exact=True).click()
    first.get_by_label("How many camps").fill("2")
    first.get_by_role("button", name="Continue").click()
    expect(first.get_by_text("1 award will rest on an older one")).to_be_visible()
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_text("Waiting for the worker")).to_be_visible()
    other.get_by_label("Awarded for").fill("Three camps, and one of us")
    other.get_by_role("button", name="Continue").click()
    expect(other.get_by_text("Somebody else has changed this badge meanwhile.")).to_be_visible()
    expect(other.get_by_label("Awarded for")).to_have_value("Three camps, and one of us")
    other.get_by_label("How many camps").fill("2")
    other.get_by_role("button", name="Continue").click()
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_text("Certified Volunteer is saved.")).to_be_visible()
    expect(other.get_by_text("Three camps, and one of us.")).to_be_visible()
    with app.app_context():
        factories.do_jobs()
    other.reload()
    expect(other.get_by_role("heading", name="1 award rests on an older definition")).to_be_visible()
    other.get_by_role("link", name="Asha Rao").click()
    expect(other.get_by_text("earned when it asked for 3 camps", exact=True)).to_be_visible()


def test_a_badge_is_retired_and_awarded_again(open_as: OpenAs, people: People, came: None) -> None:
    page = open_as(people.admin)
    page.goto("/office/badges/")
    page.get_by_role("link", name="Certified Volunteer").click()
    page.get_by_role("link", name="Retire").click()
    expect(page.get_by_text("It stays with the 1 person who has it.")).to_be_visible()
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_text("Certified Volunteer is retired.")).to_be_visible()
    page.get_by_role("link", name="Award again").click()
    page.get_by_role("button", name="Award again").click()
    expect(page.get_by_text("Certified Volunteer is awarded again.")).to_be_visible()


def test_without_a_script_the_preview_has_a_button(app: Flask, open_as: OpenAs, people: People) -> None:
    page = open_as(people.admin, java_script_enabled=False)
    page.goto("/office/badges/new")
    page.get_by_role("textbox", name="Name").fill("Twice Here")
    choose(page, "Emblem", "Drop")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator('#preview use[href="#emblem-drop"]')).to_have_count(4)
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Twice Here")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_every_screen_fits_and_can_be_read(
    app: Flask, open_as: OpenAs, people: People, came: None, size: dict[str, int], scheme: str
) -> None:
    """Also with sixty badges of long names: no sideways scrolling, no fault that axe knows of."""
    with app.app_context():
        sixty: list[Badge] = []
        for number in range(60):
            parts = {part: values[number % len(values)] for part, values in ARTWORK.items()}
            sixty.append(factories.badge(f"{number:02}{LONG}"[:60], 1 + number // 20, parts=parts))
        for badge in sixty[::10]:
            factories.backfill(badge, people.admin)
        with writing():
            definitions.retire(sixty[0])
        factories.change(sixty[10], criteria_value=9)
    one = f"/office/badges/{sixty[10].id}"
    page = open_as(people.admin, viewport=size, color_scheme=scheme)
    paths = ["/office/badges/", one, f"{one}/edit", f"{one}/retire", f"/office/badges/{sixty[0].id}/reinstate"]
    paths += ["/office/badges/new", f"/people/{people.volunteer.id}", "/leaderboard/", "/roll-call/", "/office/"]
    for path in paths:
        page.goto(path)
        has_no_faults(page)
    page.goto(f"{one}/edit")
    for asked, answer in (
        ("12", page.get_by_role("heading", name="Save the change?")),
        ("x", page.get_by_role("alert")),
    ):
        page.get_by_label("How many camps").fill(asked)
        page.get_by_role("button", name="Continue").click()
        expect(answer).to_be_visible()
        has_no_faults(page, asked)
        page.goto(f"{one}/edit")
