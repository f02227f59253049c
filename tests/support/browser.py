"""A real browser for tests of pages: Debian's Chromium without a screen, driven through its own chromedriver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
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
_CAN_PRESS = """
const buttons = [...document.querySelectorAll(arguments[0])];
return buttons.some(button => button.textContent.trim() === arguments[1] && !button.disabled);
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
        # One call, and nothing while there is no page yet: `get` gives up waiting when a busy machine is slow to load.
        return str(self._driver.execute_script("return document.body?.innerText ?? ''"))

    def table(self, selector: str) -> list[dict[str, str]]:
        """The rows of a table, each by its columns' headings."""
        headings = self._driver.execute_script(_HEADINGS, selector)
        rows = self._driver.execute_script(_ROWS, selector)
        # A table without rows has one that says so, in one cell.
        return [dict(zip(headings, row, strict=True)) for row in rows if len(row) == len(headings)]

    def wait_for(self, text: str) -> None:
        """Return once the page says `text`."""
        wait_until(lambda: text in self.text(), f"the page says {text!r}", interval=0.2)

    def says(self, selector: str) -> str:
        """What stands in the first element that `selector` finds, as a person sees it."""
        # One call, because a page that refreshes itself replaces its parts.
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self._driver.execute_script(script, selector))

    def attribute(self, selector: str, name: str) -> str:
        """An attribute of the first element that `selector` finds, "" when it has none."""
        script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])"
        return str(self._driver.execute_script(script, selector, name) or "")

    def follow(self, label: str) -> None:
        """Click the link with `label`."""
        self._driver.find_element("link text", label).click()

    def fill(self, selector: str, text: str) -> None:
        """Type `text` into a field that was empty."""
        self._driver.find_element("css selector", selector).send_keys(text)

    def press(self, label: str, *, within: str = "body") -> None:
        """Press the first button with `label` in what the CSS selector `within` finds, once it may be pressed."""
        path = f".//button[normalize-space()={label!r}]"
        wait_until(lambda: self._pressed(within, path), f"{label!r} in {within} was pressed", interval=0.2)

    def can_press(self, label: str, *, within: str = "body") -> bool:
        """Whether there is such a button, and it is not disabled."""
        return bool(self._driver.execute_script(_CAN_PRESS, f"{within} button", label))

    def _pressed(self, within: str, path: str) -> bool:
        try:
            for part in self._driver.find_elements("css selector", within):
                for button in part.find_elements("xpath", path):
                    if button.is_displayed() and button.is_enabled():
                        button.click()
                        return True
        except (StaleElementReferenceException, ElementClickInterceptedException):
            # The page replaced it meanwhile, or something passed before it.
            pass
        return False

    def look(self, theme: str) -> None:
        """Choose Flower's theme, `light` or `dark`, for this page and those after it."""
        self._driver.execute_script("localStorage.setItem('flower-theme', arguments[0])", theme)
        self._driver.refresh()

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        self._driver.set_window_size(width, height)

    def picture(self, path: Path) -> None:
        """Save the window as a PNG file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._driver.execute_script("window.scrollTo(0, 0)")
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
