"""Seed 001, "Runtime", sentence by sentence, the component and the chain: what is quoted above a test is what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files

import pytest

from tests.engines.components import KEEP, actor, counter
from tests.node.living import Living
from understudy.node.errors import Rejected
from understudy.objects.codec import node_block
from understudy.objects.ids import ActorId
from understudy.objects.step import step_block, step_node

COUNTER = counter()


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def born(living: Living, component: bytes, **more: bytes) -> ActorId:
    """The actor of a component."""
    core = {"runtime": b"wasm", "wit": b"/code:c:handle", "code/c.wasm": component, **more}
    return living.run(living.node.create(core)).id


def told(living: Living, id: ActorId, content: bytes):
    """The step that a message came to."""

    async def tell():
        return await living.node.answer(id, await living.node.send(id, content, type="message"))

    answer = living.run(tell())
    return living.node.reader.step(answer.step)


def state(living: Living, id: ActorId) -> bytes:
    """The actor's state."""
    found = living.node.reader.find(living.node.reader.step(living.node.actor(id).head).core, "state")
    assert found is not None
    return living.node.reader.blob(found)


# "The goal is to build a chain of computations that can be replayed and verified by any other actor."
def test_the_chain_is_replayed_and_verified(living: Living):
    id = born(living, COUNTER)
    told(living, id, b"{}")
    assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH"]


# "So, all data that makes up the state of the actor at any given point in time must be tracked in its chain."
def test_every_state_that_there_was_is_in_the_chain(living: Living):
    id = born(living, COUNTER)
    for _ in range(3):
        told(living, id, b"{}")
    steps = [step for _, step in living.node.steps(id).items]
    reader = living.node.reader
    found = [reader.find(step.core, "state") for step in steps]
    assert [reader.blob(each) for each in found if each is not None] == [b"3", b"2", b"1", b"0"]


# "The body should be parsed and added to the hash chain, and then the wasm component should be called with the
# received data. The resulting state of the wasm component should be hashed into the hash chain."
def test_the_message_is_in_the_chain_as_it_was_received_and_so_is_the_state_that_came_of_it(living: Living):
    id = born(living, actor("(call $result (local.get 0) (local.get 1))"))
    body = b'{ "b":1,\n "a" : 2.0 }'
    step = told(living, id, body)
    message = living.node.reader.message(step.consumed[0])
    assert living.node.reader.blob(message.content) == body == state(living, id)


# "The wasm component will expose two functions to advance the state of the actor, init to be called on setup and
# return the initial state, and handle to accept a message and advance the state."
def test_init_gives_the_first_state_and_handle_every_other(living: Living):
    id = born(living, COUNTER)
    assert state(living, id) == b"0"
    told(living, id, b"{}")
    assert state(living, id) == b"1"


# "The wasm component will also expose two contract functions, to ensure that state and messages are well-formed and
# valid."
@pytest.mark.parametrize(
    ("contracts", "code"),
    [
        ({"message_contract": "(i32.const 0)"}, "MessageContract"),
        ({"state_contract": "(i32.ne (local.get 1) (i32.const 2))"}, "StateContract"),
    ],
)
def test_the_contracts_are_asked_and_what_they_refuse_changes_nothing(living: Living, contracts, code: str):
    id = born(living, actor("(call $result (local.get 0) (local.get 1))", **contracts))
    step = told(living, id, b"{}")
    assert step.outcome is not None
    assert (step.outcome.kind, step.outcome.code, state(living, id)) == ("refused", code, b"")


# "The hash chain will be a collection of objects. Each object should point to its parent. {parent, data}"
# "Each object will be referenced by the hash of the stringified object."
# "Creating the object out of the data submitted and the current HEAD. Stringifiying and hashing the object. Putting the
# object into the hash-map at its identifier. Store the identifier as the current HEAD."
def test_every_step_is_an_object_of_parent_and_data_under_the_hash_of_its_bytes(living: Living):
    id = born(living, COUNTER)
    genesis = living.node.actor(id).head
    step = told(living, id, b"{}")
    head = living.node.actor(id).head
    assert step_node(step).keys() == {"parent", "data"}
    assert step.parent == genesis
    block = living.node.reader.block(head)
    assert block == step_block(step).data == node_block(step_node(step)).data
    assert head.endswith(sha256(block).digest())


# "The runtime will set up the wasm component with the host functions"
def test_log_and_send_are_there(living: Living):
    other = born(living, COUNTER)
    code = "(call $log (local.get 0) (local.get 1)) (call $send (i32.const 1024) (i32.const 59) (local.get 0) (local.get 1))"
    id = born(living, actor(code + KEEP, data=str(other)))
    step = told(living, id, b"{}")
    assert step.log is not None
    assert living.node.reader.blob(step.log) == b" {}\n"
    assert [living.node.reader.message(sent).to for sent in step.sent] == [str(other)]


# "… and make sure the init, handle, and contract functions exist in the component."
def test_a_component_that_lacks_a_function_is_no_actor_and_every_one_is_named(living: Living):
    lacking = COUNTER
    for name in (b"state-contract", b"message-contract", b"handle"):
        lacking = lacking.replace(name, name.swapcase().lower()[::-1])
    with pytest.raises(Rejected) as caught:
        born(living, lacking)
    for missing in ("state-contract", "message-contract", "handle"):
        assert f"actor.{missing} is missing" in str(caught.value)


# "Optionally, an initialization function"
def test_init_may_be_left_out_where_the_core_brings_a_state(living: Living):
    without = actor(init=None)
    with pytest.raises(Rejected, match="init"):
        born(living, without)
    assert state(living, born(living, without, state=b"mine")) == b"mine"


# "The WIT interface for a wasm component is below"
def test_the_interface_is_the_seeds(living: Living):
    text = (files("understudy.engines.wasm") / "interface" / "actor.wit").read_text()
    plain = " ".join(line.split("//")[0].strip() for line in text.splitlines())
    for said in (
        "package ntwk:simple-actor;",
        "state-contract: func(state: state) -> bool;",
        "message-contract: func(msg: message, state: state) -> bool;",
        "handle: func(msg: message, state: state) -> state;",
        "init: func() -> state;",
        "log: func(msg: string);",
        "send: func(actor-id: string, msg: message);",
    ):
        assert said in plain
    assert "world first-actor { import runtime; export actor; }" in " ".join(plain.split())


# "The first commit should contain the hash of the contents of the wasm component: { component-hash: ##### }"
def test_the_first_step_holds_the_hash_of_the_component(living: Living):
    id = born(living, COUNTER)
    genesis = living.node.reader.node(living.node.actor(id).head)
    assert genesis["parent"] is None
    assert genesis["data"]["component-hash"] == sha256(COUNTER).hexdigest()
    told(living, id, b"{}")
    assert "component-hash" not in living.node.reader.node(living.node.actor(id).head)["data"]
