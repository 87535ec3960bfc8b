"""Awaiting from code that can't: a thread waits until something asynchronous is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(1, "understudy-blocking") as thread:
        return thread.submit(_run, work).result()


def _run(work: Coroutine[Any, Any, Value]) -> Value:
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(begin_at_depth)
        result: Value = at_depth(LOOP_DEPTH, runner.run, work)
        return result
