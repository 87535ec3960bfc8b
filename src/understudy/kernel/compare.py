"""Comparison of a step with its replay: the first place where they differ, and what stands there in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.kernel.log import log_lines
from understudy.kernel.replay import Record
from understudy.kernel.seal import Sealed
from understudy.objects import ids
from understudy.objects.ids import Id
from understudy.objects.journal import Entry
from understudy.objects.mailbox import Mailbox, mailbox_node
from understudy.objects.message import Message
from understudy.objects.step import Outcome, Step
from understudy.store.maps import diff_trees, mailbox_items
from understudy.store.reader import Reader

MAX_PREVIEW: Final = 400  # characters of a value in a verdict
_CONTEXT: Final = 80  # characters kept before the first difference of two long texts

JSON = Any


class Difference(Struct, frozen=True, kw_only=True):
    """A path such as `data.core/state`, and the values there; None where there is nothing."""

    path: str
    recorded: JSON
    replayed: JSON


def first_difference(reader: Reader, record: Record, sealed: Sealed) -> Difference | None:
    """The first difference between a record and its replay; None if the ids are equal.

    `reader` must also see the blocks that the replay made. What the wit did comes before what follows from it.
    """
    if sealed.id == record.id:
        return None
    ours, theirs = record.step, sealed.step
    return (
        _outcomes(ours.outcome, theirs.outcome)
        or _cores(reader, ours, theirs)
        or _sent(reader, record.sent, sealed.sent)
        or _mailboxes(reader, "inbox", ours.inbox, theirs.inbox)
        or _mailboxes(reader, "outbox", ours.outbox, theirs.outbox)
        or _logs(reader, ours.log, theirs.log)
        or _journals(record.journal, () if theirs.journal is None else reader.journal(theirs.journal))
        or _field("data.engine", ours.engine, theirs.engine)
        or _field("data.time", ours.time, theirs.time)
        or _field("data.component-hash", ours.component_hash, theirs.component_hash)
        or Difference(path="data", recorded=str(record.id), replayed=str(sealed.id))
    )


def preview_pair(reader: Reader, recorded: Id | None, replayed: Id | None) -> tuple[JSON, JSON]:
    """Two objects as short values for people: JSON and text as they are, long ones around their first difference."""
    ours, theirs = _text(reader, recorded), _text(reader, replayed)
    if isinstance(ours, str) and isinstance(theirs, str):
        start = max(0, _common(ours, theirs) - _CONTEXT)
        if max(len(ours), len(theirs)) > MAX_PREVIEW and start:
            return _excerpt(ours, start), _excerpt(theirs, start)
    return _shown(ours), _shown(theirs)


def _field(path: str, recorded: JSON, replayed: JSON) -> Difference | None:
    return None if recorded == replayed else Difference(path=path, recorded=recorded, replayed=replayed)


def _outcomes(ours: Outcome | None, theirs: Outcome | None) -> Difference | None:
    if ours == theirs:
        return None
    if ours is not None and theirs is not None and ours.kind == theirs.kind:
        field = "code" if ours.code != theirs.code else "text"
        return Difference(path=f"data.outcome.{field}", recorded=_outcome(ours), replayed=_outcome(theirs))
    return Difference(path="data.outcome.kind", recorded=_outcome(ours), replayed=_outcome(theirs))


def _outcome(outcome: Outcome | None) -> JSON:
    if outcome is None:
        return "ok"
    return {"kind": outcome.kind, "code": outcome.code, "text": _line(outcome.text)}


def _cores(reader: Reader, ours: Step, theirs: Step) -> Difference | None:
    if ours.core == theirs.core:
        return None
    path, recorded, replayed = next(diff_trees(reader, ours.core, theirs.core), ("", ours.core, theirs.core))
    left, right = preview_pair(reader, recorded, replayed)
    return Difference(path=f"data.core/{path}" if path else "data.core", recorded=left, replayed=right)


def _sent(reader: Reader, ours: Sequence[Delivery], theirs: Sequence[Delivery]) -> Difference | None:
    for number, (left, right) in enumerate(zip_longest(ours, theirs)):
        if left is not None and right is not None and left.id == right.id:
            continue
        path = f"data.sent[{number}]"
        if left is None or right is None:
            return Difference(path=path, recorded=_message(left), replayed=_message(right))
        return _messages(reader, path, left.message, right.message)
    return None


def _messages(reader: Reader, path: str, ours: Message, theirs: Message) -> Difference | None:
    for name in ("to", "sender", "type", "lane", "content", "re", "headers", "seq", "previous", "after"):
        left, right = getattr(ours, name), getattr(theirs, name)
        if left == right:
            continue
        if name == "content":
            left, right = preview_pair(reader, left, right)
        return Difference(path=f"{path}.{'from' if name == 'sender' else name}", recorded=left, replayed=right)
    return None


def _message(delivery: Delivery | None) -> JSON:
    if delivery is None:
        return None
    return {"to": delivery.message.to, "type": delivery.message.type, "content": str(Id(delivery.message.content))}


def _mailboxes(reader: Reader, name: str, ours: Mailbox, theirs: Mailbox) -> Difference | None:
    if mailbox_node(ours) == mailbox_node(theirs):
        return None
    left, right = dict(mailbox_items(reader, ours)), dict(mailbox_items(reader, theirs))
    for key in sorted({*left, *right}):
        if left.get(key) != right.get(key):
            return Difference(path=f"data.{name}.{key}", recorded=_cursor(left, key), replayed=_cursor(right, key))
    return Difference(path=f"data.{name}", recorded=_shown(str(ours)), replayed=_shown(str(theirs)))


def _cursor(mailbox: Mapping[str, Any], key: str) -> JSON:
    found = mailbox.get(key)
    return None if found is None else [found.seq, str(Id(found.message))]


def _logs(reader: Reader, ours: Id | None, theirs: Id | None) -> Difference | None:
    if ours == theirs:
        return None
    for number, (left, right) in enumerate(zip_longest(_lines(reader, ours), _lines(reader, theirs))):
        if left != right:
            return Difference(path=f"data.log[{number}]", recorded=_line(left), replayed=_line(right))
    return Difference(path="data.log", recorded=str(ours), replayed=str(theirs))


def _line(line: str | None) -> str | None:
    return line if line is None or len(line) <= MAX_PREVIEW else line[:MAX_PREVIEW] + "…"


def _lines(reader: Reader, log: Id | None) -> list[str]:
    return [] if log is None else log_lines(reader.blob(log))


def _journals(ours: Sequence[Entry], theirs: Sequence[Entry]) -> Difference | None:
    for number, (left, right) in enumerate(zip_longest(ours, theirs)):
        if left != right:
            return Difference(path=f"data.journal[{number}]", recorded=_entry(left), replayed=_entry(right))
    return None


def _entry(entry: Entry | None) -> JSON:
    if entry is None:
        return None
    shown: dict[str, JSON] = {"path": entry.path, "request": entry.request}
    if entry.reply is not None:
        shown["reply"] = str(entry.reply)
    if entry.error is not None:
        shown["error"] = {"code": entry.error.code, "text": entry.error.text}
    return shown


def _text(reader: Reader, id: Id | None) -> JSON:
    """The text of a small blob; for everything else what it is."""
    if id is None:
        return None
    if not ids.is_raw(id):
        return {"kind": reader.kind(id), "id": str(Id(id))}
    data = reader.block(id)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"kind": "a blob", "id": str(Id(id)), "bytes": len(data)}


def _shown(value: JSON) -> JSON:
    if not isinstance(value, str) or len(value) > MAX_PREVIEW:
        return _line(value) if isinstance(value, str) else value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _excerpt(text: str, start: int) -> str:
    end = start + MAX_PREVIEW
    return "…" + text[start:end] + ("…" if len(text) > end else "")


def _common(a: str, b: str) -> int:
    """How many characters two texts share at their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a.startswith(b[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
