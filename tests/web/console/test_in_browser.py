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
from understudy.web.authorization import NOTHING

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


@needs_browser
def test_a_time_is_written_in_the_zone_of_the_reader(served: Served, browser: Browser) -> None:
    with browser.new_context(timezone_id="America/Los_Angeles") as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{served.address}/console/actors/ada")
        expect(page.get_by_text("(UTC)")).to_be_hidden()
        # Taken for UTC, it were hours before the first step.
        soon = "new Date(Date.now() + (1 - new Date().getTimezoneOffset()) * 60_000).toISOString().slice(0, 19)"
        page.get_by_label("Up to a time").fill(page.evaluate(soon))
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"before=\d+"))
        expect(page.get_by_role("heading", name="History")).to_be_visible()


@needs_browser
def test_no_button_breaks_its_word(served: Served, browser: Browser) -> None:
    with browser.new_context(**LOOKS["phone"]) as context:
        page = context.new_page()
        page.goto(f"{served.address}/console/actors/ada")
        heights = [button.bounding_box() for button in page.get_by_role("button", name="Go").all()]
        assert len(heights) == 2 and all(box is not None and box["height"] < 40 for box in heights)


@needs_browser
@pytest.mark.parametrize(
    ("path", "newest", "first"),
    [
        ("/console/actors/ada/steps/9/core/count", r"\d", "there is nothing at /count in this core"),
        ("/console/actors/desk/queries/seats?ask=1&f.row=7", r"ann 1 left", '"booked": []'),
    ],
)
def test_a_slider_goes_through_time(
    served: Served, context: BrowserContext, path: str, newest: str, first: str
) -> None:
    page = context.new_page()
    page.goto(served.address + path)
    region = page.locator("[data-slides]")
    page.get_by_label("Through time").focus()
    page.keyboard.press("Home")
    expect(region).to_contain_text(first)
    if "?" in path:
        assert "at-step=0" in page.url and "f.row=7" in page.url
    page.keyboard.press("End")
    expect(region.locator("pre.code")).to_contain_text(re.compile(newest))


ATTACKER = """
from understudy import Blob, Wit

wit = Wit()


@wit.message("note")
def note(data: bytes) -> None:
    pass


@wit.query
def page() -> Blob:
    return Blob.html("<title>attacker</title><p>hello")
"""
# What a script of the page can do, which is of the same origin as the console.
WAYS = """async () => {
    const said = (promise) => promise.then((answer) => answer.status, () => "refused");
    const form = {method: "POST", body: "reason=x", headers: {"Content-Type": "application/x-www-form-urlencoded"}};
    const patch = {method: "POST", body: '{"patch": {"x": "y"}}', headers: {"Message-Lane": "update"}};
    return {
        own: await said(fetch("../messages/note", {method: "POST", body: "{}"})),
        update: await said(fetch("../messages", patch)),
        pause: await said(fetch("../pause", {method: "POST"})),
        form: await said(fetch("/console/actors/attacker/pause", form)),
        read: await said(fetch("/console")),
        cookie: document.cookie,
    };
}"""


@needs_browser
def test_a_session_opens_pages_of_actors_and_lends_them_nothing(browser: Browser) -> None:
    with Served(anybody=NOTHING) as closed, browser.new_context() as context:
        closed.create({"wit": ATTACKER}, "attacker")
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{closed.address}/actors/attacker/query/page")
        page.get_by_label("Token").fill(closed.token)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_title("attacker")
        assert page.evaluate(WAYS) == {
            "own": 200,
            "update": 403,
            "pause": 403,
            "form": "refused",
            "read": "refused",
            "cookie": "",
        }
        page.goto(f"{closed.address}/console/actors/attacker/pause")
        page.get_by_role("button", name="Pause it").click()
        expect(page.locator("main")).to_contain_text("an operator paused it")
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{closed.address}/console")
        expect(page.get_by_role("heading", level=1)).to_contain_text("401")


@needs_browser
def test_what_breaks_an_actor_is_found_by_following_links_and_keys(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(served.address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_role("link", name=re.compile("in trouble")).click()
    page.get_by_role("link", name="broken").click()
    page.get_by_role("link", name="#1").click()
    expect(page.locator("main")).to_contain_text('raise ValueError("the wit is broken")')
    page.get_by_role("link", name="wit", exact=True).click()
    expect(page.locator("pre.code")).to_contain_text('raise ValueError("the wit is broken")')
