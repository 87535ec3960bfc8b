"""A serving node tells what went wrong, and no more lines than somebody can read."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from tests.cli.conftest import Shell
from tests.engines.components import actor
from tests.engines.test_wasm_engine import Actor
from understudy.cli.failures import first_line

MANY = 300


def test_a_node_tells_each_failed_message_with_the_command_that_shows_it(project: Shell) -> None:
    address = project.serve()["address"]
    assert _fail(address, "fail") == 500
    (notice,) = _notices(project, 1)
    failed = notice["failed"]
    assert (failed["actor"], failed["type"], failed["outcome"], failed["height"]) == ("greeter", "fail", "failed", 1)
    assert (failed["code"], failed["text"]) == ("ValueError", "the wit is broken")
    assert project.json("log", "greeter", "--before", "2", "-n", "1")["steps"][0]["id"] == failed["step"]


def test_of_a_component_that_trapped_the_cause_is_told() -> None:
    step = Actor(actor("unreachable")).tell("x")
    assert step.outcome is not None
    assert first_line(step.outcome.text) == "wasm trap: wasm `unreachable` instruction executed"
    assert first_line("the wit is broken\nCaused by:\n    x") == "the wit is broken"


def test_what_fails_often_is_counted_and_not_spelt_out(project: Shell) -> None:
    address = project.serve()["address"]
    with httpx.Client(trust_env=False) as client:
        for _ in range(MANY):
            assert _fail(address, "nobody-handles-this", client) == 422
    notices = _notices(project, MANY)
    assert sum("failed" in notice for notice in notices) < MANY
    assert _told(notices) == MANY


def _fail(address: str, type: str, client: Any = httpx) -> int:
    answer = client.post(f"{address}/actors/greeter/messages/{type}", content="{}")
    return int(answer.status_code)


def _notices(shell: Shell, count: int) -> list[dict[str, Any]]:
    """What the node said, once it told of so many messages."""
    until = time.monotonic() + 30
    notices: list[dict[str, Any]] = []
    while _told(notices) < count:
        assert time.monotonic() < until, notices
        text = (shell.folder / "serve.err").read_text()
        notices = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return notices


def _told(notices: list[dict[str, Any]]) -> int:
    return sum(1 if "failed" in notice else notice["more_failed"] for notice in notices)
