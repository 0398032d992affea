"""The whole loop as people live it: a coordinator marks on a phone, a volunteer watches another."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Locator, Page, expect

from tests import factories
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.looks import has_no_faults
from tests.conftest import People
from tests.factories import attend, weekly
from tests.serving import seconds
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.camps.calendar import Camp
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

OpenAs = Callable[..., Page]
LONG_NAME = "Venkata Satyanarayana Lakshmi Narasimha Ramachandra Murthy Garu"


@pytest.fixture
def today(app: Flask, people: People) -> Camp:
    """Today's camp; the volunteer has come twice before, others have signed up too."""
    with app.app_context():
        camps = weekly(3, "Hosur")
        attend(people.volunteer, camps[:2], people.coordinator)
        long_named = factories.person(LONG_NAME)
        with writing():
            for person in (people.volunteer, people.other, long_named):
                marking.sign_up(person, camps[2])
        factories.person("Śrīnivāsa Rao")
    return camps[2]


def row(page: Page, person: Person) -> Locator:
    return page.locator(f"#person-{person.id}")


def test_a_mark_appears_on_the_volunteers_own_page_within_a_second(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    volunteer, coordinator = open_as(people.volunteer), open_as(people.coordinator)
    expect(volunteer.get_by_role("heading", name="Your badges")).to_be_visible()
    expect(coordinator).to_have_url(re.compile(f"/roll-call/{today.id}$"))
    volunteer.evaluate("""
        new MutationObserver(() => {
            const earned = document.querySelector("#earned-title + ul");
            if (!document.body.dataset.seen && earned.innerText.includes("On a Roll")) {
                document.body.dataset.seen = Date.now();
            }
        }).observe(document.body, {childList: true, subtree: true, characterData: true});
    """)
    with coordinator.expect_response("**/sync") as answered:
        coordinator.get_by_role("button", name="Mark Asha Rao present").click()
    marked = coordinator.evaluate("Date.now()")
    assert answered.value.status == 200
    expect(volunteer.locator("body[data-seen]")).to_be_visible()
    assert int(volunteer.evaluate("document.body.dataset.seen")) - marked < seconds(1) * 1000
    expect(volunteer.locator("#announced")).to_contain_text("Certified Volunteer, On a Roll")
    mine = row(coordinator, people.volunteer)
    expect(mine).to_contain_text("Present")
    expect(mine).to_contain_text("On a Roll")
    expect(coordinator.locator("#count")).to_contain_text("1 of 3 present")

    mine.get_by_role("button", name="Undo").click()
    expect(mine).to_contain_text("On a Roll taken back")
    expect(coordinator.locator("#count")).to_contain_text("0 of 3 present")
    expect(volunteer.locator("#earned-title + ul")).not_to_contain_text("On a Roll")


def test_the_cabinet_is_painted_before_its_scripts_are_fetched(open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.volunteer)
    page.wait_for_function("() => window.htmx")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    fetched = page.evaluate("""performance.getEntriesByType("resource")
        .filter((each) => /htmx-live|page\\.js/.test(each.name)).map((each) => each.startTime)""")
    assert len(fetched) == 2
    assert painted < min(fetched)


def test_a_cabinet_in_a_hidden_tab_goes_live_though_it_is_not_painted(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    page = open_as(people.volunteer)
    page.add_init_script("""
        Object.defineProperty(document, "hidden", { value: true });
        window.PerformanceObserver = class { observe() {} disconnect() {} };
    """)
    with page.expect_response("**/cabinet/live?*"):
        page.reload()


def test_finding_by_part_of_a_name_without_its_accents_and_by_number(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    page = open_as(people.coordinator)
    search = page.get_by_role("searchbox")
    search.fill("sriniv")
    found = page.locator("#rows .person:visible")
    expect(found).to_have_count(1)
    page.get_by_role("button", name="Add Śrīnivāsa Rao present").click()
    expect(found).to_contain_text("First Step")
    search.fill(str(people.volunteer.book_no))
    expect(found.first).to_contain_text("Asha Rao")
    search.fill("nobody like this")
    expect(page.locator("#rows")).to_contain_text("Nobody matches")
    search.fill("")
    expect(found).to_have_count(4)


def test_a_double_tap_marks_once_and_undoes_nothing(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.coordinator)
    box = page.get_by_role("button", name="Mark Asha Rao present").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, delay=20)
    expect(row(page, people.volunteer)).to_contain_text("Present")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.reload()
    expect(row(page, people.volunteer)).to_contain_text("Present")


def test_with_the_keyboard_alone(open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.coordinator)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    search = page.get_by_role("searchbox")
    while not search.evaluate("each => each === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.type("asha")
    expect(page.locator("#rows .person:visible")).to_have_count(2)  # Imran Pasha too
    mark = page.get_by_role("button", name="Mark Asha Rao present")
    while not mark.evaluate("each => each === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(row(page, people.volunteer)).to_contain_text("Present")
    expect(row(page, people.volunteer)).to_be_focused()
    more = page.get_by_role("link", name="More for Asha Rao")
    while not more.evaluate("each => each === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Doctor")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Doctor")).to_be_hidden()


def test_reading_and_marking_without_javascript(open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.coordinator, java_script_enabled=False)
    page.get_by_role("searchbox").fill("asha")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(page.get_by_role("status").first).to_contain_text("Asha Rao is present. New:")
    expect(page.get_by_role("searchbox")).to_have_value("asha")
    row(page, people.volunteer).get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").first).to_contain_text("is expected again")
    volunteer = open_as(people.volunteer, java_script_enabled=False)
    expect(volunteer.get_by_text("First Step").first).to_be_visible()


def test_a_browser_that_stores_nothing_marks_at_once_or_says_that_it_did_not(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    page = open_as(people.coordinator)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', {value: undefined})")
    page.reload()
    page.wait_for_function("() => window.htmx")
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(page.locator("#problem")).to_contain_text("was not saved")
    page.context.set_offline(False)
    with page.expect_response("**/people/*") as answered:
        page.get_by_role("button", name="Mark Asha Rao present").click()
    assert answered.value.status == 200
    expect(row(page, people.volunteer)).to_contain_text("Present")
    expect(page.locator("#problem")).to_be_hidden()
    count = page.locator("#count")
    expect(count).to_have_text("1 of 3 present")
    expect(count).to_be_in_viewport()
    row(page, people.volunteer).get_by_role("button", name="Undo").click()
    expect(count).to_have_text("0 of 3 present")


def test_without_an_outbox_the_count_is_of_the_whole_list_whatever_is_searched_for(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    page = open_as(people.coordinator)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', {value: undefined})")
    count = page.locator("#count")
    for query, button, counted in (
        ("asha", "Mark Asha Rao present", "1 of 3 present"),
        ("srinivasa", "Add Śrīnivāsa Rao present", "2 of 4 present"),
    ):
        page.goto(f"/roll-call/{today.id}?q={query}")
        page.wait_for_function("() => window.htmx")
        expect(page.locator("#rows")).not_to_contain_text(LONG_NAME)
        page.get_by_role("button", name=button).click()
        expect(count).to_have_text(counted)
        expect(count).to_be_in_viewport()
    page.reload()
    expect(count).to_have_text("2 of 4 present")


def test_a_refusal_is_shown_on_the_row(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.coordinator)
    expect(page.locator("#roll-call[data-ready]")).to_be_attached()
    page.context.set_offline(True)  # else the row is drawn anew before it can be pressed
    with app.app_context(), writing():
        schedule.cancel_camp(today)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    page.context.set_offline(False)
    expect(row(page, people.volunteer)).to_contain_text("was cancelled", timeout=20_000)


def test_the_story_of_a_medal_opens_and_closes(open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.volunteer)
    page.get_by_role("button", name="First Step").click()
    story = page.get_by_text("Earned Sun 29 March 2026 at Hosur.")
    expect(story).to_be_visible()
    page.keyboard.press("Escape")
    expect(story).to_be_hidden()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_motion_only_for_a_badge_just_earned_and_none_if_unwanted(
    app: Flask, open_as: OpenAs, people: People, today: Camp, motion: str
) -> None:
    page = open_as(people.volunteer, reduced_motion=motion)
    assert page.evaluate("document.getAnimations().length") == 0
    page.evaluate("""
        for (const name of ["animationstart", "animationend"]) document.addEventListener(name, (event) => {
            document.body.dataset[name] = (document.body.dataset[name] ?? "") + event.animationName + " ";
        });
    """)
    coordinator = open_as(people.coordinator)
    coordinator.get_by_role("button", name="Mark Asha Rao present").click()
    expect(page.locator("#earned-title + ul")).to_contain_text("On a Roll")
    body = page.locator("body")
    if motion == "reduce":
        assert page.evaluate("document.getAnimations().length") == 0
        assert body.get_attribute("data-animationstart") is None
    else:  # two badges, each drops in once and catches the light once; nothing goes on
        expect(body).to_have_attribute("data-animationend", "drop-in drop-in catch-light catch-light ")
        assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_fits_and_can_be_read(
    open_as: OpenAs, people: People, today: Camp, size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling, no accessibility fault that axe knows of, targets of at least 44 px on the roll."""
    page = open_as(people.admin, viewport=size, color_scheme=scheme)
    paths = (
        "/leaderboard/",
        f"/roll-call/{today.id}",
        "/roll-call/camps",
        "/people/",
        f"/roll-call/{today.id}/people/{people.volunteer.id}",
        f"/roll-call/{today.id}/cards",
        f"/people/{people.volunteer.id}",
        "/cabinet",
        "/cabinet/card",
        "/account",
        "/offline",
        "/api/v1/docs",
    )
    for path in paths:
        page.goto(path)
        has_no_faults(page)
        if path == f"/roll-call/{today.id}":
            small = page.eval_on_selector_all(
                "#rows button, #rows a.button, #q, #scan",
                "all => all.filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)",
            )
            assert small == []
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    has_no_faults(page)
