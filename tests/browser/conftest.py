"""A real Chromium against the application in a thread, so that its clock and database are the test's."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, expect, sync_playwright

from tests import factories
from tests.conftest import SUNDAY, People, skip_or_fail
from tests.factories import PASSWORD
from tests.serving import served
from webapp import clock
from webapp.domain.people.accounts import Person

PATIENCE = 10_000  # milliseconds until a test gives up, on a machine that others use, too
expect.set_options(timeout=PATIENCE)

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


ARGUMENTS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        skip_or_fail("no Chromium; install Debian's package chromium")
    assert found
    return found


@pytest.fixture(scope="session")
def playwright(chromium: str) -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    started = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
    yield started
    started.close()


@pytest.fixture
def browser_at(playwright: Playwright, chromium: str) -> Iterator[Callable[[str], Browser]]:
    """Start a browser that finds this machine under another name, which is no secure origin."""
    started: list[Browser] = []

    def launch(host: str) -> Browser:
        arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP {host} 127.0.0.1"]
        started.append(playwright.chromium.launch(executable_path=chromium, args=arguments))
        return started[-1]

    yield launch
    for each in started:
        each.close()


def sign_in(page: Page, person: Person) -> None:
    """Through the form that is on the screen."""
    page.get_by_label("Book number").fill(str(person.book_no))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "sign-in" not in address)


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """Where the application is served. Time passes here, as it does for those who look at a screen."""
    with clock.running_from(SUNDAY), served(app) as address:
        yield f"http://{address}"


@pytest.fixture
def open_as(app: Flask, browser: Browser, url: str, people: People) -> Iterator[Callable[..., Page]]:
    """A browser of somebody's own, signed in through the form. Whatever the page complains of fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(person: Person, **options: object) -> Page:
        with app.app_context():
            person = factories.with_password(person)
        context = browser.new_context(**{"base_url": url, "viewport": PHONE, **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/sign-in")
        sign_in(page, person)
        return page

    yield opened
    for context in contexts:
        try:
            context.close()
        except Error as error:
            complaints.append(str(error))
    # What a test provokes itself (a refused mark, a cut connection) the browser reports as a failed resource.
    provoked = ("Failed to load resource", "Failed to fetch", "ERR_INTERNET_DISCONNECTED", "ERR_EMPTY_RESPONSE")
    assert [said for said in complaints if not any(each in said for each in provoked)] == []
