"""The engine text of a step, held against what is recorded: no code is run for it.

A replay takes the engine text from the record, so nothing else would notice one that is false.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from understudy.actors.errors import WitError
from understudy.kernel.advance import KERNEL_ENGINE
from understudy.kernel.core import runtime_of
from understudy.kernel.replay import Record
from understudy.kernel.retry import read_order
from understudy.objects.engine_text import EngineText, read_engine_text
from understudy.objects.ids import TreeId
from understudy.objects.mailbox import UPDATE
from understudy.objects.message import is_genesis
from understudy.store.reader import Reader

_KERNEL: Final = read_engine_text(KERNEL_ENGINE)
_SOURCE: Final = re.compile(r"none|[0-9a-f]{64}")
_CONFIG: Final = re.compile(r"[0-9a-f]{16}")
_OPTIMIZE: Final = re.compile(r"[12]")
_VERSION: Final = re.compile(r"(?:0|[1-9][0-9]{0,3})\.(?:0|[1-9][0-9]{0,3})")
_ROOM: Final = re.compile(r"1000")  # no other one was ever written: a node can't choose where code fails
# The parts that a text of an engine may have, and those that it must have.
_MAY: Final = {"kernel": {}, "python": {"source": _SOURCE}, "wasm": {"config": _CONFIG}}
_MUST: Final = {"kernel": set[str](), "python": set[str](), "wasm": {"config"}}
_FIRST_ABI: Final = 1  # what later ones have for parts is not known here, but for these
_LATER: Final = {"python": {"optimize": _OPTIMIZE, "python": _VERSION, "room": _ROOM}}


def engine_fault(reader: Reader, record: Record) -> str | None:
    """Why the engine text of a step can't be true, None if it can. Raises what reading the core raises.

    Which engine an update ran is left to a replay: it depends on the patched core, which only the kernel makes.
    """
    engine = read_engine_text(record.step.engine)
    return _parts_fault(engine) or _choice_fault(reader, record, engine)


@lru_cache(maxsize=1024)
def _parts_fault(engine: EngineText) -> str | None:
    may = _MAY.get(engine.name)
    if may is None:
        return None
    parts = dict(engine.parts)
    if engine.abi > _FIRST_ABI:
        later = _LATER.get(engine.name, {})
        wrong = [key for key, form in later.items() if key in parts and not form.fullmatch(parts[key])]
        return f"an engine text has no part {wrong[0]}={parts[wrong[0]]}" if wrong else None
    if engine.abi < _FIRST_ABI:
        return f"there never was an engine {engine.name}/{engine.abi}"
    for key, value in parts.items():
        if key not in may or not may[key].fullmatch(value):
            return f"an engine text of {engine.name}/{engine.abi} has no part {key}={value}"
    lacks = _MUST[engine.name] - parts.keys()
    return f"the engine text of {engine.name}/{engine.abi} lacks its part {min(lacks)}" if lacks else None


def _choice_fault(reader: Reader, record: Record, engine: EngineText) -> str | None:
    message, outcome = record.consumed[0].message, record.step.outcome
    if message.lane == UPDATE and read_order(reader, message) is None:
        return None
    if engine.name == _KERNEL.name:
        # The kernel makes a step without code only where the code could not or must not run.
        return (
            "the engine text says that no code ran, and the step has no outcome that says why"
            if outcome is None
            else None
        )
    if record.before.step is not None and is_genesis(message):
        return "a genesis of an actor that lives runs no code"
    core = TreeId(record.step.actor) if record.before.step is None else record.before.core
    try:
        runtime = runtime_of(reader, core)
    except WitError as error:
        return f"the core names no engine: {error.text}"
    return None if runtime == engine.name else f"the core's /runtime names the engine {runtime!r}"
