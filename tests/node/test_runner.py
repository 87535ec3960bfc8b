"""The runner: the threads around the scheduler. What they are allowed is on the page docs/THREADS.md."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, gates
from understudy.kernel.policy import Policy
from understudy.node.running.runner import Runner
from understudy.node.running.scheduler import Scheduler
from understudy.objects.ids import TreeId
from understudy.store.errors import Missing
from understudy.store.reader import Reader

PAGE = Path(__file__).parents[2] / "docs/THREADS.md"


def test_the_thread_that_steps_sleeps_while_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[None] = []
    turn = Runner._turn

    def count(runner: Runner, epoch: int) -> None:
        turns.append(None)
        turn(runner, epoch)

    monkeypatch.setattr(Runner, "_turn", count)
    with Living() as living:
        living.create()
        living.until(lambda: not living.runner._scheduler.busy)
        before = len(turns)
        # Each look is a turn; if there were others, they would be counted too.
        for _ in range(20):
            living.until(lambda: True)
        assert len(turns) <= before + 21


def test_the_scheduler_is_used_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: set[int] = set()
    users: set[str] = set()
    for name in ("advance", "next_job", "finish", "took"):
        method = getattr(Scheduler, name)

        def alone(*args: object, method=method) -> object:
            inside.add(threading.get_ident())
            assert len(inside) == 1
            users.add(threading.current_thread().name)
            try:
                return method(*args)
            finally:
                inside.discard(threading.get_ident())

        monkeypatch.setattr(Scheduler, name, alone)
    with Living() as living:
        slow, quick = living.create(nonce="slow"), living.create(nonce="quick")
        living.send(slow, "hold", "one at a time")
        gates.wait_for("one at a time")
        for number in range(20):
            assert living.tell(quick, "ask", number) == number
        gates.open("one at a time")
        living.come_to_rest()
        assert living.node.failure is None
    assert len(users) > 1 and all(name.startswith("understudy-steps-") for name in users)


def test_the_page_names_every_thread_that_a_living_node_starts() -> None:
    page = PAGE.read_text()
    before = set(threading.enumerate())
    with Living() as living:
        actor = living.create()
        gates.open("named")
        living.ask(actor, "wait", "named")
        ours = [thread for thread in threading.enumerate() if thread not in before]
        names = {thread.name.rstrip("0123456789") for thread in ours if thread.name.startswith("understudy")}
    assert len(names) >= 4
    for name in names:
        assert f"`{name}" in page, name


def test_a_policy_that_cannot_be_read_stops_its_actor_and_not_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    with Living() as living:
        actor, other = living.create(policy='{"deadline_ms": 60000}'), living.create(nonce="other")

        def damaged(reader: Reader, core: TreeId) -> Policy:
            raise Missing(core)

        with monkeypatch.context() as patch:
            patch.setattr("understudy.node.running.table.read_policy", damaged)
            for entry in living.runner._scheduler.entries():
                entry.policy = None  # as after a start: the step of its genesis had it read
            message = living.send(actor, "wait", "policy")
            living.until(lambda: [pending.state for pending in living.node.pending()] == ["stuck"])
            assert living.tell(other, "ask", 1) == 1
        gates.open("policy")
        living.run(living.node.resume(actor))
        assert living.begin_answer(actor, message).result(PATIENCE).outcome is None


def test_what_is_asked_of_a_runner_that_ends_gets_an_end() -> None:
    with Living() as living:
        entered, go_on = threading.Event(), threading.Event()

        def hold_up() -> None:
            entered.set()
            go_on.wait(PATIENCE)

        living.runner.call(hold_up)
        assert entered.wait(PATIENCE)
        waiting = living.runner.ask(lambda: 1)
        living.runner._end()
        late = living.runner.ask(lambda: 2)
        go_on.set()
        for asked in (waiting, late):
            with pytest.raises(CancelledError):
                asked.result(PATIENCE)
