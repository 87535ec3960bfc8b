"""Rendering: a template with values becomes a page.

The laws: whatever comes from an actor is escaped, by the templates' engine and not by who writes a template; a page runs
and loads only what is in `assets/`, and nothing that stands in the page itself.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from understudy.version import VERSION
from understudy.web.authorization import ASK, UPDATE, Authorization, authorization_of
from understudy.web.console import addresses
from understudy.web.console.views import amounts, moments, texts

if TYPE_CHECKING:
    from jinja2 import Environment

HTML: Final = "text/html"
_HERE: Final = Path(__file__).parent
_ASSETS: Final = _HERE / "assets"
# A page shows what is now. A browser may keep it for its back button, and asks again otherwise.
_FRESH: Final = {"Cache-Control": "no-cache", "Vary": "Accept"}


class Asset(Struct, frozen=True):
    """A file that pages load; `version` is in its address, so that it can be kept for ever."""

    data: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every file that pages load, by its name."""
    return {
        path.name: Asset(path.read_bytes(), mimetypes.guess_type(path.name)[0] or "text/plain")
        for path in sorted(_ASSETS.iterdir())
        if path.is_file()
    }


@cache
def assets_version() -> str:
    """Changes when one of the files does."""
    whole = sha256()
    for name, asset in assets().items():
        whole.update(name.encode() + b"\0" + asset.data)
    return whole.hexdigest()[:12]


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A page for whoever may ask this node."""
    authorization = authorization_of(request)
    shell = {
        "node": request.app.state.node.name,
        "path": addresses.here(request),
        "grant": shown_authorization(authorization),
    }
    text = render(template, **shell, **values)
    more = {**_FRESH, "Content-Security-Policy": _policy(request), **(headers or {})}
    return Response(text, status, more, f"{HTML}; charset=utf-8")


def render(template: str, **values: Any) -> str:
    """The text of a page. Raises TypeError for a value with the name of what all templates have: it would hide that."""
    environment = _environment()
    hidden = sorted(environment.globals.keys() & values.keys())
    if hidden:
        raise TypeError(f"{template} is given {', '.join(hidden)}, which all templates have already: name it otherwise")
    return environment.get_template(template).render(**values)


def shown_authorization(authorization: Authorization) -> dict[str, bool]:
    """What the navigation needs to know of what a request may do."""
    return {
        "asks": ASK in authorization.scopes,
        "asks_all": ASK in authorization.scopes and authorization.actors is None,
        "updates": UPDATE in authorization.scopes,
        "by_session": authorization.by_session,
    }


@cache
def _environment() -> Environment:
    # Loaded with the first page: commands that ask this application within their own process show none.
    jinja2 = import_module("jinja2")
    environment: Environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        at=addresses, asset=lambda name: addresses.asset(assets_version(), name), version=VERSION, amounts=amounts
    )
    environment.filters.update(
        moment=moments.moment, short=texts.short_id, clip=texts.clip, visible=texts.visible, number=amounts.number
    )
    return environment


def _policy(request: Request) -> str:
    """What a page of the console may load: its own files, and pictures and frames of files that the node serves as data."""
    host = request.headers["host"]
    # An IPv6 address can't stand in a policy.
    own = "'self'" if host.startswith("[") else f"{host}{addresses.ASSETS}/"
    return (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
