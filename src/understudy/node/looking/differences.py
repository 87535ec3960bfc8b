"""Differences between two cores: which paths are not the same, and how. Text by lines, JSON by values."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import count
from typing import Any, Final

from msgspec import Struct

from understudy.node.errors import TooLarge
from understudy.objects import ids
from understudy.objects.ids import Id
from understudy.objects.tree import is_tree_node
from understudy.objects.wording import counted
from understudy.store.maps import diff_trees
from understudy.store.reader import Reader

_CONTEXT: Final = 2  # lines around what changed
_MAX_TEXT_BYTES: Final = (
    128 * 1024
)  # of a blob that is compared line by line; that takes time in the square of its length
# Where somebody else waits, or chose the texts: a comparison that was made to be slow takes a second then, and not an hour.
_QUICK_BYTES: Final = 64 * 1024
_QUICK_LINES: Final = 1000
# A tree may hold the same tree many times, and so have more paths than can be listed.
_MAX_PATHS: Final = 20_000
_NOTHING: Final = object()


class Difference(Struct, frozen=True):
    """A path that is not the same in two cores. `lines` say how, for text and JSON; None for what is neither."""

    path: str
    sign: str
    before: str | None
    after: str | None
    lines: list[str] | None
    sizes: str


def differences(reader: Reader, before: Id, after: Id, *, seconds: float | None = None) -> Iterator[Difference]:
    """The paths that are not the same in two trees, in their order. Raises TooLarge if there are too many.

    With `seconds`, long texts are not compared, and none once so much time went by; `lines` is None for these.
    """
    seen, end = count(), None if seconds is None else time.monotonic() + seconds
    for path, one, other in diff_trees(reader, before, after):
        # A folder that only one side has, or that replaced a file, is shown file by file.
        ours, theirs = dict(_files(reader, path, one, seen)), dict(_files(reader, path, other, seen))
        for file in sorted({*ours, *theirs}):
            most = _MAX_TEXT_BYTES if end is None else _QUICK_BYTES if time.monotonic() < end else -1
            yield _describe(reader, file, ours.get(file), theirs.get(file), most)


def _files(reader: Reader, path: str, id: Id | None, seen: Iterator[int]) -> Iterator[tuple[str, Id]]:
    if id is None:
        return
    if next(seen) >= _MAX_PATHS:
        raise TooLarge(f"more than {_MAX_PATHS:,} paths differ: look at parts with `understudy show STEP/core/PATH`")
    if ids.is_raw(id) or not is_tree_node(reader.node(id)):
        yield path, id
        return
    for name, entry in reader.tree(id).items():
        yield from _files(reader, f"{path}/{name}" if path else name, entry, seen)


def _describe(reader: Reader, path: str, before: Id | None, after: Id | None, most: int) -> Difference:
    one, other = _data(reader, before, most), _data(reader, after, most)
    return Difference(
        path=path,
        sign="+" if before is None else "-" if after is None else "~",
        before=None if before is None else str(before),
        after=None if after is None else str(after),
        lines=None if one is None or other is None else list(_compare(one, other)),
        sizes=" -> ".join(_size(reader, id) for id in (before, after) if id is not None),
    )


def _data(reader: Reader, id: Id | None, most: int) -> bytes | None:
    """The bytes of a blob that can be compared; none where there is nothing, None for what is no small text."""
    if id is None:
        return b""
    if not ids.is_raw(id) or len(data := reader.block(id)) > most or b"\0" in data:
        return None
    if most <= _QUICK_BYTES and data.count(b"\n") > _QUICK_LINES:
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    return data


def _size(reader: Reader, id: Id) -> str:
    kind = reader.kind(id)
    if kind != "a blob":
        return kind
    big = reader.blob_info(id)
    return counted(len(reader.block(id)) if big is None else big.size, "byte")


def _compare(before: bytes, after: bytes) -> Iterator[str]:
    """How two texts differ: by value if both are JSON objects or lists, else by line."""
    with contextlib.suppress(RecursionError):
        # JSON that goes too deep is text.
        one, other = _json(before), _json(after)
        if one is not _NOTHING and other is not _NOTHING:
            yield from list(_compare_values("", one, other))
            return
    yield from compare_lines(before.decode().splitlines(), after.decode().splitlines())


def _json(data: bytes) -> Any:
    try:
        value = json.loads(data)
    except ValueError:
        return _NOTHING
    return value if isinstance(value, dict | list) else _NOTHING


def _compare_values(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            below = f"{path}.{name}" if path else name
            yield from _compare_values(below, before.get(name, _NOTHING), after.get(name, _NOTHING))
    elif isinstance(before, list) and isinstance(after, list):
        for number in range(max(len(before), len(after))):
            pair = [values[number] if number < len(values) else _NOTHING for values in (before, after)]
            yield from _compare_values(f"{path}[{number}]", *pair)
    elif before is _NOTHING:
        yield f"+ {path}: {_text(after)}"
    elif after is _NOTHING:
        yield f"- {path}: {_text(before)}"
    elif before != after or type(before) is not type(after):
        yield f"~ {path}: {_text(before)} -> {_text(after)}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def compare_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """How two texts differ, as `diff -u` has it."""
    # The first two lines hold the names of files, of which there are none.
    return list(unified_diff(before, after, n=_CONTEXT, lineterm=""))[2:]
