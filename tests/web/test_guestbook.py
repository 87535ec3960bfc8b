"""The guest book, an actor that is a web application, in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from tests.web.served import Served

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "examples" / "guestbook" / "guestbook"
SCREENSHOT = ROOT / ".build" / "screenshots" / "guestbook.png"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ATTACK = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
WAIT_MS = 60_000
EMPTY_PAGE = """
from understudy import Blob, Wit

wit = Wit()


@wit.query
def page() -> Blob:
    return Blob.html("<title>empty</title>")
"""
BAD_PAGE = EMPTY_PAGE.replace(
    "<title>empty</title>",
    "<title>quiet</title><script>document.title = 'inline ran'</script><script src='../core/attack.js'></script>",
)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here, and only root can install it"
)


def book_files() -> dict[str, str]:
    """The core of the guest book."""
    files = [path for path in BOOK.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(BOOK).as_posix(): path.read_text(encoding="utf-8") for path in files}


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        served.create(book_files(), "guestbook")
        yield served


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    """The book, opened; whatever goes wrong inside of the page makes the test fail."""
    with sync_playwright() as playwright:
        # Chromium keeps its own sandbox from root, who runs tests in a container.
        browser: Browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(f"{served.address}/actors/guestbook/query/page")
        yield page
        browser.close()
    assert faults == []


def sign(page: Page, name: str, text: str) -> None:
    """What a guest does."""
    page.get_by_label("Your name").fill(name)
    page.get_by_label("What you want to say").fill(text)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign").click()


@needs_browser
def test_a_guest_signs_and_sees_it_and_the_next_one_too(served: Served, page: Page) -> None:
    expect(page.get_by_text("Nobody has been here yet.")).to_be_visible()
    sign(page, "Ada", "It computes.\nSecond line & all")
    expect(page.locator("article")).to_have_count(1)
    expect(page.locator("article p")).to_have_text("It computes.\nSecond line & all")
    page.reload()
    expect(page.locator("article footer")).to_contain_text("Ada")
    SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOT, full_page=True)
    assert SCREENSHOT.read_bytes().startswith(b"\x89PNG")


@needs_browser
def test_the_page_has_its_style_its_picture_and_its_script_from_the_core(served: Served, page: Page) -> None:
    assert page.evaluate("getComputedStyle(document.querySelector('header')).display") == "flex"
    assert page.evaluate("document.querySelector('header img').naturalWidth") > 0


@needs_browser
def test_what_a_guest_writes_is_text_whatever_it_looks_like(served: Served, page: Page) -> None:
    sign(page, "<b>Eve</b>", ATTACK)
    expect(page.locator("article p")).to_have_text(ATTACK)
    expect(page.locator("article footer")).to_contain_text("<b>Eve</b>")
    assert page.title() == "Guest book"


@needs_browser
def test_a_book_of_many_entries_is_turned_over_by_links(served: Served, page: Page) -> None:
    for number in range(1, 13):
        served.client.post("/actors/guestbook/messages/sign", json={"name": "Bob", "text": f"visit {number}"})
    page.reload()
    expect(page.locator("article p")).to_have_text([f"visit {number}" for number in range(12, 7, -1)])
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Older").click()
    expect(page.locator("article p")).to_have_text(["visit 2", "visit 1"])
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("nav span")).to_have_text("page 2 of 3")


@needs_browser
def test_the_book_at_an_earlier_step_is_as_it_was_with_its_links(served: Served, page: Page) -> None:
    sign(page, "Ada", "first")
    earlier = served.client.get("/actors/guestbook").json()["head"]
    sign(page, "Bob", "second")
    page.goto(f"{served.address}/steps/{earlier}/query/page")
    expect(page.locator("article p")).to_have_text(["first"])
    assert page.evaluate("getComputedStyle(document.querySelector('header')).display") == "flex"


@needs_browser
def test_a_page_reaches_its_own_actor_and_no_other(served: Served) -> None:
    """A page of an actor that went wrong: it tries what the policy of its answers forbids."""
    victim = "/actors/guestbook/messages/sign"
    attack = f"""
        fetch("{victim}", {{method: "POST", body: '{{"name": "Eve", "text": "hello"}}'}})
          .then(() => {{ document.title = "posted"; }}, () => {{ document.title = "refused"; }});
    """
    served.create({"wit": BAD_PAGE, "attack.js": attack}, "bad")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{served.address}/actors/bad/query/page")
        expect(page).to_have_title("refused", timeout=WAIT_MS)
        browser.close()
    assert served.client.get("/actors/guestbook").json()["height"] == 0


@needs_browser
def test_a_page_of_another_origin_neither_reads_nor_posts(served: Served) -> None:
    with Served() as other, sync_playwright() as playwright:
        other.create({"wit": EMPTY_PAGE}, "foreign")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        # Without its policy: the foreign page is not ours, and does what it likes.
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(f"{other.address}/actors/foreign/query/page")
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))
        tried = page.evaluate(
            """async (address) => {
                const tries = {
                    read: () => fetch(address + "/actors"),
                    blind: () => fetch(address + "/actors/guestbook/messages/sign",
                        {method: "POST", mode: "no-cors", body: '{"name": "Eve", "text": "hello"}'}),
                    image: () => new Promise((good, bad) => {
                        const image = new Image();
                        image.onload = good; image.onerror = bad;
                        image.src = address + "/actors/guestbook/core/static/quill.svg";
                    }),
                };
                const ended = {};
                for (const [name, attempt] of Object.entries(tries)) {
                    try { await attempt(); ended[name] = "went"; } catch { ended[name] = "refused"; }
                }
                return ended;
            }""",
            served.address,
        )
        browser.close()
    assert tried["read"] == tried["image"] == "refused"
    assert {answer.status for answer in answers if answer.url.startswith(served.address)} <= {403}
    assert served.client.get("/actors/guestbook").json()["height"] == 0
