"""query, wut, and --at wherever something is read."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Shell

COUNTER = '''
"""Counts what it is told."""
from understudy import Blob, Error, Tree, Wit

wit = Wit()


@wit.message("add")
def add(state: dict, amount: int) -> int:
    """Adds to the count."""
    state["count"] = state.get("count", 0) + amount
    return state["count"]


@wit.query
def above(state: dict, limit: int, names: list[str] = []) -> list:
    """Is the count above a limit?"""
    return [state.get("count", 0) > limit, names]


@wit.query
def page(state: dict) -> Blob:
    return Blob.html(f"<p>{state.get('count', 0)}</p>")


@wit.query
def raw(context: Blob) -> bytes:
    return context.data[::-1]


@wit.query
def files(core) -> Tree:
    return Tree({"wit": core.id("wit")})


@wit.query
def no() -> Error:
    return Error("NotToday", "come back tomorrow")
'''


@pytest.fixture
def counted(project: Shell) -> Shell:
    """A counter that stands at 5, at height 2."""
    (project.folder / "greeter" / "wit").write_text(COUNTER)
    project.run("push")
    for amount in ("2", "3"):
        project.run("send", "greeter", amount, "--type", "add")
    return project


def test_arguments_are_given_as_keys_and_values(counted: Shell) -> None:
    assert json.loads(counted.raw("query", "greeter", "above", "limit=4")) == [True, []]
    assert json.loads(counted.raw("query", "greeter", "above", "limit=5", "names=a", "names=b")) == [False, ["a", "b"]]
    assert json.loads(counted.raw("query", "greeter", "above", '{"limit": 4, "names": ["c"]}')) == [True, ["c"]]


def test_a_context_comes_from_a_file_or_from_standard_input(counted: Shell) -> None:
    (counted.folder / "context").write_bytes(b"abc\xff")
    assert counted.raw("query", "greeter", "raw", "@context") == b"\xffcba"
    assert "cba" in counted.run("query", "greeter", "raw", "-", stdin=b"abc")
    assert "can't be read" in counted.run("query", "greeter", "raw", "@nowhere", code=2)
    assert "is no argument: write key=value" in counted.run("query", "greeter", "above", "limit", code=2)


def test_text_is_printed_with_an_end_of_its_line(counted: Shell) -> None:
    assert counted.raw("query", "greeter", "page") == b"<p>5</p>\n"


def test_json_says_which_step_answered_and_what(counted: Shell) -> None:
    head = counted.json("actors")["actors"][0]["head"]
    found = counted.json("query", "greeter", "above", "limit=1")
    assert (found["step"], found["result"], found["media_type"]) == (head, [True, []], "application/json")
    assert list(counted.json("query", "greeter", "files")["tree"]) == ["wit"]
    assert counted.json("query", "greeter", "page")["text"] == "<p>5</p>"


def test_everything_that_is_read_can_be_read_at_an_earlier_step(counted: Shell) -> None:
    first = counted.json("chain", "greeter")["entries"][-2]["id"]
    for at in ("1", "greeter@1", first):
        assert counted.raw("query", "greeter", "page", "--at", at) == b"<p>2</p>\n"
        assert json.loads(counted.raw("show", "greeter/core/state", "--at", at, "--raw")) == {"count": 2}
        assert "above" in counted.json("wut", "greeter", "--at", at)["queries"]
    assert "there is no step #9; the newest is #2" in counted.run("query", "greeter", "page", "--at", "9", code=1)


def test_what_goes_wrong_is_said_in_a_sentence(counted: Shell) -> None:
    assert "argument 'limit': Expected `int`, got `str`" in counted.run("query", "greeter", "above", "limit=x", code=1)
    assert "there are: above, files, no, page, raw, wut" in counted.run("query", "greeter", "total", code=1)
    assert "NotToday: come back tomorrow" in counted.run("query", "greeter", "no", code=1)
    assert "there is no actor 'nobody'" in counted.run("query", "nobody", "page", code=1)


def test_wut_is_readable_for_people(counted: Shell) -> None:
    said = counted.run("wut", "greeter")
    assert "Counts what it is told." in said
    assert "add  integer -> integer\n      Adds to the count." in said
    assert "above(limit: integer, names: [string] = []) -> [any]\n      Is the count above a limit?" in said


def test_wut_of_an_actor_that_describes_nothing_is_said_to_be_none(counted: Shell) -> None:
    (counted.folder / "greeter" / "wit").write_text("def wit(ctx): pass")
    counted.run("push")
    assert "it has no queries" in counted.run("wut", "greeter", code=1)
    (counted.folder / "greeter" / "wit_query").write_text("def wit_query(): return [1]")
    counted.run("push")
    assert "something else than a JSON object" in counted.run("wut", "greeter", code=1)


def test_a_query_looks_beside_the_node_that_serves_the_store(counted: Shell) -> None:
    counted.serve()
    counted.run("send", "greeter", "1", "--type", "add")
    assert counted.raw("query", "greeter", "page") == b"<p>6</p>\n"
