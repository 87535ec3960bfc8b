"""What an operator does with an actor that is stuck, or has to rest."""

from __future__ import annotations

import httpx
import pytest

from tests.cli.conftest import Shell

STUCK = """
from understudy import Wit
wit = Wit()

@wit.message("work")
def work(number: int, state: dict) -> int:
    while True:
        pass
"""
MENDED = """
from understudy import Wit
wit = Wit()

@wit.message("work")
def work(number: int, state: dict) -> int:
    state["worked"] = number
    return number
"""


@pytest.fixture
def stuck(project: Shell) -> Shell:
    """A project whose actor has a message that it will never be through with."""
    project.write({"greeter/code/greeter.py": STUCK})
    project.serve()
    project.run("send", "greeter", "7", "--type", "work", "--wait", "0")
    project.end()
    assert [one["state"] for one in project.json("pending")["pending"]] == ["waiting"]
    project.write({"greeter/code/greeter.py": MENDED})
    return project


def check_worked(shell: Shell) -> None:
    assert shell.run("send", "greeter", "8", "--type", "work").startswith("8")
    steps = [entry["data"] for entry in shell.json("chain", "greeter")["entries"]]
    assert [step["height"] for step in steps] == [3, 2, 1, 0] and steps[2]["engine"] == "kernel/1"
    assert {step["outcome"]["kind"] for step in steps if step.get("outcome")} == set()
    assert shell.json("pending")["pending"] == []


def test_serve_cures_a_stuck_handler_with_what_it_pushes(stuck: Shell) -> None:
    stuck.serve()
    check_worked(stuck)


def test_push_without_a_node_cures_a_stuck_handler_and_leaves_its_messages_to_the_next_node(stuck: Shell) -> None:
    assert "updated" in stuck.run("push")
    assert [one["type"] for one in stuck.json("pending")["pending"]] == ["work"]
    check_worked(stuck)


def test_an_actor_is_paused_and_resumed_with_a_node_and_without(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": MENDED})
    project.run("push")
    assert project.json("pause", "greeter", "--reason", "being moved")["status"] == "paused"
    project.serve()
    assert "paused" in project.run("actors")
    project.run("send", "greeter", "1", "--type", "work", "--wait", "0")
    [waiting] = project.json("pending", "greeter")["pending"]
    assert waiting["state"] == "paused" and "being moved" in waiting["error"]
    assert "greeter  ready" in project.run("resume", "greeter")
    assert project.run("send", "greeter", "2", "--type", "work").startswith("2")
    assert "paused" in project.run("pause", "greeter")
    project.end()
    assert project.json("resume", "greeter")["status"] == "ready"


def test_who_asks_to_pause_nobody_hears_so(project: Shell) -> None:
    project.run("push")
    assert "nobody" in project.run("pause", "nobody", code=1)
    assert "nobody" in project.run("resume", "nobody", code=1)
    project.run("pause", code=2)
    assert "at most" in project.run("pause", "greeter", "--reason", "x" * 1001, code=1)


def test_over_http_only_who_may_update_may_pause(project: Shell) -> None:
    node = project.serve()
    token = (project.folder / ".understudy" / "token").read_text().strip()
    with httpx.Client(base_url=node["address"], trust_env=False) as anybody:
        for what in ("pause", "resume"):
            assert anybody.post(f"/actors/greeter/{what}").status_code == 401
        owner = {"Authorization": f"Bearer {token}"}
        paused = anybody.post("/actors/greeter/pause", headers=owner, json={"reason": "a test"})
        assert paused.status_code == 200 and paused.json()["status"] == "paused"
        about = anybody.get("/actors/greeter")
        assert "a test" in about.json()["reason"]
        assert [hold["name"] for hold in anybody.get("/healthz").json()["holds"]] == ["greeter"]
        for wrong in ('{"reason": 1}', "{", '{"why": "x"}', "[]"):
            assert anybody.post("/actors/greeter/pause", headers=owner, content=wrong).status_code in (400, 422)
        assert anybody.post("/actors/greeter/resume", headers=owner).json()["reason"] is None
        # A pause is no step: the tag of the answer has to change all the same.
        again = anybody.get("/actors/greeter", headers={"If-None-Match": about.headers["ETag"]})
        assert again.status_code == 200
