"""How a step happens, rule by rule: acceptance, order, outcomes, updates, failures, and what is visible when.

Tests of kernel/accept.py, kernel/advance.py and kernel/retries.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, WIT, ClogStore, gates, troubles
from understudy.actors.contract import Delivery
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.program import PythonProgram
from understudy.kernel.seal import waiting_row_for
from understudy.node.errors import Conflict, KeyReused, NodeFailed, Rejected
from understudy.node.running import table
from understudy.objects.codec import node_block, raw_block
from understudy.objects.errors import BadName
from understudy.objects.ids import ActorId, Id, MessageId, TreeId
from understudy.objects.mailbox import SIGNAL, UPDATE, mailbox_key
from understudy.objects.message import GENESIS, Message, message_block
from understudy.objects.names import actor_of
from understudy.objects.patch import patch_block
from understudy.store.keys import head_ref, name_ref
from understudy.store.maps import mailbox_get
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move, Row, Unit
from understudy.store.reader import Reader, Staging
from understudy.testing.model_actors import stage_files
from understudy.testing.simulator import Simulator

LOW = "def wit(messages, core, ctx):\n    "


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


@pytest.fixture
def store(living: Living) -> ClogStore:
    assert isinstance(living.backend, ClogStore)
    return living.backend


def policy(**fields: Any) -> str:
    return json.dumps(fields)


# Durable, then visible.


def test_a_message_is_acknowledged_only_once_it_is_durable(living: Living, store: ClogStore) -> None:
    actor = living.create()
    store.clog()
    sending = living.begin_send(actor, "add", 1)
    store.wait_until_clogged()
    assert not sending.done() and not living.node.pending()
    store.unclog()
    assert store.get([sending.result(PATIENCE)]) != [None]


def test_what_queues_during_a_commit_goes_into_the_next_one_together(living: Living, store: ClogStore) -> None:
    actor = living.create()
    store.clog()
    first = living.begin_send(actor, "add", 0)
    store.wait_until_clogged()
    others = [living.begin_send(actor, "add", number, caller=f"c{number}") for number in range(50)]
    living.until(lambda: living.runner.committer.queued == 50)
    store.unclog()
    for sending in [first, *others]:
        sending.result(PATIENCE)
    assert 50 in store.commits


def test_a_busy_actor_runs_ahead_and_nothing_of_it_shows_before_it_is_durable(living: Living, store: ClogStore) -> None:
    actor, other = living.create(policy=policy(batch=1)), living.create(nonce="other")
    messages = [living.send(actor, "hold", "ahead")]
    gates.wait_for("ahead")
    messages += [living.send(actor, "add", number) for number in range(5)]
    messages.append(living.send(actor, "send", {"to": str(other), "numbers": [1]}))
    answers = [living.begin_answer(actor, message) for message in messages]
    head, fed = living.node.lookup.head(actor), living.node.lookup.newest_feed_number()
    store.clog()
    gates.open("ahead")
    living.until(lambda: living.ahead(actor) == 7)
    assert living.node.lookup.head(actor) == head
    assert living.node.lookup.newest_feed_number() == fed
    assert [pending.to for pending in living.node.pending()] == [str(actor)] * 7
    assert not any(answer.done() for answer in answers)
    store.unclog()
    heights = [living.node.reader.step(answer.result(PATIENCE).step).height for answer in answers]
    assert heights == [1, 2, 3, 4, 5, 6, 7]
    living.come_to_rest()
    assert living.state(other) == {f"queue/{actor}": [1]}


def test_a_busy_actor_runs_only_so_far_ahead() -> None:
    store = ClogStore()
    with Living(store, run_ahead=2) as living:
        actor = living.create(policy=policy(batch=1))
        living.send(actor, "hold", "so far")
        for number in range(5):
            living.send(actor, "add", number)
        store.clog()
        gates.open("so far")
        living.until(lambda: living.ahead(actor) == 2)
        for _ in range(3):
            living.until(lambda: True)
        living.until(lambda: living.ahead(actor) == 2)
        store.unclog()
        living.come_to_rest()
        assert living.state(actor)[f"queue/{living.party()}"] == [0, 1, 2, 3, 4]


class Recorder:
    """A capability that notes who called."""

    name = "world"

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        self.keys.append(key)
        return b"done"


def test_an_effect_starts_only_when_the_parent_step_is_durable() -> None:
    store, recorder = ClogStore(), Recorder()
    with Living(store, capabilities={"world": recorder}) as living:
        actor = living.create(policy=policy(batch=1))
        living.send(actor, "hold", "effect")
        gates.wait_for("effect")
        calling = living.begin_answer(actor, living.send(actor, "call", "world"))
        store.clog()
        gates.open("effect")
        living.until(lambda: living.ahead(actor) == 1)
        for _ in range(3):
            living.until(lambda: True)
        assert recorder.keys == []
        store.unclog()
        assert calling.result(PATIENCE).outcome is None
        assert len(recorder.keys) == 1
        step = living.chain(actor)[-1]
        assert step.journal is not None
        assert [entry.path for entry in living.node.reader.journal(step.journal)] == ["world/0"]


# The lanes.


def test_an_update_goes_before_the_other_lanes_and_alone(living: Living) -> None:
    actor = living.create(policy=policy(batch=8))
    living.send(actor, "hold", "lanes")
    gates.wait_for("lanes")
    for caller in ("ann", "bob"):
        living.send(actor, "add", 1, caller=caller)
        living.send(actor, "add", 2, lane=SIGNAL, caller=caller)
    updating = living.begin(living.node.patch(actor, {"data/x": b"new"})).result(PATIENCE)
    gates.open("lanes")
    living.come_to_rest()
    _, held, updated, rest = living.chain(actor)
    assert updated.consumed == (updating,) and updated.engine == "kernel/1"
    assert living.node.reader.find(held.core, "data") is None
    lanes = [living.node.reader.message(id).lane for id in rest.consumed]
    assert lanes == ["signal", "signal", "queue", "queue"]


def test_a_signal_skips_forward_and_what_comes_after_the_newer_one_is_a_duplicate(living: Living) -> None:
    actor = living.create()
    inject(living, actor, 5, lane=SIGNAL, previous=str(some_id("before")))
    living.come_to_rest()
    inject(living, actor, 3, lane=SIGNAL, previous=str(some_id("before")))
    living.until(lambda: not living.node.lookup.pending())
    assert [len(step.consumed) for step in living.chain(actor)] == [1, 1]
    cursor = mailbox_get(living.node.reader, living.chain(actor)[-1].inbox, mailbox_key(living.party("liar"), SIGNAL))
    assert cursor is not None and cursor.seq == 5


def test_two_messages_with_one_number_are_evidence_against_their_sender(living: Living) -> None:
    actor = living.create()
    true = inject(living, actor, 1, content=b"1")
    living.come_to_rest()
    steps = living.chain(actor)
    lie = inject(living, actor, 1, content=b"2")
    astray = inject(living, actor, 2, previous=str(some_id("another")))
    living.until(lambda: len(living.node.evidence()) == 2)
    assert living.chain(actor) == steps
    living = living.again()
    found = {evidence.message: evidence for evidence in living.node.evidence()}
    assert (found[lie].kept, found[lie].sender, found[lie].to) == (str(true), living.party("liar"), str(actor))
    assert found.keys() == {lie, astray}
    assert living.node.pending() == [] and living.chain(actor) == steps
    living.stop()


def test_a_message_that_is_delivered_again_makes_no_step(living: Living) -> None:
    actor = living.create()
    id = living.send(actor, "add", 1)
    living.come_to_rest()
    steps = living.chain(actor)
    message = living.node.reader.message(id)
    again = Delivery(id, message, waiting_row_for(message))
    living.runner.committer.submit([(again, Unit(rows=[Row(waiting_row_for(message), id)]))])
    living.until(lambda: not living.runner.committer.queued and not living.node.lookup.pending())
    assert living.chain(actor) == steps


def some_id(text: str) -> Id:
    """The id of a node that is in no store."""
    return node_block({"patch": {text: None}}).id


def inject(
    living: Living, actor: ActorId, seq: int, *, content: bytes = b"1", lane: str = "queue", previous: str | None = None
) -> MessageId:
    """Have a message delivered that an outside sender of this node could not have sent."""
    body = raw_block(content)
    message = Message(
        to=str(actor), sender=living.party("liar"), seq=seq, type="add", content=body.id, lane=lane, previous=previous
    )
    block = message_block(message)
    row = waiting_row_for(message)
    delivery = Delivery(MessageId(block.id), message, row)
    unit = Unit(blocks=[body, block], rows=[Row(row, block.id)])
    living.runner.committer.submit([(delivery, unit)])
    living.until(lambda: living.backend.get([block.id]) != [None])
    return MessageId(block.id)


# Updates.


def test_an_update_cures_an_actor_that_fails_at_everything(living: Living) -> None:
    actor = living.create(wit=LOW + "raise ValueError('always')")
    assert living.ask(actor, "add", 1).outcome is not None
    assert living.update(actor, wit=WIT) is None
    assert living.chain(actor)[-1].engine == "kernel/1"
    assert living.tell(actor, "ask", 1) == 1


def test_only_the_owner_may_update_and_whom_the_policy_names(living: Living) -> None:
    actor = living.create()
    refused = living.update(actor, caller="bob", data="bob")
    assert refused is not None and (refused.kind, refused.code) == ("refused", "NotPermitted")
    assert living.update(actor, policy=policy(update=[living.party("bob")])) is None
    assert living.update(actor, caller="bob", data="bob") is None
    refused = living.update(actor, caller="cyd", data="cyd")
    assert refused is not None and refused.code == "NotPermitted"


def test_the_operator_of_the_node_may_mend_an_actor_that_another_one_made(living: Living) -> None:
    parent = living.create(wit=MOTHER, child__wit=MOTHER)
    child = actor_of(living.tell(parent, "spawn", "child"))
    refused = living.update(child, caller="bob", data="bob")
    assert refused is not None and refused.code == "NotPermitted"
    assert living.update(child, data="mended") is None
    step = living.chain(child)[-1]
    assert living.node.reader.message(step.consumed[0]).sender == living.party("operator")
    # Who was made from outside has an owner who can be asked.
    refused = living.update(parent, caller="operator", data="operator")
    assert refused is not None and refused.code == "NotPermitted"
    verdicts = living.run(living.node.verify())
    assert {verdict.verdict for verdict in verdicts} == {"MATCH"}


MOTHER = """
from understudy import Context, Wit
wit = Wit()

