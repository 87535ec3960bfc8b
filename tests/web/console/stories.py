"""A node with something to look at: real actors with real histories, some of them in trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.web.conftest import GREETER
from tests.web.served import Served

_EXAMPLES: Final = Path(__file__).parents[3] / "examples"
# Every kind of page.
VIEWS: Final = (
    "/console",
    "/console?state=trouble",
    "/console?q=nobody",
    "/console/sign-in",
    "/nothing",
)


def tell(served: Served) -> None:
    """The story."""
    served.create({"wit": GREETER}, "ada")
    served.create(_core_of("guestbook/guestbook"), "guestbook")
    for name in ("broken", "paused"):
        served.create({"wit": GREETER, "nonce": name}, name)
    for guest in range(3):
        served.client.post("/actors/ada/messages/greet", json={"name": f"guest {guest}"})
    served.client.post("/actors/broken/messages/fail", json={})
    served.client.post("/actors/paused/pause", json={"reason": "inspecting a complaint"})
    served.client.post("/actors/paused/messages/greet", json={"name": "x"}, headers={"Prefer": "respond-async"})


def _core_of(example: str) -> dict[str, str]:
    root = _EXAMPLES / example
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}
