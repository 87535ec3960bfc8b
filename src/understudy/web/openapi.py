"""The words of an OpenAPI 3.1 document: parameters, answers and problems, each said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from understudy.node.looking.lookup import MAX_PAGE
from understudy.version import VERSION
from understudy.web.negotiate import JSON

PROBLEM: Final = "application/problem+json"
_MAX_NUMBER: Final = 2**63 - 1
# What every request may meet: the guard, an Accept that cannot be met, a fault of ours, a node that is full or failed.
EVERYWHERE: Final = (400, 401, 403, 406, 500, 503)
_MEANINGS: Final = {
    400: "Not parseable as it is written",
    401: "The token is missing or wrong",
    403: "The token does not allow this, the Host or the Origin is not this node's, or another page asks",
    404: "Nothing there",
    406: "The Accept header takes nothing of what there is",
    409: "The name is in use, the head moved, or the idempotency key was used for another request",
    412: "It is not here, and the caller wants it only if it is",
    413: "The body is too large",
    415: "The media type is not understood, or the body has a Content-Encoding",
    416: "The byte range is not in the file",
    422: "Refused by the format, by a schema or by the actor",
    500: "The actor failed (`step`, `code`), or the server did (`error`)",
    503: "Too much at once, or the store failed; Retry-After says when to come again",
    504: "The query had no answer in time",
}

Json = dict[str, Any]


def document(title: str, description: str, paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> Json:
    """A whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION, "description": description, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": dict(paths),
        "components": {
            "schemas": {**SCHEMAS, **schemas},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def operation(
    name: str,
    summary: str,
    answers: Mapping[int, Any],
    *,
    parameters: Sequence[Json] = (),
    errors: Sequence[int] = (),
    body: Mapping[str, Any] | None = None,
    description: str | None = None,
    needs_token: bool = False,
    needs_body: bool = True,
) -> Json:
    """One method of one path; `body` maps media types to schemas, `errors` come on top of those that come everywhere."""
    found: Json = {"operationId": name, "summary": summary}
    if description:
        found["description"] = description
    if needs_token:
        found["security"] = [{"token": []}]
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        content = {media_type: {"schema": schema} for media_type, schema in body.items()}
        found["requestBody"] = {"required": needs_body, "content": content}
    every = {**answers, **{status: _problem(status) for status in sorted({*EVERYWHERE, *errors})}}
    found["responses"] = {str(status): answer for status, answer in sorted(every.items())}
    return found


def answer(description: str, content: Mapping[str, Any] | None = None, headers: Sequence[str] = ()) -> Json:
    """One answer; `content` maps media types to schemas."""
    found: Json = {"description": description}
    if content is not None:
        found["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    if headers:
        found["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return found


def json_of(description: str, schema: str, headers: Sequence[str] = ()) -> Json:
    """An answer in JSON whose schema has a name."""
    return answer(description, {JSON: ref(schema)}, headers)


def ref(name: str) -> Json:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def in_path(name: str, description: str, schema: Json | None = None) -> Json:
    """A parameter of the path."""
    return _parameter("path", name, description, schema or {"type": "string", "minLength": 1}, required=True)


def in_query(name: str, description: str, schema: Json, *, required: bool = False) -> Json:
    """A parameter of the query."""
    return _parameter("query", name, description, schema, required=required)


def in_header(name: str, description: str, schema: Json | None = None) -> Json:
    """A header that may be there."""
    return _parameter("header", name, description, schema or {"type": "string"}, required=False)


def page_of(cursor: str, description: str, schema: Json) -> list[Json]:
    """The two parameters of a list."""
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100}
    return [in_query("limit", "How many items", limit), in_query(cursor, description, schema)]


def _parameter(place: str, name: str, description: str, schema: Json, *, required: bool) -> Json:
    return {"name": name, "in": place, "description": description, "required": required, "schema": schema}


def _problem(status: int) -> Json:
    headers = ["Retry-After"] if status == 503 else ["WWW-Authenticate"] if status == 401 else []
    return answer(_MEANINGS[status], {PROBLEM: ref("Problem")}, headers)


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Json:
    """An object; more fields may come."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
TEXT: Final = {"type": "string"}
BYTES: Final = {"type": "string", "format": "binary"}
# Without the second word, generators of types take it for an object that has no fields.
OBJECT: Final = {"type": "object", "additionalProperties": True}
OCTETS: Final = "application/octet-stream"
# A body of any kind. Generators of clients skip what they have no name for, so the kinds that all of them know stand there.
ANY_BODY: Final[Json] = {JSON: OBJECT, OCTETS: BYTES}
# Of answers any other kind may come as well. A generated client reads all as the first kind that it knows, so as bytes.
ANY_ANSWER: Final[Json] = {OCTETS: BYTES, JSON: {}, "text/html": TEXT, "text/plain": TEXT, "*/*": {}}
NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": _MAX_NUMBER}
ID: Final = {"type": "string", "pattern": "^baf[a-z2-7]{56}$"}
STEP: Final = {"type": "string", "pattern": "^(baf[a-z2-7]{56}|(.+@)?[0-9]{1,19})$"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_FILES: Final = {"type": "object", "additionalProperties": ref("File"), "minProperties": 1}
_STATUS: Final = {"enum": ["ready", "paused", "suspect", "held", "stuck", "retry", "slowed"]}
_OUTCOME: Final = {"enum": ["ok", "failed", "refused", "noop", "cut"]}

SCHEMAS: Final[Json] = {
    "Problem": {
        "description": "What went wrong, where, and what to do (RFC 9457)",
        **_object(
            {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT},
            {"step": {**ID, "description": "the step that failed or refused"}, "code": TEXT, "outcome": TEXT},
        ),
    },
    "Id": {"description": "A CIDv1 in base32", **ID},
    "Actor": _object(
        {
            "id": ID,
            "name": _MAYBE_TEXT,
            "head": ID,
            "height": NUMBER,
            "engine": TEXT,
            "status": _STATUS,
            "reason": _MAYBE_TEXT,
        }
    ),
    "Resumed": _object(
        {
            "id": ID,
            "name": _MAYBE_TEXT,
            "head": _MAYBE_TEXT,
            "height": {"type": ["integer", "null"]},
            "engine": _MAYBE_TEXT,
            "status": TEXT,
            "reason": _MAYBE_TEXT,
        }
    ),
    "Actors": _object({"actors": {"type": "array", "items": ref("Actor")}, "next": _MAYBE_TEXT}),
    "Waiting": _object(
        {
            "pending": {
                "type": "array",
                "items": _object(
                    {
                        "to": TEXT,
                        "sender": TEXT,
                        "lane": TEXT,
                        "seq": NUMBER,
                        "type": TEXT,
                        "message": ID,
                        "state": TEXT,
                        "attempts": NUMBER,
                        "error": _MAYBE_TEXT,
                    }
                ),
            }
        }
    ),
    "Created": _object({"id": ID, "name": _MAYBE_TEXT, "head": ID, "outcome": _OUTCOME}, {"error": OBJECT}),
    "File": {
        "description": "Text, or any bytes in base64",
        "anyOf": [TEXT, {**_object({"base64": TEXT}), "additionalProperties": False}],
    },
    "Creation": {
        **_object({"core": _FILES}, {"name": {"type": ["string", "null"]}, "nonce": {"type": ["string", "null"]}}),
        "additionalProperties": False,
    },
    "Answer": _object(
        {
            "head": ID,
            "step": ID,
            "message": ID,
            "outcome": _OUTCOME,
            "replies": {"type": "array", "items": _object({"type": TEXT, "content": {}})},
        }
    ),
    "Accepted": _object({"message": ID, "step": {"type": "null"}}),
    "Entry": _object({"id": ID, "parent": {"type": ["string", "null"]}, "data": OBJECT}),
    "Chain": _object(
        {"actor": ID, "head": ID, "entries": {"type": "array", "items": ref("Entry")}, "next": _MAYBE_TEXT}
    ),
    "Summary": _object({"id": ID, "height": NUMBER, "time": NUMBER, "at": TEXT, "outcome": _OUTCOME}),
    "Steps": _object({"actor": ID, "steps": {"type": "array", "items": ref("Summary")}, "next": _MAYBE_TEXT}),
    "Folder": _object(
        {
            "id": ID,
            "count": NUMBER,
            "entries": {"type": "array", "items": _object({"name": TEXT, "id": ID, "kind": TEXT})},
            "next": _MAYBE_TEXT,
        }
    ),
    "Root": _object(
        {"name": TEXT, "version": TEXT, "node": TEXT, "actors": TEXT, "events": TEXT, "health": TEXT, "openapi": TEXT}
    ),
    "Health": _object(
        {"status": {"enum": ["ok", "failed"]}, "node": TEXT, "version": TEXT, "feed": {"type": ["integer", "null"]}},
        {
            "holds": {
                "type": "array",
                "items": _object({"actor": ID, "name": _MAYBE_TEXT, "state": TEXT, "reason": TEXT}),
            }
        },
    ),
    "Tree": {
        "description": "Names of objects that exist, as links",
        "type": "object",
        "additionalProperties": {**_object({"/": ID}), "additionalProperties": False},
    },
}
