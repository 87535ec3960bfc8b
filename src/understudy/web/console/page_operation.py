"""Operations of the console: declared as all others are, and answered with a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from understudy.node.errors import BadRequest
from understudy.web.authorization import Needs
from understudy.web.body import read_body
from understudy.web.console.rendering import HTML
from understudy.web.errors import HttpProblem
from understudy.web.openapi import answer
from understudy.web.operation import Operation
from understudy.web.parameters import Parameter
from understudy.web.schemas import TEXT, Json

FORM: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 4 * 1024 * 1024  # what a person pastes into a field; larger messages go to the route itself
_MAX_FIELDS: Final = 1000
_PAGE: Final[Mapping[int, Json]] = {200: answer("A page", {HTML: TEXT})}
_LED: Final[Mapping[int, Json]] = {
    200: answer("A page", {HTML: TEXT}),
    303: answer("Where it is seen", headers=["Location"]),
}


def page_at(
    path: str,
    *,
    name: str,
    summary: str,
    scope: Needs,
    about_all: bool = False,
    parameters: Sequence[Parameter[Any]] = (),
) -> Operation:
    """A page that is looked at, and changes nothing."""
    return Operation(
        "GET",
        path,
        name=name,
        summary=summary,
        scope=scope,
        about_all=about_all,
        parameters=parameters,
        answers=_PAGE,
        is_page=True,
    )


def form_at(
    path: str, *, name: str, summary: str, scope: Needs, parameters: Sequence[Parameter[Any]] = ()
) -> Operation:
    """What a form does."""
    return Operation(
        "POST",
        path,
        name=name,
        summary=summary,
        scope=scope,
        parameters=parameters,
        answers=_LED,
        body={FORM: TEXT},
        is_page=True,
    )


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of one that stands there twice, the last. Raises BadRequest, TooLarge, HttpProblem 415."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise HttpProblem(415, f"a form of the console is sent as {FORM}; the Content-Type says {media_type!r}")
    data = await read_body(request, most=MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadRequest(f"the form can't be read: {error}") from error
    return dict(pairs)


def go_to(where: str) -> Response:
    """Lead the browser to the page that shows what was done, so that a reload does not do it again."""
    return RedirectResponse(where, 303, {"Cache-Control": "no-store"})
