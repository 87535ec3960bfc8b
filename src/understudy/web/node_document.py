"""The OpenAPI document of a node: every route with its parameters, its answers and its problems."""

from __future__ import annotations

from typing import Final

from understudy.node.holds import MAX_REASON
from understudy.web.negotiate import EVENT_STREAM, JSON, RAW
from understudy.web.openapi import (
    ANY_ANSWER,
    ANY_BODY,
    BYTES,
    ID,
    NUMBER,
    OBJECT,
    STEP,
    TEXT,
    Json,
    answer,
    document,
    in_header,
    in_path,
    in_query,
    json_of,
    operation,
    page_of,
    ref,
)

CAR: Final = "application/vnd.ipld.car"
DAG_CBOR: Final = "application/vnd.ipld.dag-cbor"
_CACHED: Final = ("ETag", "Cache-Control")
_SAME: Final = answer("What the caller holds is still so", headers=_CACHED)
_ACTOR: Final = in_path("actor", "A name, an id, or the beginning of an id")
_STEP: Final = in_path("step", "The id of a step", ID)
_PATH: Final = in_path("path", "Names with slashes between them", TEXT)
_IF_NONE_MATCH: Final = in_header("If-None-Match", "What the caller holds")
_EVENTS: Final = answer("Events, for as long as the reader stays", {EVENT_STREAM: TEXT})
MESSAGE_HEADERS: Final = [
    in_header("Message-Lane", "Which lane", {"enum": ["queue", "signal", "update"], "default": "queue"}),
    in_header(
        "Idempotency-Key",
        "The same key with the same request is one message",
        {"type": "string", "minLength": 1, "maxLength": 255},
    ),
    in_header("If-Match", "The step that must be the newest"),
    in_header("Prefer", "`respond-async`, `wait=SECONDS` (RFC 7240)"),
]
MESSAGE_ANSWERS: Final = {
    200: json_of("Durable: the step, and the replies", "Answer"),
    202: json_of(
        "Accepted: durable, and not consumed yet; Location is where its step will be", "Accepted", ["Location"]
    ),
}
MESSAGE_ERRORS: Final = (404, 409, 413, 415, 422)


_NAME: Final = in_path("name", "The name of a query")
AT: Final = in_query("at", "A step of the actor: its height, its id, or ACTOR@HEIGHT; without it, the head", STEP)
ARGUMENTS: Final[Json] = {
    **in_query(
        "arguments", "The arguments of the query", {"type": "object", "additionalProperties": {"type": "string"}}
    ),
    "style": "form",
    "explode": True,
}
QUERY_ERRORS: Final = (404, 413, 415, 422, 504)


def node_document(*, with_lead: bool) -> Json:
    """The document: one for every node of this version, and another for those that `understudy run` started."""
    paths = {**_actors(), **_steps(), **(_lead() if with_lead else {})}
    return document("Understudy", "Actors whose every step can be replayed, and proved", paths, {})


def _lead() -> Json:
    told = {"type": "object", "properties": {"head": ID, "state": {}, "replies": {}}, "required": ["head", "state"]}
    shown = {"allOf": [ref("Actor"), {"type": "object", "properties": {"state": {}}, "required": ["state"]}]}
    tell = operation(
        "tellLead",
        "Send the node's own actor a JSON object; its new state comes back",
        {**MESSAGE_ANSWERS, 200: answer("Durable: the step, and the state after it", {JSON: told})},
        parameters=MESSAGE_HEADERS[1:],
        errors=(409, 413, 415, 422),
        body={JSON: OBJECT},
    )
    show = operation(
        "showLead",
        "The node's own actor and its state",
        {200: answer("As it is at the head", {JSON: shown}, _CACHED), 304: _SAME},
        parameters=[_IF_NONE_MATCH],
    )
    chain = operation(
        "showLeadChain",
        "Its steps as they are hashed, newest first",
        {200: json_of("As it is at the head", "Chain", _CACHED), 304: _SAME},
        parameters=[*_BEFORE, _IF_NONE_MATCH],
    )
    return {"/": {"post": tell, "get": show}, "/chain": {"get": chain}}


