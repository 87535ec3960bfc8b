"""Doing: messages and queries as forms, made from what the actor says of itself; each with the same for a terminal."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.actors.query import JSON, NO_CONTEXT, WUT, Blob
from understudy.node.asking.queries import QUERY_SECONDS, Queried
from understudy.node.errors import NodeError, NotFound
from understudy.node.intake.composing import SendOptions
from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.web.authorization import ASK, SEND, authorization_of
from understudy.web.console import addresses
from understudy.web.console.page_operation import form_at, go_to, page_at, read_form
from understudy.web.console.rendering import page
from understudy.web.console.routes.actor import head_of
from understudy.web.console.views.forms import (
    PREFIX,
    WHOLE,
    Form,
    Offer,
    command_of,
    curl_of,
    filled,
    form_of,
    offers,
    path_of,
)
from understudy.web.console.views.previews import MAX_BYTES, Preview, preview_of
from understudy.web.face import node_of
from understudy.web.parameters import ACTOR, path_text
from understudy.web.routes.query import ARGUMENTS

SECONDS: Final = 30.0  # how long a page waits for the answer to a message; it goes on by itself after that
_MAX_KEY: Final = 100
_TYPE: Final = path_text("type", "The type of the message")
_NAME: Final = path_text("name", "The name of the query")
_ASK: Final = "ask"  # the field that says that the form was filled in
_AT: Final = "at-step"


@page_at(
    "/console/actors/{actor}/do",
    name="showDoingPage",
    summary="What an actor takes: its messages and queries",
    scope=ASK,
    parameters=[ACTOR],
)
async def show_doing(request: Request) -> Response:
    """The messages and queries that the actor names."""
    node, actor = node_of(request), ACTOR.of(request)
    wut, why = await _wut(node, actor)
    return page(
        request,
        "doing.html",
        **head_of(node, node.actor(actor)),
        messages=offers(wut, "messages", "payload"),
        queries=offers(wut, "queries", "arguments"),
        why=why,
    )


@page_at(
    "/console/actors/{actor}/messages/{type:path}",
    name="showMessageForm",
    summary="The form of a message",
    scope=SEND,
    parameters=[ACTOR, _TYPE],
)
async def show_message(request: Request) -> Response:
    """Empty, with an example."""
    return await _message_page(request, {}, None)


@form_at(
    "/console/actors/{actor}/messages/{type:path}",
    name="sendMessageByForm",
    summary="Send the message of a form",
    scope=SEND,
    parameters=[ACTOR, _TYPE],
)
async def send_message(request: Request) -> Response:
    """Leads to the step that took it; to the actor if none did in time. A form that can't be read is shown again."""
    node, actor, type = node_of(request), ACTOR.of(request), _TYPE.of(request)
    fields = await read_form(request)
    offer, wut = await _offered(node, actor, type, "messages", "payload")
    try:
        content = filled(form_of(offer, wut), fields)
        # The same form sent twice, by a reload or two clicks, is one message.
        key = f"console {authorization_of(request).holder or ''} {fields.get('key', '')[:_MAX_KEY]}"
        options = SendOptions(idempotency_key=key if fields.get("key") else None)
        _, answer = await node.tell(actor, content, type=type, options=options, timeout=SECONDS)
    except NodeError as error:
        return await _message_page(request, fields, error)
    if answer is None:
        return go_to(addresses.actor(actor))
    return go_to(addresses.step(actor, answer.step))


@page_at(
    "/console/actors/{actor}/queries/{name}",
    name="showQueryPage",
    summary="The form of a query, and its answer",
    scope=ASK,
    parameters=[ACTOR, _NAME, ARGUMENTS],
)
async def show_query(request: Request) -> Response:
    """The arguments stand in the address, so an answer can be sent to somebody; `at-step` asks an earlier step."""
    node, actor, name = node_of(request), ACTOR.of(request), _NAME.of(request)
    offer, wut = await _offered(node, actor, name, "queries", "arguments")
    said, form = dict(request.query_params), form_of(offer, wut)
    values: dict[str, Any] = {"answer": None, "error": None, "step": None, "answered": None}
    context = b""
    if _ASK in said:
        try:
            context = filled(form, said)
            found = await _ask(node, actor, name, context, said.get(_AT, "").strip())
            values |= {"answer": _shown(found), "answered": found}
        except NodeError as error:
            values["error"] = error
    info = node.actor(actor)
    called = info.name or str(actor)
    given = context or form.example.encode()
    return page(
        request,
        "query.html",
        status=200 if values["error"] is None else values["error"].status,
        **head_of(node, info),
        offer=offer,
        form=form,
        said=said,
        prefix=PREFIX,
        whole=WHOLE,
        slides=addresses.query(actor, name, **{**said, _AT: "__HEIGHT__"}) if _ASK in said else None,
        **values,
        curl=curl_of(_address(request), path_of(called, "query", name), given, {"Content-Type": JSON}),
        command=command_of("query", called, given, before=name),
    )


async def _ask(node: Node, actor: ActorId, name: str, context: bytes, at: str) -> Queried:
    step = node.find_step(actor, at) if at else None
    return await node.query(actor, name, Blob(context, JSON) if context else NO_CONTEXT, at=step, timeout=QUERY_SECONDS)


def _shown(found: Queried) -> Preview:
    if isinstance(found.result, Blob):
        data = found.result.data
        media_type = found.result.media_type.partition(";")[0]
        return preview_of(data[:MAX_BYTES], size=len(data), media_type=media_type)
    data = msgspec.json.encode({name: {"/": str(id)} for name, id in found.result.entries.items()})
    return preview_of(data[:MAX_BYTES], size=len(data))


async def _message_page(request: Request, said: dict[str, str], error: NodeError | None) -> Response:
    node, actor, type = node_of(request), ACTOR.of(request), _TYPE.of(request)
    offer, wut = await _offered(node, actor, type, "messages", "payload")
    form: Form = form_of(offer, wut)
    info = node.actor(actor)
    called = info.name or str(actor)
    example = form.example.encode()
    return page(
        request,
        "message.html",
        status=200 if error is None else error.status,
        **head_of(node, info),
        offer=offer,
        form=form,
        said=said,
        error=error,
        prefix=PREFIX,
        whole=WHOLE,
        key=said.get("key") or secrets.token_hex(16),
        curl=curl_of(_address(request), path_of(called, "messages", type), example, {}),
        command=command_of("send", called, example, "--type", type),
    )


async def _offered(node: Node, actor: ActorId, name: str, key: str, of: str) -> tuple[Offer, Any]:
    """What an actor says of a message or a query. Of what it does not name, nothing is known, and anything can be sent."""
    wut, why = await _wut(node, actor)
    for offer in offers(wut, key, of):
        if offer.name == name:
            return offer, wut
    if why is None and key == "queries":
        raise NotFound(f"the actor names no query {name[:80]!r}")
    return Offer(name=name, description="", schema={}, has_schema=False), wut


async def _wut(node: Node, actor: ActorId) -> tuple[Any, str | None]:
    """What the actor says of itself, or why it says nothing."""
    try:
        found = await node.query(actor, WUT)
        data = found.result.data if isinstance(found.result, Blob) else b""
        return msgspec.json.decode(data), None
    except NodeError as error:
        return {}, error.detail
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}, "what it says of itself is no JSON"


def _address(request: Request) -> str:
    return f"http://{request.headers['host']}"
