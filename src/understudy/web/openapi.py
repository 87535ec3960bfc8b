"""The words of an OpenAPI 3.1 document: operations, answers and problems, each said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from understudy.version import VERSION
from understudy.web.negotiate import JSON
from understudy.web.schemas import PROBLEM, Json, Named

PROBLEM_TYPE: Final = "application/problem+json"
# What every request may be answered: by the guard, for an Accept that can't be met, a fault of ours, a node that is full.
EVERYWHERE: Final = (400, 401, 403, 406, 500, 503)
_MEANINGS: Final = {
    400: "Not parseable as it is written",
    401: "The token is missing or wrong",
    403: "The token does not allow this, the Host or the Origin is not this node's, or another page asks",
    404: "Nothing there",
    406: "The Accept header allows none of the types that there are",
    409: "The name is in use, the head moved, or the idempotency key was used for another request",
    412: "`Cache-Control: only-if-cached`, and it is not here",
    413: "The body is too large",
    415: "The media type is not understood, or the body has a Content-Encoding",
    416: "The byte range is not in the file",
    422: "Refused by the format, by a schema or by the actor",
    500: "The actor failed (`step`, `code`), or the server did (`error`)",
    503: "Too much at once, or the store failed; Retry-After says when to try again",
    504: "The query had no answer in time",
}
_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
CACHED: Final = ("ETag", "Cache-Control")


def document(title: str, description: str, paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> Json:
    """A whole document: `schemas` are those that its paths refer to."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION, "description": description, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": dict(paths),
        "components": {
            "schemas": dict(schemas),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def operation_object(
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
    problems = {status: _problem(status) for status in {*EVERYWHERE, *errors}}
    # An answer that is stated goes before a problem that may come everywhere.
    every = {**problems, **answers}
    found["responses"] = {str(status): said for status, said in sorted(every.items())}
    return found


def answer(description: str, content: Mapping[str, Any] | None = None, headers: Sequence[str] = ()) -> Json:
    """One answer; `content` maps media types to schemas."""
    found: Json = {"description": description}
    if content is not None:
        found["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    if headers:
        found["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return found


def json_of(description: str, schema: Json | Named, headers: Sequence[str] = ()) -> Json:
    """An answer in JSON."""
    return answer(description, {JSON: schema}, headers)


SAME: Final = answer("What the caller has is still current", headers=CACHED)


def _problem(status: int) -> Json:
    headers = ["Retry-After"] if status == 503 else ["WWW-Authenticate"] if status == 401 else []
    return answer(_MEANINGS[status], {PROBLEM_TYPE: PROBLEM}, headers)
