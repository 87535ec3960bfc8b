"""Schemas of the JSON that routes take and give. What only one route needs stands beside its handler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudy.web.negotiate import JSON

Json = dict[str, Any]

MAX_NUMBER: Final = 2**63 - 1  # heights and numbers of the feed are 64 bits in the store
OCTETS: Final = "application/octet-stream"


class Named(dict[str, Any]):
    """A reference to a schema by its name. It carries the schema, so a document defines all that its routes refer to."""

    def __init__(self, name: str, schema: Json) -> None:
        super().__init__({"$ref": f"#/components/schemas/{name}"})
        self.name = name
        self.schema = schema


def named_in(value: Any) -> Iterator[Named]:
    """Every named schema that a part of a document refers to, and those that these refer to."""
    if isinstance(value, Named):
        yield value
        yield from named_in(value.schema)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from named_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from named_in(each)


def object_of(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Json:
    """An object with these fields; more may come."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def list_of(items: Json) -> Json:
    """A list."""
    return {"type": "array", "items": items}


TEXT: Final = {"type": "string"}
SOME_TEXT: Final = {"type": "string", "minLength": 1}
MAYBE_TEXT: Final = {"type": ["string", "null"]}
BYTES: Final = {"type": "string", "format": "binary"}
# Without `additionalProperties`, generators of clients take it for an object that has no fields.
OBJECT: Final = {"type": "object", "additionalProperties": True}
NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
MAYBE_NUMBER: Final = {"type": ["integer", "null"]}
ID: Final = {"type": "string", "pattern": "^baf[a-z2-7]{56}$"}
STEP: Final = {"type": "string", "pattern": "^(baf[a-z2-7]{56}|(.+@)?[0-9]{1,19})$"}
# A body of any kind. Generators skip a kind that they have no name for, so these are two that all of them know.
ANY_BODY: Final[Json] = {JSON: OBJECT, OCTETS: BYTES}
# An answer of any kind. A generated client reads all of them as the first kind that it knows, so as bytes.
ANY_ANSWER: Final[Json] = {OCTETS: BYTES, JSON: {}, "text/html": TEXT, "text/plain": TEXT, "*/*": {}}
OUTCOME: Final = {"enum": ["ok", "failed", "refused", "noop", "cut"]}
_STATUS: Final = {"enum": ["ready", "stalled", "running", "paused", "suspect", "held", "stuck", "retry", "slowed"]}

PROBLEM: Final = Named(
    "Problem",
    {
        "description": "What went wrong, where, and what to do (RFC 9457)",
        **object_of(
            {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT},
            {"step": {**ID, "description": "the step that failed or refused"}, "code": TEXT, "outcome": TEXT},
        ),
    },
)
ACTOR: Final = Named(
    "Actor",
    object_of(
        {
            "id": ID,
            "name": MAYBE_TEXT,
            "head": ID,
            "height": NUMBER,
            "engine": TEXT,
            "status": _STATUS,
            "reason": MAYBE_TEXT,
        }
    ),
)
ANSWER: Final = Named(
    "Answer",
    object_of(
        {
            "head": ID,
            "step": ID,
            "message": ID,
            "outcome": OUTCOME,
            "replies": list_of(object_of({"type": TEXT, "content": {}})),
        },
        {"flow": {**ID, "description": "the flow that the message began, and that is not over with this step"}},
    ),
)
ACCEPTED: Final = Named(
    "Accepted", object_of({"message": ID, "step": {"type": "null"}, "status": TEXT, "reason": MAYBE_TEXT})
)
ENTRY: Final = Named("Entry", object_of({"id": ID, "parent": MAYBE_TEXT, "data": OBJECT}))
CHAIN: Final = Named("Chain", object_of({"actor": ID, "head": ID, "entries": list_of(ENTRY), "next": MAYBE_TEXT}))
