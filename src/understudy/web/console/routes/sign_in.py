"""Signing in: a person shows a token once, and the browser has a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.authorization import ANY, PUBLIC, Authorization
from understudy.web.console import addresses
from understudy.web.console.page_operation import form_at, go_to, page_at, read_form
from understudy.web.console.rendering import page
from understudy.web.parameters import text
from understudy.web.sessions import LIFE_SECONDS, Sessions

_NEXT = text("query", "next", "The page to go to afterwards")


@page_at(addresses.SIGN_IN, name="showSignIn", summary="Sign in with a token", scope=PUBLIC, parameters=[_NEXT])
def show_sign_in(request: Request) -> Response:
    """The form that takes a token."""
    return page(request, "sign_in.html", next=_NEXT.of(request) or addresses.HOME, wrong=False)


@form_at(addresses.SIGN_IN, name="signIn", summary="Begin a session", scope=PUBLIC)
async def sign_in(request: Request) -> Response:
    """A session for a token of this node; otherwise the form again."""
    fields = await read_form(request)
    sessions: Sessions = request.app.state.sessions
    where = fields.get("next", "")
    where = where if addresses.is_own_page(where) else addresses.HOME
    cookie = sessions.begin(fields.get("token", "").strip().encode())
    if cookie is None:
        return page(request, "sign_in.html", status=401, next=where, wrong=True)
    # Whoever signs in again wants to be somebody else now, and has no more use for the session before.
    sessions.end(request.cookies.get(sessions.cookie, ""))
    answer = go_to(_allowed_page(where, sessions.authorization_of(cookie)))
    answer.set_cookie(
        sessions.cookie, cookie, max_age=LIFE_SECONDS, httponly=True, samesite="strict", secure=_is_https(request)
    )
    return answer


@form_at(addresses.SIGN_OUT, name="signOut", summary="End the session", scope=ANY)
async def sign_out(request: Request) -> Response:
    """The session is over at once, not only in this browser."""
    await read_form(request)
    sessions: Sessions = request.app.state.sessions
    sessions.end(request.cookies.get(sessions.cookie, ""))
    answer = go_to(addresses.sign_in())
    answer.delete_cookie(sessions.cookie, httponly=True, samesite="strict", secure=_is_https(request))
    return answer


def _allowed_page(where: str, authorization: Authorization | None) -> str:
    """The page to begin with: the list of all actors is not for a token for some, which begins with its first one."""
    if where != addresses.HOME or authorization is None or not authorization.actors:
        return where
    return addresses.actor(authorization.actors[0])


def _is_https(request: Request) -> bool:
    """True behind a proxy that speaks TLS: only the page's Origin tells."""
    return request.headers.get("origin", "").lower().startswith("https://")
