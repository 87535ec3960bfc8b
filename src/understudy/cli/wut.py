"""`understudy wut`: what an actor says of itself."""

from __future__ import annotations

from typing import Any

import msgspec

from understudy.actors.query import JSON, WUT, Blob
from understudy.cli.asking import asking
from understudy.cli.errors import CommandError
from understudy.cli.options import ActorText, AsJson, At, Store
from understudy.cli.query import ask
from understudy.cli.screen import print_json, say
from understudy.node.asking.queries import QUERY_SECONDS
from understudy.node.errors import UnknownQuery

_DEEP = 6  # types within types that are shown; deeper ones are an ellipsis

Schema = dict[str, Any]


def wut(actor: ActorText, at: At = None, store: Store = None, as_json: AsJson = False) -> None:
    """Describe an actor: the messages it takes and sends, and its queries. --json gives the whole document with schemas.

    Example: understudy wut greeter
    """
    with asking(store) as node:
        try:
            found = ask(node, actor, WUT, at=at, timeout=QUERY_SECONDS)
        except UnknownQuery as error:
            raise CommandError(f"{actor} has queries, but none that describes it: {error}") from error
    document = _document(found.result)
    if document is None:
        raise CommandError(
            f"{actor} answers `wut` with something else than a JSON object; see: understudy query {actor} wut"
        )
    if as_json:
        print_json(document)
    else:
        _print(document)


def _document(result: object) -> Schema | None:
    if not isinstance(result, Blob) or result.media_type.partition(";")[0] != JSON:
        return None
    try:
        return msgspec.json.decode(result.data, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def _print(document: Schema) -> None:
    types = _entries(document.get("$defs"))
    if text := document.get("description"):
        say(str(text))
        say()
    _section("Messages", _entries(document.get("messages")), lambda one: _message(one, types))
    _section("Queries", _entries(document.get("queries")), lambda one: _query(one, types))
    _section("Sends", _entries(document.get("sends")), lambda one: type_text(one.get("payload", {}), types))


def _section(title: str, entries: dict[str, Schema], shown: Any) -> None:
    if not entries:
        return
    say(title, style="bold")
    for name, entry in sorted(entries.items()):
        say(f"  {name}{shown(entry)}" if shown(entry).startswith("(") else f"  {name}  {shown(entry)}".rstrip())
        for line in str(entry.get("description", "")).splitlines():
            say(f"      {line}".rstrip())


def _message(entry: Schema, types: dict[str, Schema]) -> str:
    payload = type_text(entry["payload"], types) if "payload" in entry else ""
    if flows := entry.get("awaited_by"):
        return f"{payload}, awaited by {', '.join(map(str, flows))}"
    return f"{payload} -> {type_text(entry['reply'], types)}".lstrip() if "reply" in entry else payload


def _query(entry: Schema, types: dict[str, Schema]) -> str:
    arguments = entry.get("arguments", {})
    required = arguments.get("required", ())
    shown = [
        f"{name}: {type_text(kind, types)}" + ("" if name in required else f" = {_plain(kind.get('default'))}")
        for name, kind in _entries(arguments.get("properties")).items()
    ]
    media_type = entry.get("media_type")
    result = type_text(entry.get("result", {}), types) if media_type in (None, JSON) else media_type
    return f"({', '.join(shown)}) -> {result}"


def type_text(schema: object, types: dict[str, Schema], deep: int = _DEEP) -> str:
    """A JSON Schema in the short form in which people write types."""
    if not isinstance(schema, dict):
        # Whoever describes himself may say what he likes.
        return "any"
    if deep == 0:
        return "…"
    if "$ref" in schema:
        return type_text(types.get(str(schema["$ref"]).rpartition("/")[2], {}), types, deep - 1)
    if "anyOf" in schema:
        return " | ".join(type_text(one, types, deep - 1) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(_plain, schema["enum"]))
    match schema.get("type"):
        case "array":
            return f"[{type_text(schema.get('items', {}), types, deep - 1)}]"
        case "object":
            return _object_text(schema, types, deep)
        case str(name):
            return name
    return "bytes" if "contentMediaType" in schema else "any"


def _object_text(schema: Schema, types: dict[str, Schema], deep: int) -> str:
    required = schema.get("required", ())
    fields = [
        f"{name}{'' if name in required else '?'}: {type_text(kind, types, deep - 1)}"
        for name, kind in _entries(schema.get("properties")).items()
    ]
    return f"{{{', '.join(fields)}}}" if fields else "object"


def _entries(value: object) -> dict[str, Schema]:
    """The entries of an object that are objects themselves."""
    return {name: one for name, one in value.items() if isinstance(one, dict)} if isinstance(value, dict) else {}


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode()