@wit.message("spawn")
def spawn(nonce: str, ctx: Context) -> str:
    return str(ctx.spawn("child", nonce=nonce))
"""
SPAWNS = """
from understudy import Context, Wit
wit = Wit()

@wit.message("spawn")
def spawn(gates: list, ctx: Context) -> list:
    core = {"wit": "external:tests.node.stage:wit"}
    return [str(ctx.spawn({**core, "gate": gate}, nonce=gate)) for gate in gates]
"""


def test_an_answer_waits_for_the_actors_that_its_step_made(living: Living) -> None:
    parent = living.create(wit=SPAWNS)
    answer = living.begin_answer(parent, living.send(parent, "spawn", ["born first", "born last"]))
    gates.wait_for("born first")
    gates.open("born first")
    gates.wait_for("born last")
    living.until(lambda: len(list(living.node.lookup.all_actors())) == 2)
    assert not answer.done()
    gates.open("born last")
    [reply] = answer.result(PATIENCE).replies
    children = json.loads(living.node.reader.blob(reply.content))
    assert all(living.node.lookup.head(actor_of(child)) for child in children)


def test_an_actor_updates_itself_only_if_its_policy_says_self(living: Living) -> None:
    actor = living.create()
    living.ask(actor, "renew", {"to": str(actor), "files": {"data": "mine"}})
    living.come_to_rest()
    assert "NotPermitted" in living.outcomes(actor)
    assert [error["code"] for error in living.state(actor)["errors"]] == ["NotPermitted"]
    living.update(actor, policy=policy(update=["self"]))
    living.ask(actor, "renew", {"to": str(actor), "files": {"data": "mine"}})
    living.come_to_rest()
    assert living.node.reader.find(living.chain(actor)[-1].core, "data") is not None


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"wit": None}, "NoWit"),
        ({"policy": "{"}, "BadPolicy"),
        ({"nonce__below": "x"}, "BadPatch"),
        ({"wit__below": "x"}, "BadPatch"),
    ],
)
def test_an_update_that_would_make_an_invalid_core_is_refused(
    living: Living, files: dict[str, str | None], code: str
) -> None:
    actor = living.create()
    before = living.chain(actor)[-1].core
    refused = living.update(actor, **files)
    assert refused is not None and (refused.kind, refused.code) == ("refused", code)
    assert living.chain(actor)[-1].core == before
    assert living.tell(actor, "ask", 1) == 1


def test_a_removal_in_a_patch_removes(living: Living) -> None:
    actor = living.create()
    living.update(actor, data__x="1", data__y="2")
    living.update(actor, data__x=None)
    core = living.chain(actor)[-1].core
    assert living.node.reader.find(core, "data/x") is None and living.node.reader.find(core, "data/y") is not None


BEARER = """
from understudy import Wit, Context
wit = Wit()

