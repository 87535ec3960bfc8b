"""The counter in each language, as black boxes: the same messages, the same states, logs and refusals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.components.actor_process import BUILT, COUNTER, ROOT, ActorProcess, understudy

MOST = 2**53 - 1
LANGUAGES = ["committed", "c", "wat", "python", "javascript"]
TAKEN: list[tuple[bytes, int]] = [
    (b'{"add": 2}', 2),
    (b' {"x": [1, "add", {"add": 7}], "add" : 3 , "y": "add"} ', 5),
    (b'{"x": "\\"add\\": 9, \\\\", "add": -1}', 4),
    (b'{"add":0}', 4),
    (b'{"add": 1, "tell": "nobody"}', 5),
]
REFUSED: list[bytes] = [
    b"{}",
    b'{"add": "2"}',
    b'{"add": 2.5}',
    b'{"add": null}',
    b'{"add": true}',
    b'{"add": [2]}',
    b'{"add": 9007199254740992}',
    b'{"add": 1, "tell": 5}',
    b'{"inner": {"add": 1}}',
]


@pytest.fixture(scope="module", params=LANGUAGES)
def counter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorProcess]:
    folder = tmp_path_factory.mktemp(request.param)
    process = ActorProcess(folder, _component(request.param, folder))
    yield process
    process.stop()


def test_it_counts_refuses_traps_logs_and_sends_as_every_other(counter):
    assert counter.state() == {"count": 0}
    for body, count in TAKEN:
        answer = counter.post(body)
        assert (answer.status_code, answer.json().get("state")) == (200, {"count": count}), answer.text
    for body in REFUSED:
        answer = counter.post(body)
        assert (answer.status_code, answer.json()["code"]) == (422, "MessageContract"), body
    below = counter.post({"add": -6})
    assert (below.status_code, below.json()["code"]) == (422, "StateContract")
    above = counter.post({"add": MOST})
    assert (above.status_code, above.json()["outcome"]) == (500, "failed")
    assert counter.state() == {"count": 5}

    steps = counter.client.get(f"/actors/{counter.actor['id']}/steps").json()["steps"][::-1]
    assert steps[1]["log"] == [" added 2, the count is 2"]
    assert steps[3]["log"] == [" added -1, the count is 4"]
    to_nobody = steps[5]["log"]
    assert to_nobody[0] == " added 1, the count is 5"
    assert to_nobody[1].startswith("!") and "nobody" in to_nobody[1]
    assert [step["outcome"] for step in steps] == ["ok"] * 6 + ["refused"] * 10 + ["failed"]


def test_its_history_is_on_a_chain_that_verifies(counter):
    counter.post({"add": 1})
    entries = counter.chain()
    assert [entry["parent"] for entry in entries[1:]] == [entry["id"] for entry in entries[:-1]]
    assert "MATCH" in understudy(counter.folder, "verify", counter.actor["id"])


def test_the_genesis_step_holds_the_sha256_of_the_component(counter):
    genesis = counter.chain()[0]["data"]
    name = counter.actor["name"]
    component = counter.client.get(f"/actors/{name}/core/code/{name}.wasm").content
    assert genesis["component-hash"] == sha256(component).hexdigest()


def test_a_killed_one_goes_on_where_it_was(counter):
    before = counter.post({"add": 1}).json()
    counter.end(signal.SIGKILL)
    again = ActorProcess(counter.folder, counter.component)
    try:
        assert again.actor["resumed"]
        assert again.actor["head"] == before["head"]
        assert again.post({"add": 1}).json()["state"]["count"] == before["state"]["count"] + 1
    finally:
        again.stop()


def test_the_committed_component_is_what_the_compiler_makes_of_its_source():
    built = BUILT / "c.wasm"
    if not built.exists():
        pytest.skip("make components builds it")
    assert built.read_bytes() == COUNTER.read_bytes()


def test_a_message_reaches_another_actor_by_its_name(run):
    counter = run()
    wit = (
        "from understudy import Wit\n"
        "wit = Wit()\n"
        '@wit.message("message")\n'
        'def hear(core, content: dict):\n    core["heard"] = str(content["count"])\n'
    )
    core = {"name": "ear", "core": {"wit": wit}}
    counter.client.post("/actors", json=core, headers=counter.token).raise_for_status()
    assert counter.post({"add": 5, "tell": "ear"}).status_code == 200
    _until_heard(counter)
    assert counter.client.get("/actors/ear/core/heard").text == "5"


def _until_heard(counter: ActorProcess) -> None:
    """The events of a node say when a step is there."""
    ear = counter.client.get("/actors/ear").json()["id"]
    with counter.client.stream("GET", "/events", headers={"Last-Event-ID": "0"}) as events:
        for line in events.iter_lines():
            if line.startswith("data:") and ear in line and '"height":1' in line:
                return


def _component(language: str, folder: Path) -> Path:
    if language == "committed":
        return COUNTER
    target = folder / f"{language}.wasm"
    if language == "wat":
        source = ROOT / "examples/wasm/wat/counter.wat"
        subprocess.run([sys.executable, ROOT / "examples/wasm/assemble.py", source, target], check=True)
        return target
    if not (BUILT / target.name).exists():
        pytest.skip(f"{language}: make components builds it")
    return BUILT / target.name
