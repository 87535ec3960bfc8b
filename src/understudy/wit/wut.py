"""`wut`: what a Wit says of itself, for programs: the messages it accepts and sends, and its queries, as JSON Schema.

What is sent is known as far as it is declared: by `sends=…` of a handler, and by its return annotation for replies.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from understudy.actors.query import DAG_CBOR, JSON, Blob, Error, Tree
from understudy.objects.ids import Id
from understudy.wit.content import encode_json
from understudy.wit.flows.awaited import Awaited
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.handler import Handler, Role
from understudy.wit.parameters import name_of
from understudy.wit.query_handler import Argument, QueryHandler
from understudy.wit.state import NewState

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REFERENCE: Final = "#/$defs/{name}"
_BYTES: Final = {"contentMediaType": "application/octet-stream"}
_ID: Final = {"type": "string", "pattern": "^baf[yk]rei[a-z2-7]{52}$"}
_EMPTY: Final = inspect.Parameter.empty
_REPLY: Final = "reply"
_Handler = Handler | FlowHandler


def describe(
    *,
    handlers: Mapping[str, _Handler],
    genesis: Handler | None,
    queries: Mapping[str, QueryHandler],
    awaited: Mapping[str, Awaited] = {},
) -> Blob:
    """The document, with one `$defs` for all its schemas: always the same bytes for the same code."""
    kinds = _Kinds()
    document: dict[str, Any] = {
        "$schema": DIALECT,
        "messages": {
            **{type: _awaited(one, kinds) for type, one in awaited.items()},
            **{type: _message(handler, kinds) for type, handler in handlers.items()},
        },
        "sends": _sends([*handlers.values(), *([] if genesis is None else [genesis])], kinds),
        "queries": {name: _query(query, kinds) for name, query in queries.items()},
    }
    if genesis is not None:
        document["genesis"] = _described(genesis.function, _payload("args", genesis, kinds))
    text = _module_text([*handlers.values(), *([] if genesis is None else [genesis]), *queries.values()])
    if text:
        document["description"] = text
    document["$defs"] = kinds.resolve()
    # Not sorted: arguments stand in the order in which a person would give them.
    return Blob(msgspec.json.encode(document), JSON)


def _message(handler: _Handler, kinds: _Kinds) -> dict[str, Any]:
    found = _payload("payload", handler, kinds)
    replies = _reply_kind(handler)
    if replies is not _EMPTY:
        found[_REPLY] = kinds.schema(replies)
    return _described(handler.function, found)


def _awaited(awaited: Awaited, kinds: _Kinds) -> dict[str, Any]:
    return {"payload": kinds.schema(awaited.kind), "awaited_by": awaited.flows}


def _payload(key: str, handler: _Handler, kinds: _Kinds) -> dict[str, Any]:
    return {} if handler.payload is _EMPTY else {key: kinds.schema(handler.payload)}


def _sends(handlers: Sequence[_Handler], kinds: _Kinds) -> dict[str, Any]:
    found: dict[str, list[tuple[Any, str]]] = {}
    for handler in handlers:
        place = name_of(handler.function)
        for type, kind in handler.sends.items():
            found.setdefault(type, []).append((kind, f"sends=… of {place}"))
        replies = _reply_kind(handler)
        if replies is not _EMPTY:
            found.setdefault(_REPLY, []).append((replies, f"the return annotation of {place}"))
    return {type: _sent(entries, kinds) for type, entries in found.items()}


def _sent(entries: Sequence[tuple[Any, str]], kinds: _Kinds) -> dict[str, Any]:
    schemas = [kinds.schema(kind) for kind, _ in entries]
    payload = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"payload": payload, "known_from": [place for _, place in entries]}


def _reply_kind(handler: _Handler) -> Any:
    """The type of a handler's replies; empty where it has none, or does not say."""
    returns = handler.returns
    has_none = handler.role is not Role.MESSAGE or (typing.get_origin(returns) or returns) is NewState
    return _EMPTY if has_none or returns in (_EMPTY, None, type(None)) else returns


def _query(query: QueryHandler, kinds: _Kinds) -> dict[str, Any]:
    result, media_type = _result(query.returns)
    found: dict[str, Any] = {"arguments": _arguments(query.arguments, kinds), "result": kinds.schema(result)}
    if media_type is not None:
        found["media_type"] = media_type
    return _described(query.function, found)