@wit.message("bear")
def bear(ctx: Context) -> None:
    store = ctx.given.store
    core = store.put_tree({"wit": store.put_tree({})})
    ctx.send(core, core, type="genesis")
    ctx.send(core, 1, type="add")
"""


def test_a_genesis_with_an_invalid_core_is_refused_and_what_comes_after_it_fails(living: Living) -> None:
    with pytest.raises(Rejected):
        living.create(wit="")
    actor = living.create(wit=BEARER)
    living.ask(actor, "bear")
    living.come_to_rest()
    child = next(each for each, _ in living.node.lookup.all_actors() if each != actor)
    assert living.outcomes(child) == ["WitNotBlob", "WitNotBlob"]
    assert [step.outcome.kind for step in living.chain(child) if step.outcome] == ["refused", "failed"]


def test_what_is_born_of_something_that_is_no_core_fails_and_stands_in_nobodys_way(living: Living) -> None:
    mother = BEARER.replace('store.put_tree({"wit": store.put_tree({})})', "store.put(patch_block({'a': None}))")
    mother = mother.replace("from understudy", "from understudy.objects.patch import patch_block\nfrom understudy", 1)
    actor = living.create(wit=mother)
    living.ask(actor, "bear")
    living.come_to_rest()
    child = next(each for each, _ in living.node.lookup.all_actors() if each != actor)
    assert living.outcomes(child) == ["InvalidCore", "InvalidCore"]


# Failures.


def test_a_batch_that_fails_is_run_again_one_by_one_and_only_the_guilty_one_fails(living: Living) -> None:
    actor = living.create()
    living.send(actor, "hold", "batch")
    gates.wait_for("batch")
    living.send(actor, "add", 1, caller="ann")
    living.send(actor, "fail", 2, caller="bob")
    living.send(actor, "add", 3, caller="cyd")
    gates.open("batch")
    living.come_to_rest()
    assert living.outcomes(actor) == ["ok", "ok", "ok", "ValueError", "ok"]
    state = living.state(actor)
    assert (state[f"queue/{living.party('ann')}"], state[f"queue/{living.party('cyd')}"]) == ([1], [3])
    assert "failed" not in state


SPOILS = """
from tests.node.stage import gates
from understudy import Core, Wit

