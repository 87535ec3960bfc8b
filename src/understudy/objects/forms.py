"""Steps and messages straight from their blocks: what a judge reads thousands of, in a third of the time.

The law: what this gives is what `decode` and then `read_step` or `read_message` give. Where a block is not plainly good
it gives None, and those say what is wrong.

A typed form does the checks of `decode` for each value (no floats, no booleans, 64 bits, no free bytes) and those of the
reader for each field, at once and in C. Encoding the node again still shows that the block is the one form for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

import libipld
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from understudy.objects import ids
from understudy.objects.codec import MAX_BLOCK
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import ID_BYTES, NODE, ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.mailbox import MAX_INLINE, QUEUE, Cursor, Mailbox, split_key
from understudy.objects.message import MAX_HEADERS, NO_HEADERS, Message, check_headers, check_type
from understudy.objects.names import check_party, is_outside
from understudy.objects.step import MAX_CONSUMED, MAX_SENT, Outcome, Step, step_problem

_MOST: Final = 2**63 - 1
_KNOWN_TYPES: Final = 4096  # message types that were checked: an actor has a handful

_Link = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
_Number = Annotated[int, Meta(ge=0, le=_MOST)]
_Count = Annotated[int, Meta(ge=1, le=_MOST)]
_Mailbox = _Link | Annotated[dict[str, tuple[_Count, _Link]], Meta(max_length=MAX_INLINE)]

_Form = TypeVar("_Form")


class _Outcome(Struct, forbid_unknown_fields=True):
    kind: str
    code: str
    text: str


class _Data(Struct, forbid_unknown_fields=True, rename={"component_hash": "component-hash"}):
    v: Literal[1]
    actor: _Link
    height: _Number
    time: _Number
    seed: _Number
    engine: str
    core: _Link
    inbox: _Mailbox
    outbox: _Mailbox
    consumed: Annotated[list[_Link], Meta(min_length=1, max_length=MAX_CONSUMED)]
    sent: Annotated[list[_Link], Meta(max_length=MAX_SENT)]
    outcome: _Outcome | UnsetType = UNSET
    journal: _Link | UnsetType = UNSET
    log: _Link | UnsetType = UNSET
    component_hash: str | UnsetType = UNSET


class _Step(Struct, forbid_unknown_fields=True):
    parent: _Link | None
    data: _Data


class _Fields(Struct, forbid_unknown_fields=True, rename={"sender": "from"}):
    to: str
    sender: str
    seq: _Count
    type: str
    content: _Link
    lane: Literal["signal", "update"] | UnsetType = UNSET
    previous: str | UnsetType = UNSET
    after: str | UnsetType = UNSET
    re: str | UnsetType = UNSET
    headers: Annotated[dict[str, str], Meta(min_length=1, max_length=MAX_HEADERS)] | UnsetType = UNSET


class _Message(Struct, forbid_unknown_fields=True):
    message: _Fields


def plain_step(block: bytes) -> Step | None:
    """The step in a block; None if `read_step` has to look at it."""
    try:
        form = _form(block, _Step)
        step = _step(form.parent, form.data)
        return step if step_problem(step) is None else None
    except (ValueError, RecursionError, OverflowError, ObjectError):
        return None


def plain_message(block: bytes) -> Message | None:
    """The message in a block; None if `read_message` has to look at it."""
    try:
        return _plain_message(_form(block, _Message).message)
    except (ValueError, RecursionError, OverflowError, ObjectError):
        return None


def _form(block: bytes, form: type[_Form]) -> _Form:
    """The values of a canonical block in their places. Raises ValueError, as msgspec and libipld do."""
    if len(block) > MAX_BLOCK:
        raise ValueError
    node: Any = libipld.decode_dag_cbor(block)
    # Links are bytes here: a text where one belongs is none that was written as base64.
    found = msgspec.convert(node, form, builtin_types=(bytes,))
    if libipld.encode_dag_cbor(node) != block:
        raise ValueError
    return found


def _step(parent: bytes | None, data: _Data) -> Step:
    outcome = data.outcome
    return Step(
        parent=None if parent is None else StepId(_node_id(parent)),
        actor=ActorId(TreeId(_node_id(data.actor))),
        height=data.height,
        time=data.time,
        seed=data.seed,
        engine=data.engine,
        core=TreeId(_node_id(data.core)),
        inbox=_mailbox(data.inbox),
        outbox=_mailbox(data.outbox),
        consumed=tuple([MessageId(_node_id(id)) for id in data.consumed]),
        sent=tuple([MessageId(_node_id(id)) for id in data.sent]),
        outcome=None if outcome is UNSET else Outcome(outcome.kind, outcome.code, outcome.text),
        journal=None if data.journal is UNSET else _node_id(data.journal),
        log=None if data.log is UNSET else ids.from_bytes(data.log),
        component_hash=None if data.component_hash is UNSET else data.component_hash,
    )


def _plain_message(fields: _Fields) -> Message | None:
    previous, after, re = _text_id(fields.previous), _text_id(fields.after), _text_id(fields.re)
    if (fields.seq == 1) != (previous is None) or (after is not None and is_outside(fields.sender)):
        return None
    return Message(
        to=check_party(fields.to),
        sender=check_party(fields.sender),
        seq=fields.seq,
        type=_checked_type(fields.type),
        content=ids.from_bytes(fields.content),
        lane=QUEUE if fields.lane is UNSET else fields.lane,
        previous=previous,
        after=after,
        re=re,
        headers=NO_HEADERS if fields.headers is UNSET else check_headers(fields.headers),
    )


def _mailbox(form: bytes | dict[str, tuple[int, bytes]]) -> Mailbox:
    if isinstance(form, bytes):
        return _node_id(form)
    for key in form:
        split_key(key)
    return {key: Cursor(seq, MessageId(_node_id(message))) for key, (seq, message) in form.items()}


def _node_id(link: bytes) -> Id:
    if link[:4] != NODE:
        raise WrongKind("the link leads to no node")
    return Id(link)


def _text_id(text: str | UnsetType) -> str | None:
    if text is UNSET:
        return None
    if not ids.is_node_text(text):
        raise WrongKind("a text is no node's id")
    return text


_checked_type: Final = lru_cache(maxsize=_KNOWN_TYPES)(check_type)
