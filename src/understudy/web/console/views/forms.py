"""Forms: what an actor's `wut` says of a message or a query, as fields that a person can fill in; and back to JSON.

The law: `wut` comes from the actor, so nothing in it is believed. What is not understood becomes one field for JSON, which
can say everything.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from understudy.node.errors import BadRequest

MAX_FIELDS: Final = 40
MAX_CHOICES: Final = 100
MAX_LISTED: Final = 200  # messages, or queries, of one actor
WHOLE: Final = "content"  # the field that takes the JSON as a whole
PREFIX: Final = "f."  # of all other fields, so that none of them is taken for one of ours
_MAX_DEPTH: Final = 6  # of an example, and of references
_DEFINED: Final = "#/$defs/"
_KINDS: Final = {"string": "text", "integer": "number", "number": "number", "boolean": "choice"}
_EXAMPLES: Final[Mapping[str, Any]] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}

Json = Mapping[str, Any]


class Field(Struct, frozen=True, kw_only=True):
    """One field: "text", "number", "choice" (of JSON values as text), or "json" for what has no field of its own."""

    name: str
    kind: str
    required: bool
    value: str = ""
    hint: str = ""
    choices: Sequence[str] = ()


class Form(Struct, frozen=True, kw_only=True):
    """The fields of an object, or none: then the whole is one field. `example` is JSON; `is_bytes`: it is no JSON at all."""

    fields: Sequence[Field]
    example: str
    is_bytes: bool = False


class Offer(Struct, frozen=True, kw_only=True):
    """A message or a query that an actor names, and what it says of it."""

    name: str
    description: str
    schema: Json
    has_schema: bool


def offers(wut: Any, key: str, of: str) -> list[Offer]:
    """What stands under `messages` or `queries`; `of` is where the schema of each is: `payload`, `arguments`."""
    table = wut.get(key) if isinstance(wut, dict) else None
    found = table.items() if isinstance(table, dict) else ()
    return [_offer(str(name), about, of) for name, about in islice(found, MAX_LISTED) if isinstance(about, dict)]


def form_of(offer: Offer, wut: Any) -> Form:
    """The form of a message or a query."""
    kinds = _table(wut, "$defs")
    schema = _resolved(offer.schema, kinds)
    if "contentMediaType" in schema and "type" not in schema:
        return Form(fields=(), example="", is_bytes=True)
    example = _text(_example(schema, kinds, 0)) if offer.has_schema else ""
    properties = _table(schema, "properties")
    if not properties or len(properties) > MAX_FIELDS:
        return Form(fields=(), example=example)
    required = schema.get("required")
    needed = set(filter(lambda name: isinstance(name, str), required if isinstance(required, list) else ()))
    fields = [_field(name, _resolved(one, kinds), kinds, name in needed) for name, one in properties.items()]
    return Form(fields=fields, example=example)


def filled(form: Form, said: Mapping[str, str]) -> bytes:
    """What a filled form says. The field for the whole goes before the others. Raises BadRequest that names a field."""
    whole = said.get(WHOLE, "").strip()
    if form.is_bytes:
        return said.get(WHOLE, "").encode()
    if whole:
        _check(whole, "the JSON")
        return whole.encode()
    if not form.fields:
        return b""
    found = dict(_values(form.fields, said))
    return msgspec.json.encode({name: msgspec.Raw(value.encode()) for name, value in found.items()})


def curl_of(node: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> str:
    """The same by curl; `data` is None for a GET."""
    named = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    body = [] if data is None else [f"--data-binary {shlex.quote(_shown(data))}"]
    return " ".join(["curl", *named, *body, shlex.quote(node + path)])


def command_of(verb: str, actor: str, data: bytes, *more: str, before: str | None = None) -> str:
    """The same by the command line; `before` is a word that stands before the content."""
    words = ["understudy", verb, actor, before, _shown(data), *more]
    return shlex.join(word for word in words if word)


def path_of(actor: str, kind: str, name: str) -> str:
    """The node's own route of a message or a query."""
    return f"/actors/{quote(actor, safe='')}/{kind}/{quote(name, safe='')}"


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _offer(name: str, about: Json, of: str) -> Offer:
    schema, description = about.get(of), about.get("description")
    return Offer(
        name=name,
        description=description if isinstance(description, str) else "",
        schema=schema if isinstance(schema, dict) else {},
        has_schema=isinstance(schema, dict),
    )


def _values(fields: Sequence[Field], said: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for field in fields:
        text = said.get(PREFIX + field.name, "")
        if not text.strip() and not (field.kind == "text" and field.required):
            if field.required:
                raise BadRequest(f"{field.name!r} is missing")
            continue
        if field.kind == "text":
            yield field.name, _text(text)
        else:
            yield field.name, _check(text.strip(), repr(field.name))


def _check(text: str, where: str) -> str:
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise BadRequest(f"{where} is no JSON: {error}") from error
    return text


def _field(name: str, schema: Json, kinds: Json, required: bool) -> Field:
    choices = [_text(one) for one in _choices(schema)]
    kind = "choice" if choices else _KINDS.get(_type_of(schema), "json")
    default = schema.get("default")
    value = (
        "" if "default" not in schema else default if kind == "text" and isinstance(default, str) else _text(default)
    )
    description = schema.get("description")
    hint = description if isinstance(description, str) else ""
    if kind == "json":
        hint = f"JSON, such as {_text(_example(schema, kinds, 0))}"
    return Field(name=name, kind=kind, required=required, value=value, hint=hint, choices=choices)


def _choices(schema: Json) -> list[Any]:
    found = schema.get("enum")
    if isinstance(found, list) and found:
        return found[:MAX_CHOICES]
    return [True, False] if _type_of(schema) == "boolean" else []


def _type_of(schema: Json) -> str:
    """The one type that is not null; empty if there are several."""
    found = schema.get("type")
    if isinstance(found, list):
        found = [one for one in found if one != "null"]
        found = found[0] if len(found) == 1 else None
    return found if isinstance(found, str) else ""


def _resolved(schema: Any, kinds: Json) -> Json:
    """The schema that a reference leads to; of alternatives the one that is not null, if there is one."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, dict):
            return {}
        target, alternatives = schema.get("$ref"), schema.get("anyOf")
        if isinstance(target, str):
            schema = kinds.get(target.removeprefix(_DEFINED))
        elif isinstance(alternatives, list):
            others = [one for one in alternatives if not (isinstance(one, dict) and one.get("type") == "null")]
            if len(others) != 1 or not isinstance(others[0], dict):
                return schema
            schema = {**others[0], **{name: schema[name] for name in ("default", "description") if name in schema}}
        else:
            return schema
    return {}


def _example(schema: Any, kinds: Json, depth: int) -> Any:
    """A value that fits, as far as the schema is understood."""
    schema = _resolved(schema, kinds)
    for name in ("examples", "enum"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    kind = _type_of(schema)
    if depth >= _MAX_DEPTH:
        return None
    if kind == "object" or "properties" in schema:
        properties = islice(_table(schema, "properties").items(), MAX_FIELDS)
        return {name: _example(one, kinds, depth + 1) for name, one in properties}
    if kind == "array":
        return [_example(schema.get("items"), kinds, depth + 1)] if isinstance(schema.get("items"), dict) else []
    return _EXAMPLES.get(kind)


def _table(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return {str(name): one for name, one in found.items()} if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