wit = Wit()

@wit.message("hold")
def hold(name: str) -> None:
    gates.pass_through(name)

@wit.message("note")
def note(text: str, core: Core) -> None:
    core["notes"] = core.get("notes", b"") + text.encode()

@wit.message("spoil")
def spoil(core: Core) -> None:
    del core["wit"]
"""


def test_only_the_message_that_would_leave_an_invalid_core_fails_and_not_its_batch(living: Living) -> None:
    actor = living.create(wit=SPOILS)
    living.send(actor, "hold", "spoiled batch")
    gates.wait_for("spoiled batch")
    living.send(actor, "note", "a", caller="ann")
    living.send(actor, "spoil", caller="bob")
    living.send(actor, "note", "c", caller="cyd")
    gates.open("spoiled batch")
    living.come_to_rest()
    assert living.outcomes(actor) == ["ok", "ok", "ok", "NoWit", "ok"]
    notes = living.node.reader.find(living.chain(actor)[-1].core, "notes")
    assert notes is not None and living.node.reader.blob(notes) == b"ac"


@pytest.mark.parametrize("way", ["def", "async def"])
def test_a_wit_that_breaks_what_it_was_given_fails_and_no_more(living: Living, way: str) -> None:
    actor = living.create(wit=f"{way} breaks(ctx): ctx.given = None")
    assert living.ask(actor, "any").outcome is not None
    assert living.update(actor, wit="def mended(): pass") is None
    assert living.ask(actor, "any").outcome is None


def test_a_step_that_fails_or_is_refused_leaves_the_core_and_sends_nothing(living: Living) -> None:
    actor = living.create()
    core = living.chain(actor)[-1].core
    assert living.ask(actor, "fail", 1).outcome is not None
    assert living.ask(actor, "refuse", 1).outcome is not None
    for step in living.chain(actor)[1:]:
        assert (step.core, step.sent) == (core, ())


def test_a_retry_holds_up_its_own_lane_alone(living: Living) -> None:
    actor = living.create(policy=policy(retry={"first_ms": 600_000}))
    troubles["own lane"] = 1
    stumbling = living.send(actor, "stumble", "own lane", caller="ann")
    living.until(lambda: living.node.pending()[0].attempts == 1)
    behind = living.send(actor, "add", 1, caller="ann")
    assert living.tell(actor, "ask", 2, caller="bob") == 2
    assert living.tell(actor, "ask", 3, caller="ann", lane=SIGNAL) == 3
    pending = living.node.pending()
    assert [(each.message, each.state) for each in pending] == [(stumbling, "retry"), (behind, "retry")]
    living = living.again()
    living.come_to_rest()
    assert living.state(actor)["stumbled"] == ["own lane"]
    living.stop()


def test_retries_end_as_a_failure_after_as_many_attempts_as_the_policy_says(living: Living) -> None:
    actor = living.create(policy=policy(retry={"attempts": 3, "first_ms": 1}))
    troubles["enough"] = 100
    outcome = living.ask(actor, "stumble", "enough").outcome
    assert outcome is not None and (outcome.kind, outcome.code) == ("failed", "RetriesExhausted")
    assert troubles["enough"] == 97
    assert living.outcomes(actor) == ["ok", "RetriesExhausted"]
    assert living.tell(actor, "ask", 1) == 1


def test_retries_that_help_in_time_make_one_good_step(living: Living) -> None:
    actor = living.create(policy=policy(retry={"attempts": 3, "first_ms": 1}))
    troubles["in time"] = 2
    assert living.ask(actor, "stumble", "in time").outcome is None
    assert len(living.chain(actor)) == 2


STUMBLING = """
from understudy import Wit, Retry
from tests.node.stage import troubles
wit = Wit()

@wit.genesis
def genesis() -> None:
    troubles["genesis"] -= 1
    raise Retry("not yet")
