"""Timers of components: the same files, rules and verdicts as `ctx.after`, `ctx.at`, `ctx.every` and `ctx.cron` have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Self

import pytest

from tests.engines.components import KEEP, actor
from tests.node.living import Living
from tests.node.stage import PATIENCE
from tests.node.test_timers_living import Clock, step_after
from understudy.engines.wasm.world import TIMERS
from understudy.judging.verification import Target, verify_targets
from understudy.objects.ids import ActorId
from understudy.objects.step import Outcome
from understudy.objects.timer import instant_text

RESULT = "(result (result (error string)))))"
IMPORTS = f"""
  (import "{TIMERS}" (instance $timers
    (alias outer 1 $message (type $outer))
    (export "message" (type $m (eq $outer)))
    (type $r (record (field "name" string) (field "due" u64) (field "missed" u64)))
    (export "ring" (type $ring (eq $r)))
    (export "after" (func (param "name" string) (param "seconds" f64)
      (param "message-type" string) (param "msg" $m) {RESULT}
    (export "at" (func (param "name" string) (param "time" string) (param "zone" (option string))
      (param "message-type" string) (param "msg" $m) {RESULT}
    (export "every" (func (param "name" string) (param "seconds" f64) (param "start" (option string))
      (param "message-type" string) (param "msg" $m) {RESULT}
    (export "cron" (func (param "name" string) (param "line" string) (param "zone" string)
      (param "message-type" string) (param "msg" $m) {RESULT}
    (export "cancel" (func (param "name" string) (result (result bool (error string)))))
    (export "ringing" (func (result (option $ring))))))"""
NAMES = ("after", "at", "every", "cron", "cancel", "ringing")
LOWERED = "".join(
    f'\n  (core func ${name} (canon lower (func $timers "{name}") (memory $memory) (realloc $realloc)))'
    for name in NAMES
)
GIVEN = " ".join(f'(export "{name}" (func ${name}))' for name in NAMES)
I32 = "i32 "
CORE = f"""
    (import "host" "after" (func $after (param i32 i32 f64 {I32 * 5})))
    (import "host" "at" (func $at (param {I32 * 12})))
    (import "host" "every" (func $every (param i32 i32 f64 {I32 * 8})))
    (import "host" "cron" (func $cron (param {I32 * 11})))
    (import "host" "cancel" (func $cancel (param i32 i32 i32)))
    (import "host" "ringing" (func $ringing (param i32)))"""
WORLDS = (IMPORTS, LOWERED, GIVEN, CORE)
# What stands in the memory from 1024 on: the name of the timer, and the type of the message.
DATA = "wakedue"
NAME, TYPE = "(i32.const 1024) (i32.const 4)", "(i32.const 1028) (i32.const 3)"
REST = "(i32.sub (local.get 1) (i32.const 1))"
TEXT = f"(i32.add (local.get 0) (i32.const 1)) {REST}"  # the message without its first letter
NONE, SOME = "(i32.const 0) (i32.const 0) (i32.const 0)", f"(i32.const 1) {TEXT}"
SENT = f"{TYPE} (local.get 0) (local.get 1) (i32.const 128)"  # what comes is the message itself
DIGITS = """(f64.convert_i32_s (i32.sub (i32.load8_u offset=1 (local.get 0)) (i32.const 48)))"""
# The state says what was answered: the error, or nothing.
ERROR = """
    (if (result i32) (i32.load8_u (i32.const 128))
      (then (call $result (i32.load (i32.const 132)) (i32.load (i32.const 136))))
      (else (call $result (i32.const 0) (i32.const 0))))"""
CALLS = {
    "a": f"(call $after {NAME} {DIGITS} {SENT}) {ERROR}",
    "n": f"(call $after {TEXT} (f64.const 60) {SENT}) {ERROR}",
    "t": f"(call $after {NAME} (f64.const 60) {TEXT} (local.get 0) (local.get 1) (i32.const 128)) {ERROR}",
    "i": f"(call $after {NAME} (f64.const inf) {SENT}) {ERROR}",
    "@": f"(call $at {NAME} {TEXT} {NONE} {SENT}) {ERROR}",
    "z": f"(call $at {NAME} (i32.const 1040) (i32.const 16) {SOME} {SENT}) {ERROR}",
    "e": f"(call $every {NAME} {DIGITS} {NONE} {SENT}) {ERROR}",
    "s": f"(call $every {NAME} (f64.const 60) {SOME} {SENT}) {ERROR}",
    "c": f"(call $cron {NAME} {TEXT} (i32.const 1056) (i32.const 3) {SENT}) {ERROR}",
    "x": f"""(call $cancel {TEXT} (i32.const 128))
      (if (result i32) (i32.load8_u (i32.const 128))
        (then (call $result (i32.load (i32.const 132)) (i32.load (i32.const 136))))
        (else (i32.store8 (i32.const 160) (i32.add (i32.const 48) (i32.load8_u (i32.const 132))))
          (call $result (i32.const 160) (i32.const 1))))""",
    "f": f"(call $after {NAME} (f64.const 60) {SENT}) (unreachable)",
}
# A message that is from a timer is kept with that timer's name before it.
RANG = """
    (call $ringing (i32.const 128))
    (if (i32.load8_u (i32.const 128)) (then
      (local.set 4 (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 100)))
      (memory.copy (local.get 4) (i32.load (i32.const 136)) (i32.load (i32.const 140)))
      (local.set 5 (i32.load (i32.const 140)))
      (i32.store8 (i32.add (local.get 4) (local.get 5)) (i32.add (i32.const 48) (i32.load8_u (i32.const 152))))
      (local.set 5 (i32.add (local.get 5) (i32.const 1)))
      (memory.copy (i32.add (local.get 4) (local.get 5)) (local.get 0) (local.get 1))
      (return (call $result (local.get 4) (i32.add (local.get 5) (local.get 1))))))"""


# The first letter of a message says which call is made.
HANDLE = (
    RANG
    + "".join(
        f"(if (i32.eq (i32.load8_u (local.get 0)) (i32.const {ord(letter)})) (then (return {call})))"
        for letter, call in CALLS.items()
    )
    + KEEP
)
TEXTS = DATA.ljust(16) + "2030-07-01T09:00" + "UTC"
SLEEPER = actor(HANDLE, data=TEXTS, worlds=WORLDS)
TEXTUAL = actor(HANDLE, data=TEXTS, worlds=WORLDS, text=True)
EARLY = actor(
    init=f"""(call $after {NAME} (f64.const 60) {TYPE} (i32.const 1024) (i32.const 4) (i32.const 128))
    (call $result (i32.const 0) (i32.const 0))""",
    handle=RANG + KEEP,
    data=DATA,
    worlds=WORLDS,
)
CONTRACTED = actor(message_contract=f"(call $cancel {NAME} (i32.const 128)) (i32.const 1)", data=DATA, worlds=WORLDS)
FILES = {"runtime": b"wasm", "wit": b"/code:c:handle"}


class Sleeper:
    """A component in a living node whose clock can be put forward."""

    def __init__(self, component: bytes = SLEEPER, **files: bytes) -> None:
        self.clock = Clock()
        self.living = Living(clock=self.clock)
        core = {**FILES, "code/c.wasm": component, **files}
        self.id: ActorId = self.living.run(self.living.node.create(core, name="sleeper")).id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.living.stop()

    def send(self, text: str) -> Outcome | None:
        sent = self.living.run(self.living.node.send(self.id, text.encode(), type="message"))
        return self.living.begin_answer(self.id, sent).result(PATIENCE).outcome

    def ask(self, text: str) -> str:
        """The state after a message: what was answered to the component."""
        outcome = self.send(text)
        assert outcome is None, outcome
        return self.state

    @property
    def state(self) -> str:
        reader = self.living.node.reader
        state = reader.find(self.living.chain(self.id)[-1].core, "state")
        assert state is not None
        return reader.blob(state).decode()

    @property
    def time(self) -> int:
        return self.living.chain(self.id)[-1].time

    def timers(self) -> dict[str, Any]:
        reader = self.living.node.reader
        tree = reader.find(self.living.chain(self.id)[-1].core, "timers")
        return {} if tree is None else {name: json.loads(reader.blob(id)) for name, id in reader.tree(tree).items()}

    def sleep(self, seconds: int) -> None:
        """Let the time pass while the node is down."""
        height = self.living.chain(self.id)[-1].height
        self.living.stop()
        self.clock.ahead_us += seconds * 1_000_000
        self.living = self.living.again()
        self.living.run(step_after(self.living, self.id, height))

    def check(self) -> None:
        head = self.living.node.lookup.newest(self.id)
        verdict = verify_targets(self.living.backend, [Target(self.id, head)], processes=1)[0]
        assert verdict.ok, verdict


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    with Sleeper() as sleeper:
        yield sleeper


def test_each_way_of_setting_a_timer_writes_the_file_that_ctx_would(sleeper: Sleeper):
    assert sleeper.ask("a9") == ""
    content = {"bytes": "YTk="}
    assert sleeper.timers() == {"wake": {"at": instant_text(sleeper.time + 9_000_000), "type": "due", **content}}
    for text, expected in (
        ("@2030-07-01T09:00:00Z", {"at": "2030-07-01T09:00:00Z"}),
        ("zEurope/Berlin", {"at": "2030-07-01T09:00:00", "zone": "Europe/Berlin"}),
        ("s2030-07-01T09:00:00Z", {"every": 60, "from": "2030-07-01T09:00:00Z"}),
        ("c30 9 * * MON-FRI", {"cron": "30 9 * * MON-FRI", "zone": "UTC"}),
    ):
        assert sleeper.ask(text) == ""
        file = sleeper.timers()["wake"]
        del file["bytes"], file["type"]
        assert file == expected
    assert sleeper.ask("e5") == ""
    assert sleeper.timers()["wake"]["from"] == instant_text(sleeper.time)
    sleeper.check()


def test_a_timer_set_before_a_restart_comes_as_a_message_and_is_gone(sleeper: Sleeper):
    sleeper.ask("a9")
    sleeper.sleep(10)
    assert sleeper.state == "wake0a9"
    assert sleeper.timers() == {}
    sleeper.check()


def test_a_timer_that_repeats_says_how_often_it_was_missed(sleeper: Sleeper):
    sleeper.ask("e8")
    sleeper.sleep(26)
    assert sleeper.state == "wake2e8"
    assert "wake" in sleeper.timers()
    sleeper.check()


def test_a_timer_that_was_taken_back_is_gone(sleeper: Sleeper):
    sleeper.ask("a9")
    assert [sleeper.ask("xwake"), sleeper.ask("xwake"), sleeper.timers()] == ["1", "0", {}]
    sleeper.check()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("na/b", "holds a slash"),
        ("n", "empty"),
        ("t", "type"),
        ("i", "number of seconds"),
        ("a/", "must not be negative"),
        ("e0", "0.1 seconds or more"),
        ("@tomorrow", "write a date and a time"),
        ("@2030-07-01T09:00", "another instant in each place"),
        ("zAtlantis", "no time zone"),
        ("ssoon", "the start is"),
        ("c99 * * * *", "no cron line"),
        ("xa/b", "holds a slash"),
    ],
)
def test_a_wrong_timer_is_an_answer_to_the_component_and_sets_nothing(sleeper: Sleeper, text: str, said: str):
    assert said in sleeper.ask(text)
    assert sleeper.timers() == {}
    sleeper.check()


def test_a_step_that_fails_sets_no_timer(sleeper: Sleeper):
    outcome = sleeper.send("f")
    assert outcome is not None and outcome.code == "Unreachable"
    assert sleeper.timers() == {}
    sleeper.check()


def test_more_than_the_fuel_allows_stops_the_step_and_the_output_is_counted():
    for limits, code in ((b'{"fuel": 100000}', "OutOfFuel"), (b'{"output": 10}', "OutputTooLarge")):
        with Sleeper(limits=limits) as sleeper:
            outcome = sleeper.send("n" + "timer" * 3)
            assert outcome is not None and outcome.code == code
            assert sleeper.timers() == {}
            sleeper.check()


def test_text_comes_to_a_component_that_takes_text():
    with Sleeper(TEXTUAL) as sleeper:
        sleeper.ask("a9")
        sleeper.sleep(10)
        assert sleeper.state == "wake0a9"
        sleeper.check()


def test_init_may_set_a_timer():
    with Sleeper(EARLY) as sleeper:
        assert sleeper.timers()["wake"]["type"] == "due"
        sleeper.sleep(61)
        assert sleeper.state == "wake0wake"
        sleeper.check()


def test_a_contract_takes_no_timer_back():
    with Sleeper(CONTRACTED, **{"timers/wake": b'{"at":"2030-07-01T09:00:00Z","type":"due"}'}) as sleeper:
        outcome = sleeper.send("hello")
        assert outcome is not None and outcome.code == "NotNow"
        assert "wake" in sleeper.timers()
        sleeper.check()
