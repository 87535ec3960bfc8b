"""The example assistant: a real client library, tools that ask another actor, killed in the middle of a call, and verified
with the model gone.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.node.stage import PATIENCE

ASSISTANT = Path(__file__).parents[2] / "examples" / "assistant"


def load_model() -> ModuleType:
    """The module of the stand-in, which is a program of the example."""
    spec = importlib.util.spec_from_file_location("assistant_model", ASSISTANT / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> Iterator[Any]:
    """The stand-in, which thinks hard until it is told to stop."""
    with load_model().Model(port=0, seconds=PATIENCE) as model:
        thread = threading.Thread(target=model.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield model
        model.thought.set()
        model.shutdown()


@pytest.fixture
def project(shell: Shell, model: Any) -> Shell:
    """The example's own files, with the stand-in at a free port."""
    shutil.copytree(
        ASSISTANT, shell.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".understudy*")
    )
    for name in ("understudy.toml", "assistant/settings.json"):
        path = shell.folder / name
        path.write_text(path.read_text().replace("8955", str(model.server_port)))
    return shell


def serve(project: Shell, model: Any, key: str = "not-a-real-key") -> dict[str, Any]:
    """A node that has the key."""
    node = project.serve()
    project.run("secret", "set", "MODEL_KEY", "--to", f"127.0.0.1:{model.server_port}", stdin=key.encode())
    return node


def tell(node: dict[str, Any], actor: str, type: str, content: Any, **headers: str) -> httpx.Response:
    """Send a message to an actor of a node."""
    return httpx.post(
        f"{node['address']}/actors/{actor}/messages",
        content=json.dumps(content),
        headers={"Message-Type": type, **headers},
        timeout=2 * PATIENCE,
    )


def say(node: dict[str, Any], text: str) -> str:
    """What the assistant answers."""
    told = tell(node, "assistant", "say", text).json()
    assert told["outcome"] == "ok", told
    answer: str = told["replies"][0]["content"]
    return answer


def await_reminder(node: dict[str, Any]) -> str:
    """What the assistant said last, once that is a reminder."""
    until = time.monotonic() + PATIENCE
    while True:
        last: str = httpx.get(f"{node['address']}/actors/assistant/query/conversation").json()[-1]
        if "reminder" in last:
            return last
        assert time.monotonic() < until, last


def test_it_uses_tools_survives_a_kill_and_is_verified_without_the_model(project: Shell, model: Any):
    node = serve(project, model)
    assert tell(node, "calendar", "add", {"day": "2026-11-21", "what": "dinner <with> Ann"}).status_code == 200
    assert say(node, "remember that I like tea") == 'I looked: "remembered"'
    assert say(node, "what is on 2026-11-21?") == 'I looked: ["dinner <with> Ann"]'

    assert "will be reminded" in say(node, "remind me in 0 seconds to make tea")
    assert await_reminder(node) == "assistant: A reminder: make tea"

    page = httpx.get(f"{node['address']}/actors/assistant/query/page")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "dinner &lt;with&gt; Ann" in page.text and "<li>I like tea</li>" in page.text

    # Accepted, and under way: the model has been asked.
    tell(node, "assistant", "say", "think hard about tea", Prefer="respond-async")
    assert model.thinks.wait(PATIENCE)
    before = len(model.asked)
    project.end(signal.SIGKILL)
    model.thought.set()

    node = project.serve()
    assert say(node, "and now?") == "You said: and now?"
    again = model.asked[before - 1 : -1]
    assert len(again) == 2 and len({headers["idempotency-key"] for headers in again}) == 1
    said = httpx.get(f"{node['address']}/actors/assistant/query/conversation").json()
    assert said[-4:] == [
        "user: think hard about tea",
        "assistant: You said: think hard about tea",
        "user: and now?",
        "assistant: You said: and now?",
    ]

    model.shutdown()
    model.server_close()
    asked = len(model.asked)
    verdicts = project.json("verify", "--all")
    assert [verdict["verdict"] for verdict in verdicts["verdicts"]] == ["MATCH", "MATCH"]
    assert len(model.asked) == asked
    kept = b"".join(path.read_bytes() for path in (project.folder / ".understudy").iterdir() if path.is_file())
    assert b"not-a-real-key" not in kept


def test_without_its_key_the_model_says_so(project: Shell, model: Any):
    node = serve(project, model, key="another-key")
    told = tell(node, "assistant", "say", "hello").json()
    assert (told["outcome"], told["code"]) == ("failed", "AuthenticationError"), told
    assert "understudy secret set MODEL_KEY" in str(told)
    assert httpx.get(f"{node['address']}/actors/assistant/query/conversation").json() == []
