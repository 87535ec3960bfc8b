"""`wut`: what a Wit says of itself holds for what it takes and gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct
from pydantic import BaseModel

from understudy import ActorId, Blob, Context, Core, Error, Tree, Wit
from understudy.wit.handler import Handler, Role
from understudy.wit.query_handler import QueryHandler
from understudy.wit.state import NewState, StateType
from understudy.wit.wut import describe


class Colour(Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    colour: Colour


class Model(BaseModel):
    """A model of pydantic."""

    inner: Inner
    count: int = 3


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: float = 0.5


class Order(Struct):
    """A Struct that holds the others."""

    point: Point
    model: Model | None
    who: ActorId | None = None
    next: Order | None = None


class Callbacks(BaseModel):
    """What pydantic takes and can't describe."""

    call: Callable[[], int]


class State(Struct):
    orders: int = 0


def handle(order: Order, state: State) -> Point:
    """Handles an order.

    It says where.
    """
    raise AssertionError


def make(state: State, ctx: Context) -> NewState[State]:
    raise AssertionError


def take(data: bytes) -> None:
    raise AssertionError


def find(
    state: State,
    core: Core,
    order: Order,
    kind: Literal["a", "b"],
    *,
    most: Annotated[int, Meta(ge=1)] = 10,
    colour: Colour = Colour.RED,
    point: Point = Point(1),  # noqa: B008 - a default as authors write them
    anything: Any = None,
    untyped=object,
) -> list[Point] | Error:
    """Finds points."""
    raise AssertionError


def page() -> Blob:
    raise AssertionError


def files() -> Tree | Error:
    raise AssertionError


def raw() -> bytes:
    raise AssertionError


def of_any_kind() -> object:
    raise AssertionError


def of_two_kinds() -> int | complex | Callbacks:
    raise AssertionError


def run_on() -> Iterator[Inner]:
    raise AssertionError


def wut() -> dict[str, Any]:
    """The document of all of these."""
    state = StateType(State)
    messages = {
        "order": Handler(handle, Role.MESSAGE, None, "order", state, {"Point": Point, "again": Order}),
        "make": Handler(make, Role.MESSAGE, None, "make", state),
        "take": Handler(take, Role.MESSAGE, None, "take", state),
    }
    queries = {each.__name__: QueryHandler(each, state) for each in (find, page, files, raw)}
    found: dict[str, Any] = describe(handlers=messages, genesis=None, queries=queries).json()
    return found


def validator(document: dict[str, Any], schema: Any) -> Draft202012Validator:
    """The validator of a schema that stands in the document."""
    return Draft202012Validator({"$schema": document["$schema"], "$defs": document["$defs"], **schema})


def schemas_of(document: dict[str, Any]) -> list[Any]:
    """All schemas of a document."""
    messages = [one[key] for one in document["messages"].values() for key in ("payload", "reply") if key in one]
    queries = [one[key] for one in document["queries"].values() for key in ("arguments", "result")]
    return [*messages, *queries, *(one["payload"] for one in document["sends"].values()), *document["$defs"].values()]


def test_every_schema_is_one_by_the_standard_and_every_reference_leads_somewhere() -> None:
    document = wut()
    assert document["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    for schema in schemas_of(document):
        Draft202012Validator.check_schema(schema)
        for reference in json.dumps(schema).split('"$ref": "')[1:]:
            assert reference.partition('"')[0].removeprefix("#/$defs/") in document["$defs"]


@pytest.mark.parametrize(
    ("arguments", "good"),
    [
        ({"order": {"point": {"x": 1}, "model": None}, "kind": "a"}, True),
        ({"order": {"point": {"x": 1}, "model": {"inner": {"colour": "blue"}}}, "kind": "b", "most": 1}, True),
        ({"order": {"point": {"x": 1}, "model": None, "next": {"point": {"x": 2}, "model": None}}, "kind": "a"}, True),
        ({"order": {"point": {"x": "1"}, "model": None}, "kind": "a"}, False),
        ({"order": {"point": {"x": 1}, "model": {"inner": {"colour": "green"}}}, "kind": "a"}, False),
        ({"order": {"point": {"x": 1}, "model": None, "who": "me"}, "kind": "a"}, False),
        ({"order": {"point": {"x": 1}, "model": None}, "kind": "c"}, False),
        ({"order": {"point": {"x": 1}, "model": None}, "kind": "a", "most": 0}, False),
        ({"order": {"point": {"x": 1}, "model": None}, "kind": "a", "other": 0}, False),
        ({"kind": "a"}, False),
    ],
)
def test_the_schema_of_the_arguments_says_what_the_query_takes(arguments: dict[str, Any], good: bool) -> None:
    document = wut()
    schema = document["queries"]["find"]["arguments"]
    assert validator(document, schema).is_valid(arguments) is good


def test_docstrings_are_descriptions_and_defaults_are_shown() -> None:
    document = wut()
    assert document["description"] == __doc__
    assert document["messages"]["order"]["description"] == "Handles an order.\n\nIt says where."
    assert document["$defs"]["Point"]["description"] == "A dataclass."
    arguments = document["queries"]["find"]["arguments"]
    assert list(arguments["properties"]) == ["order", "kind", "most", "colour", "point", "anything", "untyped"]
    assert arguments["required"] == ["order", "kind"]
    defaults = {name: one.get("default", "-") for name, one in arguments["properties"].items()}
    assert defaults == {
        "order": "-", "kind": "-", "most": 10, "colour": "red", "point": {"x": 1, "y": 0.5}, "anything": None,
        "untyped": "-",
    }  # fmt: skip


def test_what_is_sent_is_known_from_what_is_declared_and_says_so() -> None:
    sends = wut()["sends"]
    assert set(sends) == {"Point", "again", "reply"}
    assert sends["Point"]["known_from"] == ["sends=… of handle"]
    assert sends["reply"]["known_from"] == ["the return annotation of handle"]


def test_answers_that_are_no_json_say_what_they_are_as_far_as_it_is_known() -> None:
    queries = wut()["queries"]
    known = {name: one.get("media_type") for name, one in queries.items()}
    assert known == {
        "find": "application/json",
        "page": None,
        "files": "application/vnd.ipld.dag-cbor",
        "raw": "application/octet-stream",
    }
    assert queries["page"]["result"] == {}


def test_a_type_that_json_schema_can_not_say_allows_everything_and_hides_no_other() -> None:
    queries = {
        each.__name__: QueryHandler(each, StateType(State)) for each in (of_any_kind, of_two_kinds, run_on, find)
    }
    document = describe(handlers={}, genesis=None, queries=queries).json()
    for name in ("of_any_kind", "of_two_kinds", "run_on"):
        result = document["queries"][name]["result"]
        assert validator(document, result).is_valid([1, "x"])
    assert document["queries"]["find"]["result"]["items"] == {"$ref": "#/$defs/Point"}


def test_sends_of_a_decorator_are_classes_or_types_with_their_kinds() -> None:
    wit = Wit()
    wit.message("one", sends=[Point])(take)
    wit.message("two", sends={"points": list[Point]})(take)
    wit.prepare()
    assert wit._plan is not None
    assert set(wit._describe(wit._plan).json()["sends"]) == {"Point", "points"}


def test_the_same_code_has_the_same_document_under_every_hash_seed() -> None:
    program = "from tests.wit.test_wut import *; print(json.dumps(wut()))"
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1] != b""
