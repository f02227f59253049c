"""A real browser for tests of pages: Debian's Chromium without a screen, driven through its own chromedriver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.support.tools import needs
from tests.support.waiting import wait_until

#: Nothing but the page under test: no sandbox (the gate runs as root), no screen, no talk with anybody's servers.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,810",
)

#: What stands in the cells of a table, row by row. One call, because a page that refreshes itself replaces its rows.
_ROWS = """
const rows = document.querySelectorAll(arguments[0] + " tbody tr");
return [...rows].map(row => [...row.cells].map(cell => cell.textContent.trim()));
"""
_HEADINGS = """
const cells = document.querySelectorAll(arguments[0] + " thead th");
return [...cells].map(cell => cell.textContent.trim());
"""


class Browser:
    """One window. What it tells is what a person would see on the page."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Go to `url`; return once the page has loaded."""
        self._driver.get(url)

    def text(self) -> str:
        """All that stands on the page."""
        return str(self._driver.find_element("tag name", "body").text)

    def table(self, selector: str) -> list[dict[str, str]]:
        """The rows of a table, each by its columns' headings."""
        headings = self._driver.execute_script(_HEADINGS, selector)
        rows = self._driver.execute_script(_ROWS, selector)
        # A table without rows has one that says so, in one cell.
        return [dict(zip(headings, row, strict=True)) for row in rows if len(row) == len(headings)]

    def wait_for(self, text: str) -> None:
        """Return once the page says `text`."""
        wait_until(lambda: text in self.text(), f"the page says {text!r}", interval=0.2)

    def picture(self, path: Path) -> None:
        """Save the window as a PNG file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self._driver.save_screenshot(str(path))


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A new window with a profile of its own in `folder`. Skips (in CI: fails) the test without Chromium."""
    options = ChromeOptions()
    options.binary_location = needs("chromium", "chromium")
    for flag in (*_FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(needs("chromedriver", "chromium-driver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
