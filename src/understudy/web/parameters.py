"""What a request asks for: the node, the actor in its path, the page in its query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from starlette.requests import Request

from understudy.node.errors import BadRequest, NotFound
from understudy.node.looking.lookup import MAX_PAGE
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import Step
from understudy.store.errors import Missing
from understudy.web.body import MAX_BODIES_BYTES, MAX_BODY_BYTES
from understudy.web.grants import grant_of
from understudy.web.negotiate import JSON, choose

DEFAULT_PAGE: Final = 100
_MAX_NUMBER: Final = 2**63 - 1
# Nothing in it is tried twice (`*+`, `++`): with spaces that two parts may take, the work grew as the square of their number.
_PREFERENCE: Final = re.compile(r"([a-z-]++)\s*+(?:=\s*+(?:\"([^\"]*+)\"|([^\s;\"]*+)))?+\s*+(?:;|\Z)", re.IGNORECASE)


class Preference(Struct, frozen=True):
    """How long the caller waits (RFC 7240): not at all if it prefers only `respond-async`; `applied` is what was heeded."""

    wait_seconds: float
    applied: str | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """The bounds of one web face. `wait_seconds` is how long a caller waits for its answer if it does not say."""

    body_bytes: int = MAX_BODY_BYTES
    car_bytes: int = 256 * 1024 * 1024  # what a node takes as one core
    bodies_bytes: int = MAX_BODIES_BYTES
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


def actor_in(request: Request) -> ActorId:
    """The actor that the path names. Raises NotFound, Ambiguous, HttpProblem 403 if the token is not for it."""
    actor = node_of(request).resolve(request.path_params["actor"])
    grant_of(request).check_actor(node_of(request), actor)
    return actor


def expected_actor_in(request: Request) -> ActorId:
    """The same, also for one that is not born yet. Raises as `actor_in`."""
    actor = node_of(request).lookup.resolve_expected(request.path_params["actor"])
    grant_of(request).check_actor(node_of(request), actor)
    return actor


def step_in(request: Request) -> tuple[StepId, Step]:
    """The step that the path names. Raises BadId, NotFound, HttpProblem 403 if the token is not for its actor."""
    id = StepId(ids.parse(request.path_params["step"]))
    try:
        step = node_of(request).reader.step(id)
    except Missing as error:
        raise NotFound(f"there is no step {id} here; GET /actors/ACTOR/steps lists those of an actor") from error
    except WrongKind as error:
        raise NotFound(f"{id} is {node_of(request).reader.kind(id)}, not a step") from error
    grant_of(request).check_actor(node_of(request), step.actor)
    return id, step


def allow_only(request: Request, names: Sequence[str], *, offered: Sequence[str] = (JSON,)) -> None:
    """The check at the door: what the caller may say, and the media types that it can get.

    Raises BadRequest for a query parameter that nobody reads (a misspelt one), or that stands there twice, and
    HttpProblem 406. `offered` is empty where the answer's own media type is not known yet.
    """
    if offered:
        choose(request, offered)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if given.count(name) > 1:
            raise BadRequest(f"the query parameter {name!r} stands there {given.count(name)} times")
        if name not in names:
            known = f"there are {', '.join(names)}" if names else "there are none"
            raise BadRequest(f"unknown query parameter {name!r}; {known}")


def limit_in(request: Request) -> int:
    """How many items the caller wants. Raises BadRequest."""
    limit = number_in(request, "limit")
    if limit is not None and not 1 <= limit <= MAX_PAGE:
        raise BadRequest(f"limit is {limit}; 1 to {MAX_PAGE} are allowed")
    return DEFAULT_PAGE if limit is None else limit


def number_in(request: Request, name: str) -> int | None:
    """A number in the query, None without it. Raises BadRequest."""
    text = request.query_params.get(name)
    return None if text is None else parse_number(text, name)


def parse_number(text: str, name: str) -> int:
    """A whole number that is not negative. Raises BadRequest that names it."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MAX_NUMBER):
        raise BadRequest(f"{name} is {text[:40]!r}; a whole number from 0 on is expected")
    return int(text)


def read_preference(lines: Sequence[str], wait_seconds: float, most_seconds: float) -> Preference:
    """What the headers `Prefer` say; what they say wrongly counts as not said, and only the first of two is heard."""
    said: dict[str, str] = {}
    for part in ",".join(lines).split(","):
        found = _PREFERENCE.match(part.strip())
        if found is not None:
            said.setdefault(found[1].lower(), found[2] or found[3] or "")
    asynchronous = said.get("respond-async") == ""
    wait = said.get("wait", "")
    if wait.isascii() and wait.isdigit() and len(wait) < 10:
        # Both together: an answer in time, or else a 202.
        applied = "respond-async, wait" if asynchronous else "wait"
        return Preference(min(int(wait), most_seconds), f"{applied}={wait}")
    if asynchronous:
        return Preference(0, "respond-async")
    return Preference(wait_seconds)
