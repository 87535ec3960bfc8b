"""The threads of queries alone: event loops that go away, and a machine that gives no thread."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from tests.node.stage import PATIENCE
from understudy.node.asking import query_pool
from understudy.node.asking.query_pool import QueryPool


async def ask(pool: QueryPool, seconds: float = PATIENCE) -> int:
    return await asyncio.wait_for(pool.submit("a query", lambda: 42).done, seconds)


def test_an_event_loop_that_is_closed_before_its_answers_come_is_not_kept() -> None:
    pool, begun, gate = QueryPool(), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(PATIENCE)

    async def begin() -> weakref.ref[asyncio.AbstractEventLoop]:
        pool.submit("a slow query", hold)
        await asyncio.to_thread(begun.wait, PATIENCE)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(begin())
    gate.set()
    # By the same thread, the first of which is over then; and by a second, which forgets whose loop was closed.
    assert [asyncio.run(ask(pool)) for _ in range(2)] == [42, 42]
    gc.collect()
    assert loop() is None
    pool.close()


def test_when_the_machine_has_a_thread_again_queries_are_answered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = QueryPool()

    async def ask_again() -> list[int]:
        errors: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        with monkeypatch.context() as patch:
            patch.setattr(threading, "Thread", refuse)
            refused = [pool.submit("a query", lambda: 1) for _ in range(query_pool.MAX_AT_WORK)]
            while len(errors) < query_pool.MAX_AT_WORK:
                await asyncio.sleep(0)
        return [await ask(pool), *[await job.done for job in refused]]

    assert asyncio.run(ask_again()) == [42] + [1] * query_pool.MAX_AT_WORK
    pool.close()


def test_queries_with_large_answers_run_one_at_a_time_and_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, gate, at_work, most = QueryPool(lambda result: result == "large"), threading.Event(), [0], [0]
    monkeypatch.setattr(query_pool, "PATIENCE_SECONDS", 0.001)
    monkeypatch.setattr(query_pool, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(query_pool, "SLOW_SECONDS", PATIENCE)

    def large() -> str:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        gate.wait(PATIENCE)
        at_work[0] -= 1
        return "large"

    async def begin() -> None:
        gate.set()
        # Of two actors: what counts is the interpreter, which all share.
        for owner in "ab":
            await pool.submit("a query", large, owner=owner, name="large").done
        gate.clear()
        most[0] = 0
        jobs = [pool.submit("a query", large, owner=owner, name="large") for owner in "abab"]
        others = [pool.submit("a query", lambda: "small", owner="a", name="small") for _ in range(20)]
        assert await asyncio.wait_for(asyncio.gather(*[job.done for job in others]), PATIENCE) == ["small"] * 20
        gate.set()
        assert await asyncio.wait_for(asyncio.gather(*[job.done for job in jobs]), PATIENCE) == ["large"] * 4

    asyncio.run(begin())
    assert most == [1]
    pool.close()


def test_a_query_with_a_large_answer_that_takes_long_holds_up_no_other_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, both = QueryPool(lambda result: result == "large"), threading.Barrier(2, timeout=PATIENCE)
    monkeypatch.setattr(query_pool, "PATIENCE_SECONDS", 0.001)
    monkeypatch.setattr(query_pool, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(query_pool, "SLOW_SECONDS", 0.01)

    def wait() -> str:
        both.wait()
        return "large"

    async def begin() -> None:
        await pool.submit("a query", lambda: "large", name="large").done
        jobs = [pool.submit("a query", wait, name="large") for _ in range(2)]
        await asyncio.wait_for(asyncio.gather(*[job.done for job in jobs]), PATIENCE)

    asyncio.run(begin())
    pool.close()


def test_a_large_answer_to_an_event_loop_that_is_closed_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, begun, gate = QueryPool(lambda result: result == "large"), threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        gate.wait(PATIENCE)
        return "large"

    async def begin() -> None:
        pool.submit("a query", hold, name="large")
        await asyncio.to_thread(begun.wait, PATIENCE)

    async def again() -> str:
        return await asyncio.wait_for(pool.submit("a query", lambda: "large", name="large").done, PATIENCE)

    asyncio.run(begin())
    gate.set()
    assert [asyncio.run(again()) for _ in range(3)] == ["large"] * 3
    pool.close()


def refuse(**_: object) -> threading.Thread:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("owners", [1, 20])
def test_queries_that_never_end_leave_threads_for_those_of_other_actors(
    monkeypatch: pytest.MonkeyPatch, owners: int
) -> None:
    monkeypatch.setattr(query_pool, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(query_pool, "LOOK_SECONDS", 0.01)
    pool, gate, running = QueryPool(), threading.Event(), threading.Semaphore(0)

    def never_ends() -> None:
        running.release()
        gate.wait(PATIENCE)

    async def ask_others() -> int:
        endless = [pool.submit("endless", never_ends, owner=f"actor {number % owners}") for number in range(40)]
        others = [pool.submit("a query", lambda: 42, owner=f"other {number}") for number in range(20)]
        answers = await asyncio.wait_for(asyncio.gather(*[job.done for job in others]), PATIENCE)
        assert answers == [42] * len(others)
        begun = 0
        while running.acquire(blocking=False):
            begun += 1
        gate.set()
        await asyncio.gather(*[job.done for job in endless])
        return begun

    begun = asyncio.run(ask_others())
    assert owners > 1 or begun <= query_pool.MAX_OF_ONE
    pool.close()
