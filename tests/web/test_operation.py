"""Operations: one declaration gives the route, the check of what is asked, and the part of the document."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.web.conftest import Face, problem_of
from understudy.web.answers import json_answer
from understudy.web.app import operations
from understudy.web.authorization import ASK
from understudy.web.openapi import json_of
from understudy.web.operation import Operation, paths_of, routes_of, schemas_of
from understudy.web.parameters import LIMIT, Parameter, number, one_of, text
from understudy.web.schemas import TEXT, Named, object_of

ALL = operations(with_lead=True)
NAMES = [each.name for each in ALL]
PLAIN = operations()


@pytest.fixture
def about(face: Face) -> dict[str, str]:
    """What stands in the place of each parameter of a path."""
    made = face.create(name="ada")
    text_of = {"path": "wit", "type": "echo", "name": "wut", "cid": made["head"], "flow": made["head"], "version": "1"}
    return {"actor": "ada", "step": made["head"], **text_of}


def ask(face: Face, about: dict[str, str], asked: Operation, query: str = "", **headers: str) -> Any:
    path, _ = asked.place()
    body = b"{}" if asked.method == "POST" else None
    return face.ask(asked.method, path.format(**about) + query, content=body, headers=headers)


def in_query(asked: Operation) -> list[Parameter[Any]]:
    return [each for each in asked.parameters if each.place == "query"]


@pytest.mark.parametrize("asked", PLAIN, ids=[each.name for each in PLAIN])
def test_a_query_parameter_that_is_not_declared_is_refused(face: Face, about: dict[str, str], asked: Operation) -> None:
    if any(each.read is None for each in in_query(asked)):
        return  # its arguments may have any name
    problem = problem_of(ask(face, about, asked, "?limti=1"), 400)
    assert "'limti'" in problem["detail"]
    assert all(each.name in problem["detail"] for each in in_query(asked))


@pytest.mark.parametrize("asked", PLAIN, ids=[each.name for each in PLAIN])
def test_a_query_parameter_that_stands_there_twice_is_refused(
    face: Face, about: dict[str, str], asked: Operation
) -> None:
    for each in in_query(asked):
        if each.read is not None:
            assert (
                f"{each.name!r}" in problem_of(ask(face, about, asked, f"?{each.name}=1&{each.name}=1"), 400)["detail"]
            )


@pytest.mark.parametrize("asked", PLAIN, ids=[each.name for each in PLAIN])
def test_a_number_is_refused_where_its_schema_refuses_it(face: Face, about: dict[str, str], asked: Operation) -> None:
    for each in in_query(asked):
        if each.schema.get("type") != "integer":
            continue
        wrong = [each.schema["minimum"] - 1, each.schema["maximum"] + 1, "x", "", "1.0", "²", "9" * 5000]
        for said in wrong:
            assert each.name in problem_of(ask(face, about, asked, f"?{each.name}={said}"), 400)["detail"], said


@pytest.mark.parametrize("asked", PLAIN, ids=[each.name for each in PLAIN])
def test_a_header_that_is_read_stands_there_once(face: Face, about: dict[str, str], asked: Operation) -> None:
    for each in asked.parameters:
        if each.place == "header" and each.read is not None:
            path, method = asked.place()
            twice = [(each.name, "1"), (each.name, "1")]
            answer = face.ask(method.upper(), path.format(**about), content=b"", headers=twice)
            assert each.name in problem_of(answer, 400)["detail"]


def test_no_two_operations_have_one_name_or_one_place() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert len({each.place() for each in PLAIN}) == len(PLAIN)


def test_every_parameter_of_a_path_is_declared_and_no_other() -> None:
    for each in ALL:
        path, _ = each.place()
        declared = {f"{{{parameter.name}}}" for parameter in each.parameters if parameter.place == "path"}
        assert declared == {part for part in path.split("/") if part.startswith("{")}, each.name


_COLOUR = one_of("query", "colour", "Of the answer", ["red", "blue"], default="red")
_COUNT = number("query", "count", "How often", least=1, most=3, default=None)
_NOTE = text("header", "Note", "A remark")


@Operation(
    "GET",
    "/paint/{actor}",
    name="paint",
    summary="Paint",
    scope=ASK,
    parameters=[text("path", "actor", "Whom"), LIMIT, _COLOUR, _COUNT, _NOTE],
    answers={200: json_of("Painted", Named("Paint", object_of({"colour": TEXT})))},
    errors=(409,),
)
def paint(request: Request) -> Response:
    """An operation that is declared nowhere else."""
    said = [LIMIT.of(request), _COLOUR.of(request), _COUNT.of(request), _NOTE.of(request)]
    return json_answer(said)


@Operation("GET", "/bare", name="bare", summary="Bare", scope=ASK, answers={200: json_of("Nothing", TEXT)})
def bare(request: Request) -> Response:
    """Reads what it did not declare."""
    return json_answer(LIMIT.of(request))


def test_a_new_operation_is_one_declaration(face: Face) -> None:
    face.app.router.routes = [*routes_of([paint, bare])]
    assert face.get("/paint/x").json() == [100, "red", None, None]
    assert face.get("/paint/x?limit=5&colour=blue&count=3", headers={"Note": "hi"}).json() == [5, "blue", 3, "hi"]
    assert "red, blue" in problem_of(face.get("/paint/x?colour=green"), 400)["detail"]
    problem_of(face.get("/paint/x?count=4"), 400)
    problem_of(face.get("/paint/x", headers={"Accept": "image/png"}), 406)
    assert face.as_somebody("wrong").get("/paint/x").status_code == 401
    said = paths_of([paint])["/paint/{actor}"]["get"]
    assert [each["name"] for each in said["parameters"]] == ["actor", "limit", "colour", "count", "Note"]
    assert {"200", "400", "401", "403", "406", "409"} <= said["responses"].keys()
    assert schemas_of([paint])["Paint"] == object_of({"colour": TEXT})


def test_a_handler_reads_only_what_its_operation_declares(face: Face) -> None:
    face.app.router.routes = [*routes_of([bare])]
    assert face.get("/bare").status_code == 500
