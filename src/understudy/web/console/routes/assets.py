"""The files that pages load: a stylesheet and small modules. Their address has their version, so they are kept for ever."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import NotFound
from understudy.web.answers import FOR_EVER
from understudy.web.authorization import PUBLIC
from understudy.web.console.rendering import assets
from understudy.web.openapi import answer
from understudy.web.operation import Operation
from understudy.web.parameters import path_text
from understudy.web.schemas import ANY_ANSWER

_VERSION = path_text("version", "The version of all files together")
_NAME = path_text("name", "The name of the file")


@Operation(
    "GET",
    "/console/assets/{version}/{name}",
    name="showAsset",
    summary="A file that pages load",
    scope=PUBLIC,
    parameters=[_VERSION, _NAME],
    answers={200: answer("The file", ANY_ANSWER)},
    errors=(404,),
    is_page=True,
)
def show_asset(request: Request) -> Response:
    """The file of this version of the node, whichever version is asked for: there is no other here."""
    asset = assets().get(_NAME.of(request))
    if asset is None:
        raise NotFound(f"the console has no file {_NAME.of(request)[:80]!r}")
    return Response(asset.data, headers={"Cache-Control": FOR_EVER}, media_type=asset.media_type)