"""


def test_a_genesis_is_tried_as_often_as_the_policy_in_its_own_core_says(living: Living) -> None:
    troubles["genesis"] = 100
    made = living.made(wit=STUMBLING, policy=policy(retry={"attempts": 2, "first_ms": 1}))
    assert made.answer is not None and made.answer.outcome is not None
    assert made.answer.outcome.code == "RetriesExhausted" and troubles["genesis"] == 98


def test_a_step_that_waits_beyond_its_deadline_is_cut(living: Living) -> None:
    actor = living.create(policy=policy(deadline_ms=5))
    core = living.chain(actor)[-1].core
    outcome = living.ask(actor, "wait", "deadline").outcome
    gates.open("deadline")
    assert outcome is not None and (outcome.kind, outcome.code) == ("cut", "Deadline")
    assert living.chain(actor)[-1].core == core
    assert living.tell(actor, "ask", 1) == 1


def test_an_actor_hears_of_what_failed_and_nothing_answers_an_error(living: Living) -> None:
    sender, receiver = living.create(nonce="sender"), living.create(nonce="receiver")
    living.ask(sender, "send", {"to": str(receiver), "type": "fail", "numbers": [7]})
    living.come_to_rest()
    error = living.state(sender)["errors"][0]
    sent = living.chain(sender)[1].sent[0]
    assert (error["code"], error["kind"], error["type"], error["message"]) == (
        "ValueError",
        "failed",
        "fail",
        str(sent),
    )
    word = living.node.reader.message(living.chain(receiver)[-1].sent[0])
    assert (word.type, word.to, word.re) == ("error", str(sender), str(sent))
    broken = living.create(wit=LOW + "raise ValueError('always')")
    living.ask(sender, "send", {"to": str(broken), "numbers": [1]})
    living.ask(sender, "send", {"to": str(broken), "type": "error", "numbers": [1]})
    living.come_to_rest()
    assert [len(step.sent) for step in living.chain(broken)] == [0, 1, 0]


def test_a_message_to_nobody_is_noted_and_leaves_no_gap_when_somebody_is_born_there(living: Living) -> None:
    staging = Staging(living.node.reader)
    unborn = stage_files(staging, {"wit": WIT, "nonce": "late"})
    actor = living.create(nonce="early")
    living.ask(actor, "send", {"to": str(unborn), "numbers": [1, 2]})
    step = living.chain(actor)[-1]
    assert step.sent == () and step.journal is not None
    assert living.log(step).count(f"there is no actor {unborn}") == 2
    entries = living.node.reader.journal(step.journal)
    assert [(entry.path, entry.error.code) for entry in entries if entry.error] == [
        ("send/0", "NoSuchActor"),
        ("send/1", "NoSuchActor"),
    ]
    assert living.create(nonce="late") == unborn
    living.ask(actor, "send", {"to": str(unborn), "numbers": [3]})
    living.come_to_rest()
    assert living.state(ActorId(unborn)) == {f"queue/{actor}": [3]}


def test_a_step_that_sends_all_it_may_to_nobody_is_still_a_step(living: Living) -> None:
    actor = living.create()
    nobody = str(stage_files(Staging(living.node.reader), {"wit": "nobody"}))
    assert living.ask(actor, "send", {"to": nobody, "numbers": list(range(10_000))}).outcome is None
    assert living.tell(actor, "ask", 1) == 1


def test_a_message_to_an_actor_whose_genesis_still_runs_is_not_lost(living: Living) -> None:
    actor = living.create(nonce="teller")
    staging = Staging(living.node.reader)
    late = stage_files(staging, {"wit": WIT, "gate": "genesis", "nonce": "late"})
    creating = living.begin(living.node.create({"wit": WIT.encode(), "gate": b"genesis"}, nonce="late"))
    gates.wait_for("genesis")
    living.ask(actor, "send", {"to": str(late), "numbers": [1]})
    gates.open("genesis")
    creating.result(PATIENCE)
    living.come_to_rest()
    assert living.state(ActorId(late)) == {f"queue/{actor}": [1]}


DANGLING = """
from understudy import Draft, Outgoing
from understudy.objects.codec import node_block

async def wit(messages, ctx):
    for message in messages:
        if message.type == "tell":
            nothing = node_block({"patch": {"x": None}}).id
            return Draft(send=[Outgoing(to=message.json(), type="update", lane="update", content=nothing)])
