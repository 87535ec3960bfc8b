"""pending: what waits, and why, through the running node and without one."""

from __future__ import annotations

import time

import httpx

from tests.cli.conftest import Shell

WAITS = """
import time
from pathlib import Path

from understudy import Retry, Wit

wit = Wit()


@wit.message("sleep")
def sleep(folder: str) -> None:
    Path(folder, "sleeps").touch()
    until = time.monotonic() + 60
    while not Path(folder, "enough").exists() and time.monotonic() < until:
        time.sleep(0.05)


@wit.message("again")
def again(folder: str) -> None:
    if not Path(folder, "enough").exists():
        raise Retry("the bank is closed")
"""


def test_a_running_node_says_what_runs_and_what_is_tried_again(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": WAITS, "greeter/policy": '{"retry": {"attempts": 1000, "most_ms": 500}}'})
    project.write(
        {"understudy.toml": '[actors.greeter]\npath = "greeter"\n[actors.bank]\npath = "greeter"\nnonce = "2"\n'}
    )
    address = project.serve()["address"]
    body = f'"{project.folder}"'
    for actor, type in (("greeter", "sleep"), ("bank", "again")):
        url = f"{address}/actors/{actor}/messages/{type}"
        assert httpx.post(url, content=body, headers={"Prefer": "respond-async"}, trust_env=False).status_code == 202
    until = time.monotonic() + 30
    while set(found := _waiting(project)) != {("greeter", "running"), ("bank", "retry")}:
        assert time.monotonic() < until, found
    assert found["bank", "retry"] >= 1
    assert "running" in project.run("pending")
    # What keeps an actor from working at this moment is in no store: the node is asked for that, too.
    statuses = {actor["name"]: (actor["status"], actor["reason"]) for actor in project.json("actors")["actors"]}
    assert statuses["greeter"] == ("ready", None)
    assert statuses["bank"][0] == "retry" and "a message is tried again" in statuses["bank"][1]
    assert "bank is retry: a message is tried again" in project.run("actors")
    assert [one["state"] for one in project.json("pending", "greeter")["pending"]] == ["running"]
    project.write({"enough": ""})
    while project.json("pending")["pending"]:
        assert time.monotonic() < until


def test_a_message_that_runs_is_said_to_run_also_where_nobody_else_wants_to(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": WAITS})
    project.serve()
    project.run("send", "greeter", f'"{project.folder}"', "--type", "sleep", "--wait", "0")
    until = time.monotonic() + 30
    while not (project.folder / "sleeps").exists():
        assert time.monotonic() < until
    assert set(_waiting(project)) == {("greeter", "running")}
    project.write({"enough": ""})


def test_without_a_node_what_waits_is_shown_with_what_works_on_it(project: Shell) -> None:
    project.run("push")
    project.run("pause", "greeter", "--reason", "moving house")
    project.done("send", "greeter", '{"name": "Ada"}', "--type", "greet", "--wait", "0")
    said = project.run("pending")
    assert "paused" in said
    assert "an operator paused it: moving house" in said
    assert "no node runs: `understudy serve` works on what waits" in said


def _waiting(project: Shell) -> dict[tuple[str, str], int]:
    """Who waits, in which state, and how often it was tried."""
    names = {actor["id"]: actor["name"] for actor in project.json("actors")["actors"]}
    return {(names[one["to"]], one["state"]): one["attempts"] for one in project.json("pending")["pending"]}
