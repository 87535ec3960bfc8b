"""Trees in trees: an honest node never makes what a reader of its history would refuse."""

from __future__ import annotations

import pytest

from tests.node.troupe import OWNER, Troupe
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm.engine import WasmEngine
from understudy.judging.verification import verify_targets
from understudy.kernel.verdict import MATCH
from understudy.objects.ids import ActorId, Id, TreeId
from understudy.objects.message import GENESIS
from understudy.objects.patch import patch_block
from understudy.objects.tree import MAX_NESTED
from understudy.store.maps import build_tree
from understudy.store.reader import Staging

WRAPS = """
from understudy import Wit

wit = Wit()

@wit.message("wrap")
def wrap(times: int, core) -> None:
    for _ in range(times):
        core["before"] = core.id()

@wit.message("send")
def send(to: str, core, ctx) -> None:
    core["before"] = core.id()
    ctx.send(to, core.id(), type="look")
    del core["before"]
"""


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


def outcome(troupe: Troupe, actor: bytes) -> str:
    found = troupe.step(ActorId(TreeId(Id(actor)))).outcome
    return "ok" if found is None else f"{found.kind} {found.code}"


def test_a_step_that_nests_trees_too_deep_fails_and_its_history_is_true(troupe: Troupe):
    actor = troupe.create({"wit": "/code:wraps:wit", "code/wraps.py": WRAPS})
    troupe.tell(actor, "wrap", MAX_NESTED - 2)  # the core itself, and /code in the innermost
    assert outcome(troupe, actor) == "ok"
    troupe.tell(actor, "wrap", 1)
    assert outcome(troupe, actor) == "failed InvalidCore"
    troupe.tell(actor, "send", OWNER)
    assert outcome(troupe, actor) == "failed InvalidContent"
    [verdict] = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)
    assert verdict.verdict == MATCH, verdict.reason


def test_an_update_that_nests_trees_too_deep_is_refused(troupe: Troupe):
    actor = troupe.create({"wit": "/code:wraps:wit", "code/wraps.py": WRAPS})
    staging = Staging(troupe.reader)
    tree = build_tree(staging, {})
    for _ in range(MAX_NESTED - 1):
        tree = build_tree(staging, {"in": tree})
    patch = staging.put(patch_block({"deep": tree}))
    troupe._accept(str(actor), "update", patch, staging, "update")
    troupe.play()
    assert outcome(troupe, actor) == "refused InvalidCore"
    [verdict] = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)
    assert verdict.verdict == MATCH, verdict.reason


def test_an_actor_that_was_born_of_no_tree_never_lives_and_its_history_is_true(troupe: Troupe):
    staging = Staging(troupe.reader)
    patch = staging.put(patch_block({"a": None}))
    troupe._accept(str(patch), GENESIS, patch, staging)
    troupe.play()
    assert outcome(troupe, patch) == "refused InvalidCore"
    troupe._accept(str(patch), GENESIS, patch, Staging(troupe.reader))
    troupe.play()
    [verdict] = verify_targets(troupe.backend, [troupe.target(ActorId(TreeId(patch)))], processes=1)
    assert verdict.verdict == MATCH, verdict.reason


@pytest.mark.parametrize("runtime", ["python", "wasm", "cobol"])
@pytest.mark.parametrize("wit", [b"\xff", b"/code:a:handle", b"", None])
def test_an_actor_whose_core_nobody_can_run_has_a_true_history(runtime: str, wit: bytes | None):
    troupe = Troupe(engines={"python": PythonEngine(), "wasm": WasmEngine()})
    files: dict[str, str | bytes] = {"runtime": runtime} | ({} if wit is None else {"wit": wit})
    actor = troupe.create(files)
    troupe.tell(actor, "hello")
    [verdict] = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)
    assert verdict.verdict == MATCH, verdict.reason