"""


def test_a_link_to_nothing_is_not_sent_and_so_stops_nobody(living: Living) -> None:
    liar = living.create(wit=DANGLING)
    victim = living.create(policy=policy(update=[str(liar)]))
    outcome = living.ask(liar, "tell", str(victim)).outcome
    assert outcome is not None and (outcome.kind, outcome.code) == ("failed", "Missing")
    living.come_to_rest()
    assert living.tell(victim, "ask", 1) == 1


def test_a_lane_that_does_not_exist_is_refused_at_the_door(living: Living) -> None:
    actor = living.create()
    with pytest.raises(BadName):
        living.send(actor, "add", 1, lane="express")


# Talking.


def test_an_actor_makes_another_and_talks_to_it_in_the_same_step(living: Living) -> None:
    actor = living.create()
    child = actor_of(living.tell(actor, "spawn", {"nonce": "child", "numbers": [1, 2]}))
    living.come_to_rest()
    assert living.state(child) == {f"queue/{actor}": [1, 2]}
    assert len(living.chain(actor)) == 2
    living.tell(actor, "spawn", {"nonce": "child", "numbers": [3]})
    living.come_to_rest()
    assert "AlreadyAlive" in living.outcomes(child) and living.state(child) == {f"queue/{actor}": [1, 2, 3]}


def test_a_reply_names_the_message_that_it_answers(living: Living) -> None:
    actor = living.create(policy=policy(batch=8))
    living.send(actor, "hold", "replies")
    gates.wait_for("replies")
    asked = [living.send(actor, "ask", number) for number in range(3)]
    answers = [living.begin_answer(actor, message) for message in asked]
    gates.open("replies")
    replies = [answer.result(PATIENCE).replies for answer in answers]
    assert [[living.node.reader.blob(reply.content) for reply in each] for each in replies] == [[b"0"], [b"1"], [b"2"]]
    sent = [living.node.reader.message(id) for id in living.chain(actor)[-1].sent]
    assert [message.re for message in sent] == list(map(str, asked))


def test_a_genesis_for_an_actor_that_lives_changes_nothing(living: Living) -> None:
    first = living.made(nonce="twice")
    again = living.made(nonce="twice")
    assert (again.id, again.head, again.answer) == (first.id, first.head, None)


# Time and chance.


def test_time_and_seed_are_recorded_and_time_never_runs_backwards() -> None:
    # A node that starts first asks what time it is, for the timers that are due.
    times = iter([1_000, 5_000, 3_000, 4_000, *range(9_000, 99_000)])
    with Living(clock=lambda: next(times)) as living:
        actor = living.create()
        told = [living.tell(actor, "measure", number) for number in range(3)]
        steps = living.chain(actor)
        assert [step.time for step in steps] == [5_000, 5_000, 5_000, 9_000]
        assert [each["time"] for each in told] == [step.time for step in steps[1:]]
        assert [each["seed"] for each in told] == [step.seed for step in steps[1:]]
        assert len({step.seed for step in steps}) == 4


# Idempotency.


def test_the_same_key_and_request_is_the_same_message_also_after_a_restart(living: Living) -> None:
    actor, other = living.create(), living.create(nonce="other")
    first = living.send(actor, "add", 1, idempotency_key="k")
    for _ in range(2):
        assert living.send(actor, "add", 1, idempotency_key="k") == first
        for to, type, content in [(actor, "add", 2), (actor, "ask", 1), (other, "add", 1)]:
            with pytest.raises(KeyReused):
                living.send(to, type, content, idempotency_key="k")
        assert living.send(actor, "add", 1, idempotency_key="k", caller="another") != first
        living.come_to_rest()
        assert living.state(actor)[f"queue/{living.party()}"] == [1]
        living = living.again()
    living.stop()


def test_two_requests_with_one_key_at_the_same_time_are_one_message(living: Living, store: ClogStore) -> None:
    actor = living.create()
    store.clog()
    sending = [living.begin_send(actor, "add", 1, idempotency_key="k") for _ in range(5)]
    other = living.begin_send(actor, "add", 2, idempotency_key="k")
    store.wait_until_clogged()
    store.unclog()
    assert len({each.result(PATIENCE) for each in sending}) == 1
    with pytest.raises(KeyReused):
        other.result(PATIENCE)


# Who holds up whom.


@pytest.mark.parametrize("type", ["hold", "spin", "wait"])
def test_a_wit_that_takes_for_ever_holds_up_nobody_but_itself(living: Living, type: str) -> None:
    slow, quick = living.create(nonce="slow"), living.create(nonce="quick")
    living.send(slow, type, f"ever {type}")
    gates.wait_for(f"ever {type}")
    behind = living.begin_answer(slow, living.send(slow, "ask", 1))
    for number in range(20):
        assert living.tell(quick, "ask", number) == number
    assert not behind.done()
    gates.open(f"ever {type}")
    assert behind.result(PATIENCE).outcome is None


def test_many_wits_that_take_for_ever_hold_up_nobody(living: Living) -> None:
    slow = [living.create(nonce=str(number)) for number in range(10)]
    quick = living.create(nonce="quick")
    for number, actor in enumerate(slow):
        living.send(actor, "hold" if number % 2 else "spin", f"many {number}")
    for number in range(10):
        gates.wait_for(f"many {number}")
    assert living.tell(quick, "ask", 1) == 1
    for number in range(10):
        gates.open(f"many {number}")
    living.come_to_rest()


IMPORTED = """
from understudy import Wit
from tests.node.stage import gates
gates.pass_through("import")
wit = Wit()

@wit.message("ask")
def ask(number: int) -> int:
    return number
