"""The node that a request is for, and the limits of this web API."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request

from understudy.node.node import Node
from understudy.web.body import MAX_ANSWERS_BYTES, MAX_BODIES_BYTES, MAX_BODY_BYTES


class Limits(Struct, frozen=True, kw_only=True):
    """The bounds of one web face. `wait_seconds` is how long a caller waits for its answer if it does not say."""

    body_bytes: int = MAX_BODY_BYTES
    car_bytes: int = 256 * 1024 * 1024  # what a node takes as one core
    bodies_bytes: int = MAX_BODIES_BYTES
    answers_bytes: int = MAX_ANSWERS_BYTES
    requests: int = 10_000  # under way at once, readers of events too; each costs some ten kilobytes
    wait_seconds: float = 60.0
    most_wait_seconds: float = 600.0
    most_query_seconds: float = 60.0  # a query holds a thread while it runs


def node_of(request: Request) -> Node:
    """The node that this face belongs to."""
    node: Node = request.app.state.node
    return node


def limits_of(request: Request) -> Limits:
    """The bounds of this face."""
    limits: Limits = request.app.state.limits
    return limits
