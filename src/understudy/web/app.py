"""The web face of a node: its operations and its pages, with the guard in front and the problem documents behind."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware

from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.web.authorization import OPEN, Authorization
from understudy.web.concurrency import ConcurrencyLimit
from understudy.web.console.error_pages import ErrorPages
from understudy.web.errors import ErrorMiddleware, handlers
from understudy.web.face import Limits
from understudy.web.guard import Guard
from understudy.web.operation import Operation, routes_of
from understudy.web.security_headers import SecurityHeaders
from understudy.web.sessions import Sessions
from understudy.web.tokens import Tokens

# Files of web/routes; each declares operations. They are looked at in this order, so what is asked most stands first.
_FILES: Final = (
    "query",
    "messages",
    "actors",
    "steps",
    "chain",
    "events",
    "pending",
    "flows",
    "holds",
    "retry",
    "ipfs",
    "openapi",
    "root",
    "health",
)
# Files of web/console/routes: the same for pages.
_PAGES: Final = ("assets", "sign_in", "home", "actor", "step", "node", "doing", "operating")
_LEAD: Final = "lead"  # only of a node that `understudy run` started; it answers at `/` instead of `root`


def operations(*, with_lead: bool = False) -> list[Operation]:
    """Everything that a node answers; `with_lead` one that `understudy run` started."""
    files = (_LEAD, *_FILES) if with_lead else _FILES
    names = [f"routes.{file}" for file in files] + [f"console.routes.{file}" for file in _PAGES]
    modules = [import_module(f"understudy.web.{name}") for name in names]
    return [each for module in modules for each in vars(module).values() if isinstance(each, Operation)]


def build_app(
    node: Node,
    *,
    loopback: bool = True,
    tokens: Tokens | None = None,
    anybody: Authorization = OPEN,
    limits: Limits | None = None,
    lead: ActorId | None = None,
) -> Starlette:
    """The application. `loopback` says that other machines can't reach it; `anybody` is what needs no token.

    `lead` is the actor that answers at `/`, if there is one.
    """
    limits, tokens = limits or Limits(), tokens or Tokens()
    sessions = Sessions(tokens, node=node.name)
    answered = operations(with_lead=lead is not None)
    app = Starlette(
        routes=routes_of(answered),
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(ErrorPages),
            Middleware(ErrorMiddleware),
            Middleware(
                ConcurrencyLimit,
                most=limits.requests,
                most_bytes=limits.bodies_bytes,
                most_answer_bytes=limits.answers_bytes,
            ),
            Middleware(Guard, loopback=loopback, tokens=tokens, sessions=sessions, anybody=anybody),
        ],
        exception_handlers=handlers(),
    )
    app.router.redirect_slashes = False  # a route has one spelling, and a refusal is a problem document
    app.state.node = node
    app.state.operations = answered
    app.state.limits = limits
    app.state.lead = lead
    app.state.sessions = sessions
    app.state.stopping = asyncio.Event()
    return app
