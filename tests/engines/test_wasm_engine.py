"""The WebAssembly engine by itself: what it finds in a core, and what it makes of messages."""

from __future__ import annotations

import pytest

from tests.engines.components import KEEP, actor, counter
from understudy.actors.contract import StepResult
from understudy.actors.errors import WitError
from understudy.engines.wasm import program
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.failure import stopped_by
from understudy.objects.ids import TreeId
from understudy.store.reader import Staging
from understudy.testing.engine_suite import Objects, delivery, run, step_input

ENGINE = WasmEngine()
NO = "(i32.const 0)"


class Actor:
    """An actor of one component, stepped by hand."""

    def __init__(self, component: bytes, **files: str | bytes) -> None:
        self.objects = Objects()
        self.core: TreeId = self.objects.core(
            {"runtime": "wasm", "wit": "/code:c:handle", "code/c.wasm": component, **files}
        )
        self.born = self._run([delivery(self.objects, str(self.core), self.core, type="genesis")], genesis=True)

    def tell(self, *contents: str | bytes, type: str = "message") -> StepResult:
        messages = [
            delivery(self.objects, str(self.core), content, type=type, seq=number)
            for number, content in enumerate(contents, 1)
        ]
        return self._run(messages)

    @property
    def state(self) -> bytes:
        found = self.objects.find(self.core, "state")
        assert found is not None
        return self.objects.blob(found)

    def _run(self, messages, *, genesis: bool = False) -> StepResult:
        given = (
            step_input(self.objects, self.core, messages, parent=None)
            if genesis
            else step_input(self.objects, self.core, messages)
        )
        result = run(ENGINE, given)
        assert isinstance(given.store, Staging)
        self.objects.keep(given.store)
        self.core = result.core
        return result


@pytest.mark.parametrize("text", [False, True])
def test_the_state_is_what_handle_returned_and_begins_with_what_init_returned(text: bool):
    actor = Actor(counter(text=text))
    assert actor.state == b"0"
    actor.tell("{}", "{}")
    actor.tell("{}")
    assert actor.state == b"3"


def test_a_message_that_the_contract_refuses_changes_nothing_and_says_which_contract():
    known = Actor(actor("unreachable", message_contract=NO))
    result = known.tell("{}")
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code, result.core) == ("refused", "MessageContract", known.core)


@pytest.mark.parametrize("born_with", [{}, {"state": "0"}])
def test_a_first_state_that_the_contract_refuses_is_no_state(born_with: dict[str, str]):
    result = Actor(actor(state_contract=NO), **born_with).born
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code) == ("refused", "StateContract")


def test_a_new_state_that_the_contract_refuses_is_dropped():
    known = Actor(
        actor(
            "(call $result (local.get 0) (local.get 1))",
            state_contract="(i32.ne (local.get 1) (i32.const 3))",
            init=None,
        ),
        state="good",
    )
    assert known.tell("good").outcome is None
    result = known.tell("bad")
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code) == ("refused", "StateContract")
    assert known.state == b"good"


SEND_TWICE = "(call $send (i32.const 1024) (i32.const 3) (local.get 0) (local.get 1))" * 2


def test_all_messages_of_a_step_together_send_no_more_messages_than_a_step_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(program, "MAX_SENT", 3)
    known = Actor(actor(SEND_TWICE + KEEP, data="bob"))
    result = known.tell("one", "two")
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code, result.core) == ("failed", "TooManySent", known.core)
    assert known.tell("one").outcome is None


def test_all_messages_of_a_step_together_send_no_more_bytes_than_a_step_may(monkeypatch: pytest.MonkeyPatch):
    known = Actor(actor(SEND_TWICE + KEEP, data="bob"))
    sent_by_two = 4 * (len("bob") + len("one"))
    monkeypatch.setattr(program, "MAX_STEP_SENT", sent_by_two)
    assert known.tell("one", "two").outcome is None
    monkeypatch.setattr(program, "MAX_STEP_SENT", sent_by_two - 1)
    result = known.tell("one", "two")
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code, result.core) == ("failed", "OutputTooLarge", known.core)
    assert known.tell("one").outcome is None


def test_what_is_told_of_an_error_is_logged_and_not_handled():
    result = Actor(actor("unreachable")).tell("{}", type="error")
    assert result.outcome is None
    assert [line.split(":")[0] for line in result.log] == ["error from out/test/caller"]


def test_a_component_says_what_is_missing_and_wrong_all_at_once():
    strange = (
        actor(text=True, init=None).replace(b"message-contract", b"massage-contract").replace(b"handle", b"bundle")
    )
    with pytest.raises(WitError) as caught:
        Actor(strange)
    assert caught.value.code == "WrongWorld"
    assert "actor.message-contract is missing: it must be func(string, string) -> bool" in caught.value.text
    assert "actor.handle is missing: it must be func(string, string) -> string" in caught.value.text


def test_a_component_without_init_needs_a_state_in_the_core():
    with pytest.raises(WitError) as caught:
        Actor(actor(init=None))
    assert caught.value.code == "NoInit"
    assert Actor(actor(KEEP, init=None), state="s").born.outcome is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"(component)", "begins with"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm\x0d\0\x01\0", "is missing"),
        (b"", "begins"),
    ],
)
def test_what_is_no_component_is_said_to_be_none(data: bytes, said: str):
    with pytest.raises(WitError, match=said):
        Actor(data)


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("mmap failed: Cannot allocate memory", "cut", "HostMemory"),
        ("backtrace: 0: mmap\n\nCaused by:\n    wasm trap: something new", "failed", "Trap"),
        ("backtrace: 0: all fuel consumed\n\nCaused by:\n    wasm trap: integer overflow", "failed", "IntegerOverflow"),
    ],
)
def test_only_what_the_machine_lacks_is_cut_and_names_in_a_component_say_nothing(said: str, kind: str, code: str):
    outcome = stopped_by(said, used=1).outcome
    assert (outcome.kind, outcome.code) == (kind, code)


def test_a_machine_without_memory_cuts_the_step_and_leaves_the_state(monkeypatch: pytest.MonkeyPatch):
    known = Actor(counter())

    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("understudy.engines.wasm.guest.read_content", fail)
    result = known.tell("{}")
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code, known.state) == ("cut", "HostMemory", b"0")


def test_only_so_many_components_are_kept_and_those_in_use_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("understudy.engines.wasm.engine.MAX_COMPONENTS", 2)
    engine, objects = WasmEngine(), Objects()
    cores = [objects.core({"wit": "/code:c:handle", "code/c.wasm": actor(data=str(number))}) for number in range(4)]
    hot = engine.load(cores[0], "wit", objects)
    cold = [engine.load(core, "wit", objects) for core in cores[1:] if engine.load(cores[0], "wit", objects) is hot]
    assert len(cold) == 3
    assert engine.load(cores[3], "wit", objects) is cold[2]
    assert engine.load(cores[1], "wit", objects) is not cold[0]
