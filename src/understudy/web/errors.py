"""Errors as problem documents (RFC 9457): what went wrong, where, and never a traceback of ours."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.node.errors import NodeError, QueryFailed, QueryRefused
from understudy.objects.errors import BadId, ObjectError, TooLarge
from understudy.store.errors import BadCar, Missing, StoreError

_log = logging.getLogger("understudy.web")
_RETRY_AFTER_STORE_SECONDS: Final = 30
_TITLES: Final = {
    400: "Bad request",
    401: "A token is needed",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Rejected",
    431: "Headers too large",
    500: "Internal error",
    503: "The store failed",
}

Handler = Callable[[Request, Exception], Awaitable[Response]]


class HttpProblem(NodeError):
    """A request that is refused for a reason of HTTP alone."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.title = _TITLES[status]
        self.headers = headers or {}
        self.more = more


def problem(
    status: int, detail: str, *, title: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """A problem document; `more` are members beside those of RFC 9457."""
    body = {"type": "about:blank", "title": title or _TITLES.get(status, "Error"), "status": status, "detail": detail}
    return Response(msgspec.json.encode({**body, **more}), status, headers, "application/problem+json")


def handlers() -> dict[Any, Handler]:
    """What answers which exception."""
    return {
        NodeError: _node_error,
        ObjectError: _object_error,
        StoreError: _store_error,
        HTTPException: _http_exception,
    }


class ErrorMiddleware:
    """Turns an exception that nothing else handles into a 500 with a number; the log has the traceback under that number."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            # The client went away before it had sent its whole request. There is nobody to answer, and no error.
            return
        except Exception:
            number = secrets.token_hex(8)
            _log.exception("error %s in %s %s", number, scope["method"], scope["path"])
            if started:
                # Part of an answer was sent already. The broken connection tells the client that it is not complete.
                raise
            detail = f"this is a fault of the server; its log has the details under {number}"
            await problem(500, detail, error=number)(scope, receive, send)


async def _node_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, NodeError)
    headers = dict(getattr(error, "headers", {}))
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return problem(error.status, error.detail, title=error.title, headers=headers, **_members(error))


def _members(error: NodeError) -> Mapping[str, Any]:
    """What a problem document of this error has besides the members of RFC 9457."""
    match error:
        case HttpProblem():
            return error.more
        case QueryRefused():
            return {"step": str(error.step), "code": error.error.code}
        case QueryFailed():
            return {"step": str(error.step), "code": error.code}
    return {"code": _word(error)}


def _word(error: Exception) -> str:
    """What programs know the error by: the name of its kind, since sentences may change."""
    return type(error).__name__


async def _object_error(_: Request, error: Exception) -> Response:
    status = 400 if isinstance(error, BadId) else 413 if isinstance(error, TooLarge) else 422
    return problem(status, str(error), code=_word(error))


async def _store_error(_: Request, error: Exception) -> Response:
    if isinstance(error, Missing):
        return problem(404, str(error), code=_word(error))
    if isinstance(error, BadCar):
        return problem(422, str(error), code=_word(error))
    _log.error("the store failed: %s", error)
    return problem(503, str(error), headers={"Retry-After": str(_RETRY_AFTER_STORE_SECONDS)})


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return problem(404, f"there is nothing at {request.url.path}", headers=headers)
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_of(request))
        detail = f"{request.method} is not for {request.url.path}; it takes {headers['Allow']}"
        return problem(405, detail, headers=headers)
    return problem(error.status_code, str(error.detail), headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Every method of a path; the router itself knows only those of the first route that it comes to."""
    found = [route.methods or set() for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    return sorted(set().union(*found))
