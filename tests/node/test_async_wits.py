"""The event loops of asynchronous wits, when one wit holds its loop and when the machine gives no other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Iterator

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, gates
from understudy.actors.contract import StepResult
from understudy.judging.verification import Target, verify_targets
from understudy.node.running import async_wits
from understudy.node.running.async_wits import AsyncWits


class Stage:
    """One wit that holds its loop, and one that waits behind it, both begun at the same moment."""

    def __init__(self) -> None:
        self.wits = AsyncWits()
        self.wits.start()
        self.holds, self.lets_go, self.has_begun = threading.Event(), threading.Event(), threading.Event()
        together = threading.Event()
        self.wits._loops[0]._loop.call_soon_threadsafe(together.wait, PATIENCE)
        self._begin(self._hold(), "holder")
        self._begin(self._quick(), "other")
        together.set()
        assert self.holds.wait(PATIENCE)

    def _begin(self, work: Awaitable[StepResult], actor: str) -> None:
        self.wits.run(work, actor=actor, seconds=None, control=lambda _: None, done=lambda _: None)

    async def _hold(self) -> StepResult:
        self.holds.set()
        assert self.lets_go.wait(PATIENCE)
        return StepResult.__new__(StepResult)

    async def _quick(self) -> StepResult:
        self.has_begun.set()
        return StepResult.__new__(StepResult)

    def close(self) -> None:
        self.lets_go.set()
        self.wits.stop()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(async_wits, "HELD_SECONDS", 0.0)
    stage = Stage()
    yield stage
    stage.close()


def test_a_wit_whose_turn_came_in_the_same_moment_gets_a_loop_of_its_own(stage: Stage) -> None:
    stage.wits.relieve()
    assert stage.has_begun.wait(PATIENCE)


def test_a_machine_without_another_file_descriptor_does_not_end_who_watches(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_loop() -> asyncio.AbstractEventLoop:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", no_loop)
        stage.wits.relieve()
    assert not stage.has_begun.is_set()
    stage.wits.relieve()
    assert stage.has_begun.wait(PATIENCE)


def test_a_wit_that_is_taken_at_that_moment_is_taken_once(stage: Stage) -> None:
    loop = stage.wits._loops[0]
    taken = loop.next_waiting()
    assert taken is not None and loop.next_waiting() is None
    assert not loop.waits_since(time.monotonic())
    stage.wits.relieve()
    assert len(stage.wits._loops) == 1
    loop.add(taken)


def test_a_task_takes_its_name_from_python_3_14_as_from_those_before() -> None:
    async def nothing() -> None:
        pass

    async def made() -> str:
        loop = asyncio.get_running_loop()
        task = async_wits._named_like_its_parent(loop, nothing(), name="given")
        await task
        return str(task.get_name())

    assert asyncio.run(made()) == "given"


def test_a_thread_that_waits_for_an_answer_holds_up_no_process_that_ends() -> None:
    """A wit on an event loop that blocks for an answer, in a node that stops: nobody will ever answer."""
    code = (
        "import asyncio, threading\n"
        "from understudy.node.running.blocking import run_to_end\n"
        "async def never():\n"
        "    print('waits', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "async def wit():\n"
        "    run_to_end(never())\n"
        "threading.Thread(target=lambda: asyncio.run(wit()), daemon=True).start()\n"
        "while not any('blocking' in thread.name for thread in threading.enumerate()): pass\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0


COUNTS = """
import asyncio
from tests.node.stage import gates
from understudy import Wit
wit = Wit()

@wit.message("count")
async def count(number: int) -> list:
    made = [asyncio.create_task(asyncio.sleep(0)) for _ in range(number)]
    counts = [len(asyncio.all_tasks())]
    await asyncio.sleep(0)
    counts.append(len(asyncio.all_tasks()))
    await asyncio.gather(*made)
    counts.append(len(asyncio.all_tasks()))
    return counts

@wit.message("wait")
async def wait(name: str) -> int:
    task = asyncio.create_task(gates.wait_through(name))
    await task
    return len(asyncio.all_tasks())
"""


def test_a_wit_finds_its_own_tasks_and_not_those_of_others() -> None:
    with Living() as living:
        actor, other = living.create(wit=COUNTS, nonce="1"), living.create(wit=COUNTS, nonce="2")
        alone = living.tell(actor, "count", 3)
        waits = living.begin_answer(other, living.send(other, "wait", "with a task"))
        gates.wait_for("with a task")
        assert [living.tell(actor, "count", number) for number in (3, 0)] == [alone, [1, 1, 1]]
        assert alone[0] == 4 and alone[2] == 1
        gates.open("with a task")
        assert waits.result(PATIENCE).outcome is None
        assert living.node.reader.blob(waits.result().replies[0].content) == b"1"
        [verdict] = verify_targets(living.backend, [Target(actor, living.node.actor(actor).head)], processes=1)
    assert verdict.ok, verdict