"""


def test_code_that_takes_for_ever_to_import_holds_up_nobody_but_its_actor(living: Living) -> None:
    slow, quick = living.create(nonce="slow"), living.create(nonce="quick")
    living.update(slow, wit=IMPORTED)
    asking = living.begin_answer(slow, living.send(slow, "ask", 1))
    gates.wait_for("import")
    assert living.tell(quick, "ask", 2) == 2
    gates.open("import")
    assert asking.result(PATIENCE).outcome is None


# Bounds.


def test_more_mail_than_an_actor_holds_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_WAITING", 3)
    with Living() as living:
        actor, other = living.create(), living.create(nonce="other")
        living.send(actor, "hold", "overflow")
        gates.wait_for("overflow")
        for number in range(10):
            living.send(actor, "add", number, caller="ann")
            living.send(actor, "add", number, caller="bob", lane=SIGNAL)
            living.send(actor, "fail", number, caller="cyd")
        living.ask(other, "send", {"to": str(actor), "numbers": list(range(10))})
        gates.open("overflow")
        living.come_to_rest()
        state = living.state(actor)
        assert state[f"queue/{living.party('ann')}"] == list(range(10))
        assert state[f"signal/{living.party('bob')}"] == list(range(10))
        assert state[f"queue/{other}"] == list(range(10))
        assert living.outcomes(actor).count("ValueError") == 10


def test_mail_beyond_the_bound_waits_without_work_while_all_within_it_waits_for_a_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "MAX_WAITING", 2)
    with Living() as living:
        actor = living.create(policy=policy(retry={"first_ms": 600_000}))
        for number in range(4):
            troubles[f"bound {number}"] = 1
            living.send(actor, "stumble", f"bound {number}", caller=f"c{number}")
        living.until(lambda: sum(each.attempts for each in living.node.pending()) == 2)
        living.until(lambda: not living.runner._scheduler.has_ready)
        assert len(living.node.pending()) == 4


def test_mail_that_waits_in_the_store_beyond_the_bound_is_found_after_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "MAX_WAITING", 3)
    with Living() as living:
        actor = living.create(policy=policy(retry={"first_ms": 600_000}))
        troubles["bound"] = 1
        living.send(actor, "stumble", "bound")
        living.until(lambda: living.node.pending()[0].attempts == 1)
        for number in range(10):
            living.send(actor, "add", number)
        living = living.again()
        living.come_to_rest()
        assert living.state(actor)[f"queue/{living.party()}"] == list(range(10))
        living.stop()


def test_actors_that_were_forgotten_go_on_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_ACTORS", 4)
    with Living() as living:
        actors = [living.create(nonce=str(number)) for number in range(12)]
        for number in range(4):
            for actor in actors:
                living.send(actor, "add", number)
        living.come_to_rest()
        assert all(living.state(actor)[f"queue/{living.party()}"] == [0, 1, 2, 3] for actor in actors)
        living.ask(actors[0], "send", {"to": str(actors[7]), "numbers": [5]})
        living.come_to_rest()
        assert living.state(actors[7])[f"queue/{actors[0]}"] == [5]


# When the store fails.


def test_a_node_whose_store_failed_says_so_though_nothing_can_be_read(living: Living) -> None:
    assert living.node.health()["status"] == "ok"
    living.stop()
    living.node.failure = OSError("the disk is gone")
    assert (living.node.health()["status"], living.node.health()["error"]) == ("failed", "the disk is gone")


def test_when_the_store_is_full_everybody_hears_it_and_what_was_acknowledged_is_there(
    living: Living, store: ClogStore
) -> None:
    actor = living.create()
    living.send(actor, "hold", "full")
    gates.wait_for("full")
    accepted = [living.send(actor, "add", number) for number in range(3)]
    answering = [living.begin_answer(actor, message) for message in accepted]
    store.clog()
    sending = living.begin_send(actor, "add", 3)
    store.wait_until_clogged()
    queued = living.begin_send(actor, "add", 4)
    store.full = True
    store.unclog()
    waiters: list[Future[Any]] = [sending, queued, *answering]
    for waiting in waiters:
        with pytest.raises(NodeFailed):
            waiting.result(PATIENCE)
    gates.open("full")
    with pytest.raises(NodeFailed):
        living.send(actor, "add", 5)
    with pytest.raises(NodeFailed):
        living.made(nonce="too late")
    with pytest.raises(NodeFailed):
        living.begin_answer(actor, accepted[0]).result(PATIENCE)
    assert living.node.health()["status"] == "failed"
    store.full = False
    living = living.again()
    living.come_to_rest()
    assert living.state(actor)[f"queue/{living.party()}"] == [0, 1, 2]
    assert living.tell(actor, "ask", 1) == 1
    living.stop()


def test_an_actor_whose_head_is_damaged_stands_still_and_the_others_go_on(living: Living, store: ClogStore) -> None:
    actor, other = living.create(nonce="damaged"), living.create(nonce="whole")
    living.send(actor, "hold", "damaged")
    gates.wait_for("damaged")
    living.send(actor, "add", 1)
    gates.open("damaged")
    living.stop()
    store.commit([Unit(moves=[Move(head_ref(actor), store.ref(head_ref(actor)), some_id("nothing"))])])
    with Living(store) as living:
        message = living.send(actor, "add", 2)
        living.until(lambda: bool(living.node.pending()) and living.node.pending()[-1].state == "stuck")
        assert living.node.pending()[-1].message == message
        assert living.tell(other, "ask", 1) == 1
    with Living(store) as living:
        living.until(lambda: {pending.state for pending in living.node.pending()} == {"stuck"})
        assert living.tell(other, "ask", 2) == 2


# On a node without threads, where the worst moment can be had at will.


def submit(simulator: Simulator, files: Mapping[str, str], *, moves: Sequence[Move] = ()) -> asyncio.Task[MessageId]:
    """Send a genesis message with this core."""
    staging = Staging(simulator.reader)
    core = stage_files(staging, files)
    return simulator.send(
        str(core), type=GENESIS, content=core, blocks=list(staging.new.values()), caller="ann", moves=moves
    )


def submit_number(simulator: Simulator, actor: ActorId, number: int) -> asyncio.Task[MessageId]:
    """Send a number to an actor."""
    block = raw_block(str(number).encode())
    return simulator.send(str(actor), type="add", content=block.id, blocks=[block], caller="ann")


def outcomes(simulator: Simulator, actor: ActorId) -> list[str]:
    """The codes of the durable outcomes, newest first."""
    steps = simulator.lookup.steps(actor).items
    return ["ok" if step.outcome is None else step.outcome.code for _, step in steps]


def test_a_message_whose_unit_fails_is_not_delivered_and_leaves_no_gap_behind() -> None:
    backend = MemoryBackend()
    backend.commit([Unit(moves=[Move(name_ref("taken"), None, some_id("somebody"))])])
    simulator = Simulator(backend)
    files = {"wit": WIT, "nonce": "named"}
    actor = ActorId(stage_files(Staging(simulator.reader), files))
    failing = submit(simulator, files, moves=[Move(name_ref("taken"), None, actor)])
    following = submit(simulator, files)
    simulator.settle()
    assert isinstance(failing.exception(), Conflict)
    assert simulator.reader.message(following.result()).seq == 1
    assert outcomes(simulator, actor) == ["ok"]
    simulator.abandon()


def test_nobody_follows_a_message_that_could_still_fail_when_the_one_before_it_is_durable() -> None:
    backend = MemoryBackend()
    backend.commit([Unit(moves=[Move(name_ref("taken"), None, some_id("somebody"))])])
    simulator = Simulator(backend)
    files = {"wit": WIT, "nonce": "named"}
    actor = ActorId(stage_files(Staging(simulator.reader), files))
    before = submit(simulator, files)
    failing = submit(simulator, files, moves=[Move(name_ref("taken"), None, actor)])
    simulator.commit(most=1)
    simulator.turn(burst=0)
    following = submit(simulator, files)
    simulator.settle()
    assert isinstance(failing.exception(), Conflict)
    assert [simulator.reader.message(sent.result()).seq for sent in (before, following)] == [1, 2]
    simulator.abandon()


def test_a_head_that_somebody_else_moved_costs_no_message_and_harms_no_neighbour() -> None:
    backend = MemoryBackend()
    ours = Simulator(backend)
    for nonce in ("moved", "neighbour"):
        submit(ours, {"wit": WIT, "nonce": nonce})
    ours.settle()
    moved, neighbour = (
        ActorId(stage_files(Staging(ours.reader), {"wit": WIT, "nonce": nonce})) for nonce in ("moved", "neighbour")
    )
    before = submit_number(ours, moved, 1)
    submit_number(ours, neighbour, 1)
    ours.commit()
    ours.turn()
    theirs = Simulator(backend)
    theirs.settle()
    theirs.abandon()
    submit_number(ours, moved, 2)
    submit_number(ours, neighbour, 2)
    ours.settle()
    for actor in (moved, neighbour):
        id = ours.reader.find(ours.reader.step(ours.lookup.actor(actor).head).core, "state")
        assert id is not None
        assert json.loads(ours.reader.blob(id)) == {f"queue/out/{ours.name}/ann": [1, 2]}
    assert before.done() and ours.lookup.pending() == []
    ours.abandon()


def test_an_update_wakes_an_actor_that_stands_still_because_the_host_failed_it() -> None:
    class Broken(PythonEngine):
        def load(self, core: TreeId, entry: str, store: Reader) -> PythonProgram:
            if entry == "wit" and store.find(core, "mended") is None:
                raise RuntimeError("the engine has a bug")
            return super().load(core, entry, store)

    simulator = Simulator(MemoryBackend(), engines={"python": Broken()})
    files = {"wit": WIT, "nonce": "stuck", "mended": "yes"}
    actor = ActorId(stage_files(Staging(simulator.reader), files))
    submit(simulator, files)
    simulator.settle()
    update(simulator, actor, {"mended": None})
    submit_number(simulator, actor, 1)
    simulator.settle()
    assert [pending.type for pending in simulator.lookup.pending()] == ["add"]
    submit_number(simulator, actor, 2)
    simulator.settle()
    update(simulator, actor, {"mended": "again"})
    simulator.settle()
    assert simulator.lookup.pending() == []
    assert outcomes(simulator, actor) == ["ok"] * 5
    simulator.abandon()


def update(simulator: Simulator, actor: ActorId, files: Mapping[str, str | None]) -> None:
    """Send a patch."""
    staging = Staging(simulator.reader)
    paths = {path: None if text is None else staging.put_blob(text.encode()) for path, text in files.items()}
    id = staging.put(patch_block(paths))
    simulator.send(str(actor), type="update", content=id, blocks=list(staging.new.values()), lane=UPDATE, caller="ann")
