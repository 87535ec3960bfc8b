"""Awaiting from code that can't: a thread waits until something asynchronous is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Value = TypeVar("Value")


def run_to_end(work: Coroutine[Any, Any, Value]) -> Value:
    """What the coroutine returns. It runs on an event loop of its own; this thread may have one that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, "understudy-blocking") as thread:
        return thread.submit(asyncio.run, work).result()
