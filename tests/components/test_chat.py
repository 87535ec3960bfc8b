"""The chat room of the examples: a Python wit, and members that are components in C and in JavaScript."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.cli.conftest import shell as shell
from tests.components.actor_process import BUILT, ROOT


@pytest.fixture
def chat(shell: Shell, tmp_path: Path) -> Shell:
    """A copy of the example as far as its members are built, in a folder of its own."""
    if not (BUILT / "parrot.wasm").exists():
        pytest.skip("make components builds the parrot")
    (tmp_path / ".build").symlink_to(ROOT / ".build")
    shell.folder = shutil.copytree(ROOT / "examples/chat", tmp_path / "examples/chat")
    if not (BUILT / "clerk.wasm").exists():
        project = shell.folder / "understudy.toml"
        project.write_text(re.sub(r"\[actors\.clerk\].*", "", project.read_text(), flags=re.DOTALL))
    return shell


def lines(client: httpx.Client) -> list[tuple[str, str]]:
    answer = client.get("/actors/room/core/state")
    return [(line["who"], line["text"]) for line in answer.json()["lines"]] if answer.status_code == 200 else []


def when(client: httpx.Client, true: Callable[[], Any]) -> None:
    """Wait for what the steps of the node bring about."""
    with client.stream("GET", "/events", headers={"Last-Event-ID": "0"}, timeout=60) as events:
        for line in events.iter_lines():
            if line.startswith("data:") and true():
                return


def members(client: httpx.Client) -> set[str]:
    answer = client.get("/actors/room/core/state")
    return set(answer.json()["members"].values()) if answer.status_code == 200 else set()


def test_members_in_two_languages_hear_and_answer_a_room_in_a_third(chat: Shell):
    client = httpx.Client(base_url=chat.serve()["address"], timeout=60, trust_env=False)
    names = {"parrot"} | ({"clerk"} if (BUILT / "clerk.wasm").exists() else set())
    for name in sorted(names):
        client.post(f"/actors/{name}/messages", json={"enter": True}).raise_for_status()
    when(client, lambda: members(client) == names)

    for text in ("Good evening.", "Is anybody there?", "how many?"):
        client.post("/actors/room/messages", json={"name": "Ada", "say": text}).raise_for_status()
    answers = {("parrot", "Is anybody there!"), ("parrot", "how many!")}
    when(client, lambda: answers <= set(lines(client)))
    if "clerk" in names:
        when(client, lambda: "clerk" in {who for who, _ in lines(client)})
    assert client.get("/actors/parrot/core/state").json() == {"repeated": 2}

    taken = client.post("/actors/room/messages", json={"name": "parrot", "say": "It is I."})
    assert (taken.status_code, taken.json()["code"]) == (422, "NameTaken")
    client.close()
    chat.end()
    assert all(verdict["verdict"] == "MATCH" for verdict in chat.json("verify", "--all")["verdicts"])
