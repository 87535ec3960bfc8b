"""The OpenAPI documents: an independent validator takes them, and they name every route there is."""

from __future__ import annotations

import re

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.web.conftest import Face
from understudy.web.app import routes


def test_the_document_of_a_node_is_valid_and_cached_until_the_next_version(face: Face) -> None:
    answer = face.get("/openapi.json")
    OpenAPIV31SpecValidator(answer.json()).validate()
    assert face.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_the_document_names_every_route_and_no_other(face: Face) -> None:
    paths = face.get("/openapi.json").json()["paths"]
    named = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    real = {
        (re.sub(r":\w+}", "}", route.path), method)
        for route in routes()
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert named == real