def _actors() -> Json:
    create = operation(
        "createActor",
        "Create an actor from a core",
        {201: json_of("The actor lives; the same core twice is one actor", "Created", ["Location"])},
        parameters=[
            in_query("name", "The name, where the core comes as a CAR file", {"type": "string", "minLength": 1})
        ],
        errors=(409, 413, 415, 422),
        body={JSON: ref("Creation"), CAR: BYTES},
        needs_token=True,
    )
    after = page_of("after", "The `next` of the page before", ID)
    listed = operation("listActors", "List actors", {200: json_of("A page", "Actors")}, parameters=after)
    return {
        "/actors": {"get": listed, "post": create},
        "/actors/{actor}": {"get": _looked("showActor", "One actor", "Actor")},
        "/actors/{actor}/pending": {
            "get": _waiting("listPendingOf", "Messages that wait for the actor", [_ACTOR], (404,))
        },
        "/pending": {"get": _waiting("listPending", "Messages that wait, and why", [], ())},
        "/actors/{actor}/pause": {
            "post": _operated("pauseActor", "Let an actor take nothing but updates", "Actor", _REASON)
        },
        "/actors/{actor}/resume": {
            "post": _operated("resumeActor", "Let a paused or held actor go on", "Resumed", None)
        },
        "/actors/{actor}/messages": {"post": _message("sendMessage", [_TYPE_HEADER])},
        "/actors/{actor}/messages/{type}": {"post": _message("sendMessageOfType", [in_path("type", "The type")])},
        "/actors/{actor}/query/{name}": {
            "get": _query("queryActor", [_ACTOR, _NAME, AT, ARGUMENTS]),
            "post": _query("queryActorWith", [_ACTOR, _NAME, AT], ANY_BODY),
        },
        "/actors/{actor}/wut": {
            "get": _query("describeActor", [_ACTOR, AT], summary="What the actor is, and takes", answers=WUT_ANSWERS)
        },
        "/actors/{actor}/openapi.json": {
            "get": operation(
                "describeActorAsOpenApi",
                "The actor as an OpenAPI document, made from its wut",
                {200: answer("OpenAPI 3.1", {JSON: OBJECT}, _CACHED), 304: _SAME},
                parameters=[_ACTOR, _IF_NONE_MATCH],
                errors=QUERY_ERRORS,
            )
        },
        "/actors/{actor}/chain": {
            "get": _looked("showChain", "The steps as they are hashed, newest first", "Chain", _BEFORE)
        },
        "/actors/{actor}/steps": {
            "get": _looked(
                "listSteps",
                "The steps as people read them",
                "Steps",
                [*_BEFORE, in_query("message", "Only the step that consumed it", ID)],
            )
        },
        "/actors/{actor}/steps/{step}": {
            "get": _looked(
                "showStepOfActor",
                "One step of an actor",
                "Entry",
                [in_path("step", "Its height, its id, or ACTOR@HEIGHT", STEP)],
            )
        },
        "/actors/{actor}/core/{path}": {"get": _file("showFile", "A file or a folder of the core at the head", _ACTOR)},
        "/actors/{actor}/events": {"get": _followed("followActor", "New steps of one actor", [_ACTOR])},
        "/events": {"get": _followed("followNode", "New steps of all actors", [])},
    }


def _steps() -> Json:
    health = operation("showHealth", "How the node does", {200: json_of("It works", "Health")})
    # A node whose store failed says so in the words of its health, not of a problem.
    health["responses"]["503"] = answer(
        "Its store failed it, or too many ask at once",
        {JSON: ref("Health"), "application/problem+json": ref("Problem")},
    )
    described = operation("describeNode", "This document", {200: answer("OpenAPI 3.1", {JSON: OBJECT}), 304: _SAME})
    return {
        "/steps/{step}": {
            "get": operation(
                "showStep",
                "One step, which never changes",
                {200: json_of("The step", "Entry", _CACHED), 304: _SAME},
                parameters=[_STEP, _IF_NONE_MATCH],
                errors=(404,),
            )
        },
        "/steps/{step}/query/{name}": {
            "get": _query("queryStep", [_STEP, _NAME, ARGUMENTS]),
            "post": _query("queryStepWith", [_STEP, _NAME], ANY_BODY),
        },
        "/steps/{step}/core/{path}": {
            "get": _file("showFileOfStep", "A file or a folder of the core after a step", _STEP)
        },
        "/ipfs/{cid}": {"get": _block()},
        "/healthz": {"get": health},
        "/": {"get": operation("showRoot", "What is here", {200: json_of("Where to go on", "Root")})},
        "/openapi.json": {"get": described},
    }


