"""Components on a living node: batches, neighbours, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.engines.components import COUNT, KEEP, ZERO, actor, counter
from tests.node.living import Living
from understudy.judging.verification import Target
from understudy.objects.ids import ActorId

# Refuses messages of one byte.
PICKY = actor(COUNT, init=ZERO, data="0", message_contract="(i32.ne (local.get 1) (i32.const 1))")
FILES = {"runtime": b"wasm", "wit": b"/code:c:handle"}
ENDLESS = actor("(loop $again (br $again)) unreachable")


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def born(living: Living, component: bytes, **more: bytes) -> ActorId:
    return living.run(living.node.create({**FILES, "code/c.wasm": component, **more})).id


def tell(living: Living, id: ActorId, *contents: bytes):
    """The answers to messages that are accepted at once."""

    async def all_of_them():
        sent = [await living.node.send(id, content, type="message") for content in contents]
        return await asyncio.gather(*(living.node.answer(id, message) for message in sent))

    return living.run(all_of_them())


def state(living: Living, id: ActorId) -> bytes:
    found = living.node.reader.find(living.node.reader.step(living.node.actor(id).head).core, "state")
    assert found is not None
    return living.node.reader.blob(found)


def test_a_message_that_is_refused_takes_none_of_its_neighbours_with_it(living: Living):
    id = born(living, PICKY)
    answers = tell(living, id, b"{}", b"x", b"{}", b"y", b"{}")
    codes = [None if answer.outcome is None else answer.outcome.code for answer in answers]
    assert codes == [None, "MessageContract", None, "MessageContract", None]
    assert state(living, id) == b"3"
    refused = [living.node.reader.step(answer.step) for answer in answers if answer.outcome is not None]
    assert [len(step.consumed) for step in refused] == [1, 1]


def test_a_component_has_timers_as_files_of_its_core(living: Living):
    often = b'{"every":0.1,"type":"message","content":{}}'
    id = born(
        living, counter(), **{"timers/once": b'{"at":"2026-01-01T00:00Z","type":"message"}', "timers/often": often}
    )
    living.until(lambda: int(state(living, id)) >= 3)
    living.run(living.node.patch(id, {"timers/often": None}))
    living.come_to_rest()
    assert living.node.timers(id) == []
    [verdict] = living.run(living.node.verify())
    assert (verdict.verdict, verdict.reason) == ("MATCH", None)


CROWD = """
from understudy import Wit
wit = Wit()
@wit.message("go")
def go(to: str, ctx):
    for number in range(40):
        ctx.send(to, {"n": number}, type="message")
"""


def crowd(living: Living, id: ActorId) -> list[int]:
    """How many messages each step took after forty came at the same moment."""
    driver = living.run(living.node.create({"wit": CROWD.encode()})).id
    living.send(driver, "go", str(id))
    living.come_to_rest()
    return [len(step.consumed) for _, step in living.node.steps(id, limit=100).items[::-1]]


def test_messages_that_come_at_once_are_a_step_each_and_every_state_is_in_the_chain(living: Living):
    id = born(living, counter())
    assert crowd(living, id) == [1] * 41
    reader = living.node.reader
    found = [reader.find(step.core, "state") for _, step in living.node.steps(id, limit=100).items]
    assert [None if each is None else reader.blob(each) for each in found] == [b"%d" % n for n in range(40, -1, -1)]


def test_a_policy_may_ask_for_batches_and_the_history_matches_all_the_same(living: Living):
    id = born(living, counter(), policy=b'{"batch": 16}')
    assert crowd(living, id) == [1, 16, 16, 8]
    assert state(living, id) == b"40"
    assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH"] * 2


def test_a_component_that_never_ends_holds_up_nobody_else(living: Living):
    endless, other = born(living, ENDLESS, limits=b'{"fuel": 2000000000}'), born(living, counter())

    async def story():
        stuck = await living.node.send(endless, b"{}", type="message")
        waiting = asyncio.ensure_future(living.node.answer(endless, stuck))
        for _ in range(5):
            message = await living.node.send(other, b"{}", type="message")
            await living.node.answer(other, message)
        assert not waiting.done()
        return await waiting

    answer = living.run(story())
    assert answer.outcome is not None and answer.outcome.code == "OutOfFuel"
    assert state(living, other) == b"5"


def test_after_a_restart_the_component_goes_on_from_its_state(living: Living):
    id = born(living, counter())
    tell(living, id, b"{}", b"{}")
    with living.again() as again:
        tell(again, id, b"{}")
        assert state(again, id) == b"3"
        assert [verdict.verdict for verdict in again.run(again.node.verify())] == ["MATCH"]


def test_a_message_to_a_name_arrives(living: Living):
    sends = f"(call $send (i32.const 1024) (i32.const 4) (local.get 0) (local.get 1)) {KEEP}"
    last = living.run(living.node.create({**FILES, "code/c.wasm": counter()}, name="last")).id
    tell(living, born(living, actor(sends, data="last")), b"{}", b"{}")
    living.come_to_rest()
    assert state(living, last) == b"2"


def test_a_message_on_which_a_component_failed_holds_or_is_retried_with_the_component_of_today(living: Living):
    id = born(living, ENDLESS)
    (failed,) = tell(living, id, b"{}")
    assert failed.outcome is not None and failed.outcome.code == "OutOfFuel"
    held = born(living, ENDLESS, nonce=b"held", policy=b'{"on_failure": "hold"}')
    living.run(living.node.send(held, b"{}", type="message"))
    living.until(lambda: living.node.actor(held).status == "held")
    for actor_id in (id, held):
        living.run(living.node.patch(actor_id, {"code/c.wasm": counter(), "state": b"0"}))
    living.come_to_rest()
    _, _, answer = living.run(living.node.retry(failed.step))
    assert answer is not None and answer.outcome is None
    assert state(living, id) == state(living, held) == b"1"
    targets = [Target(actor_id, living.node.actor(actor_id).head) for actor_id in (id, held)]
    assert [verdict.verdict for verdict in living.run(living.node.verify(targets))] == ["MATCH", "MATCH"]
    integrity = living.run(living.node.verify(targets, integrity_only=True))
    assert [verdict.verdict for verdict in integrity] == ["INTACT", "INTACT"]
