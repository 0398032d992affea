"""What the roll call costs a phone: bytes, and the time of a processor six times slower than this one.

A browser opens the page of a camp that some hundred or thousand have signed up for, at the real server on
PostgreSQL. Bytes are counted on the wire, heads included, with all that the service worker keeps. A tap is timed
from the click to the frame after the row has changed; opening, by Chromium's own count of the main thread's
tasks, until the page says that it is ready and has been painted.
"""

import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks import data
from benchmarks.data import Shape
from benchmarks.doors import Session, sign_in
from benchmarks.figures import Figure, limit
from benchmarks.first_visit import Meter
from benchmarks.marks import application, prepared
from benchmarks.rounds import PostgresStore, product_day
from benchmarks.servers import Postgres, Server, product

TAPS = 20
SLOWER = 6  # times
PATIENCE = 120_000  # milliseconds
FEW, MANY = 300, 3_000

ALL_SENT = "() => document.querySelector('#link').textContent.trim() === 'All sent'"
# Frames are asked for once the row has changed: to ask for each one before costs frames of their own.
TAP = """
    () => new Promise((done) => {
        const { id } = document.querySelector('#rows li[data-state="expected"]');
        const began = performance.now();
        new MutationObserver((_, observer) => {
            if (document.getElementById(id)?.dataset.state !== "present") return;
            observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
        }).observe(document.getElementById("rows"), { childList: true, subtree: true });
        document.querySelector(`#${id} .primary`).click();
    })
"""
EVERYONE = """
    () => new Promise((done) => {
        document.querySelector("#ask-everyone").showPopover();
        const began = performance.now();
        new MutationObserver((_, observer) => {
            if (document.querySelector('#rows li[data-state="expected"]')) return;
            observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
        }).observe(document.getElementById("rows"), { childList: true, subtree: true });
        document.querySelector("#ask-everyone .primary").click();
    })
"""


def measure(postgres: Postgres) -> list[Figure]:
    """Measure a roll call of some hundred, and one of some thousand people."""
    chromium = shutil.which("chromium")
    if not chromium:
        raise RuntimeError("No Chromium; install Debian's package chromium.")
    figures: list[Figure] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for number in (FEW, MANY):
            name = f"roll_call_{number}"
            postgres.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            prepared(postgres, name, Shape(number, 40, visits=10))
            with application(postgres.url(name)) as app, app.app_context():
                camp = str(data.camp_of_today().id)
                people = data.person_ids(app, number)
            product_day(PostgresStore(postgres, name), camp).sign_up(people[0], people[-1])
            # Long ago, or the first event of the stream would tell of them all.
            postgres.execute(name, "UPDATE attendance SET changed_at = changed_at - interval '1 day'")
            with product(postgres.url(name)) as server:
                figures += _figures(browser, server, sign_in(server), camp, number)
        browser.close()
    return figures


def _figures(browser: Browser, server: Server, session: Session, camp: str, number: int) -> Iterator[Figure]:
    with Meter(server.port) as meter, _page(browser, meter.url, session) as (page, devtools):
        before = meter.bytes_down
        opening = _open(page, devtools, camp)
        first_load = meter.bytes_down - before
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        taps = [_tap(page) for _ in range(TAPS)]
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        mark = _weigh_mark(page, meter) if number == FEW else 0
        everyone = page.evaluate(EVERYONE)
        began = time.monotonic()
        page.wait_for_function(ALL_SENT)
        sent = time.monotonic() - began
    what = f"roll call of {number:,}"
    if number == FEW:
        yield limit(f"{what}: first load, everything", first_load / 1000, 78, "KB")
        yield limit(f"{what}: one mark, all that comes down", mark / 1000, 1.8, "KB")
    most = 100 if number == FEW else 250
    yield limit(f"{what}: tap to changed row, {SLOWER} times slower", statistics.median(taps), most, "ms")
    yield limit(f"{what}: everyone is here, shown", everyone / 1000, 2, "s")
    note = f"to open it took {opening * 1000:.0f} ms of the main thread; everyone was sent within {sent:.1f} s"
    yield Figure(f"{what}: page", f"{opening * 1000:.0f} ms", "–", None, "–", True, note)


@contextmanager
def _page(browser: Browser, url: str, session: Session) -> Iterator[tuple[Page, CDPSession]]:
    context = browser.new_context(base_url=url, viewport={"width": 360, "height": 740})
    for part in session.cookie.split("; "):
        name, _, value = part.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": url}])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    yield page, devtools
    context.close()


def _open(page: Page, devtools: CDPSession, camp: str) -> float:
    """Open the roll call; the seconds that the main thread was busy until it could be used."""
    before = _busy(devtools)
    page.goto(f"/roll-call/{camp}")
    page.wait_for_selector("#roll-call[data-ready][data-kept]", state="attached")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return _busy(devtools) - before


def _tap(page: Page) -> float:
    """Mark the next person; the milliseconds until it showed. Ends when the mark is sent, as at a table."""
    took: float = page.evaluate(TAP)
    page.wait_for_function(ALL_SENT)
    return took


def _busy(devtools: CDPSession) -> float:
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def _weigh_mark(page: Page, meter: Meter) -> int:
    """The bytes that come down for one mark: its answer, and the news of it."""
    time.sleep(3)  # what the taps before it bring is over
    before = meter.bytes_down
    _tap(page)
    time.sleep(3)  # the news comes with the next look
    return meter.bytes_down - before
