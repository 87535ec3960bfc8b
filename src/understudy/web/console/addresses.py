"""Addresses of the console's pages, and of what they show of the node's other routes. One place for all of them."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.requests import Request

HOME = "/console"
NODE = "/console/node"
SIGN_IN = "/console/sign-in"
SIGN_OUT = "/console/sign-out"
ASSETS = "/console/assets"
_MAX_NEXT = 4000  # characters of the page to come back to: what every browser and proxy takes in an address


def here(request: Request) -> str:
    """The address of a request, as a link would have it."""
    query: str = request.url.query
    return quote(request.url.path, safe="/@:~") + (f"?{query}" if query else "")


def asset(version: str, name: str) -> str:
    """A file that pages load."""
    return f"{ASSETS}/{version}/{name}"


def home(**query: object) -> str:
    """The list of actors."""
    return HOME + _query(query)


def node() -> str:
    """How the node does."""
    return NODE


def sign_in(path: str | None = None) -> str:
    """The sign-in, which leads back to a page."""
    return SIGN_IN + _query({"next": path if path and len(path) <= _MAX_NEXT else None})


def actor(actor: object, **query: object) -> str:
    """The history of an actor."""
    return f"/console/actors/{_part(actor)}{_query(query)}"


def step(actor: object, step: object) -> str:
    """One step, by its id or its height."""
    return f"/console/actors/{_part(actor)}/steps/{_part(step)}"


def file(actor: object, step: object, path: str = "", **query: object) -> str:
    """A file or folder of the core after a step."""
    return f"/console/actors/{_part(actor)}/steps/{_part(step)}/core/{quote(path)}{_query(query)}"


def raw_file(step: object, path: str) -> str:
    """The bytes of a file, as everybody gets them."""
    return f"/steps/{_part(step)}/core/{quote(path)}"


def diff(actor: object, **query: object) -> str:
    """What differs between two steps."""
    return f"/console/actors/{_part(actor)}/diff{_query(query)}"


def doing(actor: object, **query: object) -> str:
    """What an actor takes: its messages and queries."""
    return f"/console/actors/{_part(actor)}/do{_query(query)}"


def message(actor: object, type: str) -> str:
    """The form of a message."""
    return f"/console/actors/{_part(actor)}/messages/{_part(type)}"


def query(actor: object, name: str, /, **query: object) -> str:
    """The form of a query, and its answer."""
    return f"/console/actors/{_part(actor)}/queries/{_part(name)}{_query(query)}"


def confirm(actor: object, what: str) -> str:
    """The page that asks before an actor is paused or resumed."""
    return f"/console/actors/{_part(actor)}/{what}"


def retry(actor: object, step: object) -> str:
    """The page that asks before a step is run again."""
    return f"/console/actors/{_part(actor)}/steps/{_part(step)}/retry"


def is_own_page(path: str) -> bool:
    """True for an address of this node, which a page may lead to without a look at it."""
    starts_here = path.startswith("/") and not path.startswith("//")
    return starts_here and len(path) <= _MAX_NEXT and not any(one in path for one in "\\\r\n\t")


def _part(text: object) -> str:
    return quote(str(text), safe="")


def _query(query: dict[str, object]) -> str:
    said = {name: value for name, value in query.items() if value not in (None, "")}
    return f"?{urlencode(said)}" if said else ""
