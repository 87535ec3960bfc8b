"""`understudy diff`: the differences between two steps, of one actor or of two."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import count
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from understudy.cli.errors import CommandError
from understudy.cli.lines import STYLES, compare_lines, show_lines
from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.places import find_step
from understudy.cli.screen import print_json, remark, say
from understudy.objects import ids
from understudy.objects.ids import Id, StepId
from understudy.objects.step import Step
from understudy.objects.tree import is_tree_node
from understudy.objects.wording import counted
from understudy.store.maps import diff_trees
from understudy.store.reader import Reader

_MAX_TEXT_BYTES: Final = (
    128 * 1024
)  # of a blob that is compared line by line; that takes time in the square of its length
_MAX_LINES: Final = 200  # shown of one path; --json has all
# A tree may hold the same tree many times, and so have more paths than can be listed.
_MAX_PATHS: Final = 20_000
_NOTHING: Final = object()

Place = Annotated[
    str,
    typer.Argument(metavar="STEP", help="A step's id, ACTOR for its newest step, or ACTOR@HEIGHT.", show_default=False),
]


class Difference(Struct, frozen=True):
    """A path that is not the same in two cores. `lines` say how, for text and JSON; None for what is neither."""

    path: str
    sign: str
    before: str | None
    after: str | None
    lines: list[str] | None
    sizes: str


def diff(before: Place, after: Place, store: Store = None, as_json: AsJson = False) -> None:
    """Show what differs between the cores of two steps: `+` new, `-` gone, `~` changed; text by lines, JSON by values.

    Examples: understudy diff greeter@1 greeter, understudy diff ID ID --json
    """
    with looking(store) as node:
        one, other = find_step(node, before), find_step(node, after)
        steps = node.step(one), node.step(other)
        found = list(_differences(node.reader, steps[0].core, steps[1].core))
    if as_json:
        print_json({"before": _view(one, steps[0]), "after": _view(other, steps[1]), "differences": found})
        return
    for sign, id, step in (("-", one, steps[0]), ("+", other, steps[1])):
        remark(f"{sign * 3} step #{step.height}  {id}")
    if not found:
        say("The cores are the same.")
    for difference in found:
        _show(difference)


def _view(id: StepId, step: Step) -> dict[str, Any]:
    return {"step": str(id), "actor": str(step.actor), "height": step.height, "core": str(step.core)}


def _differences(reader: Reader, before: Id, after: Id) -> Iterator[Difference]:
    seen = count()
    for path, one, other in diff_trees(reader, before, after):
        # A folder that only one side has, or that replaced a file, is shown file by file.
        ours, theirs = dict(_files(reader, path, one, seen)), dict(_files(reader, path, other, seen))
        for file in sorted({*ours, *theirs}):
            yield _describe(reader, file, ours.get(file), theirs.get(file))


def _files(reader: Reader, path: str, id: Id | None, seen: Iterator[int]) -> Iterator[tuple[str, Id]]:
    if id is None:
        return
    if next(seen) >= _MAX_PATHS:
        raise CommandError(
            f"more than {_MAX_PATHS:,} paths differ: look at parts with `understudy show STEP/core/PATH`"
        )
    if ids.is_raw(id) or not is_tree_node(reader.node(id)):
        yield path, id
        return
    for name, entry in reader.tree(id).items():
        yield from _files(reader, f"{path}/{name}" if path else name, entry, seen)


def _describe(reader: Reader, path: str, before: Id | None, after: Id | None) -> Difference:
    one, other = _data(reader, before), _data(reader, after)
    return Difference(
        path=path,
        sign="+" if before is None else "-" if after is None else "~",
        before=None if before is None else str(before),
        after=None if after is None else str(after),
        lines=None if one is None or other is None else list(_compare(one, other)),
        sizes=" -> ".join(_size(reader, id) for id in (before, after) if id is not None),
    )


def _data(reader: Reader, id: Id | None) -> bytes | None:
    """The bytes of a blob that can be compared; none where there is nothing, None for what is no small text."""
    if id is None:
        return b""
    if not ids.is_raw(id) or len(data := reader.block(id)) > _MAX_TEXT_BYTES or b"\0" in data:
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


def _show(difference: Difference) -> None:
    say(f"{difference.sign} {difference.path}  ({difference.sizes})", style=STYLES[difference.sign])
    show_lines(difference.lines or [], most=_MAX_LINES, rest="--json has all")
