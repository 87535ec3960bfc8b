"""The web face of a node: the table of its routes, with the guard in front and the problem documents behind."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.web.crowd import Crowd
from understudy.web.errors import Surprises, handlers
from understudy.web.guard import Guard
from understudy.web.parameters import Limits
from understudy.web.routes.actors import create_actor, list_actors, show_actor
from understudy.web.routes.chain import show_chain
from understudy.web.routes.events import follow_actor, follow_node
from understudy.web.routes.health import show_health
from understudy.web.routes.lead import lead_routes
from understudy.web.routes.messages import send_message
from understudy.web.routes.openapi import describe_actor as describe_actor_as_openapi
from understudy.web.routes.openapi import describe_node
from understudy.web.routes.query import ask_actor, ask_step, describe_actor
from understudy.web.routes.steps import list_steps, show_core, show_core_at_head, show_step


def routes() -> list[Route]:
    """Everything that a node answers."""
    return [
        # They are looked at in this order, so what is asked most stands first.
        Route("/actors/{actor}/query/{name}", ask_actor, methods=["GET", "POST"]),
        Route("/actors/{actor}/messages", send_message, methods=["POST"]),
        Route("/actors", create_actor, methods=["POST"]),
        Route("/actors", list_actors, methods=["GET"]),
        Route("/actors/{actor}", show_actor, methods=["GET"]),
        Route("/actors/{actor}/messages/{type:path}", send_message, methods=["POST"]),
        Route("/actors/{actor}/wut", describe_actor, methods=["GET"]),
        Route("/actors/{actor}/openapi.json", describe_actor_as_openapi, methods=["GET"]),
        Route("/actors/{actor}/chain", show_chain, methods=["GET"]),
        Route("/actors/{actor}/steps", list_steps, methods=["GET"]),
        Route("/actors/{actor}/events", follow_actor, methods=["GET"]),
        Route("/actors/{actor}/core/{path:path}", show_core_at_head, methods=["GET"]),
        Route("/events", follow_node, methods=["GET"]),
        Route("/steps/{step}", show_step, methods=["GET"]),
        Route("/steps/{step}/query/{name}", ask_step, methods=["GET", "POST"]),
        Route("/steps/{step}/core/{path:path}", show_core, methods=["GET"]),
        Route("/openapi.json", describe_node, methods=["GET"]),
        Route("/healthz", show_health, methods=["GET"]),
    ]


def build_app(
    node: Node,
    *,
    loopback: bool = True,
    token: str | None = None,
    limits: Limits | None = None,
    lead: ActorId | None = None,
) -> Starlette:
    """The application. `loopback` says that nobody else can reach it; without that a token is needed.

    `lead` is the actor that answers at `/`, if there is one.
    """
    limits = limits or Limits()
    app = Starlette(
        routes=[*routes(), *lead_routes()] if lead is not None else routes(),
        middleware=[
            Middleware(Surprises),
            Middleware(Crowd, most=limits.requests),
            Middleware(Guard, loopback=loopback, token=token),
        ],
        exception_handlers=handlers(),
    )
    app.router.redirect_slashes = False  # a route has one spelling, and a refusal is a problem document
    app.state.node = node
    app.state.limits = limits
    app.state.lead = lead
    app.state.stopping = asyncio.Event()
    return app
