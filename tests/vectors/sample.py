"""A short history, object by object, that the golden vectors are made of."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from msgspec import structs

from understudy.objects.codec import Block, decode, node_block, raw_block
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.journal import CallError, Entry, journal_node
from understudy.objects.mailbox import SIGNAL, UPDATE, Cursor, mailbox_key
from understudy.objects.message import Message, message_node
from understudy.objects.step import MAX_SEED, Outcome, Step, step_node


class Place:
    """Where the blocks of a vector are collected."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, Block] = {}

    def node(self, id: bytes) -> Any:
        """A block that was put here, decoded."""
        return decode(self.blocks[id].data)

    def put_node(self, node: Any) -> Id:
        """Encode and keep a node."""
        block = node_block(node)
        self.blocks[block.id] = block
        return block.id


def blob(name: str) -> Id:
    """The id of a small blob that holds its own name."""
    return raw_block(name.encode()).id


EMPTY_TREE: Final = TreeId(node_block({"tree": {}}).id)
WIT: Final = b"def wit(step, messages): ...\n"
CORE: Final = TreeId(node_block({"tree": {"wit": raw_block(WIT).id}}).id)
NEXT_CORE: Final = TreeId(node_block({"tree": {"state": blob("state"), "wit": raw_block(WIT).id}}).id)
ACTOR: Final = ActorId(CORE)
OTHER: Final = ActorId(EMPTY_TREE)
CALLER: Final = "out/node-1/alice"

GENESIS: Final = Message(to=str(ACTOR), sender=CALLER, seq=1, type="genesis", content=CORE)
GREETING: Final = Message(
    to=str(ACTOR),
    sender=CALLER,
    seq=2,
    type="greet",
    content=blob('{"name":"Ada"}'),
    previous=str(node_block(message_node(GENESIS)).id),
)
BIRTH: Final = Step(
    parent=None,
    actor=ACTOR,
    height=0,
    time=1_700_000_000_000_000,
    seed=0,
    engine="kernel/1",
    core=CORE,
    inbox={CALLER: Cursor(1, MessageId(node_block(message_node(GENESIS)).id))},
    outbox={},
    consumed=[MessageId(node_block(message_node(GENESIS)).id)],
    sent=[],
)
BIRTH_ID: Final = StepId(node_block(step_node(BIRTH)).id)
REPLY: Final = Message(
    to=CALLER,
    sender=str(ACTOR),
    seq=1,
    type="greeted",
    content=blob('{"text":"Hello, Ada!"}'),
    after=str(BIRTH_ID),
    re=str(node_block(message_node(GREETING)).id),
    headers={"trace": "00-af", "empty": ""},
)
ALARM: Final = Message(
    to=str(ACTOR), sender=str(OTHER), seq=7, type="alarm ü", content=blob(""), lane=SIGNAL, previous=str(BIRTH_ID)
)
PATCH: Final = {"code/greeter.py": blob("code"), "data/old": None, "wit": blob("wit")}
CHANGE: Final = Message(
    to=str(ACTOR), sender=CALLER, seq=1, type="update", content=node_block({"patch": PATCH}).id, lane=UPDATE
)
JOURNAL: Final = (
    Entry(path="query/1", request=sha256(b"second").hexdigest(), reply=blob("answer"), step=str(BIRTH_ID)),
    Entry(path="query/0", request=sha256(b"first").hexdigest(), error=CallError("NotFound", "there is no such query")),
    Entry(path="send/0", request=sha256(b"to nobody").hexdigest(), error=CallError("NoSuchActor", "")),
)


def _id_of(node: Any) -> Id:
    return node_block(node).id


GREETED: Final = {CALLER: Cursor(2, MessageId(_id_of(message_node(GREETING))))}
OK: Final = Step(
    parent=BIRTH_ID,
    actor=ACTOR,
    height=1,
    time=1_700_000_000_000_001,
    seed=MAX_SEED,
    engine="python/1;source=none",
    core=NEXT_CORE,
    inbox=GREETED,
    outbox={CALLER: Cursor(1, MessageId(_id_of(message_node(REPLY))))},
    consumed=[MessageId(_id_of(message_node(GREETING)))],
    sent=[MessageId(_id_of(message_node(REPLY)))],
    journal=_id_of(journal_node(JOURNAL)),
    log=blob(" said hello\n"),
)
FAILED: Final = structs.replace(
    BIRTH,
    parent=_id_of(step_node(OK)),
    height=2,
    time=OK.time,
    seed=1,
    engine="python/1",
    core=OK.core,
    inbox={**GREETED, mailbox_key(str(OTHER), SIGNAL): Cursor(7, MessageId(_id_of(message_node(ALARM))))},
    outbox=OK.outbox,
    consumed=[MessageId(_id_of(message_node(ALARM)))],
    outcome=Outcome("failed", "ValueError", "no alarm today"),
)


def entries(count: int) -> dict[str, Id]:
    """Names `entry-0`, `entry-1`, … each with the blob of its own name."""
    return {f"entry-{number}": blob(f"entry-{number}") for number in range(count)}
