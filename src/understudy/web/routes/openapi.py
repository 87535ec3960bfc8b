"""OpenAPI: one document for the node, so that clients can be generated."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.version import VERSION
from understudy.web.answers import fresh_json, head_headers
from understudy.web.node_document import node_document
from understudy.web.parameters import allow_only

_NODE: Final = msgspec.Raw(msgspec.json.encode(node_document()))


def describe_node(request: Request) -> Response:
    """GET /openapi.json"""
    allow_only(request, ())
    return fresh_json(request, _NODE, head_headers(VERSION))
