"""The calendar as an admin uses it: a series, a camp that falls through, a second place; on a phone and a desktop."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests import factories
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.looks import has_no_faults
from tests.conftest import SUNDAY, People
from tests.factories import attend, weekly
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.schedule import schedule

OpenAs = Callable[..., Page]
LONG_NAME = "General medicine, eyes, teeth and ears at the Government Higher Primary School of Greater Bommasandra"


@pytest.fixture
def history(app: Flask, people: People) -> list[Camp]:
    """Four weekly camps, the third of them missed by the volunteer; one still to come."""
    with app.app_context():
        made = weekly(4)
        attend(people.volunteer, [made[0], made[1], made[3]], people.coordinator)
        coming = factories.camp(-1, LONG_NAME)
        with writing():
            marking.sign_up(people.other, coming)
    return [*made, coming]


def test_a_series_is_planned_looked_through_and_added(open_as: OpenAs, people: People, history: list[Camp]) -> None:
    page = open_as(people.admin)
    page.get_by_role("link", name="Office").click()
    page.get_by_role("link", name="Calendar").click()
    page.get_by_role("link", name="Add a series").click()
    page.get_by_role("button", name="Show the dates").click()
    expect(page.get_by_text("Please enter a name.")).to_be_visible()
    page.get_by_label("Name").fill("Eye camp")
    page.get_by_label("Starts at").fill("08:30")
    page.get_by_label("From").fill("2026-04-13")
    page.get_by_label("Every", exact=True).fill("2")
    page.get_by_label("Sunday").check()
    page.get_by_label("Last day").fill("2026-06-01")
    page.get_by_role("button", name="Show the dates").click()

    expect(page.get_by_role("checkbox")).to_have_count(4)
    page.get_by_label("Sun 3 May 2026").uncheck()
    page.get_by_role("button", name="Add these camps").click()
    expect(page.get_by_role("status")).to_have_text("3 camps added.")
    expect(page.get_by_role("heading", name="April 2026")).to_be_visible()
    expect(page.get_by_role("link", name="Eye camp")).to_have_count(1)
    page.get_by_role("link", name="May").click()
    expect(page.get_by_role("link", name="Eye camp")).to_have_count(2)

    page.get_by_role("link", name="Find a camp").click()
    expect(page.get_by_role("searchbox")).to_have_attribute("data-htmx-powered", "true")
    page.get_by_role("searchbox").fill("eye camp")
    expect(page.locator("#camps li")).to_have_count(3)


def test_a_camp_that_fell_through_is_cancelled_with_open_eyes(
    open_as: OpenAs, people: People, history: list[Camp]
) -> None:
    volunteer, page = open_as(people.volunteer), open_as(people.admin, viewport=DESKTOP)
    page.goto("/office/calendar")
    page.locator(".month-days a.today").click()
    expect(page.get_by_text("so its date stays")).to_be_visible()
    page.goto(f"/office/camps/{history[2].id}")
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("1 person gains On a Roll; nobody loses anything.")).to_be_visible()
    expect(page.get_by_text("Asha Rao")).to_be_visible()
    page.get_by_role("link", name="Leave it as it is").click()
    page.get_by_role("button", name="Cancel it").click()
    page.get_by_role("button", name="Cancel the camp").click()
    expect(page.get_by_role("status")).to_contain_text("is cancelled.")
    expect(volunteer.get_by_text("On a Roll").first).to_be_visible()  # on their own open page

    page.get_by_role("button", name="Reinstate it").click()
    expect(page.get_by_text("Nobody gains or loses a badge.")).to_be_visible()
    page.get_by_role("button", name="Reinstate the camp").click()
    expect(page.get_by_role("status")).to_contain_text("is on the calendar again.")


def test_a_coming_camp_is_moved(open_as: OpenAs, people: People, history: list[Camp]) -> None:
    other, page = open_as(people.other), open_as(people.admin)
    expect(other.get_by_text("Sun 19 April 2026")).to_be_visible()
    page.goto(f"/office/camps/{history[4].id}")
    page.get_by_label("Date").fill("2026-04-22")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("1 person signed up.")).to_be_visible()
    page.get_by_role("button", name="Move it").click()
    expect(page.get_by_role("status")).to_have_text("The changes are saved.")
    expect(other.get_by_text("Wed 22 April 2026")).to_be_visible()  # drawn anew by itself


def test_a_second_place_is_added_and_chosen(app: Flask, open_as: OpenAs, people: People, history: list[Camp]) -> None:
    page = open_as(people.admin)
    page.goto("/office/calendar")
    page.get_by_role("link", name="Add another place").click()
    page.get_by_label("Name").fill("Harlem")
    page.get_by_label("Time zone").select_option("America/New_York")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Sites")).to_be_visible()
    page.goto("/office/camps/new")
    page.get_by_label("Name").fill("Clinic")
    page.get_by_label("Site").select_option("Harlem")
    page.get_by_label("Date").fill("2026-04-12")
    page.get_by_role("button", name="Add the camp").click()
    expect(page.get_by_role("link", name="Clinic")).to_contain_text("Harlem")
    page.get_by_label("Site").select_option("Harlem")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".month-days a")).to_have_count(1)
    coordinator = open_as(people.coordinator)
    coordinator.goto("/roll-call/camps")
    expect(coordinator.get_by_role("link", name="Clinic")).to_contain_text("Harlem")


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_every_screen_of_the_calendar_fits_and_can_be_read(
    app: Flask, open_as: OpenAs, people: People, history: list[Camp], size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling, and no accessibility fault that axe knows of."""
    with app.app_context():
        with writing():
            site = calendar.default_site()
            for number in range(7):
                schedule.add_camp(site, f"Camp {number}", SUNDAY.date() + timedelta(days=2))
            schedule.cancel_camp(schedule.add_camp(site, LONG_NAME, SUNDAY.date() - timedelta(days=2)))
        cancelled = next(
            camp for camp in schedule.days(SUNDAY.date() - timedelta(days=2), SUNDAY.date(), most=1).values()
        )
        factories.camp(0, LONG_NAME, factories.site(LONG_NAME, "America/Argentina/ComodRivadavia"))
    rule = "name=Camp&camp_date=2026-04-01&start_time=09:00&interval=1&frequency=weeks&count=20"
    paths = [
        "calendar",
        "calendar?month=2025-01",
        "camps/",
        "camps/?q=zzz",
        "camps/new",
        f"camps/{history[3].id}",
        f"camps/{cancelled.camps[0].id}",
        "camps/series/",
        "camps/series/dates?name=Camp",
        f"camps/series/dates?{rule}&site={history[0].site_id}",
        "sites/",
        "sites/new",
        f"sites/{history[0].site_id}",
    ]
    page = open_as(people.admin, viewport=size, color_scheme=scheme)

    for path in paths:
        page.goto(f"/office/{path}")
        has_no_faults(page)
    page.goto(f"/office/camps/{history[2].id}")
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("button", name="Cancel the camp")).to_be_visible()
    has_no_faults(page, "what it changes")
