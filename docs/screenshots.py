"""Takes the pictures of the README from a running demo: ``python docs/screenshots.py URL [FOLDER]``."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

SIZES: dict[str, ViewportSize] = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 800}}
ACCOUNTS = {"volunteer": ("2", "volunteer123"), "coordinator": ("3", "coordinator123"), "admin": ("1", "admin123")}


def sign_in(page: Page, who: str) -> None:
    page.goto("/sign-in")
    book_no, password = ACCOUNTS[who]
    page.get_by_label("Book number").fill(book_no)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "sign-in" not in url)


def take(browser: Browser, url: str, folder: Path, size: str, scheme: Literal["light", "dark"]) -> None:
    def shoot(page: Page, name: str, full: bool = False) -> None:
        page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=full)

    for who, screens in {
        "volunteer": {"cabinet": "/cabinet", "account": "/account", "standing": "/leaderboard/mine"},
        "coordinator": {"roll-call": "/roll-call/", "people": "/people/"},
        "admin": {
            "leaderboard": "/leaderboard/",
            "api": "/api/v1/docs",
            "office": "/office/",
            "calendar": "/office/calendar",
            "new-badge": "/office/badges/new",
            "trail": "/office/trail/",
            "import": "/office/import/",
        },
    }.items():
        context = browser.new_context(base_url=url, viewport=SIZES[size], color_scheme=scheme)
        page = context.new_page()
        if who == "volunteer":
            page.goto("/sign-in")
            shoot(page, "sign-in")
        sign_in(page, who)
        for name, path in screens.items():
            page.goto(path)
            shoot(page, name)
            if name == "cabinet":
                shoot(page, "cabinet-whole", full=True)
        if who == "coordinator":
            table(page, shoot)
        context.close()


def table(page: Page, shoot: Callable[..., None]) -> None:
    """The roll call at work: some are marked, then the network goes. What waits is taken back at the end."""
    page.goto("/roll-call/")
    expect(page.locator("#roll-call[data-ready][data-kept]")).to_be_attached()
    address = page.url
    page.get_by_role("link", name="More for").nth(3).click()
    shoot(page, "sheet")
    page.keyboard.press("Escape")
    page.goto(f"{address}/cards")
    shoot(page, "cards")
    page.goto(address)
    expect(page.locator("#roll-call[data-ready]")).to_be_attached()
    page.context.set_offline(True)
    for number in (0, 1, 0):
        page.locator("#section-expected .primary").nth(number).click()
    page.locator(".undo").nth(1).click()
    expect(page.locator("#link")).to_contain_text("waiting")
    page.evaluate("scrollTo(0, 0)")
    shoot(page, "offline")


def main() -> None:
    url = sys.argv[1]
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(base_url=url)
        sign_in(page, "admin")
        page.goto("/leaderboard/")
        show = page.get_by_role("button", name="Let them see where they stand")
        if show.count():
            show.click()
        for size in SIZES:
            take(browser, url, folder, size, "light")
            take(browser, url, folder, size, "dark")
        browser.close()


if __name__ == "__main__":
    main()
