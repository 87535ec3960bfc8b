"""Files in JSON: the same answer for every size, and nobody else waits for a large one."""

from __future__ import annotations

import asyncio
import json
import threading
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import GREETER, Face, problem_of
from understudy.node.errors import NodeError, TooLarge
from understudy.node.intake.cores import MAX_FILES
from understudy.web import file_maps
from understudy.web.body import QUICK_BYTES
from understudy.web.file_maps import MAX_VALUES, read_files

FILE = st.one_of(
    st.text(), st.none(), st.just({"base64": "aGVsbG8="}), st.just({"base64": "?"}), st.integers(), st.booleans()
)
BODY = st.dictionaries(
    st.sampled_from(["core", "name", "nonce", "x"]), st.one_of(FILE, st.dictionaries(st.text(), FILE))
)
SPOILT = st.sampled_from([b"", b"}", b",", b"\xff", b'"', b"{", b"NaN", b" ", b"0"])


@given(BODY, SPOILT)
def test_a_large_body_is_answered_as_a_small_one_of_the_same_form(body: dict[str, Any], spoilt: bytes) -> None:
    data = json.dumps(body).encode() + spoilt
    assert outcome(data) == outcome(data + b" " * QUICK_BYTES)


@pytest.mark.parametrize(
    "data",
    [
        b'{"core": {"a": "x", "a": "y"}}',
        b'{"core": {"a": "\\ud800"}}',
        b'{"core": {}, "core": {}}',
        b'{"core": {"a": [1]}}',
    ],
)
def test_what_is_refused_in_a_small_body_is_refused_in_a_large_one(data: bytes) -> None:
    small, large = outcome(data), outcome(data + b" " * QUICK_BYTES)
    assert isinstance(small, type) and small is large


def outcome(data: bytes) -> Any:
    """What becomes of a body: its fields and files, or the kind of the refusal."""
    try:
        return asyncio.run(read_files(data, "core", {"name": str, "nonce": str}))
    except NodeError as error:
        return type(error)


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    scanner = file_maps._Scanner()
    with pytest.raises(TooLarge, match="values"):
        scanner.decode("{" + ",".join(f'"{n}":""' for n in range(10 * MAX_VALUES)) + "}")
    assert scanner._values == MAX_VALUES + 1


@pytest.mark.parametrize("count", [MAX_FILES, MAX_FILES + 1])
def test_as_many_files_as_are_allowed_are(face: Face, count: int) -> None:
    """Exactly; each may be the longest form of a file."""
    files = {f"d/{n}": {"base64": ""} for n in range(count - 1)}
    answer = face.post("/actors", json={"core": {"wit": GREETER, **files}, "name": "ada", "nonce": None})
    assert answer.status_code == (201 if count == MAX_FILES else 413)
    face.create(name="bob")
    answer = face.send("bob", {"patch": {f"d/{n}": None for n in range(count)}}, "", Message_Lane="update")
    if count > MAX_FILES:
        problem_of(answer, 413)


def test_a_large_body_is_parsed_beside_by_what_gives_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's scanner lets other threads in between any two values; the one in C would hold all until it is through."""
    threads: list[threading.Thread] = []
    original = file_maps._parse_beside

    def noting(data: bytes) -> Any:
        threads.append(threading.current_thread())
        return original(data)

    monkeypatch.setattr(file_maps, "_parse_beside", noting)
    data = json.dumps({"core": {f"d/{n}": "x" * 50 for n in range(MAX_FILES)}}).encode()
    assert len(asyncio.run(read_files(data, "core"))[1]) == MAX_FILES
    assert threads and threads[0] is not threading.current_thread()
    assert isinstance(file_maps._Scanner().scan_once, FunctionType)


@pytest.mark.parametrize("other", ["/a", "a/", "//a//"])
def test_two_names_of_one_path_are_refused_and_change_nothing(face: Face, other: str) -> None:
    answer = face.post("/actors", json={"core": {"wit": GREETER, "a": "x", other: "y"}, "name": "ada"})
    assert "'a'" in problem_of(answer, 422)["detail"]
    assert face.get("/actors/ada").status_code == 404
    face.create(name="bob")
    head = face.get("/actors/bob").json()["head"]
    for patch in ({"a": "x", other: "y"}, {other: "x", "a": None}):
        answer = face.send("bob", {"patch": patch}, "", Message_Lane="update")
        assert "'a'" in problem_of(answer, 422)["detail"]
    assert face.get("/actors/bob").json()["head"] == head