def _arguments(arguments: Sequence[Argument], kinds: _Kinds) -> dict[str, Any]:
    properties = {one.name: kinds.schema(one.kind) for one in arguments}
    for one in arguments:
        if not one.is_required:
            kinds.add_default(properties[one.name], one.default)
    return {
        "type": "object",
        "properties": properties,
        "required": [one.name for one in arguments if one.is_required],
        "additionalProperties": False,
    }


def _result(returns: Any) -> tuple[Any, str | None]:
    """The type of a query's answers and their media type; None where a Blob says it only when it is there."""
    kinds = [kind for kind in _alternatives(returns) if kind is not Error]
    if returns is _EMPTY or not kinds or Blob in kinds:
        return Any, None
    if kinds == [Tree]:
        return Any, DAG_CBOR
    if kinds == [bytes]:
        return bytes, _BYTES["contentMediaType"]
    if Tree in kinds or bytes in kinds:
        return Any, None
    return (typing.Union[tuple(kinds)] if len(kinds) > 1 else kinds[0]), JSON  # noqa: UP007 - made of a tuple


def _alternatives(kind: Any) -> list[Any]:
    if not isinstance(kind, type) and typing.get_origin(kind) in (typing.Union, types.UnionType):
        return list(typing.get_args(kind))
    return [kind]


def _described(function: Callable[..., Any], found: dict[str, Any]) -> dict[str, Any]:
    text = inspect.getdoc(function)
    return {"description": text, **found} if text else found


def _module_text(handlers: Iterable[_Handler | QueryHandler]) -> str | None:
    for handler in handlers:
        text = getattr(inspect.unwrap(handler.function), "__globals__", {}).get("__doc__")
        if isinstance(text, str):
            return inspect.cleandoc(text)
    return None


class _Kinds:
    """Schemas that are filled in at the end, when all types are known: names in `$defs` depend on all of them."""

    def __init__(self) -> None:
        self._wanted: list[tuple[dict[str, Any], Any]] = []
        self._defaults: list[tuple[dict[str, Any], Any]] = []
        self._more: dict[str, Any] = {}

    def schema(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; it stays empty, which allows everything, where there is none to be had."""
        found: dict[str, Any] = {}
        if kind is bytes:
            found |= _BYTES
        elif not isinstance(kind, str):
            self._wanted.append((found, kind))
        return found

    def add_default(self, schema: dict[str, Any], value: Any) -> None:
        """Note a default, if it can be JSON."""
        self._defaults.append((schema, value))

    def resolve(self) -> dict[str, Any]:
        """Fill the schemas in, and give their `$defs`."""
        # One type that JSON Schema has no words for, such as `int | complex`, must not hide what all the others are.
        known = [(place, kind) for place, kind in self._wanted if self._schemas([kind]) is not None]
        schemas, components = self._schemas([kind for _, kind in known]) or ((), {})
        for (place, _), schema in zip(known, schemas, strict=True):
            place |= schema
        for place, value in self._defaults:
            try:
                place["default"] = msgspec.json.decode(encode_json(value))
            except (TypeError, ValueError):
                continue
        return dict(sorted({**components, **self._more}.items()))

    def _schemas(self, kinds: Sequence[Any]) -> tuple[Sequence[dict[str, Any]], dict[str, Any]] | None:
        """The schemas of types, and their `$defs`; None where there are none to be had."""
        try:
            return msgspec.json.schema_components(kinds, schema_hook=self._schema_of_others, ref_template=REFERENCE)
        except (TypeError, NameError, RuntimeError):
            # What msgspec has no words for, a name that is nowhere, and what pydantic can't describe.
            return None

    def _schema_of_others(self, kind: type) -> dict[str, Any]:
        if issubclass(kind, Id):
            return dict(_ID)
        of_a_model = getattr(kind, "model_json_schema", None)
        if of_a_model is None:
            # msgspec takes an empty schema for none at all; a title allows everything too.
            return {"title": kind.__name__}
        schema: dict[str, Any] = of_a_model(ref_template="#/$defs/{model}")
        self._more |= schema.pop("$defs", {})
        return schema
