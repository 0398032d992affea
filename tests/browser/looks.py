"""What every screen is held to, whatever stands on it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_axe = Axe()


def has_no_faults(page: Page, what: str = "") -> None:
    """No sideways scrolling, and no accessibility fault that axe knows of. Whoever has clicked before waits for what
    the click leads to; ``what`` says which state the page is in, where its address does not.
    """
    page.wait_for_load_state()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what or page.url
    faults = _axe.run(page)
    assert faults.violations_count == 0, f"{what or page.url}: {faults.generate_report()}"
