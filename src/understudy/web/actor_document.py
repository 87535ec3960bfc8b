"""The OpenAPI document of one actor, made from its `wut`: a path for each type of message and for each query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from understudy.objects.ids import ActorId
from understudy.web.negotiate import JSON
from understudy.web.node_document import (
    ARGUMENTS,
    AT,
    MESSAGE_ANSWERS,
    MESSAGE_ERRORS,
    MESSAGE_HEADERS,
    QUERY_ERRORS,
    query_answers,
)
from understudy.web.openapi import Json, answer, document, operation, ref

_DEFINED: Final = "#/$defs/"
_FREE: Final[Json] = {"*/*": {}}


def actor_document(actor: ActorId, name: str | None, wut: Mapping[str, Any]) -> Json:
    """The document. What `wut` leaves out, or says in another form, is left out here too."""
    base = f"/actors/{actor}"
    messages, queries = _table(wut, "messages"), _table(wut, "queries")
    paths = {
        **{f"{base}/messages/{quote(type, safe='')}": _message(type, about) for type, about in messages.items()},
        **{f"{base}/query/{quote(query, safe='')}": _query(query, about) for query, about in queries.items()},
        f"{base}/wut": {
            "get": operation("wut", "What the actor is", query_answers(), parameters=[AT], errors=QUERY_ERRORS)
        },
    }
    schemas = {_component(kind): _moved(schema) for kind, schema in _table(wut, "$defs").items()}
    return document(name or str(actor), str(wut.get("description") or "An actor"), paths, schemas)


def _message(type: str, about: Mapping[str, Any]) -> Json:
    payload = about.get("payload")
    answers = dict(MESSAGE_ANSWERS)
    if "reply" in about:
        answers[200] = answer("Durable: the step, and the replies", {JSON: _answer_with(_moved(about["reply"]))})
    found = operation(
        f"send_{_word(type)}",
        f"Send the message {type!r}",
        answers,
        parameters=MESSAGE_HEADERS,
        errors=MESSAGE_ERRORS,
        body=_FREE if payload is None else {_media_type(payload): _moved(payload)},
        description=about.get("description"),
    )
    return {"post": found}


def _query(name: str, about: Mapping[str, Any]) -> Json:
    arguments = about.get("arguments")
    media_type = about.get("media_type") or "*/*"
    # A tree is shown as JSON; its own encoding is for who asks for it.
    answers = query_answers({media_type: _moved(about.get("result", {}))} if media_type == JSON else {media_type: {}})
    text = about.get("description")
    methods = {
        "post": operation(
            f"ask_{_word(name)}",
            f"Ask {name!r} with a JSON object of arguments",
            {status: said for status, said in answers.items() if status != 304},
            parameters=[AT],
            errors=QUERY_ERRORS,
            body=_FREE if arguments is None else {JSON: _moved(arguments)},
            description=text,
        )
    }
    given = [ARGUMENTS] if arguments is None else _parameters(arguments)
    if all(parameter["name"] != AT["name"] for parameter in given):
        methods["get"] = operation(
            f"get_{_word(name)}",
            f"Ask {name!r}",
            answers,
            parameters=[AT, *given],
            errors=QUERY_ERRORS,
            description=text,
        )
    return methods


def _parameters(arguments: Mapping[str, Any]) -> list[Json]:
    required = arguments.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _moved(schema)}
        for name, schema in _table(arguments, "properties").items()
    ]


def _answer_with(reply: Any) -> Json:
    """The answer to a message whose replies of the type `reply` have this content."""
    is_reply = {"properties": {"type": {"const": "reply"}}}
    replies = {"items": {"if": is_reply, "then": {"properties": {"content": reply}}}}
    return {"allOf": [ref("Answer"), {"properties": {"replies": replies}}]}


def _media_type(schema: Mapping[str, Any]) -> str:
    found = schema.get("contentMediaType")
    return found if isinstance(found, str) and "type" not in schema else JSON


def _moved(schema: Any) -> Any:
    """The schema with its references to where an OpenAPI document keeps its own."""
    if isinstance(schema, list):
        return [_moved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _reference(value) if key == "$ref" else _moved(value) for key, value in schema.items()}


def _reference(target: Any) -> Any:
    if isinstance(target, str) and target.startswith(_DEFINED):
        return f"#/components/schemas/{_component(target.removeprefix(_DEFINED))}"
    return target


def _component(kind: str) -> str:
    """The name of a type of the actor, which is never that of one of ours."""
    return f"wit.{_word(kind)}"


def _word(text: str) -> str:
    """The text in the characters that names in the document may have; others become their numbers, so no two meet."""
    return re.sub(r"[^A-Za-z0-9-]", lambda found: "_" if found[0] == "_" else f".{ord(found[0]):x}.", text)


def _table(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) and all(isinstance(one, dict) for one in found.values()) else {}
