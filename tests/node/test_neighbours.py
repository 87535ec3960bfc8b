"""What a slow wit does to its neighbours, which is nothing, and what is said of it while it lasts."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, gates
from understudy.engines.room import SWITCH_SECONDS
from understudy.judging.verification import Target
from understudy.node.errors import QueryFailed
from understudy.node.running import slow_wits, step_lock
from understudy.objects.ids import ActorId

SLOW = """
from understudy import Wit
from tests.node.stage import gates

wit = Wit()

@wit.message("sleep")
def sleep(name: str, state: dict) -> None:
    gates.pass_through(name)
    state["done"] = name

@wit.message("sleep async")
async def sleep_async(name: str, state: dict) -> None:
    await gates.wait_through(name)
    state["done"] = name

@wit.message("compute")
def compute(name: str, state: dict) -> None:
    gates.spin_through(name)
    state["done"] = name

@wit.message("compute async")
async def compute_async(name: str, state: dict) -> None:
    gates.spin_through(name)
    state["done"] = name
"""
ENDLESS = """
from understudy import Wit
from tests.node.stage import gates

wit = Wit()

@wit.message("go")
{form} go(name: str, state: dict) -> None:
    look(name)

def look(name: str) -> None:
    while name:
        gates.spin_through(name)
        name = ""
"""
EXITS = """
import asyncio
from understudy import Wit

wit = Wit()

@wit.message("leave")
async def leave(name: str) -> str:
    asyncio.get_running_loop().call_soon(exit)
    await asyncio.sleep(0.001)
    return f"left {name}"
"""
CANCELS = """
import asyncio
from understudy import Wit

wit = Wit()

@wit.message("cancel all")
async def cancel_all(text: str) -> str:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)
    return text

@wit.message("cancel others")
async def cancel_others(text: str) -> str:
    asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    return text

@wit.query("all")
async def ask_all() -> str:
    return await cancel_all("all")
"""
WAYS = ["sleep", "sleep async", "compute", "compute async"]


class Said(logging.Handler):
    """What the log says of slow wits, as it is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.more = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self.more:
            self.lines.append(record.getMessage())
            self.more.notify_all()

    def wait_for(self, *parts: str) -> str:
        """A line that has all of these parts."""
        with self.more:
            assert self.more.wait_for(lambda: self._find(parts), PATIENCE), f"{parts} not in {self.lines}"
            return self._find(parts)

    def _find(self, parts: tuple[str, ...]) -> str:
        return next((line for line in self.lines if all(part in line for part in parts)), "")