_REASON: Final[Json] = {
    JSON: {
        "type": "object",
        "properties": {"reason": {"type": "string", "maxLength": MAX_REASON}},
        "required": ["reason"],
    }
}
_BEFORE: Final = page_of("before", "Only steps below this height", NUMBER)
_TYPE_HEADER: Final = in_header("Message-Type", "The type; without it, `message`", {"type": "string", "minLength": 1})


def _operated(name: str, summary: str, schema: str, body: Json | None) -> Json:
    return operation(
        name,
        summary,
        {200: json_of("As it is now", schema)},
        parameters=[_ACTOR],
        errors=(404, 413, 415, 422),
        body=body,
        needs_token=True,
        needs_body=False,
    )


def _looked(name: str, summary: str, schema: str, parameters: list[Json] | None = None) -> Json:
    return operation(
        name,
        summary,
        {200: json_of("As it is at the head", schema, _CACHED), 304: _SAME},
        parameters=[_ACTOR, *(parameters or []), _IF_NONE_MATCH],
        errors=(404,),
    )


def _waiting(name: str, summary: str, parameters: list[Json], errors: tuple[int, ...]) -> Json:
    limit = page_of("after", "", ID)[0]
    found = {200: json_of("As it is at this moment", "Waiting")}
    return operation(name, summary, found, parameters=[*parameters, limit], errors=errors)


def _message(name: str, parameters: list[Json]) -> Json:
    return operation(
        name,
        "Send a message; the body is its content, as it is",
        MESSAGE_ANSWERS,
        parameters=[_ACTOR, *parameters, *MESSAGE_HEADERS],
        errors=MESSAGE_ERRORS,
        body=ANY_BODY,
    )


def _query(
    name: str,
    parameters: list[Json],
    body: Json | None = None,
    summary: str = "Ask an actor; nothing is changed",
    answers: dict[int, Json] | None = None,
) -> Json:
    answers = dict(answers or query_answers())
    if body is None:
        parameters = [*parameters, _IF_NONE_MATCH]
    else:
        del answers[304]
    return operation(name, summary, answers, parameters=parameters, errors=QUERY_ERRORS, body=body)


def query_answers(content: Json | None = None) -> dict[int, Json]:
    """What a query is answered where it goes well; `content` maps media types to schemas."""
    return {200: answer("The answer with its media type; a tree as links", content or ANY_ANSWER, _CACHED), 304: _SAME}


def _file(name: str, summary: str, owner: Json) -> Json:
    headers = [in_header("Range", "`bytes=FROM-TO`, up to 16"), in_header("If-Range", "Only of this"), _IF_NONE_MATCH]
    folder = page_of("after", "Of a folder: how many entries come before this page", NUMBER)
    return operation(
        name,
        summary,
        {
            200: answer("A file with its media type, or a folder", ANY_ANSWER, _CACHED),
            206: answer("Parts of a file", ANY_ANSWER, ["Content-Range"]),
            304: _SAME,
        },
        parameters=[owner, _PATH, *folder, *headers],
        errors=(404, 416),
    )


def _block() -> Json:
    scope = {"enum": ["block", "entity", "all"], "default": "all"}
    parameters = [
        in_path("cid", "The id of a block"),
        in_query("format", "Which of both; without it, Accept says so", {"enum": ["raw", "car"]}),
        in_query("dag-scope", "Of a CAR file: the block alone, or all that it links to", scope),
        in_query("car-version", "Of a CAR file", {"enum": ["1"]}),
        in_query("car-order", "Of a CAR file", {"enum": ["dfs", "unk"]}),
        in_query("car-dups", "Of a CAR file", {"enum": ["n"]}),
        _IF_NONE_MATCH,
    ]
    found = answer("The bytes of the block, or a CARv1", {RAW: {}, CAR: {}}, _CACHED)
    return operation(
        "fetchBlock",
        "A block by its id, as the IPFS trustless gateway gives it",
        {200: found, 304: _SAME},
        parameters=parameters,
        errors=(404, 412),
    )


def _followed(name: str, summary: str, owner: list[Json]) -> Json:
    last = in_header(
        "Last-Event-ID", "The number of the last event that was seen", {"type": "string", "pattern": "^[0-9]*$"}
    )
    return operation(name, summary, {200: _EVENTS}, parameters=[*owner, last], errors=(404,) if owner else ())


# A wit without the comfortable form may answer its `wut` as it likes.
WUT_ANSWERS: Final = query_answers({JSON: OBJECT, "*/*": {}})
