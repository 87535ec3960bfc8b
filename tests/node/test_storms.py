"""An actor that fills its own mailbox: it is slowed down, takes updates and a pause at once, and a restart listens at once."""

from __future__ import annotations

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, ClogStore
from understudy.node.running import floods, step_size, table
from understudy.objects.codec import MAX_BLOCK
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import UPDATE

STORM = """
from understudy import Context, Wit
wit = Wit()

@wit.message("storm")
def storm(count: int, ctx: Context, state: dict) -> None:
    state["stormed"] = state.get("stormed", 0) + 1
    to = ctx.core.get("to")
    for number in range(count):
        ctx.send(ctx.actor_id if to is None else to.decode(), count, type="storm")

@wit.message("ask")
def ask(number: int) -> int:
    return number
"""
CALM = STORM.replace("range(count)", "range(0)")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floods, "FLOOD", 50)
    monkeypatch.setattr(table, "MAX_WAITING", 200)
    monkeypatch.setattr(table, "MAX_REFILL", 40)


def waiting_for(living: Living, actor: ActorId) -> int:
    return len(living.node.pending(actor, limit=1_000_000))


def test_a_storm_is_slowed_down_and_an_update_ends_it() -> None:
    with Living() as living:
        actor, other = living.create(wit=STORM), living.create(nonce="other")
        living.send(actor, "storm", 40)
        living.until(lambda: living.node.actor(actor).status == "slowed")
        assert {pending.state for pending in living.node.pending(actor)} == {"slowed"}
        # While it rests, the others go on, and its own update comes at once.
        assert living.tell(other, "ask", 1) == 1
        assert living.update(actor, wit=CALM) is None
        living.come_to_rest()
        assert living.node.actor(actor).status == "ready"
        assert living.state(actor)["stormed"] == sum(len(step.sent) for step in living.chain(actor)) + 1


def test_two_that_send_each_other_ever_more_are_slowed_down_too() -> None:
    with Living() as living:
        first = living.create(wit=STORM, nonce="first")
        second = living.create(wit=STORM, nonce="second", to=str(first))
        living.update(first, to=str(second))
        living.send(first, "storm", 30)
        living.until(lambda: "slowed" in {living.node.actor(actor).status for actor in (first, second)})
        for actor in (first, second):
            assert living.update(actor, wit=CALM) is None
        living.come_to_rest()


def test_who_works_through_a_large_backlog_is_not_slowed_down() -> None:
    with Living() as living:
        worker = living.create(wit=CALM, nonce="worker")
        source = living.create(wit=STORM, nonce="source", to=str(worker))
        living.send(source, "storm", 300)
        living.come_to_rest()
        assert living.node.actor(worker).status == "ready"
        assert living.state(worker)["stormed"] == 300


def test_an_update_gets_in_however_much_waits_in_the_store() -> None:
    store = ClogStore()
    with Living(store) as living:
        actor = living.create(wit=STORM)
        living.run(living.node.pause(actor))
        sending = [living.begin_send(actor, "ask", number, caller=f"c{number}") for number in range(300)]
        for each in sending:
            each.result(PATIENCE)
        assert waiting_for(living, actor) == 300
        # Not for the paused one alone: a pause lets updates through.
        assert living.update(actor, wit=CALM, note="new") is None
        assert waiting_for(living, actor) == 300
        living.run(living.node.resume(actor))
        living.come_to_rest()
        steps = [[living.node.reader.message(id) for id in step.consumed] for step in living.chain(actor)]
        assert steps[1][0].lane == UPDATE and sum(map(len, steps[2:])) == 300


def test_a_pause_outlasts_a_restart_and_a_resume_ends_it() -> None:
    with Living(ClogStore()) as living:
        actor = living.create()
        assert living.run(living.node.pause(actor, reason="being moved")).status == "paused"
        waiting = living.send(actor, "ask", 1)
        living = living.again()
        living.until(lambda: {pending.state for pending in living.node.pending()} == {"paused"})
        about = living.node.actor(actor)
        assert about.status == "paused" and about.reason is not None and "being moved" in about.reason
        assert living.update(actor, note="while it rests") is None
        assert len(living.chain(actor)) == 2
        assert living.run(living.node.resume(actor)).status == "ready"
        assert living.begin_answer(actor, waiting).result(PATIENCE).outcome is None
        living.stop()


def test_mail_of_an_earlier_life_is_found_behind_what_comes_now() -> None:
    store = ClogStore()
    with Living(store) as living:
        actors = [living.create(nonce=str(number)) for number in range(4)]
        for actor in actors:
            living.run(living.node.pause(actor))
            for number in range(3):
                living.send(actor, "add", number)
    with Living(store) as living:
        for actor in actors:
            living.send(actor, "add", 3)
            living.run(living.node.resume(actor))
        living.come_to_rest()
        for actor in actors:
            assert living.state(actor) == {f"queue/{living.party()}": [0, 1, 2, 3]}


def test_only_updates_and_births_step_until_all_may() -> None:
    store = ClogStore()
    with Living(store) as living:
        actor = living.create(wit=STORM)
        living.run(living.node.pause(actor))
        living.send(actor, "storm", 40)
    node = Living(store, start=False)
    node.run(node.node.start(only_updates=True))
    node.run(node.node.resume(actor))
    assert node.update(actor, wit=CALM) is None
    born = node.create(nonce="born meanwhile")
    assert [pending.type for pending in node.node.pending()] == ["storm"]
    node.node.let_all_step()
    node.come_to_rest()
    assert node.state(actor) == {"stormed": 1}
    assert node.tell(born, "ask", 1) == 1
    node.stop()


@pytest.mark.parametrize("how", ["a message", "its state"])
def test_a_step_that_stores_more_than_a_node_takes_in_is_cut_and_the_others_of_its_batch_are_not(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(step_size, "MAX_STEP_BYTES", 8 * MAX_BLOCK)
    code = """
from understudy import Wit
wit = Wit()
@wit.message("store")
def store(order: list, state: dict, ctx) -> None:
    size, how = order
    state["texts"] = state.get("texts", 0) + 1
    for number in range(9 if size else 1):
        if how == "a message":
            ctx.send("out/a/b", str(number) * size, type="t")
        else:
            state[str(number)] = str(number) * size
"""
    with Living() as living:
        actor = living.create(wit=code)
        large = 3 * MAX_BLOCK
        messages = [living.send(actor, "store", [size, how]) for size in (10, large, 20)]
        outcomes = [living.begin_answer(actor, message).result(PATIENCE).outcome for message in messages]
        assert [outcome and (outcome.kind, outcome.code) for outcome in outcomes] == [None, ("cut", "HostLimit"), None]
        assert living.state(actor)["texts"] == 2
