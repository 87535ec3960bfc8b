"""Awaiting from code that can't: a thread waits until something asynchronous is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from understudy.engines.room import LOOP_DEPTH, at_depth
from understudy.engines.tasks import begin_at_depth

Value = TypeVar("Value")


def run_to_end(work: Coroutine[Any, Any, Value]) -> Value:
    """What the coroutine returns. It runs on an event loop of its own; this thread may have one that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    done: Future[Value] = Future()
    # Not a thread of an executor: Python joins those at exit. One that waits for a step to become durable would then block
    # the exit of a stopping node for ever.
    threading.Thread(target=_run_into, args=(done, work), name="understudy-blocking", daemon=True).start()
    return done.result()


def _run_into(done: Future[Value], work: Coroutine[Any, Any, Value]) -> None:
    try:
        done.set_result(_run(work))
    except BaseException as error:
        done.set_exception(error)


def _run(work: Coroutine[Any, Any, Value]) -> Value:
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(begin_at_depth)
        result: Value = at_depth(LOOP_DEPTH, runner.run, work)
        return result
