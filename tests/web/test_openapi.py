"""The OpenAPI documents: an independent validator takes them, and they say what the node answers."""

from __future__ import annotations

import asyncio
import re

from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from tests.web.conftest import Face, problem_of
from understudy.node.node import Node


def test_the_document_of_a_node_is_valid_and_cached_until_the_next_version(face: Face) -> None:
    answer = face.get("/openapi.json")
    OpenAPIV31SpecValidator(answer.json()).validate()
    assert face.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_the_document_names_every_route_and_no_other(face: Face) -> None:
    assert _named(face) == _real(face)


def test_the_document_of_a_node_with_a_lead_names_its_routes_too(node: tuple[asyncio.Runner, Node]) -> None:
    plain = Face(*node)
    lead = plain.node.resolve(plain.create()["id"])
    face = Face(*node, lead=lead)
    assert _named(face) == _real(face)
    answer = face.get("/openapi.json")
    OpenAPIV31SpecValidator(answer.json()).validate()
    known = {"If-None-Match": answer.headers["etag"]}
    assert face.get("/openapi.json", headers=known).status_code == 304
    assert plain.get("/openapi.json", headers=known).status_code == 200


def _named(face: Face) -> set[tuple[str, str]]:
    paths = face.get("/openapi.json").json()["paths"]
    return {(path, method.upper()) for path, methods in paths.items() for method in methods}


def _real(face: Face) -> set[tuple[str, str]]:
    """Pages are for people, and in no document for programs."""
    pages = {each.path for each in face.app.state.operations if each.is_page}
    assert pages and all(path.startswith("/console") for path in pages)
    return {
        (re.sub(r":\w+}", "}", route.path), method)
        for route in face.app.routes
        if isinstance(route, Route) and route.path not in pages
        for method in (route.methods or ())
        if method != "HEAD"
    }


RICH = """
from typing import Annotated
from msgspec import Meta, Struct
from understudy import Blob, Wit

class Line(Struct):
    text: str
    after: "Line | None" = None

class Problem(Struct):
    why: Annotated[str, Meta(min_length=1)]

wit = Wit()

@wit.message("add line/2 {x}")
def add(line: Line) -> Problem:
    "Take a line."
    return Problem(line.text)

@wit.message("bytes")
def take(data: bytes) -> None:
    pass

@wit.query
def lines(line: Line, at: int = 0) -> list[Line]:
    return [line]

@wit.query("häufig")
def often(count: int, tags: list[str] = []) -> Blob:
    return Blob.html("x" * count)
"""


def test_the_document_of_an_actor_is_valid_whatever_its_names_are(face: Face) -> None:
    made = face.create({"wit": RICH}, name="rich")
    document = face.get("/actors/rich/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    base = f"/actors/{made['id']}"
    assert set(document["paths"]) == {
        f"{base}/messages/add%20line%2F2%20%7Bx%7D",
        f"{base}/messages/bytes",
        f"{base}/query/lines",
        f"{base}/query/h%C3%A4ufig",
        f"{base}/wut",
    }
    assert document["components"]["schemas"]["Problem"] != document["components"]["schemas"]["wit.Problem"]
    # `at` is the step in a GET, so a query with an argument of that name is asked by POST alone.
    assert set(document["paths"][f"{base}/query/lines"]) == {"post"}


def test_the_paths_of_the_document_can_be_called(face: Face) -> None:
    made = face.create({"wit": RICH}, name="rich")
    base = f"/actors/{made['id']}"
    sent = face.post(f"{base}/messages/add%20line%2F2%20%7Bx%7D", json={"text": "hello"})
    assert sent.json()["replies"][0]["content"] == {"why": "hello"}
    assert face.post(f"{base}/query/lines", json={"line": {"text": "a"}}).json() == [{"text": "a", "after": None}]
    assert face.get(f"{base}/query/h%C3%A4ufig?count=3").text == "xxx"


def test_an_actor_that_describes_itself_otherwise_gets_a_document_of_what_is_understood(face: Face) -> None:
    odd = "from understudy import Blob\ndef wit(): pass\n"
    face.create({"wit": odd, "wit_query": "def wit_query(step):\n    return {'messages': 7}\n"}, name="odd")
    document = face.get("/actors/odd/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert [path.rpartition("/")[2] for path in document["paths"]] == ["wut"]
    face.create({"wit": odd, "wit_query": "def wit_query(step):\n    return 'hello'\n"}, name="mute")
    assert "wut" in problem_of(face.get("/actors/mute/openapi.json"), 404)["detail"]
    face.create({"wit": odd}, name="silent")
    problem_of(face.get("/actors/silent/openapi.json"), 404)


LISTS = """
from typing import Literal
from msgspec import Struct
from understudy import Wit

class Item(Struct):
    title: str
    kind: Literal["a", "b"] = "a"

wit = Wit()

@wit.query
def values(words: list[str], numbers: list[int] = [], flag: bool = False, kind: Literal["x"] = "x") -> Item:
    return Item(f"{words} {numbers} {flag}")

@wit.query
def optional(name: str, item: Item | None = None, deep: list[list[int]] = [], table: dict[str, int] = {}) -> str:
    return name

@wit.query
def required(item: Item) -> str:
    return item.title

@wit.query
def many(items: list[Item]) -> int:
    return len(items)
"""


def test_what_a_url_promises_the_node_takes(face: Face) -> None:
    face.create({"wit": LISTS}, name="ada")
    paths = face.get("/actors/ada/openapi.json").json()["paths"]
    said = {path.rpartition("/")[2]: methods for path, methods in paths.items()}
    assert "get" not in said["required"] and "get" not in said["many"]
    assert {each["name"] for each in said["optional"]["get"]["parameters"]} == {"at", "name"}
    assert {each["name"] for each in said["values"]["get"]["parameters"]} == {"at", "words", "numbers", "flag", "kind"}
    for query in ("words=a", "words=a&words=b&numbers=1", "words=a&numbers=1&numbers=2&flag=true&kind=x"):
        assert face.get(f"/actors/ada/query/values?{query}").status_code == 200, query
    problem_of(face.get("/actors/ada/query/values?words=a&numbers=x"), 422)


def test_no_two_types_of_a_document_have_one_name(face: Face) -> None:
    """Titles are names for generators: ours and an actor's may be the same, and two of an actor's as well."""
    face.create({"wit": LISTS}, name="ada")
    schemas = face.get("/actors/ada/openapi.json").json()["components"]["schemas"]
    assert all("title" not in schema for schema in schemas.values())
    assert "title" in schemas["wit.Item"]["properties"]  # of the actor's own
