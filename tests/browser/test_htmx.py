"""In a normal browser every mark of the roll call is an htmx request, and htmx swaps what comes of it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.test_in_the_field import link, ready, row, state
from tests.browser.test_in_the_field import today as today
from tests.conftest import People
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import State

OpenAs = Callable[..., Page]

# Of each request and swap: what it came from, and which rows it brought in which way.
RECORD = """
    window.told = [];
    const name = (element) => element.id || element.parentElement.closest("[id]").parentElement.closest("[id]").id;
    const tell = (event, more) => window.told.push([event.type, name(event.detail.ctx.sourceElement), more]);
    document.addEventListener("htmx:before:request", (event) => tell(event, event.detail.ctx.request.method));
    document.addEventListener("htmx:before:swap", (event) => {
        for (const { type, swapSpec, fragment } of event.detail.tasks) {
            const rows = [...fragment.querySelectorAll("li.person")].map((each) => each.id);
            if (rows.length) tell(event, [type, swapSpec.style, rows]);
        }
    });
    document.addEventListener("htmx:after:swap", (event) => tell(event, ""));
"""


def told(page: Page) -> list[Any]:
    """What htmx said since the last time, from the mark on."""
    found: list[Any] = page.evaluate("window.told.splice(0)")
    first = next(place for place, each in enumerate(found) if each[1] == "rows")  # the stream may have asked before
    return [each for each in found[first:] if each[1] != "live"]


@pytest.fixture
def page(open_as: OpenAs, people: People, today: Camp) -> Page:
    page = ready(open_as(people.coordinator))
    expect(link(page)).to_have_text("All sent")
    page.evaluate(RECORD)
    return page


def test_a_mark_is_an_htmx_request_whose_rows_htmx_swaps(page: Page, people: People) -> None:
    mine = f"person-{people.volunteer.id}"
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(row(page, "Asha Rao")).to_contain_text("On a Roll")
    expect(row(page, "Asha Rao")).to_be_in_viewport()
    expect(link(page)).to_have_text("All sent")
    first, *others = told(page)
    assert first == ["htmx:before:request", "rows", "POST"]
    assert others[:2] == [
        ["htmx:before:swap", "rows", ["partial", "rows", [mine]]],
        ["htmx:after:swap", "rows", ""],
    ]
    assert ["htmx:before:request", "outbox", "POST"] in others
    assert ["htmx:before:swap", "outbox", ["partial", "rows", [mine]]] in others


def test_without_a_network_htmx_swaps_the_row_that_the_phone_drew(page: Page, people: People) -> None:
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(row(page, "Asha Rao")).to_contain_text("Waiting")
    expect(row(page, "Asha Rao")).to_be_in_viewport()
    mine = ["partial", "rows", [f"person-{people.volunteer.id}"]]
    assert told(page)[:3] == [
        ["htmx:before:request", "rows", "POST"],
        ["htmx:before:swap", "rows", mine],
        ["htmx:after:swap", "rows", ""],
    ]
    page.context.set_offline(False)
    expect(link(page)).to_have_text("All sent", timeout=20_000)
    assert ["htmx:before:swap", "outbox", mine] in page.evaluate("window.told")


def test_four_quick_taps_are_four_marks(app: Flask, page: Page, people: People, today: Camp) -> None:
    with app.app_context(), writing():
        for person in (people.admin, people.coordinator):
            marking.sign_up(person, today)
    names = ("Asha Rao", "Imran Pasha", "Meera Krishnan", "Ravi Gowda")
    expect(row(page, "Ravi Gowda")).to_contain_text("Mark present")
    page.evaluate("document.querySelectorAll('#rows .primary').forEach((each) => each.click())")
    for name in names:
        expect(row(page, name)).to_have_attribute("data-state", "present")
    expect(link(page)).to_have_text("All sent")
    assert [state(app, today, name) for name in names] == [State.PRESENT] * 4


def test_over_plain_http_at_an_address_of_the_camps_own_network(
    app: Flask, browser_at: Callable[[str], Browser], url: str, people: People, today: Camp
) -> None:
    """There is no service worker there, no lock between tabs, no camera and no crypto.randomUUID."""
    with app.app_context():
        coordinator = factories.with_password(people.coordinator)
    browser = browser_at("camp.lan")
    page = browser.new_context(base_url=url.replace("127.0.0.1", "camp.lan")).new_page()
    page.goto("/sign-in")
    sign_in(page, coordinator)
    expect(page.locator("#roll-call[data-ready]")).to_be_attached()
    assert page.evaluate("[navigator.serviceWorker, navigator.locks].every((each) => each === undefined)")
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(row(page, "Asha Rao")).to_contain_text("Waiting")
    page.context.set_offline(False)
    expect(link(page)).to_have_text("All sent", timeout=20_000)
    expect(row(page, "Asha Rao")).to_contain_text("On a Roll")
    assert state(app, today, "Asha Rao") is State.PRESENT


def test_what_waited_on_a_page_of_the_former_version_is_sent_after_the_upgrade(
    app: Flask, page: Page, people: People, today: Camp
) -> None:
    """Entries as that version stored them: one that waits, one that was asked about without words to show."""
    page.evaluate(
        """async ([owner, camp, waiting, asked]) => {
            const database = await new Promise((done) => {
                const opening = indexedDB.open("camp-badges", 1);
                opening.onsuccess = () => done(opening.result);
            });
            const store = database.transaction("outbox", "readwrite").objectStore("outbox");
            const entry = (person, state, status) => ({
                owner, camp, status, tried: status !== "waiting",
                said: status === "asked" ? "Somebody marked excused." : "",
                order: {action: "mark", person, state, base: "expected", base_role: null, camp,
                        id: crypto.randomUUID(), made_at: new Date().toISOString()},
            });
            store.add(entry(waiting, "present", "waiting"));
            store.add(entry(asked, "present", "asked"));
            await new Promise((done) => { store.transaction.oncomplete = done; });
            database.close();
        }""",
        [str(people.coordinator.id), str(today.id), str(people.volunteer.id), str(people.other.id)],
    )
    with app.app_context(), writing():
        marking.excuse(people.other, today, by=people.admin)
    page.reload()
    ready(page)
    expect(row(page, "Asha Rao")).to_contain_text("Sent", timeout=20_000)
    question = re.compile(r"Meera Krishnan marked excused at \d\d:\d\d\. Here: present at \d\d:\d\d\. Which is right\?")
    expect(row(page, "Imran Pasha")).to_contain_text(question)
    row(page, "Imran Pasha").get_by_role("button", name="Present").click()
    expect(link(page)).to_have_text("All sent")
    assert state(app, today, "Asha Rao") is State.PRESENT
    assert state(app, today, "Imran Pasha") is State.PRESENT
