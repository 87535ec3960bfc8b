"""Questions to components: of their own, and those that every actor answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from tests.engines.components import actor, asked, counter
from understudy.actors.query import Blob
from understudy.engines.wasm.query import state_blob
from understudy.node.errors import QueryRefused, UnknownQuery
from understudy.node.node import Node

COUNTER = counter()
# The context, as the answer; or as what the query could not do.
ECHO = asked("(call $blob (local.get 4) (local.get 5))")
REFUSE = asked("(call $error (local.get 2) (local.get 3))")
# What the object whose id is the context holds; and what the actor whose name is the context says of its `state`.
READ = asked(
    """(call $read (local.get 4) (local.get 5) (i32.const 128))
       (call $blob (i32.load (i32.const 136)) (i32.load (i32.const 140)))"""
)
ASK = asked(
    """(i64.store (i32.const 2048) (i64.const 0x6574617473))
       (call $ask (local.get 4) (local.get 5) (i32.const 2048) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 128))
       (call $blob (i32.load (i32.const 144)) (i32.load (i32.const 148)))"""
)


def on_a_node(story: Callable[[Node], Awaitable[None]]) -> None:
    async def run() -> None:
        node = Node.open("memory:")
        await node.start()
        try:
            await story(node)
        finally:
            await node.stop()

    asyncio.run(run())


async def create(node: Node, component: bytes, name: str):
    files = {"runtime": b"wasm", "wit": b"/code:c:handle", "code/c.wasm": component}
    return (await node.create(files, name=name)).id


def test_an_actor_without_a_query_still_answers_state_and_wut():
    async def story(node: Node) -> None:
        id = await create(node, COUNTER, "c")
        await node.answer(id, await node.send(id, b"{}", type="message"))
        state = (await node.query(id, "state")).result
        assert state == Blob(b"1", "application/json")
        wut = (await node.query(id, "wut")).result
        assert isinstance(wut, Blob)
        assert msgspec.json.decode(wut.data)["queries"].keys() == {"state", "wut"}
        with pytest.raises(UnknownQuery):
            await node.query(id, "other")

    on_a_node(story)


def test_an_actor_can_be_asked_as_it_was_at_an_earlier_step():
    async def story(node: Node) -> None:
        id = await create(node, COUNTER, "c")
        first = node.actor(id).head
        await node.answer(id, await node.send(id, b"{}", type="message"))
        assert (await node.query(id, "state", at=first)).result == Blob(b"0", "application/json")

    on_a_node(story)


def test_a_query_of_its_own_answers_or_says_why_not():
    async def story(node: Node) -> None:
        id = await create(node, ECHO, "echo")
        assert (await node.query(id, "anything", Blob(b"hello"))).result == Blob(b"hello", "text/plain")
        refusing = await create(node, REFUSE, "refuse")
        with pytest.raises(QueryRefused, match="anything"):
            await node.query(refusing, "anything")
        assert isinstance((await node.query(refusing, "state")).result, Blob)

    on_a_node(story)


def test_a_query_reads_objects_by_id_and_asks_other_actors():
    async def story(node: Node) -> None:
        reading = await create(node, READ, "reading")
        wit = node.reader.find(node.reader.step(node.actor(reading).head).core, "wit")
        answer = (await node.query(reading, "x", Blob(str(wit).encode()))).result
        assert answer == Blob(b"/code:c:handle", "text/plain")
        await create(node, COUNTER, "counter")
        asking = await create(node, ASK, "asking")
        assert (await node.query(asking, "x", Blob(b"counter"))).result == Blob(b"0", "text/plain")

    on_a_node(story)


@pytest.mark.parametrize(
    ("state", "media_type"),
    [
        (b'{"a": 1}', "application/json"),
        (b"", "text/plain; charset=utf-8"),
        (b"hello", "text/plain; charset=utf-8"),
        (b"\xff\xfe", "application/octet-stream"),
    ],
)
def test_a_state_is_shown_as_what_it_is(state: bytes, media_type: str):
    assert state_blob(state) == Blob(state, media_type)


def test_a_name_that_was_sent_to_is_journalled_and_nobody_is_noted():
    async def story(node: Node) -> None:
        sender = actor(
            """(call $send (i32.const 1024) (i32.const 1) (local.get 0) (local.get 1))
               (call $send (i32.const 1025) (i32.const 1) (local.get 0) (local.get 1))
               (call $result (local.get 2) (local.get 3))""",
            data="cd",
        )
        counter_id = await create(node, COUNTER, "c")
        id = await create(node, sender, "s")
        await node.answer(id, await node.send(id, b"{}", type="message"))
        step = node.reader.step(node.actor(id).head)
        assert [node.reader.message(sent).to for sent in step.sent] == [str(counter_id)]
        assert step.journal is not None and step.log is not None
        assert [entry.path for entry in node.reader.journal(step.journal)] == ["names/0", "names/1"]
        assert b"no actor 'd'" in node.reader.blob(step.log)
        assert {verdict.verdict for verdict in await node.verify()} == {"MATCH"}

    on_a_node(story)
