"""One step as a page shows it: each message with its content, its cause and its consequence; the log; the calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from understudy.kernel.log import log_lines
from understudy.kernel.retry import read_order
from understudy.node.looking.look import Look
from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.message import Message, is_genesis
from understudy.objects.step import Step
from understudy.objects.tree import is_tree_node
from understudy.store.errors import StoreError
from understudy.store.reader import Reader
from understudy.web.console.views.parties import Parties, Party
from understudy.web.console.views.previews import Preview, preview
from understudy.web.console.views.texts import visible

MAX_MESSAGES: Final = 50  # of a step that stand on its page, with their contents
MAX_CONTENT_BYTES: Final = 8 * 1024  # of each
MAX_CALLS: Final = 100
MAX_LOG_LINES: Final = 1000
MAX_PATHS: Final = 100  # of a patch
MAX_ENTRIES: Final = 500  # of a folder that are on one page
_MOST_HEADERS: Final = 64


class Place(Struct, frozen=True):
    """A step of an actor, as a link to it needs it."""

    actor: ActorId
    height: int


class Carried(Struct, frozen=True, kw_only=True):
    """A message of a step. `other` is the step at its other end: the one that sent it, or the one that consumed it."""

    id: str
    type: str
    lane: str
    seq: int
    party: Party
    content: Preview | None
    patched: Sequence[str]
    is_birth: bool
    retries: str | None
    headers: Mapping[str, str]
    other: Place | None


class Call(Struct, frozen=True, kw_only=True):
    """What the world answered: to which call, and either a reply or an error. `step` is that of an actor that was asked."""

    path: str
    reply: Preview | None
    error: str | None
    step: str | None


class LogLine(Struct, frozen=True):
    """A line of a log; `is_note`: the runtime wrote it and not the wit."""

    text: str
    is_note: bool


class Entry(Struct, frozen=True):
    """An entry of a folder. `is_folder` is false for whatever is no tree."""

    name: str
    kind: str
    is_folder: bool


def carried(look: Look, parties: Parties, messages: Sequence[MessageId], *, sent: bool) -> list[Carried]:
    """The messages that a step consumed, or sent."""
    return [_carried(look, parties, id, sent=sent) for id in messages[:MAX_MESSAGES]]


def calls_of(reader: Reader, journal: Id | None) -> tuple[list[Call], int]:
    """The first calls of a step, and how many there are."""
    entries = () if journal is None else reader.journal(journal)
    found = [
        Call(
            path=one.path,
            reply=None if one.reply is None else _content(reader, one.reply),
            error=None if one.error is None else f"{one.error.code}: {one.error.text}",
            step=one.step,
        )
        for one in entries[:MAX_CALLS]
    ]
    return found, len(entries)


def log_of(reader: Reader, log: Id | None) -> tuple[list[LogLine], int]:
    """The first lines of a step's log, and how many there are."""
    lines = [] if log is None else log_lines(reader.blob(log))
    return list(_log(lines[:MAX_LOG_LINES])), len(lines)


def entries_of(reader: Reader, tree: Id, *, after: int = 0) -> tuple[list[Entry], int]:
    """A page of a folder, and how many entries it has."""
    view = reader.tree(tree)
    found = []
    for name, id in islice(view.items(), after, after + MAX_ENTRIES):
        kind = _kind(reader, id)
        found.append(Entry(name, kind, kind == "folder"))
    return found, len(view)


def is_folder(reader: Reader, id: Id) -> bool:
    """True for a tree."""
    return not ids.is_raw(id) and is_tree_node(reader.node(id))


def _kind(reader: Reader, id: Id) -> str:
    try:
        kind = reader.kind(id).partition(" ")[2]
    except (StoreError, ObjectError):
        return "unreadable"
    return {"tree": "folder", "blob": "file"}.get(kind, kind)


def _carried(look: Look, parties: Parties, id: MessageId, *, sent: bool) -> Carried:
    message, reader = look.message(id), look.reader
    patched = _patched(reader, message)
    order = read_order(reader, message)
    whole = not patched and not is_genesis(message) and order is None
    return Carried(
        id=str(id),
        type=message.type,
        lane=message.lane,
        seq=message.seq,
        party=parties.party(message.to if sent else message.sender),
        content=_content(reader, message.content) if whole else None,
        patched=patched,
        is_birth=is_genesis(message),
        retries=None if order is None else str(order),
        headers=dict(islice(message.headers.items(), _MOST_HEADERS)),
        other=_consequence(look, parties, message) if sent else _cause(look, parties, message),
    )


def _content(reader: Reader, id: Id) -> Preview:
    return preview(reader, id, most=MAX_CONTENT_BYTES)


def _patched(reader: Reader, message: Message) -> list[str]:
    if ids.is_raw(message.content) or "patch" not in (node := reader.node(message.content)):
        return []
    changes = node["patch"]
    return [f"{'-' if changes[path] is None else '~'} {path}" for path in sorted(changes)[:MAX_PATHS]]


def _consequence(look: Look, parties: Parties, message: Message) -> Place | None:
    """The step that consumed a message that was sent."""
    actor = parties.actor(message.to)
    found = None if actor is None else look.step_of(actor, message)
    return None if actor is None or found is None else Place(actor, look.step(found).height)


def _cause(look: Look, parties: Parties, message: Message) -> Place | None:
    """The step that sent a message: the one after that which the message names."""
    actor = parties.actor(message.sender)
    if actor is None:
        return None
    try:
        before = -1 if message.after is None else look.step(StepId(ids.parse(message.after))).height
    except (StoreError, ObjectError):
        # The sender's history is not here, or does not reach so far back.
        return None
    return Place(actor, before + 1) if look.step_at(actor, before + 1) is not None else None


def _log(lines: Sequence[str]) -> Iterator[LogLine]:
    is_note = False
    for line in lines:
        # A tab instead of a mark says that the line before goes on.
        is_note = is_note if line.startswith("\t") else line.startswith("!")
        yield LogLine(visible(line[1:].rstrip()), is_note)


def outcome_of(step: Step) -> str:
    """How it ended, in a word."""
    return "ok" if step.outcome is None else step.outcome.kind
