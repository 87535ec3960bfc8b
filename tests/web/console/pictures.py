"""`make pictures`: the console as it looks, light, dark and on a phone, for the docs. Not a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright

from tests.web.console.stories import tell
from tests.web.served import Served
from tests.web.test_guestbook import CHROMIUM

FOLDER: Final = Path(__file__).parents[3] / "docs" / "pictures"
DESK: Final = {"width": 1200, "height": 760}
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 760}, "color_scheme": "light"},
}
PICTURES: Final = {
    "actors": "/console",
    "actor": "/console/actors/ada",
    "step": "/console/actors/broken/steps/1",
    "diff": "/console/actors/ada/diff?from=2",
    "send": "/console/actors/desk/messages/book",
    "node": "/console/node",
}


# Each picture stays in the repository's history for ever, so only some are taken in each look.
TAKEN: Final = {"light": tuple(PICTURES), "dark": ("actors", "diff"), "phone": ("actors", "step")}


def main() -> None:
    """Make all of them anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Served() as served, sync_playwright() as playwright:
        tell(served)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for look, options in LOOKS.items():
            with browser.new_context(**options, timezone_id="Europe/Berlin", locale="en-GB") as context:
                page = context.new_page()
                for name in TAKEN[look]:
                    page.goto(served.address + PICTURES[name])
                    page.wait_for_load_state("load")
                    page.screenshot(path=str(FOLDER / f"{name}-{look}.png"))
        browser.close()


if __name__ == "__main__":
    main()
