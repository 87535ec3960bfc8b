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
from understudy.web.files import file_answer
from understudy.web.history import step_summary, steps_view
from understudy.web.negotiate import JSON, choose
from understudy.web.parameters import actor_in, allow_only, limit_in, node_of, number_in, step_in


def list_steps(request: Request) -> Response:
    """GET /actors/{actor}/steps?limit&before, or ?message for the step that consumed a message."""
    allow_only(request, ("limit", "before", "message"))
    node, actor = node_of(request), actor_in(request)
    message = request.query_params.get("message")
    if message is not None:
        return json_answer(_steps_of_message(node, actor, MessageId(ids.parse(message))))
    head = node.lookup.newest(actor)  # read first: a step made meanwhile makes the tag too old, which costs an answer
    view = steps_view(node, actor, before=number_in(request, "before"), limit=limit_in(request))
    return fresh_json(request, view, head_headers(head))


def show_step(request: Request) -> Response:
    """GET /steps/{step}"""
    allow_only(request, ())
    id, step = step_in(request)
    return fresh_json(request, step_view(id, step), immutable_headers(id))


def show_step_of(request: Request) -> Response:
    """GET /actors/{actor}/steps/{step}: by its height too. A name may come to mean another actor, so it is asked for again."""
    allow_only(request, ())
    node = node_of(request)
    id = node.lookup.find_step(actor_in(request), request.path_params["step"])
    return fresh_json(request, step_view(id, node.reader.step(id)), head_headers(id))


def show_core(request: Request) -> Response:
    """GET /steps/{step}/core/{path}: the bytes of a blob, or what a tree holds as JSON (?limit&after)."""
    _, step = step_in(request)
    return core_answer(request, step)


def show_core_at_head(request: Request) -> Response:
    """GET /actors/{actor}/core/{path}: the same at the newest step."""
    return core_answer(
        request, node_of(request).reader.step(node_of(request).lookup.newest(actor_in(request))), moves=True
    )


def core_answer(request: Request, step: Step, *, moves: bool = False) -> Response:
    """What is at the path of the request in the core of a step; `moves` if another step may be there later."""
    allow_only(request, ("limit", "after"), offered=())
    after, limit = number_in(request, "after") or 0, limit_in(request)
    path = request.path_params["path"].strip("/")
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
        message = node.reader.message(id)
    except (Missing, WrongKind) as error:
        raise NotFound(f"there is no message {id} here: {error}") from error
    if message.to != str(actor):
        raise BadRequest(f"the message {id} is not for {actor}")
    step = node.lookup.step_of(actor, message)
    found = [] if step is None else [step_summary(node.reader, step, node.reader.step(step))]
    return {"actor": str(actor), "steps": found, "next": None}


def _tree_view(reader: Reader, id: Id, *, after: int, limit: int) -> dict[str, Any]:
    tree = reader.tree(id)
    entries = [
        {"name": name, "id": str(entry), "kind": reader.kind(entry).partition(" ")[2]}
        for name, entry in islice(tree.items(), after, after + limit)
    ]
    more = after + limit < len(tree)
    return {"id": str(id), "count": len(tree), "entries": entries, "next": str(after + limit) if more else None}
