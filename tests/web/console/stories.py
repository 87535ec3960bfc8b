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
    "/console/actors/ada",
    "/console/actors/ada?before=3",
    "/console/actors/paused",
    "/console/actors/ada/steps/9",
    "/console/actors/broken/steps/1",
    "/console/actors/ada/steps/9/core/",
    "/console/actors/ada/steps/9/core/data",
    "/console/actors/ada/steps/9/core/wit",
    "/console/actors/ada/steps/9/core/data/people.csv",
    "/console/actors/ada/steps/9/core/data/state.json",
    "/console/actors/ada/steps/9/core/data/page.html",
    "/console/actors/ada/steps/9/core/data/page.html?show=page",
    "/console/actors/ada/steps/9/core/data/logo.svg",
    "/console/actors/ada/diff?from=2",
    "/console/actors/ada/diff?from=2&to=2",
    "/console/node",
    "/console/actors/guestbook/do",
    "/console/actors/desk/messages/book",
    "/console/actors/ada/messages/echo",
    "/console/actors/desk/queries/seats?ask=1&f.row=1",
    "/console/actors/desk/queries/seats?ask=1&f.row=x",
    "/console/actors/ada/pause",
    "/console/actors/paused/resume",
    "/console/actors/broken/steps/1/retry",
)
DESK: Final = """
\"\"\"Books seats.\"\"\"
from typing import Annotated, Literal
from msgspec import Meta, Struct
from understudy import Refusal, Wit

class Book(Struct):
    name: Annotated[str, Meta(description="who sits there")]
    row: int = 1
    side: Literal["left", "right"] = "left"
    window: bool = False
    notes: list[str] = []

class State(Struct):
    booked: list[str] = []

wit = Wit()

@wit.message("book")
def book(order: Book, state: State) -> int:
    "Books a seat."
    if order.row > 99:
        raise Refusal("NoSuchRow", "there are 99 rows")
    state.booked.append(f"{order.name} {order.row} {order.side} {order.window} {order.notes}")
    return len(state.booked)

@wit.query
def seats(state: State, row: int = 0, tags: list[str] = []) -> dict:
    "Who sits where."
    return {"booked": state.booked, "row": row, "tags": tags}
"""
PATCH: Final = {
    "wit": GREETER.replace("Hello", "Good day"),
    "data/people.csv": "name,age\nann,41\nbob,17\n",
    "data/state.json": '{"guests": ["ann", {"plus": 1}], "open": true}',
    "data/page.html": "<!doctype html><title>a page</title><h1>A page</h1>",
    "data/logo.svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3"/></svg>',
}


def tell(served: Served) -> None:
    """The story."""
    served.create({"wit": GREETER}, "ada")
    served.create({"wit": DESK}, "desk")
    served.create(_core_of("guestbook/guestbook"), "guestbook")
    for name in ("broken", "paused"):
        served.create({"wit": GREETER, "nonce": name}, name)
    for guest in range(8):
        served.client.post("/actors/ada/messages/greet", json={"name": f"guest {guest}"})
    served.client.post("/actors/ada/messages", json={"patch": PATCH}, headers={"Message-Lane": "update"})
    served.client.post("/actors/desk/messages/book", json={"name": "ann"})
    served.client.post("/actors/broken/messages/fail", json={})
    served.client.post("/actors/paused/pause", json={"reason": "inspecting a complaint"})
    served.client.post("/actors/paused/messages/greet", json={"name": "x"}, headers={"Prefer": "respond-async"})


def _core_of(example: str) -> dict[str, str]:
    root = _EXAMPLES / example
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}
