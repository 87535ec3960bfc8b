"""Journals: what the world answered during a step, in the order in which the answers came.

The law: an answer of another actor names the step that gave it, so that it can be asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from understudy.objects import ids
from understudy.objects.codec import Block, node_block
from understudy.objects.errors import ObjectError, TooLarge, WrongKind
from understudy.objects.ids import Id

MAX_ENTRIES: Final = 10_000  # keeps the node below 2 MiB
QUERY: Final = "query/"  # how the path of a question to another actor begins
# How a question fails that reached no step. Every other answer to one comes from a step.
UNASKED: Final = frozenset({"NoCapability", "BadRequest", "NoSuchActor", "Ambiguous", "QueryTimeout"})
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class CallError(Struct, frozen=True):
    """How a call failed: a word and a sentence."""

    code: str
    text: str


class Entry(Struct, frozen=True, kw_only=True):
    """One call: its path, the sha256 of its request in hexadecimal, and either a reply or an error."""

    path: str
    request: str
    reply: Id | None = None
    error: CallError | None = None
    step: str | None = None


def journal_block(entries: Sequence[Entry]) -> Block:
    """Encode a journal of at least one entry. Raises TooLarge."""
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(f"a journal of {len(entries):,} entries: at most {MAX_ENTRIES:,} are allowed")
    return node_block(journal_node(entries))


def journal_node(entries: Sequence[Entry]) -> dict[str, Any]:
    """The node of a journal."""
    return {"journal": [_entry_node(entry) for entry in entries]}


def read_journal(node: Any) -> tuple[Entry, ...]:
    """The entries of a journal node. Raises WrongKind."""
    match node:
        case {"journal": list(values), **rest} if not rest and 1 <= len(values) <= MAX_ENTRIES:
            return tuple(map(_read_entry, values))
    raise WrongKind(f"not a journal: expected {{journal: [1 to {MAX_ENTRIES:,} entries]}}")


def lacks_step(entry: Entry) -> bool:
    """True if an answer to a query does not name its step, although only a step can have given it.

    No history with such an entry is true. A reply is already refused when its journal is read; an error is a matter for
    whoever judges the history.
    """
    if entry.step is not None or not entry.path.startswith(QUERY):
        return False
    return entry.error is None or entry.error.code not in UNASKED


def _entry_node(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = {"path": entry.path, "request": entry.request}
    if entry.reply is not None:
        fields["reply"] = entry.reply
    if entry.error is not None:
        fields["error"] = {"code": entry.error.code, "text": entry.error.text}
    if entry.step is not None:
        fields["step"] = entry.step
    return fields


def _read_entry(value: Any) -> Entry:
    try:
        reply, error, step = value.get("reply"), value.get("error"), value.get("step")
        entry = Entry(
            path=value["path"],
            request=value["request"],
            reply=None if reply is None else ids.from_bytes(reply),
            error=None if error is None else CallError(error["code"], error["text"]),
            step=None if step is None else str(ids.node_from_bytes(ids.parse(step))),
        )
        good = _is_text(entry.path) and _HEX.match(entry.request) and (reply is None) != (error is None)
        if entry.error is not None:
            good = good and _is_text(entry.error.code) and isinstance(entry.error.text, str)
        elif good and lacks_step(entry):
            raise WrongKind(f"{entry.path} has a reply, but not the step that gave it")
    except (KeyError, TypeError, AttributeError, ObjectError) as problem:
        raise WrongKind(f"not a journal entry: {problem}") from problem
    if not good or _entry_node(entry) != value:
        raise WrongKind(f"not a journal entry: {value!r}")
    return entry


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
