"""The web face of a node: the table of its routes, with the guard in front and the problem documents behind."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.web.crowd import Crowd
from understudy.web.errors import Surprises, handlers
from understudy.web.grants import ANY, ASK, CREATE, OPEN, SEND, UPDATE, Grant, grant_of, guarded, scope_of_lane
from understudy.web.guard import Guard
from understudy.web.marks import Marks
from understudy.web.parameters import Limits, node_of
from understudy.web.routes.actors import create_actor, list_actors, show_actor
from understudy.web.routes.chain import show_chain
from understudy.web.routes.events import follow_actor, follow_node
from understudy.web.routes.health import show_health
from understudy.web.routes.holds import pause_actor, resume_actor
from understudy.web.routes.ipfs import fetch_block
from understudy.web.routes.lead import lead_routes
from understudy.web.routes.messages import send_message
from understudy.web.routes.openapi import describe_actor as describe_actor_as_openapi
from understudy.web.routes.openapi import describe_node
from understudy.web.routes.pending import list_pending, list_pending_of
from understudy.web.routes.query import ask_actor, ask_step, describe_actor
from understudy.web.routes.root import show_root
from understudy.web.routes.steps import list_steps, show_core, show_core_at_head, show_step, show_step_of
from understudy.web.tokens import Tokens


def routes() -> list[Route]:
    """Everything that a node answers."""
    return [
        # What needs no token on loopback is said here, and nowhere else.
        # They are looked at in this order, so what is asked most stands first.
        Route("/actors/{actor}/query/{name}", guarded(ask_actor, ASK), methods=["GET", "POST"]),
        Route("/actors/{actor}/messages", guarded(send_message, scope_of_lane), methods=["POST"]),
        Route("/actors", guarded(create_actor, CREATE), methods=["POST"]),
        Route("/actors", guarded(list_actors, ASK), methods=["GET"]),
        Route("/actors/{actor}", guarded(show_actor, ASK), methods=["GET"]),
        Route("/actors/{actor}/messages/{type:path}", guarded(send_message, scope_of_lane), methods=["POST"]),
        Route("/actors/{actor}/pause", guarded(pause_actor, UPDATE), methods=["POST"]),
        Route("/actors/{actor}/resume", guarded(resume_actor, UPDATE), methods=["POST"]),
        Route("/actors/{actor}/wut", guarded(describe_actor, ASK), methods=["GET"]),
        Route("/actors/{actor}/openapi.json", guarded(describe_actor_as_openapi, ASK), methods=["GET"]),
        Route("/actors/{actor}/chain", guarded(show_chain, ASK), methods=["GET"]),
        Route("/actors/{actor}/steps", guarded(list_steps, ASK), methods=["GET"]),
        Route("/actors/{actor}/steps/{step}", guarded(show_step_of, ASK), methods=["GET"]),
        Route("/actors/{actor}/pending", guarded(list_pending_of, ASK), methods=["GET"]),
        Route("/pending", guarded(list_pending, ASK), methods=["GET"]),
        Route("/actors/{actor}/events", guarded(follow_actor, ASK), methods=["GET"]),
        Route("/actors/{actor}/core/{path:path}", guarded(show_core_at_head, ASK), methods=["GET"]),
        Route("/events", guarded(follow_node, ASK), methods=["GET"]),
        Route("/steps/{step}", guarded(show_step, ASK), methods=["GET"]),
        Route("/steps/{step}/query/{name}", guarded(ask_step, ASK), methods=["GET", "POST"]),
        Route("/steps/{step}/core/{path:path}", guarded(show_core, ASK), methods=["GET"]),
        Route("/ipfs/{cid}", guarded(fetch_block, ASK), methods=["GET"]),
        Route("/openapi.json", guarded(describe_node, ANY), methods=["GET"]),
        Route("/", guarded(show_root, ANY), methods=["GET"]),
        Route("/healthz", guarded(show_health, ANY), methods=["GET"]),
    ]


def build_app(
    node: Node,
    *,
    loopback: bool = True,
    tokens: Tokens | None = None,
    anybody: Grant = OPEN,
    limits: Limits | None = None,
    lead: ActorId | None = None,
) -> Starlette:
    """The application. `loopback` says that other machines can't reach it; `anybody` is what needs no token.

    `lead` is the actor that answers at `/`, if there is one.
    """
    limits = limits or Limits()
    app = Starlette(
        routes=[*_guarded_lead_routes(), *routes()] if lead is not None else routes(),
        middleware=[
            Middleware(Marks),
            Middleware(Surprises),
            Middleware(Crowd, most=limits.requests, most_bytes=limits.bodies_bytes),
            Middleware(Guard, loopback=loopback, tokens=tokens or Tokens(), anybody=anybody),
        ],
        exception_handlers=handlers(),
    )
    app.router.redirect_slashes = False  # a route has one spelling, and a refusal is a problem document
    app.state.node = node
    app.state.limits = limits
    app.state.lead = lead
    app.state.stopping = asyncio.Event()
    return app


def _guarded_lead_routes() -> list[Route]:
    return [Route(each.path, guarded(each.endpoint, _scope_of_lead), methods=each.methods) for each in lead_routes()]


def _scope_of_lead(request: Request) -> str:
    grant_of(request).check_actor(node_of(request), request.app.state.lead)
    return SEND if request.method == "POST" else ASK
