"""A judge that knows docs/FORMAT.md alone, in JavaScript (tests/js/judge.js), held against ours."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.judging.in_process import judging_in_process
from tests.judging.mutations import File, flipped, mutated
from tests.objects.test_vectors import JS, VECTORS, tool, vectors
from understudy.judging.verification import Target, verify_targets
from understudy.objects.ids import StepId
from understudy.store.car import store_blocks
from understudy.store.memory import MemoryBackend
from understudy.store.verified import Grit

HISTORIES = VECTORS / "histories"
INDEX = vectors("histories/histories.json")

# Lies of the code, which only a replay of the code finds, and where the other judge finds another fault or none.
NEEDS_A_REPLAY = {
    "a state that the code does not make": None,
    "a state that the code does not make, in the middle": "order",
    "code that nobody brought": None,
    "a log that the code does not write": None,
    "a log that was struck": None,
    "a failure that is called a success": None,
    "a failure of another name": None,
    "a random number of another seed": None,
    "a reply that was struck": None,
    "a message of another content": None,
    "a sent message of another content": None,
    "a sent message to another": None,
    "an answer to another question": None,
    "a call that was struck": None,
    "a call that nobody made": None,
    "an engine text of source that ran beside the core": None,
    "a state that a component does not make": None,
}
# Two faults at once, or one with two names: the verdict is the same, and what it names is not.
NAMED_OTHERWISE = {
    "another actor",
    "a large inbox with a count too high",
    "an engine text of a source that is no digest",
}


def judged_in_javascript(files: Sequence[bytes], *words: str) -> list[list[dict[str, Any]]]:
    lines = b"".join(b64encode(data) + b"\n" for data in files)
    done = subprocess.run([tool("node"), JS / "judge.js", *words, "-"], input=lines, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def car(vector: dict[str, Any]) -> bytes:
    return (HISTORIES / str(vector["file"])).read_bytes()


@pytest.fixture(scope="module")
def others() -> dict[str, list[dict[str, Any]]]:
    verdicts = judged_in_javascript([car(vector) for vector in INDEX])
    return {vector["name"]: found for vector, found in zip(INDEX, verdicts, strict=True)}


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in INDEX])
def test_who_has_only_the_format_comes_to_the_verdict_of_each_vector(vector, others):
    name, expected, found = vector["name"], vector["verdicts"], others[vector["name"]]
    if name in NEEDS_A_REPLAY:
        assert [each.get("cause") for each in found] == [NEEDS_A_REPLAY[name]]
        assert expected[0]["verdict"] != "MATCH"
        return
    assert [each["verdict"].replace("INTACT", "MATCH") for each in found] == [each["verdict"] for each in expected]
    if name not in NAMED_OTHERWISE:
        assert [(each.get("cause"), each.get("height")) for each in found] == [
            (each["cause"], each["height"]) for each in expected
        ]


def test_who_has_only_the_format_reads_builds_and_patches_as_the_vectors_say():
    done = subprocess.run([tool("node"), JS / "vectors.js", VECTORS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = ("objects", "refused", "hamts", "patches")
    assert json.loads(done.stdout) == {file: len(vectors(f"{file}.json")) for file in files}


# A block that is not there hides what is wrong behind it, and each judge looks from another side.
def same(ours: str, theirs: str, causes: set[str | None]) -> bool:
    return ours == theirs or ("missing" in causes and "INTACT" not in (ours, theirs))


@pytest.mark.parametrize("seed", range(4))
def test_two_judges_agree_about_histories_that_were_changed_at_random(seed: int, tmp_path: Path):
    chance = Random(seed)
    files = {vector["name"]: car(vector) for vector in INDEX if vector["kind"] == "honest"}
    read = {name: File(data) for name, data in files.items()}
    changed = []
    for _ in range(200):
        name = chance.choice(list(files))
        lender = read[chance.choice(list(files))]
        data = flipped(files[name], chance) if chance.random() < 0.05 else mutated(read[name], [lender], chance)
        changed.append(data)
    theirs = judged_in_javascript(changed, "--integrity-only")
    verdicts = set()
    with judging_in_process() as judged:
        for data, found in zip(changed, theirs, strict=True):
            for our, their in zip(judged(data), found, strict=True):
                verdicts.add(our.verdict)
                if not same(our.verdict, their["verdict"], {our.cause, their.get("cause")}):
                    (tmp_path / "disagreed.car").write_bytes(data)
                    pytest.fail(f"{tmp_path / 'disagreed.car'}: {our} and {their}")
    assert verdicts == {"INTACT", "MISMATCH", "UNVERIFIABLE"}


ENGINES = ("kernel/1", "kernel/2", "python/2", "python/99", "wasm/1;config=0000000000000000", "cobol/1")
OUTCOMES: tuple[dict[str, str], ...] = ({}, {"kind": "cut", "code": "Deadline", "text": ""})


def test_two_judges_agree_about_updates_whose_engine_text_is_another():
    """Both compare what the runtime does by itself where the engine is known, and neither does where it is not."""
    [vector] = [vector for vector in INDEX if vector["name"] == "updates, of which two are refused"]
    read = File(car(vector))
    steps = [(id, node) for id, node in read.nodes.items() if isinstance(node, dict) and "parent" in node]
    updates = [(id, node) for id, node in steps if 2 <= node["data"]["height"] <= 4]
    backend = MemoryBackend()
    files, targets = [], []
    for (id, node), engine, outcome in product(updates, ENGINES, OUTCOMES):
        data = {**node["data"], "engine": engine, **({"outcome": outcome} if outcome else {})}
        files.append(read.written({id: {**node, "data": data}}, mentions=True))
        [root] = store_blocks(backend, BytesIO(files[-1]))
        targets.append(Target(Grit(backend).step(root).actor, StepId(root)))
    ours = [verdict.verdict for verdict in verify_targets(backend, targets, processes=1)]
    assert ours == [found["verdict"].replace("INTACT", "MATCH") for [found] in judged_in_javascript(files)]
    assert {"MATCH", "MISMATCH", "UNVERIFIABLE"} == {*ours}
