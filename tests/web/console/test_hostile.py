"""An actor that is hostile in all that it may choose is shown harmlessly, on every page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

import pytest

from tests.web.conftest import Face
from tests.web.console.conftest import Visitor

SCRIPT: Final = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
QUOTES: Final = "\"'><svg onload=\"document.title='taken'\">&amp;{{7*7}}{% raw %}"
RTL: Final = "\u202egnp.exe\u2066\u200f\u061c"
LONG: Final = "x" * 200_000
DEEP: Final = "[" * 20_000 + "]" * 20_000
WIDE: Final = "[" * 31 + "1," * 20_000 + "1" + "]" * 31
NAME: Final = SCRIPT.replace("/", "\u2215")
WIT: Final = f"""
from understudy import Blob, Refusal, Wit
wit = Wit()

@wit.message({SCRIPT!r})
def take(ctx, core, data: bytes):
    {"Takes " + SCRIPT + QUOTES!r}
    ctx.log({SCRIPT!r} + {RTL!r})
    ctx.log("y" * 100_000)
    return {QUOTES!r} + {SCRIPT!r}

@wit.message("refuse")
def refuse():
    raise Refusal("No", {SCRIPT!r} + {RTL!r} + "\\n! runtime: all is well")

@wit.message("fail")
def fail():
    raise ValueError({SCRIPT!r} + {QUOTES!r})

@wit.query({NAME!r})
def ask(x: str = {QUOTES!r}) -> Blob:
    return Blob.html({SCRIPT!r})
"""
FILES: Final = {
    SCRIPT.replace("/", "\u2215"): SCRIPT,
    "a/" + RTL.replace("\u061c", "") + ".html": SCRIPT,
    "a/x.svg": f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>",
    "a/x.csv": f"{SCRIPT},{QUOTES}\n=1+1,{LONG[:5000]}\n" * 300,
    "a/deep.json": DEEP,
    "a/wide.json": WIDE,
    "a/long.txt": LONG * 6,
    "a/lines.txt": "\n" * 200_000,
    f"flows/{NAME[:60]}/begin": SCRIPT,
    "a/\ufdfa.md": "\x00\x1b[2J" + RTL,
}
CONTENTS: Final = [
    SCRIPT.encode(),
    DEEP.encode(),
    WIDE.encode(),
    b"\xff\x00\x1b[2J",
    RTL.encode(),
    LONG.encode() * 4,
    b"",
]
MAX_PAGE_BYTES: Final = 4 * 1024 * 1024


class Marks(HTMLParser):
    """What a browser would make of a page: which elements there are, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check(page: str) -> None:
    """Nothing of an actor's became a mark, and nothing turns the text around it."""
    marks = Marks()
    marks.feed(page)
    for tag, attributes in marks.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        if tag == "script":
            assert (attributes.get("src") or "").startswith("/console/assets/")
        if tag in ("img", "iframe"):
            assert (attributes.get("src") or "").startswith("/steps/")
        if tag == "iframe":
            assert attributes["sandbox"] == ""
        for name in ("href", "action", "src"):
            assert not (attributes.get(name) or "/").lower().startswith(("javascript:", "data:", "//", "http"))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069\u200f\u061c]", page)
    assert "49" not in re.findall(r"&amp;amp;(\d+)", page)
    assert len(page.encode()) < MAX_PAGE_BYTES


@pytest.fixture
def hostile(face: Face) -> Face:
    made = face.create({"wit": WIT, **FILES}, name=NAME)
    actor = made["id"]
    for content in CONTENTS:
        face.post(f"/actors/{actor}/messages", content=content, headers={b"Message-Type": SCRIPT.encode()})
    for type in ("refuse", "fail"):
        face.send(actor, {}, type)
    face.post(f"/actors/{actor}/pause", json={"reason": SCRIPT + RTL})
    face.send(actor, {SCRIPT: RTL}, "refuse", Prefer="respond-async")
    return face


def pages_from(visitor: Visitor, start: str) -> Iterator[tuple[str, str]]:
    """Every page of the console that can be reached from one, each path once."""
    left, seen = [start], {start}
    while left:
        path = left.pop()
        answer = visitor.face.get(path, headers={"Accept": "text/html"})
        assert answer.status_code in (200, 303, 404), (path, answer.status_code)
        yield path, answer.text
        marks = Marks()
        marks.feed(answer.text)
        for tag, attributes in marks.found:
            to = (attributes.get("href") or "").partition("#")[0]
            if tag == "a" and to.startswith("/console") and to not in seen:
                seen.add(to)
                left.append(to)


def test_no_page_lets_anything_through(visitor: Visitor, hostile: Face) -> None:
    visitor.sign_in()
    pages = dict(pages_from(visitor, "/console"))
    pages |= {path: visitor.get(f"{path}?ask=1") for path in pages if "/queries/" in path}
    for path, page in pages.items():
        try:
            check(page)
        except AssertionError as error:
            raise AssertionError(f"{path}: {error}") from error
    assert any("/messages/" in path for path in pages)
    # Every step, every file of the last one, and what leads between them.
    assert sum("/core/a/" in path for path in pages) >= len(FILES) - 2
    assert {path.rpartition("/")[2] for path in pages if re.search(r"/steps/\d+$", path)} >= {str(n) for n in range(10)}


def test_an_address_with_marks_is_shown_as_text(visitor: Visitor) -> None:
    for path in ("/console?q=" + QUOTES, "/console/actors/" + SCRIPT, "/console/sign-in?next=" + QUOTES, "/" + QUOTES):
        answer = visitor.face.get(path, headers={"Accept": "text/html"})
        check(answer.text)


def test_what_is_searched_for_is_found_as_it_is(visitor: Visitor, hostile: Face) -> None:
    from_name = json.dumps(NAME)[1:8]
    assert "&lt;script" in visitor.get("/console?q=%3Cscript") and from_name
