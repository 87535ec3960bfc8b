"""Steps: of an actor as a readable list, one by its id, and the files of its core."""

from __future__ import annotations

import mimetypes
from itertools import islice
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from understudy.node.errors import BadRequest, NotFound
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, Id, MessageId
from understudy.objects.tree import is_tree_node
from understudy.objects.views import node_view, step_view
from understudy.store.errors import Missing
from understudy.store.reader import Reader
from understudy.web.answers import has_already, immutable_headers, json_answer, not_modified
from understudy.web.history import step_summary
from understudy.web.parameters import actor_in, allow_only, limit_in, node_of, number_in, step_in

# A file of a core comes from whoever wrote the actor: a browser that opens it must not run it as a page of the node.
_AS_DATA: Final = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


def list_steps(request: Request) -> Response:
    """GET /actors/{actor}/steps?limit&before, or ?message for the step that consumed a message."""
    allow_only(request, ("limit", "before", "message"))
    node, actor = node_of(request), actor_in(request)
    message = request.query_params.get("message")
    if message is not None:
        return json_answer(_steps_of_message(node, actor, MessageId(ids.parse(message))))
    return json_answer(steps_view(node, actor, before=number_in(request, "before"), limit=limit_in(request)))


def show_step(request: Request) -> Response:
    """GET /steps/{step}"""
    allow_only(request, ())
    id, step = step_in(request)
    if has_already(request, id):
        return not_modified(id)
    return json_answer(step_view(id, step), headers=immutable_headers(id))


def show_core(request: Request) -> Response:
    """GET /steps/{step}/core/{path}: the bytes of a blob, or what a tree holds as JSON (?limit&after)."""
    allow_only(request, ("limit", "after"))
    _, step = step_in(request)
    path = request.path_params["path"].strip("/")
    reader = node_of(request).reader
    id = reader.find(step.core, path)
    if id is None:
        raise NotFound(f"there is nothing at /{path} in this core")
    if has_already(request, id):
        return not_modified(id)
    node = None if ids.is_raw(id) else reader.node(id)
    if is_tree_node(node):
        listing = _tree_view(reader, id, after=number_in(request, "after") or 0, limit=limit_in(request))
        return json_answer(listing, headers=immutable_headers(id))
    if node is not None and "blob" not in node:
        return json_answer(node_view(node), headers=immutable_headers(id))
    return _blob_answer(reader, id, path)


def steps_view(node: Node, actor: ActorId, *, before: int | None, limit: int) -> dict[str, Any]:
    """A page of summaries in JSON, newest first; `next` is the `before` of the next page."""
    page = node.steps(actor, before=before, limit=limit)
    steps = [step_summary(node.reader, id, step) for id, step in page.items]
    return {"actor": str(actor), "steps": steps, "next": page.next}


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


def _blob_answer(reader: Reader, id: Id, path: str) -> Response:
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    headers = {**immutable_headers(id), **_AS_DATA}
    big = reader.blob_info(id)
    if big is None:
        return Response(reader.block(id), headers=headers, media_type=media_type)
    headers["Content-Length"] = str(big.size)
    return StreamingResponse(reader.open_blob(id), headers=headers, media_type=media_type)
