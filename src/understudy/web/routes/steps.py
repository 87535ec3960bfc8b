"""Steps: of an actor as a readable list, one by its id, and the files of its core."""

from __future__ import annotations

from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import BadRequest, NotFound
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, Id, MessageId
from understudy.objects.step import Step
from understudy.objects.tree import is_tree_node
from understudy.objects.views import node_view, step_view
from understudy.store.errors import Missing
from understudy.store.reader import Reader
from understudy.web.answers import fresh_json, head_headers, immutable_headers, json_answer
from understudy.web.authorization import ASK
from understudy.web.face import node_of
from understudy.web.files import file_answer
from understudy.web.history import step_summary, steps_view
from understudy.web.negotiate import JSON, choose
from understudy.web.openapi import CACHED, SAME, answer, json_of
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, BEFORE, IF_NONE_MATCH, LIMIT, STEP, listed, number, path_text, text
from understudy.web.schemas import ANY_ANSWER, ENTRY, ID, MAYBE_TEXT, NUMBER, OUTCOME, TEXT, Named, list_of, object_of
from understudy.web.schemas import STEP as STEP_TEXT

_SUMMARY = Named("Summary", object_of({"id": ID, "height": NUMBER, "time": NUMBER, "at": TEXT, "outcome": OUTCOME}))
_STEPS = Named("Steps", object_of({"actor": ID, "steps": list_of(_SUMMARY), "next": MAYBE_TEXT}))
_MESSAGE = text("query", "message", "Only the step that consumed it", ID)
_WHICH = path_text("step", "Its height, its id, or ACTOR@HEIGHT", STEP_TEXT)
_PATH = path_text("path", "Names with slashes between them", TEXT)
_AFTER = number("query", "after", "Of a folder: how many entries come before this page", default=None)
_OF_A_FILE = (
    _PATH,
    LIMIT,
    _AFTER,
    listed("Range", "`bytes=FROM-TO`, up to 16"),
    listed("If-Range", "Only of this"),
    IF_NONE_MATCH,
)
_FOLDER = Named(
    "Folder",
    object_of(
        {
            "id": ID,
            "count": NUMBER,
            "entries": list_of(object_of({"name": TEXT, "id": ID, "kind": TEXT})),
            "next": MAYBE_TEXT,
        }
    ),
)
_FILE = {
    200: answer("A file with its media type, or a folder", ANY_ANSWER, CACHED),
    206: answer("Parts of a file", ANY_ANSWER, ["Content-Range"]),
    304: SAME,
}


@Operation(
    "GET",
    "/actors/{actor}/steps",
    name="listSteps",
    summary="The steps as people read them",
    scope=ASK,
    parameters=[ACTOR, LIMIT, BEFORE, _MESSAGE, IF_NONE_MATCH],
    answers={200: json_of("As it is at the head", _STEPS, CACHED), 304: SAME},
    errors=(404,),
)
def list_steps(request: Request) -> Response:
    """A page of summaries, or the step that consumed one message."""
    node, actor = node_of(request), ACTOR.of(request)
    message = _MESSAGE.of(request)
    if message is not None:
        return json_answer(_steps_of_message(node, actor, MessageId(ids.parse(message))))
    head = node.newest(actor)  # read first: a step made meanwhile makes the tag too old, which costs an answer
    view = steps_view(node, actor, before=BEFORE.of(request), limit=LIMIT.of(request))
    return fresh_json(request, view, head_headers(head))


@Operation(
    "GET",
    "/steps/{step}",
    name="showStep",
    summary="One step, which never changes",
    scope=ASK,
    parameters=[STEP, IF_NONE_MATCH],
    answers={200: json_of("The step", ENTRY, CACHED), 304: SAME},
    errors=(404,),
)
def show_step(request: Request) -> Response:
    """One step by its id."""
    id, step = STEP.of(request)
    return fresh_json(request, step_view(id, step), immutable_headers(id))


@Operation(
    "GET",
    "/actors/{actor}/steps/{step}",
    name="showStepOfActor",
    summary="One step of an actor",
    scope=ASK,
    parameters=[ACTOR, _WHICH, IF_NONE_MATCH],
    answers={200: json_of("As it is at the head", ENTRY, CACHED), 304: SAME},
    errors=(404,),
)
def show_step_of(request: Request) -> Response:
    """One step, by its height too. A name may come to mean another actor, so a cache has to ask again."""
    node = node_of(request)
    id = node.find_step(ACTOR.of(request), _WHICH.of(request))
    return fresh_json(request, step_view(id, node.step(id)), head_headers(id))


@Operation(
    "GET",
    "/steps/{step}/core/{path:path}",
    name="showFileOfStep",
    summary="A file or a folder of the core after a step",
    scope=ASK,
    parameters=[STEP, *_OF_A_FILE],
    answers=_FILE,
    also=[_FOLDER],
    errors=(404, 416),
)
def show_core(request: Request) -> Response:
    """The bytes of a blob, or what a tree holds as JSON."""
    _, step = STEP.of(request)
    return _core_answer(request, step)


@Operation(
    "GET",
    "/actors/{actor}/core/{path:path}",
    name="showFile",
    summary="A file or a folder of the core at the head",
    scope=ASK,
    parameters=[ACTOR, *_OF_A_FILE],
    answers=_FILE,
    also=[_FOLDER],
    errors=(404, 416),
)
def show_core_at_head(request: Request) -> Response:
    """The same at the newest step."""
    node = node_of(request)
    return _core_answer(request, node.step(node.newest(ACTOR.of(request))), moves=True)


def _core_answer(request: Request, step: Step, *, moves: bool = False) -> Response:
    """What is at the path of the request in the core of a step; `moves` if another step may be there later."""
    after, limit = _AFTER.of(request) or 0, LIMIT.of(request)
    path = _PATH.of(request).strip("/")
    reader = node_of(request).reader
    id = reader.find(step.core, path)
    if id is None:
        raise NotFound(f"there is nothing at /{path} in this core")
    headers = head_headers(id) if moves else immutable_headers(id)
    node = None if ids.is_raw(id) else reader.node(id)
    if node is None or "blob" in node:
        return file_answer(request, reader, id, path=path, headers=headers)
    choose(request, (JSON,))
    if is_tree_node(node):
        view = _tree_view(reader, id, after=after, limit=limit)
        return fresh_json(request, view, headers)
    return fresh_json(request, node_view(node), headers)


def _steps_of_message(node: Node, actor: ActorId, id: MessageId) -> dict[str, Any]:
    try:
        message = node.message(id)
    except (Missing, WrongKind) as error:
        raise NotFound(f"there is no message {id} here: {error}") from error
    if message.to != str(actor):
        raise BadRequest(f"the message {id} is not for {actor}")
    step = node.step_of(actor, message)
    found = [] if step is None else [step_summary(node.reader, step, node.step(step))]
    return {"actor": str(actor), "steps": found, "next": None}


def _tree_view(reader: Reader, id: Id, *, after: int, limit: int) -> dict[str, Any]:
    tree = reader.tree(id)
    entries = [
        {"name": name, "id": str(entry), "kind": reader.kind(entry).partition(" ")[2]}
        for name, entry in islice(tree.items(), after, after + limit)
    ]
    more = after + limit < len(tree)
    return {"id": str(id), "count": len(tree), "entries": entries, "next": str(after + limit) if more else None}
