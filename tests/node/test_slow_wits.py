"""Who is named when a step takes long: the line of the wit, whatever it called, or the node itself."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.node.stage import PATIENCE
from understudy.node.running.slow_wits import SLOW_SECONDS, Run, SlowWits, place_in
from understudy.store.recent import Recent


@contextmanager
def busy(code: str) -> Iterator[int]:
    """A thread in which some code called into ours, and is there until the end of the block."""
    recent = Recent[str, str](100)
    names: dict[str, object] = {"recent": recent}
    exec(compile(code, "core-aaaaaaaaaa/code/m.py", "exec"), names)
    work = names.get("work", recent.put)
    thread = threading.Thread(target=work, args=("key", "value", 1), daemon=True)  # type: ignore[arg-type]
    with recent._lock:
        thread.start()
        assert thread.ident is not None
        until = time.monotonic() + PATIENCE
        while "put_all" not in _where(thread.ident):
            assert time.monotonic() < until
        yield thread.ident
    thread.join(PATIENCE)


def _where(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    return "" if frame is None else frame.f_code.co_name


WIT = "def work(*given):\n    recent.put(*given)\n"


def test_a_wit_that_is_in_a_call_of_ours_is_named_with_its_line() -> None:
    with busy(WIT) as thread:
        assert place_in(thread) == "code/m.py:2 in work"


def test_where_no_wit_runs_the_node_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with busy("") as thread, caplog.at_level(logging.WARNING):
        assert place_in(thread) is None
        SlowWits().look([Run("bafyactor", 0.0, thread)], SLOW_SECONDS)
    [said] = caplog.messages
    assert "bafyactor" in said and "the node has been busy with its step for 2 s" in said and "its wit" not in said
