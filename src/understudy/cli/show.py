"""`understudy show`: any object, as people read it or byte for byte."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

from understudy.cli.errors import CommandError
from understudy.cli.looking import looking
from understudy.cli.options import AsJson, At, Store
from understudy.cli.places import find_object, find_step_of
from understudy.cli.screen import print_json, print_table, remark, say
from understudy.objects import ids
from understudy.objects.ids import Id
from understudy.objects.tree import is_tree_node
from understudy.objects.views import node_view
from understudy.objects.wording import counted
from understudy.store.reader import Reader

_MAX_TEXT_BYTES: Final = 256 * 1024  # of a blob that is printed whole
Place = Annotated[
    str,
    typer.Argument(
        metavar="ID[/PATH]",
        help="The id of any object, ACTOR for its newest step, or ACTOR@HEIGHT; then a path.",
        show_default=False,
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="Write the block's bytes; their sha256 is in the id.")]


def show(place: Place, at: At = None, raw: Raw = False, store: Store = None, as_json: AsJson = False) -> None:
    """Show an object. A path goes through trees by name, through steps and messages by field.

    Examples: understudy show greeter/core/state --at 3, understudy show ID --raw | sha256sum
    """
    with looking(store) as node:
        start, _, path = place.partition("/")
        found = find_object(node, start) if at is None else find_step_of(node, node.resolve(start), at)
        assert found is not None
        reader = node.reader
        id = _descend(reader, found, path)
        if raw:
            sys.stdout.buffer.write(reader.block(id))
            sys.stdout.buffer.flush()
        elif as_json:
            print_json(_view(reader, id))
        else:
            _print(reader, id)


def _descend(reader: Reader, id: Id, path: str) -> Id:
    """The object at a path. Raises CommandError that says what there is instead."""
    names = [name for name in path.split("/") if name]
    for depth, name in enumerate(names):
        below = _below(reader, id)
        found = below.get(name)
        if found is None:
            where = "/".join(names[:depth]) or str(id)
            there = ", ".join(sorted(below)[:20]) or "nothing"
            raise CommandError(f"{where} is {reader.kind(id)} and has no {name!r}; it has {there}")
        id = found
    return id


def _below(reader: Reader, id: Id) -> dict[str, Id]:
    """What can be reached from an object by one name."""
    if ids.is_raw(id):
        return {}
    node = reader.node(id)
    if is_tree_node(node):
        return dict(reader.tree(id).items())
    match node:
        case {"data": dict(fields), "parent": parent}:
            lists = [f for name in ("consumed", "sent") for f in _numbered(name, fields[name])]
            return _links({**fields, "parent": parent, **dict(lists)})
        case {"message": dict(fields)}:
            return _links(fields)
        case {"patch": dict(fields)}:
            return _links(fields)
    return {}


def _numbered(name: str, values: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"{name}.{number}", value) for number, value in enumerate(values)]


def _links(fields: dict[str, Any]) -> dict[str, Id]:
    return {name: Id(value) for name, value in fields.items() if isinstance(value, bytes)}


def _view(reader: Reader, id: Id) -> dict[str, Any]:
    kind = reader.kind(id).partition(" ")[2]
    head: dict[str, Any] = {"id": str(id), "kind": kind}
    if kind != "blob":
        return {**head, "object": node_view(reader.node(id))}
    data = reader.blob(id)
    head["size"] = len(data)
    try:
        return {**head, "text": data.decode()}
    except UnicodeDecodeError:
        return {**head, "base64": data}


def _print(reader: Reader, id: Id) -> None:
    kind = reader.kind(id)
    if kind == "a blob":
        _print_blob(reader, id)
        return
    node = reader.node(id)
    remark(f"{id} is {kind}")
    if is_tree_node(node):
        rows = [
            [name, reader.kind(entry).partition(" ")[2], str(entry)] for name, entry in sorted(reader.tree(id).items())
        ]
        print_table(["NAME", "KIND", "ID"], rows)
    else:
        print_json(node_view(node))


def _print_blob(reader: Reader, id: Id) -> None:
    big = reader.blob_info(id)
    size = len(reader.block(id)) if big is None else big.size
    remark(f"{id} is a blob of {counted(size, 'byte')}")
    data = reader.blob(id) if size <= _MAX_TEXT_BYTES else b"\0"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        say(
            f"not shown: {'too long' if size > _MAX_TEXT_BYTES else 'no text'}; --json gives all of it, --raw its block"
        )
    else:
        say(text.removesuffix("\n"))
