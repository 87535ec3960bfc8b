"""The OpenAPI document of one actor, made from its `wut`: a path for each type of message and for each query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from understudy.objects.ids import ActorId
from understudy.web.negotiate import JSON
from understudy.web.openapi import answer, document, operation_object
from understudy.web.routes import messages, query
from understudy.web.schemas import ANSWER, ANY_BODY, BYTES, OBJECT, Json

_DEFINED: Final = "#/$defs/"
_AS_IT_IS: Final = ("default", "const", "enum", "examples", "example")  # values, not schemas
_OF_NAMES: Final = ("properties", "patternProperties", "$defs", "dependentSchemas")
_AT: Final = query.AT.as_json()
_SCALARS: Final = ("string", "integer", "number", "boolean", "null")


def actor_document(actor: ActorId, title: str, wut: Mapping[str, Any], ours: Mapping[str, Any]) -> Json:
    """The document; `ours` are the node's own schemas. What `wut` leaves out, or says in another form, is left out too."""
    base = f"/actors/{actor}"
    messages, queries, kinds = (_table(wut, key) for key in ("messages", "queries", "$defs"))
    paths = {
        **{f"{base}/messages/{quote(type, safe='')}": _message(type, about) for type, about in messages.items()},
        **{f"{base}/query/{quote(name, safe='')}": _query(name, about, kinds) for name, about in queries.items()},
        f"{base}/wut": {
            "get": operation_object(
                "wut", "What the actor is", query.WUT_ANSWERS, parameters=[_AT], errors=query.ERRORS
            )
        },
    }
    schemas = {**ours, **{_component(kind): _moved(schema) for kind, schema in kinds.items()}}
    return document(title, str(wut.get("description") or "An actor"), paths, schemas)


def _message(type: str, about: Mapping[str, Any]) -> Json:
    payload = about.get("payload")
    answers = dict(messages.ANSWERS)
    if "reply" in about:
        answers[200] = answer("Durable: the step, and the replies", {JSON: _answer_with(_moved(about["reply"]))})
    found = operation_object(
        f"send_{_word(type)}",
        f"Send the message {type!r}",
        answers,
        parameters=[each.as_json() for each in messages.HEADERS],
        errors=messages.ERRORS,
        body=ANY_BODY if payload is None else _body(payload),
        description=about.get("description"),
    )
    return {"post": found}


def _query(name: str, about: Mapping[str, Any], kinds: Mapping[str, Any]) -> Json:
    arguments = about.get("arguments")
    media_type = about.get("media_type")
    # A tree is shown as JSON; its own encoding is for who asks for it.
    shown = {JSON: _moved(about.get("result", {}))} if media_type == JSON else {str(media_type): BYTES}
    answers = query.query_answers(shown if media_type else None)
    text = about.get("description")
    methods = {
        "post": operation_object(
            f"ask_{_word(name)}",
            f"Ask {name!r} with a JSON object of arguments",
            {status: said for status, said in answers.items() if status != 304},
            parameters=[_AT],
            errors=query.ERRORS,
            body=ANY_BODY if arguments is None else {JSON: _moved(arguments)},
            description=text,
        )
    }
    given = [query.ARGUMENTS.as_json()] if arguments is None else _parameters(arguments, kinds)
    # What can't be said in a URL is said in the body of a POST.
    if given is not None and all(parameter["name"] != query.AT.name for parameter in given):
        methods["get"] = operation_object(
            f"get_{_word(name)}",
            f"Ask {name!r}",
            answers,
            parameters=[_AT, *given],
            errors=query.ERRORS,
            description=text,
        )
    return methods


def _parameters(arguments: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[Json] | None:
    """The arguments that a URL can hold; None if one that it can't hold is required."""
    required = arguments.get("required", [])
    found = []
    for name, schema in _table(arguments, "properties").items():
        if _fits_url(schema, kinds, most_lists=1):
            moved = _moved(schema)
            found.append({"name": name, "in": "query", "required": name in required, "schema": moved})
        elif name in required:
            return None
    return found


def _fits_url(schema: Any, kinds: Mapping[str, Any], *, most_lists: int, most_names: int = 8) -> bool:
    """True for a value, and for a list of values if there may be one: a parameter is a text, or several."""
    if not isinstance(schema, dict) or most_names < 0:
        return False
    target = schema.get("$ref")
    if isinstance(target, str):
        kind = kinds.get(target.removeprefix(_DEFINED))
        return _fits_url(kind, kinds, most_lists=most_lists, most_names=most_names - 1)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list):
        return all(_fits_url(each, kinds, most_lists=most_lists, most_names=most_names) for each in choices)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types == ["array"]:
        return most_lists > 0 and _fits_url(schema.get("items"), kinds, most_lists=0, most_names=most_names)
    return "enum" in schema or "const" in schema or (bool(types) and all(each in _SCALARS for each in types))


def _answer_with(reply: Any) -> Json:
    """The answer to a message whose replies of the type `reply` have this content."""
    is_reply = {"properties": {"type": {"const": "reply"}}}
    replies = {"items": {"if": is_reply, "then": {"properties": {"content": reply}}}}
    return {"allOf": [ANSWER, {"properties": {"replies": replies}}]}


def _media_type(schema: Mapping[str, Any]) -> str:
    found = schema.get("contentMediaType")
    return found if isinstance(found, str) and "type" not in schema else JSON


def _body(payload: Mapping[str, Any]) -> Json:
    media_type = _media_type(payload)
    return {media_type: _moved(payload) if media_type == JSON else BYTES}


def _moved(schema: Any) -> Any:
    """The schema with its references to where an OpenAPI document keeps its own, and without titles.

    Generators name a type by its title, and two types of different names may have the same, also one of ours.
    """
    if isinstance(schema, list):
        return [_moved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and not schema.keys() & {
        "properties",
        "additionalProperties",
        "patternProperties",
    }:
        schema = {**schema, **OBJECT}
    return {key: _moved_part(key, value) for key, value in schema.items() if key != "title"}


def _moved_part(key: str, value: Any) -> Any:
    if key == "$ref":
        return _reference(value)
    if key in _AS_IT_IS:
        return value
    if key in _OF_NAMES and isinstance(value, dict):
        # Its keys are names of the actor's own: a field may be called "title".
        return {name: _moved(each) for name, each in value.items()}
    return _moved(value)


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
