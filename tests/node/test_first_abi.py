"""Histories of `python/1` are judged under the rules that they were made under; those of now under the rules of now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.node.test_verification import verify
from tests.node.troupe import Troupe
from understudy.actors.contract import StepInput
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.settings import SETTINGS

CODE = """
from msgspec import Struct
from understudy import Wit

class Point(Struct, frozen=True):
    x: int = 0

wit = Wit()

@wit.message("move")
def move(by: int, state: Point):
    return Point(state.x + by)

@wit.message("look")
def look(key: str, state: Point) -> dict:
    return {"at": state.x, "far": float("inf")}
"""


class FirstAbi:
    """The engine as it was: every step under the rules of `python/1`."""

    name = "python"

    def __init__(self) -> None:
        self._engine = PythonEngine()

    def load(self, core: Any, entry: str, store: Any) -> Any:
        program = self._engine.load(core, entry, store)

        class Program:
            engine = "python/1"

            def run(self, given: StepInput) -> Any:
                return program.run(msgspec.structs.replace(given, abi="python/1"))

        return Program()

    def load_update(self, before: Any, after: Any, store: Any) -> None:
        return None


@pytest.fixture
def old() -> Troupe:
    return Troupe(engines={"python": FirstAbi()})  # type: ignore[dict-item]


def test_a_history_of_the_first_abi_matches(old: Troupe) -> None:
    actor = old.create({"wit": "/code:m:wit", "code/m.py": CODE})
    old.tell(actor, "move", 3)
    old.tell(actor, "look", "x")
    assert old.step(actor).engine == "python/1"
    assert verify(old, actor).ok


def test_a_forged_step_of_the_first_abi_is_a_mismatch(old: Troupe) -> None:
    actor = old.create({"wit": "/code:m:wit", "code/m.py": CODE})
    before = old.step(actor).core
    old.tell(actor, "move", 3)
    old.forge(actor, core=before)
    verdict = verify(old, actor)
    assert (verdict.verdict, verdict.path) == ("MISMATCH", "data.core/state")


def test_what_comes_out_otherwise_under_the_rules_that_a_step_names_is_no_match() -> None:
    troupe = Troupe()
    actor = troupe.create({"wit": "/code:m:wit", "code/m.py": CODE})
    troupe.tell(actor, "move", 3)
    assert troupe.step(actor).engine == f"python/2{SETTINGS}"
    assert verify(troupe, actor).ok
    troupe.forge(actor, engine="python/1")
    assert not verify(troupe, actor).ok
