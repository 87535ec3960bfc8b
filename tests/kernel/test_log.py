"""The log of a step: one line feed ends a line, whatever else the wit writes."""

from __future__ import annotations

import sys

import pytest

from tests.engines.components import LOG, actor
from tests.node.troupe import Troupe
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm.engine import WasmEngine
from understudy.kernel.log import MAX_LOG_BYTES, log_lines, log_text
from understudy.web.history import step_summary

SEPARATORS = "".join(each for each in map(chr, range(sys.maxunicode)) if len(f"a{each}b".splitlines()) == 2)
PYTHON = """
from understudy import Wit
wit = Wit()
@wit.message("message")
def say(text: str, ctx):
    ctx.log(text)
"""


def test_every_separator_but_a_line_feed_is_text_of_the_entry():
    entries = [f"said{each}! forged" for each in SEPARATORS if each != "\n"]
    assert len(entries) > 8
    assert log_lines(log_text(entries, ["noted"])) == [*(f" {entry}" for entry in entries), "!noted"]


def test_a_line_feed_in_an_entry_begins_a_line_that_has_no_mark():
    assert log_lines(log_text(["said\n! forged\r\n! forged"], [])) == [" said", "\t! forged", "\t! forged"]


@pytest.mark.parametrize("component", [True, False])
def test_no_wit_can_write_what_reads_as_a_note_of_the_runtime(component: bool):
    troupe = Troupe(engines={"python": PythonEngine(), "wasm": WasmEngine()})
    wasm: dict[str, str | bytes] = {"runtime": "wasm", "wit": "/code:c:handle", "code/c.wasm": actor(LOG)}
    id = troupe.create(wasm if component else {"wit": PYTHON})
    troupe.tell(id, "message", f"said{'! forged'.join(SEPARATORS)}! forged")
    step = troupe.step(id)
    head = troupe.target(id).head
    shown = step_summary(troupe.reader, head, step)["log"]
    assert shown and not [line for line in shown if line.startswith("!")]


def test_a_log_that_is_too_long_ends_within_the_bound_after_a_whole_line():
    line = "x" * 1023
    for more in range(100):
        text = log_text([line] * 1022 + ["y" * (1024 + more)], [line])
        assert len(text) <= MAX_LOG_BYTES
        lines = log_lines(text)
        assert all(each.strip(" xy") == "" for each in lines[:-1])
        assert lines[-1].startswith("! the log was cut here")
