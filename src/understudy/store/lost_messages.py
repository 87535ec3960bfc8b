"""Messages that were accepted and are neither consumed nor waiting: what a store owes and has forgotten.

The law: only what this store itself must know is named. An actor that was imported may be younger or older than those
that it wrote to, so what it sent, or was sent by other actors, says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.mailbox import Cursor, mailbox_key, split_key
from understudy.objects.names import actor_of, is_outside
from understudy.store.errors import StoreError
from understudy.store.keys import EVIDENCE, OUTSIDE, imported_row, read_cursor_value, waiting_row
from understudy.store.maps import mailbox_get, mailbox_items
from understudy.store.port import Backend
from understudy.store.reader import Reader


class Lost(NamedTuple):
    """The last message of a conversation: accepted, neither consumed nor waiting. Earlier ones may be lost too."""

    sender: str
    recipient: ActorId
    lane: str
    last: Cursor


def lost_messages(backend: Backend, reader: Reader, heads: Mapping[bytes, StepId]) -> Iterator[Lost]:
    """Look at every conversation of a store. What can't be read is passed over: it is named for itself."""
    doubted = _doubted(backend, reader)
    for said in _conversations(backend, reader, heads):
        key = mailbox_key(said.sender, said.lane)
        try:
            if backend.row(waiting_row(said.recipient, said.lane, said.sender, said.last.seq)) is not None:
                continue
            head = heads.get(said.recipient)
            read = None if head is None else mailbox_get(reader, reader.step(head).inbox, key)
        except (StoreError, ObjectError):
            continue
        if (read is None or read.seq < said.last.seq) and (said.recipient, key) not in doubted:
            yield said


def _conversations(backend: Backend, reader: Reader, heads: Mapping[bytes, StepId]) -> Iterator[Lost]:
    for key, value in backend.rows(OUTSIDE):
        sender, _, to = key[len(OUTSIDE) :].decode("utf-8", "replace").partition("\0")
        try:
            party, lane = split_key(to)
            yield Lost(sender, actor_of(party), lane, read_cursor_value(value))
        except ObjectError:
            continue
    for actor, head in heads.items():
        if not _is_imported(backend, actor):
            yield from _sent(backend, reader, ActorId(TreeId(Id(actor))), head)


def _sent(backend: Backend, reader: Reader, actor: ActorId, head: StepId) -> Iterator[Lost]:
    try:
        for key, cursor in mailbox_items(reader, reader.step(head).outbox):
            party, lane = split_key(key)
            if not is_outside(party) and not _is_imported(backend, actor_of(party)):
                yield Lost(str(actor), actor_of(party), lane, cursor)
    except (StoreError, ObjectError):
        return


def _is_imported(backend: Backend, actor: bytes) -> bool:
    return backend.row(imported_row(actor)) is not None


def _doubted(backend: Backend, reader: Reader) -> set[tuple[ActorId, str]]:
    """Conversations of which a message was kept as evidence instead of being consumed."""
    found = set()
    for key, _ in backend.rows(EVIDENCE):
        try:
            message = reader.message(MessageId(Id(key[len(EVIDENCE) :])))
            found.add((actor_of(message.to), mailbox_key(message.sender, message.lane)))
        except (StoreError, ObjectError):
            continue
    return found
