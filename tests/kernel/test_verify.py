"""The rules of a chain, checked step by step without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.node.troupe import Troupe, chain
from understudy.kernel.actor import actor_at
from understudy.kernel.deliver import sender_key
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verify import check_record
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, Id, MessageId, StepId, raw_id
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message, message_block
from understudy.objects.patch import patch_block
from understudy.objects.step import step_block
from understudy.store.closure import Closure
from understudy.store.errors import Corrupt, Missing
from understudy.store.maps import mailbox_items, mailbox_set
from understudy.store.port import Unit
from understudy.store.reader import Reader, Staging

KEEP = """
def wit(ctx):
    ctx.core["data/last"] = str(ctx.height)
"""


ECHO = """
from understudy import Wit

wit = Wit()

@wit.message("echo")
def echo(number: int) -> int:
    return number
"""


class CountingReader(Reader):
    """Counts the blocks that are asked for."""

    def __init__(self, below: Reader) -> None:
        self.below = below
        self.count = 0

    def block(self, id: bytes) -> bytes:
        self.count += 1
        return self.below.block(id)

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        self.count += len(ids)
        return self.below.blocks(ids)


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.fixture
def keeper(troupe: Troupe) -> ActorId:
    actor = troupe.create({"wit": KEEP})
    troupe.tell(actor, "go")
    return actor


def test_a_good_chain_has_no_problem(troupe: Troupe, keeper: ActorId):
    closure = Closure(troupe.reader)
    assert [check_record(troupe.reader, record, closure) for record in chain(troupe, keeper)] == [None, None]


def test_a_wrong_height_is_a_problem(troupe: Troupe, keeper: ActorId):
    troupe.forge(keeper, height=7)
    problem = check_record(troupe.reader, read_record(troupe.reader, troupe.head(keeper)), Closure(troupe.reader))
    assert problem is not None
    assert (problem.path, problem.recorded, problem.replayed) == ("data.height", 7, 1)


def test_an_outbox_that_names_what_was_never_sent_is_a_problem(troupe: Troupe, keeper: ActorId):
    told = troupe.step(keeper).consumed[0]
    troupe.forge(keeper, outbox={"out/test/owner": Cursor(9, told)})
    problem = check_record(troupe.reader, read_record(troupe.reader, troupe.head(keeper)), Closure(troupe.reader))
    assert problem is not None
    assert (problem.cause, problem.path) == ("order", "data.outbox")


@pytest.mark.parametrize("cursor", [None, 9])
def test_an_inbox_that_did_not_move_to_what_was_consumed_is_a_problem_of_its_sender(
    troupe: Troupe, keeper: ActorId, cursor: int | None
):
    told = troupe.step(keeper).consumed[0]
    troupe.forge(keeper, inbox={} if cursor is None else {"out/test/owner": Cursor(cursor, told)})
    problem = check_record(troupe.reader, read_record(troupe.reader, troupe.head(keeper)), Closure(troupe.reader))
    assert problem is not None
    assert (problem.cause, problem.path) == ("order", "data.inbox.out/test/owner")
    assert problem.recorded != problem.replayed and problem.replayed is not None


def test_a_log_that_is_no_blob_is_damage(troupe: Troupe, keeper: ActorId):
    staging = Staging(troupe.reader)
    troupe.forge(keeper, staging=staging, log=staging.put_tree({}))
    record = read_record(troupe.reader, troupe.head(keeper))
    with pytest.raises(Corrupt):
        check_record(troupe.reader, record, Closure(troupe.reader))


def test_a_log_that_is_missing_is_missed_by_its_step(troupe: Troupe, keeper: ActorId):
    gone = raw_id(b"nobody has this log")
    troupe.forge(keeper, log=gone)
    record = read_record(troupe.reader, troupe.head(keeper))
    with pytest.raises(Missing) as caught:
        check_record(troupe.reader, record, Closure(troupe.reader))
    assert (caught.value.id, caught.value.owner) == (gone, record.id)


def test_an_update_or_a_genesis_beside_another_message_is_a_problem_though_all_else_is_right(
    troupe: Troupe, keeper: ActorId
):
    staging = Staging(troupe.reader)
    patch = staging.put(patch_block({"data/x": Id(staging.put_blob(b"1"))}))
    core = troupe.step(keeper).actor
    plain, other = (message(keeper, seq=seq, sender="out/test/a", content=patch) for seq in (1, 2))
    other = message(keeper, seq=2, sender="out/test/a", content=patch, previous=plain)
    update = message(keeper, seq=1, sender="out/test/b", content=patch, lane="update", type="update")
    genesis = message(keeper, seq=1, sender="out/test/b", content=core, type="genesis")
    for pair, alone in (
        ((plain, other), False),
        ((update, plain), True),
        ((plain, update), True),
        ((genesis, plain), True),
    ):
        problem = check_record(troupe.reader, with_consumed(troupe, keeper, staging, pair), Closure(staging))
        if alone:
            assert problem is not None and (problem.cause, problem.path) == ("order", "data.consumed")
            assert (problem.recorded, problem.replayed) == (2, 1)
        else:
            assert problem is None


def message(to: ActorId, *, previous: Block | None = None, **fields: Any) -> Block:
    fields = {"type": "go", "lane": "queue", **fields}
    return message_block(Message(to=str(to), previous=None if previous is None else str(previous.id), **fields))


def with_consumed(troupe: Troupe, actor: ActorId, staging: Staging, messages: Sequence[Block]) -> Record:
    """A record of a step that consumed these, with an inbox that follows from it. The code is not asked."""
    troupe.backend.commit([Unit(blocks=[*messages, *staging.new.values()])])
    before = actor_at(troupe.reader, troupe.head(actor))
    read = [troupe.reader.message(block.id) for block in messages]
    cursors = {sender_key(one): Cursor(one.seq, MessageId(block.id)) for one, block in zip(read, messages, strict=True)}
    step = msgspec.structs.replace(
        troupe.step(actor),
        parent=before.head,
        height=before.height + 1,
        consumed=[MessageId(block.id) for block in messages],
        inbox=mailbox_set(staging, before.inbox, cursors),
    )
    return read_record(troupe.reader, StepId(step_block(step).id), step=step, before=before)


@pytest.mark.parametrize("after", [None, "another"])
def test_a_sent_message_names_the_step_before_it(troupe: Troupe, after: str | None):
    actor = troupe.create({"wit": "/code:e:wit", "code/e.py": ECHO})
    genesis = troupe.head(actor)
    troupe.tell(actor, "echo", 1)
    record = read_record(troupe.reader, troupe.head(actor))
    assert check_record(troupe.reader, record, Closure(troupe.reader)) is None
    named = None if after is None else str(troupe.head(actor))
    lie = message_block(msgspec.structs.replace(record.sent[0].message, after=named))
    troupe.backend.commit([Unit(blocks=[lie])])
    outbox = {**dict(mailbox_items(troupe.reader, record.step.outbox))}
    outbox["out/test/owner"] = Cursor(record.sent[0].message.seq, MessageId(lie.id))
    troupe.forge(actor, sent=[MessageId(lie.id)], outbox=outbox)
    problem = check_record(troupe.reader, read_record(troupe.reader, troupe.head(actor)), Closure(troupe.reader))
    assert problem is not None
    assert (problem.cause, problem.path) == ("order", "data.sent[0].after")
    assert (problem.recorded, problem.replayed) == (named, str(genesis))


def test_a_step_costs_what_it_changed_however_large_its_core_is(troupe: Troupe):
    large = {f"data/{number}": str(number) for number in range(3000)}
    actor = troupe.create({"wit": KEEP, **large})
    troupe.tell(actor, "go")
    reader = CountingReader(troupe.reader)
    assert check_record(reader, chain(troupe, actor)[-1], Closure(reader)) is None
    assert 0 < reader.count < 60
