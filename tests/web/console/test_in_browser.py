"""The console in a real browser: axe finds nothing on any page, in light, dark and on a phone; what moves moves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.web.console.stories import VIEWS, tell
from tests.web.served import Served
from tests.web.test_guestbook import CHROMIUM, WAIT_MS, needs_browser

DESK, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=360, height=740)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True},
}
# The page and not the document: the root element is the one that may scroll sideways.
OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as served:
        tell(served)
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium keeps its own sandbox from root, who runs tests in a container.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Faults(list[str]):
    """What goes wrong inside of a page: an error of a script, and whatever its policy forbids."""

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("console", lambda said: self._heed(said.text) if said.type == "error" else None)

    def _heed(self, text: str) -> None:
        # Chromium calls the answer of a page that is an error an error, too.
        if "the server responded with a status of" not in text:
            self.append(text)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport=DESK, timezone_id="Europe/Berlin", locale="en-GB") as context:
        context.set_default_timeout(WAIT_MS)
        faults = Faults()
        context.on("page", faults.watch)
        yield context
    assert faults == []


def sign_in(page: Page, served: Served) -> None:
    """As a person does."""
    page.goto(f"{served.address}/console/sign-in")
    page.get_by_label("Token").fill(served.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@needs_browser
@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(served: Served, browser: Browser, look: str) -> None:
    found: list[str] = []
    faults = Faults()
    with browser.new_context(**LOOKS[look]) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        sign_in(page, served)
        faults.watch(page)
        for view in VIEWS:
            page.goto(served.address + view)
            results = Axe().run(page)
            found += [f"{view}: {one['id']}: {one['nodes'][0]['html']}" for one in results.response["violations"]]
            found += [f"{view}: wider than the screen"] if page.evaluate(OVERFLOWS) else []
    assert found == []
    assert faults == []


@needs_browser
def test_a_new_step_is_seen_without_a_reload_until_live_is_paused(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{served.address}/console?q=ada")
    switch = page.get_by_role("button", name="Live")
    expect(switch).to_have_attribute("aria-pressed", "true")
    row = page.get_by_role("row", name=re.compile("ada"))
    before = int(row.locator("td.num").first.inner_text())
    served.client.post("/actors/ada/messages/greet", json={"name": "Bea"})
    expect(row.locator("td.num").first).to_have_text(str(before + 1))
    switch.click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")


@needs_browser
def test_times_are_those_of_the_reader_and_utc_without_scripts(served: Served, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        plain = context.new_page()
        plain.goto(f"{served.address}/console")
        expect(plain.locator("td time").first).to_contain_text("UTC")
        expect(plain.get_by_role("button", name="Live")).to_be_hidden()
    with browser.new_context(timezone_id="Asia/Tokyo") as context:
        page = context.new_page()
        page.goto(f"{served.address}/console")
        expect(page.locator("footer")).to_contain_text("Asia/Tokyo")
        expect(page.locator("td time").first).to_contain_text("ago")
