"""Histories of components, judged: the true ones match, and every lie about one is found and placed."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest

from tests.engines.components import APPEND, COUNT, KEEP, LOG, ZERO, actor, counter
from tests.engines.corpus import COMPONENTS
from tests.node.troupe import Troupe
from understudy.capabilities.names import NamesCapability
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.settings import CONFIG, ENGINE_TEXT
from understudy.judging.verification import verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId, MessageId
from understudy.objects.mailbox import Cursor
from understudy.objects.message import message_block
from understudy.objects.step import Outcome
from understudy.store.maps import patch_tree
from understudy.store.reader import Staging


class Stage:
    """A troupe with components."""

    def __init__(self) -> None:
        self.named: dict[str, ActorId] = {}
        self.troupe = Troupe(
            engines={"python": PythonEngine(), "wasm": WasmEngine()},
            capabilities={"names": NamesCapability(self.named.get)},
        )

    def create(self, component: bytes, **files: str | bytes) -> ActorId:
        return self.troupe.create({"runtime": "wasm", "wit": "/code:c:handle", "code/c.wasm": component, **files})

    def verdict(self, actor: ActorId) -> Verdict:
        return self.verdicts(actor)[0]

    def verdicts(self, *actors: ActorId) -> list[Verdict]:
        """Those of several histories, from one judge: its start takes longer than a short history."""
        return verify_targets(self.troupe.backend, list(map(self.troupe.target, actors)), processes=1)

    def intact(self, actor: ActorId) -> Verdict:
        """What is found without running anything."""
        return verify_targets(self.troupe.backend, [self.troupe.target(actor)], processes=1, integrity_only=True)[0]

    def core_with(self, actor: ActorId, files: Mapping[str, bytes]):
        staging = Staging(self.troupe.reader)
        patch = {path: staging.put_blob(data) for path, data in files.items()}
        return patch_tree(staging, self.troupe.step(actor).core, patch), staging


def found(verdict: Verdict) -> tuple[str, int | None, str | None]:
    return verdict.verdict, verdict.at_height, verdict.path


@pytest.fixture
def stage() -> Stage:
    return Stage()


def counted(stage: Stage, messages: int = 3, **files: str) -> ActorId:
    id = stage.create(counter(), **files)
    for number in range(messages):
        stage.troupe.tell(id, "message", {"n": number})
    return id


def test_a_history_of_steps_that_went_well_matches(stage: Stage):
    verdict = stage.verdict(counted(stage))
    assert (verdict.verdict, verdict.steps) == ("MATCH", 4)


def test_every_failure_and_refusal_is_replayed_to_the_same_end(stage: Stage):
    limits = '{"fuel": 20000000, "memory": 4194304}'
    ids = [stage.create(component, limits=limits, state="41") for component in COMPONENTS.values()]
    for id in ids:
        stage.troupe.tell(id, "message", {"a": 1})
    kinds = {outcome.kind for id in ids if (outcome := stage.troupe.step(id).outcome) is not None}
    verdicts = stage.verdicts(*ids)
    assert kinds == {"failed", "refused"}
    assert {verdict.verdict for verdict in verdicts} == {"MATCH"}


def test_updates_are_replayed_and_hold_the_hash_only_where_they_replace_the_component(stage: Stage):
    id = counted(stage)
    hashes = [stage.troupe.reader.step(stage.troupe.update(id, files)).component_hash for files in UPDATES]
    assert [bool(found) for found in hashes] == [True, False, False, False]
    outcomes = [step_outcome for step_outcome in (stage.troupe.step(id).outcome,) if step_outcome is not None]
    assert [outcome.code for outcome in outcomes] == ["StateContract"]
    assert stage.verdict(id).verdict == "MATCH"


UPDATES: list[dict[str, str | bytes | None]] = [
    {"code/c.wasm": counter(text=True)},
    {"limits": '{"fuel": 1000000}'},
    {"state": "7"},
    {"code/c.wasm": actor(state_contract="(i32.const 0)")},
]


def test_an_update_that_is_refused_leaves_the_actor_as_it_was(stage: Stage):
    id = counted(stage)
    for files, code in (
        ({"code/c.wasm": actor(state_contract="(i32.const 0)")}, "StateContract"),
        ({"code/c.wasm": b"nothing"}, "BadComponent"),
        ({"code/c.wasm": None}, "NoComponent"),
        ({"limits": "no"}, "BadLimits"),
        ({"state": None, "code/c.wasm": actor(init=None)}, "NoInit"),
    ):
        before = stage.troupe.step(id).core
        stage.troupe.update(id, files)
        step = stage.troupe.step(id)
        assert step.outcome is not None
        assert (step.outcome.kind, step.outcome.code, step.core, step.component_hash) == ("refused", code, before, None)
    assert stage.verdict(id).verdict == "MATCH"


def test_an_update_cures_an_actor_whose_first_state_failed(stage: Stage):
    id = stage.create(actor(COUNT, init="unreachable"))
    stage.troupe.tell(id, "message", {})
    assert stage.troupe.step(id).outcome is not None
    stage.troupe.update(id, {"code/c.wasm": counter()})
    stage.troupe.tell(id, "message", {})
    step = stage.troupe.step(id)
    state = stage.troupe.reader.find(step.core, "state")
    assert state is not None
    assert (step.outcome, stage.troupe.reader.blob(state)) == (None, b"1")
    assert stage.verdict(id).verdict == "MATCH"


def test_a_changed_state_is_a_mismatch_that_shows_both(stage: Stage):
    id = counted(stage)
    core, staging = stage.core_with(id, {"state": b"99"})
    stage.troupe.forge(id, core=core, staging=staging)
    verdict = stage.verdict(id)
    assert found(verdict) == ("MISMATCH", 3, "data.core/state")
    assert (verdict.recorded, verdict.replayed) == (99, 3)


def test_a_changed_component_is_a_mismatch(stage: Stage):
    id = counted(stage)
    core, staging = stage.core_with(id, {"code/c.wasm": actor(COUNT, init=ZERO, data="5")})
    stage.troupe.forge(id, core=core, staging=staging)
    assert found(stage.verdict(id)) == ("MISMATCH", 3, "data.core/code/c.wasm")


def test_a_forged_or_missing_hash_of_the_component_is_a_mismatch(stage: Stage):
    forged, missing = (stage.create(counter(), nonce=nonce) for nonce in ("1", "2"))
    stage.troupe.forge(forged, component_hash="0" * 64)
    stage.troupe.forge(missing, component_hash=None)
    assert {found(verdict) for verdict in stage.verdicts(forged, missing)} == {("MISMATCH", 0, "data.component-hash")}


def test_a_hash_where_none_belongs_is_a_mismatch(stage: Stage):
    id = counted(stage)
    stage.troupe.forge(id, component_hash="0" * 64)
    assert found(stage.verdict(id)) == ("MISMATCH", 3, "data.component-hash")


def test_a_forged_log_is_a_mismatch_that_names_the_line(stage: Stage):
    id = stage.create(actor(LOG))
    stage.troupe.tell(id, "message", "said")
    staging = Staging(stage.troupe.reader)
    stage.troupe.forge(id, log=staging.put_blob(b" never said\n"), staging=staging)
    assert found(stage.verdict(id)) == ("MISMATCH", 1, "data.log[0]")


def test_a_forged_message_to_another_is_a_mismatch(stage: Stage):
    other = counted(stage, 0)
    id = stage.create(
        actor(f"(call $send (i32.const 1024) (i32.const 59) (local.get 0) (local.get 1)) {KEEP}", data=str(other))
    )
    stage.troupe.tell(id, "message", "true")
    step = stage.troupe.step(id)
    message = stage.troupe.reader.message(step.sent[0])
    staging = Staging(stage.troupe.reader)
    lie = msgspec.structs.replace(message, content=staging.put_blob(b'"false"'))
    sent = staging.put(message_block(lie))
    outbox = {str(other): Cursor(lie.seq, MessageId(sent))}
    stage.troupe.forge(id, sent=[MessageId(sent)], outbox=outbox, staging=staging)
    verdict = stage.verdict(id)
    assert found(verdict) == ("MISMATCH", 1, "data.sent[0].content")
    assert (verdict.recorded, verdict.replayed) == ("false", "true")


def test_a_reordered_message_is_a_mismatch(stage: Stage):
    id = stage.create(actor(APPEND))
    first = stage.troupe.send(id, "message", "one")
    second = stage.troupe.send(id, "message", "two")
    stage.troupe.play_these(id, [second])
    assert found(stage.verdict(id)) == ("MISMATCH", 1, "data.consumed[0]")
    assert first != second


def test_a_forged_outcome_is_a_mismatch(stage: Stage):
    id = counted(stage)
    stage.troupe.forge(id, outcome=Outcome("failed", "Unreachable", "never happened"))
    assert found(stage.verdict(id)) == ("MISMATCH", 3, "data.outcome.kind")


OLD = "wasm/1;config=735c3e3b150f1f98"


def test_a_history_made_under_an_earlier_configuration_is_judged_by_its_results(stage: Stage):
    same, different = counted(stage, nonce="same"), counted(stage, nonce="different")
    for id in (same, different):
        stage.troupe.forge(id, engine=OLD)
    core, staging = stage.core_with(different, {"state": b"99"})
    stage.troupe.forge(different, core=core, staging=staging)
    verdicts = stage.verdicts(same, different)
    assert [(verdict.verdict, verdict.cause) for verdict in verdicts] == [("MATCH", None), ("MISMATCH", "output")]


def test_no_match_certifies_a_configuration_that_never_was(stage: Stage):
    texts = (f"wasm/2;config={CONFIG}", "wasm/1;config=0000000000000000")
    ids = [counted(stage, nonce=text) for text in texts]
    for id, text in zip(ids, texts, strict=True):
        stage.troupe.forge(id, engine=text)
    assert {(verdict.verdict, verdict.cause) for verdict in stage.verdicts(*ids)} == {("UNVERIFIABLE", "engine")}


def test_a_step_whose_component_was_refused_says_by_which_configuration(stage: Stage):
    born, updated = stage.create(b"nothing"), counted(stage)
    stage.troupe.update(updated, {"code/c.wasm": actor(init=None).replace(b"handle", b"bundle")})
    for id in (born, updated):
        step = stage.troupe.step(id)
        assert step.outcome is not None and (step.engine, step.outcome.kind) == (
            ENGINE_TEXT,
            "failed" if id is born else "refused",
        )
    before = [verdict.verdict for verdict in stage.verdicts(born, updated)]
    for id in (born, updated):
        # As versions before this one recorded it.
        stage.troupe.forge(id, engine="kernel/1")
    after = [verdict.verdict for verdict in stage.verdicts(born, updated)]
    assert (before, after) == (["MATCH"] * 2, ["MATCH"] * 2)


@pytest.mark.parametrize("engine", ["kernel/1", OLD])
def test_a_component_that_an_earlier_configuration_refused_accuses_nobody(stage: Stage, engine: str):
    id = counted(stage, 0)
    refused = Outcome("failed", "BadComponent", "canonical built-ins are not enabled")
    stage.troupe.forge(id, engine=engine, outcome=refused, core=stage.troupe.step(id).actor, component_hash=None)
    verdict = stage.verdict(id)
    assert (verdict.verdict, verdict.cause) == ("UNVERIFIABLE", "engine")


@pytest.mark.parametrize("engine", ["kernel/1", OLD, ENGINE_TEXT])
def test_a_component_that_ran_in_the_step_before_was_not_refused_in_this_one(stage: Stage, engine: str):
    id = counted(stage)
    before = stage.troupe.step(id).parent
    assert before is not None
    core = stage.troupe.reader.step(before).core
    stage.troupe.forge(id, engine=engine, outcome=Outcome("failed", "BadComponent", "no"), core=core)
    assert stage.verdict(id).verdict == "MISMATCH"


@pytest.mark.parametrize("engine", ["wasm/1", "wasm/1;config=00", "wasm/1;source=none", "python/1", "kernel/1"])
def test_an_engine_text_that_no_component_can_have_is_a_mismatch(stage: Stage, engine: str):
    id = counted(stage)
    stage.troupe.forge(id, engine=engine)
    verdict = stage.intact(id)
    assert (verdict.verdict, verdict.cause, verdict.path) == ("MISMATCH", "engine", "data.engine")


def test_the_hash_of_a_component_is_checked_without_running_it(stage: Stage):
    good, updated = counted(stage), counted(stage, nonce="updated")
    stage.troupe.update(updated, {"code/c.wasm": counter(text=True)})
    assert [stage.intact(id).verdict for id in (good, updated)] == ["INTACT", "INTACT"]
    forged, missing = (stage.create(counter(), nonce=nonce) for nonce in ("1", "2"))
    for id, hash in ((forged, "0" * 64), (missing, None), (good, "0" * 64), (updated, None)):
        stage.troupe.forge(id, component_hash=hash)
        verdict = stage.intact(id)
        assert (verdict.verdict, verdict.path) == ("MISMATCH", "data.component-hash")


def test_a_name_is_looked_up_once_and_a_replay_asks_the_journal(stage: Stage):
    sends = f"(call $send (i32.const 1024) (i32.const 3) (local.get 0) (local.get 1)) {KEEP}"
    id = stage.create(actor(sends, data="bob"))
    bob = stage.named["bob"] = counted(stage, 0)
    stage.troupe.tell(id, "message", {})
    sent = stage.troupe.reader.message(stage.troupe.step(id).sent[0])
    assert sent.to == str(bob)
    stage.named["bob"] = counted(stage, 1)
    assert stage.verdict(id).verdict == "MATCH"
    assert json.loads(stage.troupe.reader.blob(sent.content)) == {}


def test_what_a_python_wit_and_a_component_say_to_each_other_is_replayed(stage: Stage):
    count = counted(stage, 0)
    wit = "from understudy import Wit\nwit = Wit()\n@wit.message('go')\ndef go(ctx):\n    ctx.send(%r, {}, type='message')\n"
    python = stage.troupe.create({"wit": wit % str(count)})
    stage.troupe.tell(python, "go")
    state = stage.troupe.reader.find(stage.troupe.step(count).core, "state")
    assert state is not None
    assert stage.troupe.reader.blob(state) == b"1"
    assert [verdict.verdict for verdict in stage.verdicts(python, count)] == ["MATCH", "MATCH"]
