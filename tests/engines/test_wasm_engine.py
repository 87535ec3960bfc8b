"""The WebAssembly engine by itself: what it finds in a core, and what it makes of messages."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.engines.components import KEEP, actor, asked, counter
from understudy.actors.contract import StepResult
from understudy.actors.errors import NEEDS_WORLD, CallNeedsWorld, HostFailed, Retry, WitError
from understudy.engines.wasm import program
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.failure import Stopped, stopped_by
from understudy.engines.wasm.host import MAX_LOG, Host, Log
from understudy.engines.wasm.limits import DEFAULT
from understudy.objects.ids import TreeId
from understudy.store.reader import Staging
from understudy.testing.engine_suite import Objects, WorldCalls, delivery, run, step_input

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

    def tell(self, *contents: str | bytes, type: str = "message", calls: WorldCalls | None = None) -> StepResult:
        messages = [
            delivery(self.objects, str(self.core), content, type=type, seq=number)
            for number, content in enumerate(contents, 1)
        ]
        return self._run(messages, calls=calls)

    @property
    def state(self) -> bytes:
        found = self.objects.find(self.core, "state")
        assert found is not None
        return self.objects.blob(found)

    def _run(self, messages, *, genesis: bool = False, calls: WorldCalls | None = None) -> StepResult:
        given = (
            step_input(self.objects, self.core, messages, parent=None)
            if genesis
            else step_input(self.objects, self.core, messages, calls=calls)
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


def test_what_is_wrong_with_a_component_is_said_with_an_end():
    imports = "".join(f'(import "evil:x/a{number}" (instance (export "f" (func))))' for number in range(200))
    with pytest.raises(WitError) as caught:
        Actor(actor(worlds=(imports, "", "", "")))
    assert "it imports evil:x/a0" in caught.value.text
    assert "there is more" in caught.value.text
    assert 8192 < len(caught.value.text) < 20_000


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
    ("said", "code"),
    [
        ("mmap failed: Cannot allocate memory", None),
        ("backtrace: 0: mmap\n\nCaused by:\n    wasm trap: something new", "Trap"),
        ("backtrace: 0: all fuel consumed\n\nCaused by:\n    wasm trap: integer overflow", "IntegerOverflow"),
    ],
)
def test_only_what_the_machine_lacks_is_no_end_of_a_step_and_names_in_a_component_say_nothing(
    said: str, code: str | None
):
    found = stopped_by(said, used=1)
    assert (found.outcome.code if isinstance(found, Stopped) else None) == code


def test_a_machine_without_memory_ends_no_step_and_the_next_try_goes_well(monkeypatch: pytest.MonkeyPatch):
    known = Actor(counter())

    def fail(*_: object) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(HostFailed, match="memory"):
        patch.setattr("understudy.engines.wasm.guest.read_measured", fail)
        known.tell("{}")
    assert known.tell("{}").outcome is None
    assert known.state == b"1"


def test_only_so_many_components_are_kept_and_those_in_use_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("understudy.engines.wasm.engine.MAX_COMPONENTS", 2)
    engine, objects = WasmEngine(), Objects()
    cores = [objects.core({"wit": "/code:c:handle", "code/c.wasm": actor(data=str(number))}) for number in range(4)]
    hot = engine.load(cores[0], "wit", objects)
    cold = [engine.load(core, "wit", objects) for core in cores[1:] if engine.load(cores[0], "wit", objects) is hot]
    assert len(cold) == 3
    assert engine.load(cores[3], "wit", objects) is cold[2]
    assert engine.load(cores[1], "wit", objects) is not cold[0]


HUGE = 100 * 1024 * 1024
GROW = f"(drop (memory.grow (i32.const {HUGE // 65536})))"
HANDS_OVER = {
    "logs": (actor(f"{GROW} (call $log (i32.const 0) (i32.const {HUGE})) {KEEP}"), None),
    "sends": (
        actor(f"{GROW} (call $send (i32.const 0) (i32.const 3) (i32.const 4) (i32.const {HUGE})) {KEEP}", text=True),
        "OutputTooLarge",
    ),
    "sends to a long address": (
        actor(f"{GROW} (call $send (i32.const 0) (i32.const {HUGE}) (i32.const 0) (i32.const 0)) {KEEP}"),
        "OutputTooLarge",
    ),
    "returns": (actor(f"{GROW} (call $result (i32.const 0) (i32.const {HUGE}))", text=True), "OutputTooLarge"),
    "reads a long id": (
        asked("unreachable", f"{GROW} (call $read (i32.const 0) (i32.const {HUGE}) (i32.const 64)) {KEEP}"),
        "OutputTooLarge",
    ),
}


@pytest.mark.parametrize("way", HANDS_OVER)
def test_what_a_component_hands_over_is_measured_before_it_is_copied(way: str):
    component, code = HANDS_OVER[way]
    known = Actor(component)
    tracemalloc.start()
    try:
        result = known.tell("{}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < HUGE / 10
    assert (None if result.outcome is None else result.outcome.code) == code


def test_a_log_entry_larger_than_a_log_is_recorded_up_to_the_bound():
    (line,) = Actor(HANDS_OVER["logs"][0]).tell("{}").log
    assert len(line) == MAX_LOG + 1


def test_what_is_printed_bit_by_bit_is_logged_as_if_it_came_at_once():
    def printed(*pieces: bytes) -> list[str]:
        log = Log()
        host = Host(DEFAULT, log, time=0, seed=0, number=0, objects=Objects(), calls=WorldCalls())
        for piece in pieces:
            host.print(1, piece)
        host.finish()
        return log.lines

    text = b"one\n\ntwo\x0c! forged\n" + b"x" * 3000 + b"\nend"
    assert printed(text) == printed(*(text[at : at + 1] for at in range(len(text)))) == text.decode().split("\n")
    assert [len(line) for line in printed(*[b"y" * 65_536] * 20)] == [MAX_LOG + 1]
    assert len(printed(b"\n" * 1_000_000)) < MAX_LOG


def test_a_question_that_can_not_be_answered_now_is_a_retry_and_one_that_a_replay_lacks_is_named():
    asks = asked("unreachable", f"(call $ask {'(i32.const 0) ' * 6} (i32.const 64)) {KEEP}")
    known = Actor(asks)
    for error, found in ((Retry("later"), "later"), (CallNeedsWorld("no"), NEEDS_WORLD)):
        result = known.tell("{}", calls=FailingCalls(error))
        assert found == (result.retry or (result.outcome and result.outcome.code))


class FailingCalls(WorldCalls):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.unanswered = error

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        assert self.unanswered is not None
        raise self.unanswered