@pytest.fixture(autouse=True)
def as_in_a_process_of_its_own() -> Iterator[None]:
    """Turns as short as `understudy serve` makes them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """A log in which slow wits are named at once, and again all the time."""
    monkeypatch.setattr(slow_wits, "SLOW_SECONDS", 0.05)
    monkeypatch.setattr(slow_wits, "AGAIN_SECONDS", 0.05)
    handler, log = Said(), logging.getLogger("understudy.slow")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def create_quick(living: Living, count: int) -> list[ActorId]:
    return [living.create(nonce=f"quick {number}") for number in range(count)]


def create_endless(living: Living, form: str) -> ActorId:
    files = {"wit": b"/code:m:wit", "code/m.py": ENDLESS.format(form=form).encode()}
    return living.run(living.node.create(files)).id


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_wit_holds_up_only_itself(way: str) -> None:
    with Living() as living:
        slow, quick = living.create(wit=SLOW), create_quick(living, 5)
        living.send(slow, way, f"neighbour {way}")
        gates.wait_for(f"neighbour {way}")
        waiting = living.begin_answer(slow, living.send(slow, "sleep", "second"))
        for number in range(20):
            for actor in quick:
                assert living.tell(actor, "ask", number) == number
        # An asynchronous neighbour too.
        gates.open("open")
        assert living.ask(quick[0], "wait", "open").outcome is None
        assert not waiting.done()
        gates.open(f"neighbour {way}")
        gates.open("second")
        assert waiting.result(PATIENCE).outcome is None
        assert living.state(slow) == {"done": "second"}


def test_several_slow_wits_of_every_kind_at_once_hold_up_nobody() -> None:
    with Living() as living:
        slow = [living.create(wit=SLOW, nonce=str(number)) for number in range(8)]
        for number, actor in enumerate(slow):
            living.send(actor, WAYS[number % 4], f"all {number}")
        for number in range(8):
            gates.wait_for(f"all {number}")
        (quick,) = create_quick(living, 1)
        assert [living.tell(quick, "ask", number) for number in range(20)] == list(range(20))
        for number in range(8):
            gates.open(f"all {number}")
        living.come_to_rest()
        assert [living.state(actor)["done"] for actor in slow] == [f"all {number}" for number in range(8)]


@pytest.mark.parametrize("form", ["def", "async def"])
def test_a_wit_that_does_not_end_is_named_with_its_line_while_it_lasts(said: Said, form: str) -> None:
    with Living() as living:
        endless = create_endless(living, form)
        name = f"endless {form}"
        living.send(endless, "go", name)
        gates.wait_for(name)
        # Also when nobody else has anything to do, and again after others went on without it.
        said.wait_for(str(endless), "code/m.py:13 in look")
        (quick,) = create_quick(living, 1)
        assert living.tell(quick, "ask", 1) == 1
        said.lines.clear()
        said.wait_for(str(endless), "code/m.py:13 in look")
        gates.open(name)
        living.come_to_rest()
        assert living.outcomes(endless) == ["ok", "ok"]


def test_a_slow_wit_outside_any_core_is_named_with_its_file(said: Said) -> None:
    with Living() as living:
        slow = living.create()
        living.send(slow, "spin", "outside")
        gates.wait_for("outside")
        said.wait_for(str(slow), "stage.py:", "in spin")
        gates.open("outside")
        living.come_to_rest()


def test_a_wit_that_waits_asynchronously_is_no_trouble_and_is_not_named(said: Said) -> None:
    with Living() as living:
        patient, slow = living.create(), living.create(nonce="slow")
        living.send(patient, "wait", "patient")
        gates.wait_for("patient")
        living.send(slow, "spin", "named instead")
        said.wait_for(str(slow))
        assert not [line for line in said.lines if str(patient) in line]
        gates.open("named instead")
        gates.open("patient")
        living.come_to_rest()


def test_what_a_wit_leaves_to_its_loop_may_exit_and_ends_nobody_elses_wait() -> None:
    with Living() as living:
        patient, exits = living.create(), living.create(wit=EXITS, nonce="exits")
        living.send(patient, "wait", "patient meanwhile")
        gates.wait_for("patient meanwhile")
        assert living.tell(exits, "leave", "a task") == "left a task"
        assert living.tell(exits, "leave", "another") == "left another"
        gates.open("patient meanwhile")
        living.come_to_rest()
        assert living.state(patient)["waited"] == "patient meanwhile"
        (verdict,) = living.run(living.node.verify([Target(exits, living.node.actor(exits).head)]))
        assert verdict.ok, verdict.reason


def test_a_wit_that_cancels_all_tasks_cancels_its_own() -> None:
    with Living() as living:
        patient, cancels = living.create(), living.create(wit=CANCELS, nonce="cancels")
        living.send(patient, "wait", "patient through it")
        gates.wait_for("patient through it")
        assert living.tell(cancels, "cancel others", "done") == "done"
        for _ in range(2):
            outcome = living.ask(cancels, "cancel all", "never said").outcome
            assert outcome is not None and (outcome.kind, outcome.code) == ("failed", "CancelledError")
        with pytest.raises(QueryFailed) as caught:
            living.run(living.node.query(cancels, "all"))
        assert caught.value.code == "CancelledError"
        gates.open("patient through it")
        living.come_to_rest()
        assert living.state(patient)["waited"] == "patient through it"
        (verdict,) = living.run(living.node.verify([Target(cancels, living.node.actor(cancels).head)]))
        assert verdict.ok, verdict.reason


def test_an_endless_loop_is_survived_by_a_restart_and_cured_by_an_update() -> None:
    living = Living()
    actor = create_endless(living, "def")
    living.send(actor, "go", "for ever")
    gates.wait_for("for ever")
    cured = ENDLESS.format(form="def").replace("while name", "while False").encode()
    curing = living.run(living.node.patch(actor, {"code/m.py": cured}))
    living = living.again()
    with living:
        assert living.begin_answer(actor, curing).result(PATIENCE).outcome is None
        living.come_to_rest()
        # The update goes first, so the message that would have run for ever is consumed by the code that is cured.
        lanes = [living.node.reader.message(step.consumed[0]).lane for step in living.chain(actor)]
        assert lanes[1:] == ["update", "queue"]
        assert living.outcomes(actor) == ["ok", "ok", "ok"]
        gates.open("for ever")


def test_who_was_slow_does_not_hold_up_the_others_at_the_beginning_of_its_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Living() as living:
        slow = living.create(wit=SLOW)
        (quick,) = create_quick(living, 1)
        monkeypatch.setattr(step_lock, "LOCK_SECONDS", 0.001)
        living.send(slow, "sleep", "slow once")
        gates.wait_for("slow once")
        assert living.tell(quick, "ask", 1) == 1
        gates.open("slow once")
        living.come_to_rest()
        # From now on nobody would take the step lock away from it.
        monkeypatch.setattr(step_lock, "LOCK_SECONDS", 1_000.0)
        living.send(slow, "sleep", "slow again")
        gates.wait_for("slow again")
        assert living.tell(quick, "ask", 2) == 2
        gates.open("slow again")
        living.come_to_rest()
