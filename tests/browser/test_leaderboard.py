"""The leaderboard as people use it: an admin looks somebody up, a volunteer sees where they stand and leaves."""

import re
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
from webapp.domain.organisation import settings
from webapp.domain.people.accounts import Person

OpenAs = Callable[..., Page]
LONG_NAME = "Venkata Satyanarayana Lakshmi Narasimha Ramachandra Murthy Garu"
LONG_SITE = "Primary Health Centre of the Greater Bommasandra Industrial Area and Surrounding Villages"


@pytest.fixture
def crowd(app: Flask, people: People) -> list[Person]:
    """Sixty who came once, the last of them with a long name; the volunteer came twice; two sites."""
    with app.app_context():
        camps = weekly(2)
        attend(people.volunteer, camps, people.coordinator)
        crowd = [factories.person(f"Person {number:02}") for number in range(59)] + [factories.person(LONG_NAME)]
        for person in crowd:
            attend(person, camps[1:], people.coordinator)
        attend(people.other, [factories.camp(1, at=factories.site(LONG_SITE))], people.coordinator)
    return crowd


def test_an_admin_finds_somebody_and_lands_on_their_line(open_as: OpenAs, people: People, crowd: list[Person]) -> None:
    page = open_as(people.admin)
    page.get_by_role("searchbox").fill("murthy")
    page.keyboard.press("Enter")
    line = page.locator(f"#line-{crowd[-1].id}")
    expect(line).to_contain_text("Found")
    expect(line).to_be_in_viewport()
    expect(line.get_by_role("cell").first).to_have_text("2")
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text("Page 2 of 2")

    page.get_by_role("searchbox").fill("person 0")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Person 03").first.click()
    expect(page.locator(f"#line-{crowd[3].id}")).to_be_in_viewport()
    expect(page.get_by_text("Found", exact=True)).to_have_count(1)

    page.get_by_label("Site").select_option(LONG_SITE)
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("rowheader")).to_have_text(["Imran Pasha"])
    page.get_by_role("link", name="By streak").click()
    expect(page.get_by_role("columnheader", name="Longest streak")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("rowheader")).to_have_text(["Imran Pasha"])


def test_a_volunteer_sees_where_they_stand_opts_out_and_is_gone(
    open_as: OpenAs, people: People, crowd: list[Person]
) -> None:
    admin, volunteer = open_as(people.admin, viewport=DESKTOP), open_as(people.volunteer)
    expect(volunteer.get_by_role("link", name="Where I stand")).to_have_count(0)
    admin.get_by_role("button", name="Let them see where they stand").click()
    expect(admin.get_by_role("status")).to_contain_text("with some above and below them")

    volunteer.reload()
    volunteer.get_by_role("link", name="Where I stand").click()
    lines = volunteer.get_by_role("rowheader")
    expect(lines.first).to_have_text(re.compile("Asha Rao\\s+You"))
    expect(lines).to_have_count(4)
    volunteer.get_by_role("link", name="account", exact=True).click()
    volunteer.get_by_role("button", name="Take me off all leaderboards").click()
    expect(volunteer.get_by_role("status")).to_have_text("You are on no leaderboard any more.")
    volunteer.get_by_role("link", name="Where I stand").click()
    expect(volunteer.get_by_text("You are on no leaderboard, as you wished.")).to_be_visible()

    admin.reload()
    expect(admin.get_by_role("rowheader").first).not_to_have_text("Asha Rao")
    expect(admin.get_by_text("61 volunteers")).to_be_visible()

    volunteer.get_by_role("link", name="Change it").click()
    volunteer.get_by_role("button", name="Put me on leaderboards again").click()
    expect(volunteer.get_by_role("status")).to_have_text("You are on the leaderboards again.")
    admin.reload()
    expect(admin.get_by_role("rowheader").first).to_have_text("Asha Rao")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_every_state_of_a_board_fits_and_can_be_read(
    app: Flask, open_as: OpenAs, people: People, crowd: list[Person], size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling, no figure over a name, and no accessibility fault that axe knows of."""
    with app.app_context(), writing():
        settings.show_neighbourhoods(True)
    states = {
        people.admin: [
            "",
            "?by=badges&period=this-year",
            f"?person={crowd[-1].id}",
            f"?period=2025&person={crowd[-1].id}",
            "?period=2024",
            "?q=person",
            "?q=zzz",
        ],
        people.volunteer: ["mine", "mine?by=streak&period=12-months", "mine?period=2024"],
    }
    for person, paths in states.items():
        page = open_as(person, viewport=size, color_scheme=scheme)
        for path in paths:
            page.goto(f"/leaderboard/{path}")
            has_no_faults(page)


def test_a_long_rank_keeps_off_the_name_on_a_phone(open_as: OpenAs, people: People, crowd: list[Person]) -> None:
    page = open_as(people.admin)
    line = page.locator("tbody tr").nth(1)
    line.get_by_role("cell").first.evaluate("each => { each.textContent = '1,000,000' }")
    overflows = "each => each.scrollWidth > each.clientWidth"
    assert not line.get_by_role("cell").first.evaluate(overflows)
    lefts = page.locator("tbody th").evaluate_all("all => all.map(each => each.getBoundingClientRect().left)")
    assert len(set(lefts)) == 1
