"""What components come to, and the fuel they use, is what it was: in results that the repository keeps."""

from __future__ import annotations

import json

import pytest

from tests.engines.corpus import COMPONENTS, FILE, run
from tests.engines.test_wasm_engine import Actor
from understudy.engines.wasm.settings import ENGINE_TEXT
from understudy.objects.step import FAILED

KEPT = json.loads(FILE.read_text())
FAILURES = [name for name, kept in KEPT["results"].items() if kept.get("outcome", [""])[0] == FAILED]
LIMITS = '{"fuel": 20000000, "memory": 4194304}'


def test_the_configuration_is_the_one_whose_results_are_kept():
    assert KEPT["engine"] == ENGINE_TEXT
    assert KEPT["results"].keys() == COMPONENTS.keys()


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_release_of_wasmtime_changes_no_result_and_no_fuel_count(name: str):
    assert run(COMPONENTS[name]) == KEPT["results"][name], "raise ABI in engines/wasm/settings.py"


def test_every_way_to_fail_has_a_word_of_its_own():
    codes = {KEPT["results"][name]["outcome"][1] for name in FAILURES}
    assert codes >= {"OutOfFuel", "StackOverflow", "OutOfMemory", "BadPointer", "Unreachable", "ImportRefused", "Exit"}
    assert "Trap" not in codes


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_changes_nothing_and_is_the_same_in_another_engine(name: str):
    first, second = (
        Actor(COMPONENTS[name], limits=LIMITS, state="41"),
        Actor(COMPONENTS[name], limits=LIMITS, state="41"),
    )
    result = first.tell('{"a": 1}')
    assert result.outcome is not None
    assert [result.outcome.kind, result.outcome.code] == KEPT["results"][name]["outcome"]
    assert first.state == b"41"
    assert second.tell('{"a": 1}') == result
