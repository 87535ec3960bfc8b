"""The step lock that steps actors: taken from wits that are slow, handed over, and given up, under load."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from random import Random

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, ClogStore, gates
from understudy.node.errors import NodeFailed
from understudy.node.running import async_wits, runner, step_lock
from understudy.objects.ids import ActorId, MessageId
from understudy.store.fsck import fsck
from understudy.store.verified import Grit


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The step lock is lost after a moment that is shorter than many a step."""
    monkeypatch.setattr(step_lock, "LOCK_SECONDS", 0.001)
    monkeypatch.setattr(runner, "STOP_SECONDS", 0.5)
    monkeypatch.setattr(async_wits, "STOP_SECONDS", 0.2)
    yield


def load(
    living: Living, actors: list[ActorId], random: Random, count: int
) -> list[tuple[ActorId, int, Future[MessageId]]]:
    """Send numbers to actors, and between them wits that take a while."""
    sending: list[tuple[ActorId, int, Future[MessageId]]] = []
    for number in range(count):
        actor = random.choice(actors)
        sending.append((actor, number, living.begin_send(actor, "add", number)))
        if random.random() < 0.2:
            living.begin_send(random.choice(actors), "sleep", random.choice([0, 0.5, 1, 2, 4]), caller="slow")
        if random.random() < 0.1:
            other = {"to": str(random.choice(actors)), "numbers": [number]}
            living.begin_send(random.choice(actors), "send", other, caller="relay")
    return sending


def check_applied(living: Living, sending: list[tuple[ActorId, int, Future[MessageId]]], actors: list[ActorId]) -> None:
    """What was acknowledged was applied once, in order."""
    for actor in actors:
        applied = living.state(actor).get(f"queue/{living.party()}", [])
        sent = [number for to, number, _ in sending if to == actor]
        acknowledged = [number for to, number, each in sending if to == actor and not each.exception(PATIENCE)]
        assert applied == sent[: len(applied)] and applied[: len(acknowledged)] == acknowledged
        steps = living.chain(actor)
        assert [step.height for step in steps] == list(range(len(steps)))
    assert fsck(living.backend).findings == []


@pytest.mark.usefixtures("hurried")
def test_a_token_that_goes_from_thread_to_thread_loses_and_doubles_nothing(seed: int) -> None:
    random = Random(seed)
    with Living() as living:
        actors = [living.create(nonce=str(number)) for number in range(8)]
        sending = load(living, actors, random, 400)
        for _, _, each in sending:
            each.result(PATIENCE)
        living.come_to_rest()
        check_applied(living, sending, actors)
        assert living.runner._step_lock.epoch > 1


@pytest.mark.usefixtures("hurried")
def test_a_stop_under_load_loses_nothing_that_was_acknowledged(seed: int) -> None:
    random = Random(seed)
    living = Living(ClogStore())
    actors = [living.create(nonce=str(number)) for number in range(8)]
    sending: list[tuple[ActorId, int, Future[MessageId]]] = []
    for _ in range(5):
        some = load(living, actors, random, 150)
        some[random.randrange(len(some))][2].result(PATIENCE)
        sending += some
        living = living.again()
    living.come_to_rest()
    check_acknowledged(living, sending, actors)
    living.stop()


def check_acknowledged(
    living: Living, sending: list[tuple[ActorId, int, Future[MessageId]]], actors: list[ActorId]
) -> None:
    """What was acknowledged was consumed once; what was refused because of the stop at most once."""
    reader = Grit(living.backend)
    for actor in actors:
        consumed = [id for step in living.chain(actor) for id in step.consumed]
        assert len(consumed) == len(set(consumed))
        acknowledged = {each.result() for to, _, each in sending if to == actor and not each.exception(PATIENCE)}
        assert acknowledged <= set(consumed)
        seqs: dict[tuple[str, str], int] = {}
        for message in map(reader.message, consumed):
            place = (message.sender, message.lane)
            assert message.seq == seqs.get(place, 0) + 1
            seqs[place] = message.seq
    assert fsck(living.backend).findings == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("type", ["hold", "spin", "wait"])
def test_a_stop_does_not_wait_for_a_wit_that_never_ends(type: str) -> None:
    living = Living(ClogStore())
    slow, quick = living.create(nonce="slow"), living.create(nonce="quick")
    living.send(slow, type, f"stop {type}")
    gates.wait_for(f"stop {type}")
    sending = [living.begin_send(quick, "add", number) for number in range(20)]
    living.stop()
    gates.open(f"stop {type}")
    living = Living(living.backend)
    living.come_to_rest()
    check_acknowledged(living, [(quick, number, each) for number, each in enumerate(sending)], [slow, quick])
    assert len(living.chain(slow)) == 2
    living.stop()


def no_thread(refused: threading.Event) -> type[threading.Thread]:
    """What `threading.Thread` is on a machine that gives none; `refused` is set when it was asked for one."""

    class Refused(threading.Thread):
        def start(self) -> None:
            refused.set()
            raise RuntimeError("can't start new thread")

    return Refused


@pytest.mark.usefixtures("hurried")
def test_a_token_that_no_thread_can_take_stays_until_one_can(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()
    with Living() as living:
        slow, quick = living.create(nonce="slow"), living.create(nonce="quick")
        with monkeypatch.context() as patch:
            patch.setattr(threading, "Thread", no_thread(refused))
            living.send(slow, "hold", "refused")
            gates.wait_for("refused")
            waiting = living.begin_send(quick, "ask", 1)
            assert refused.wait(PATIENCE)
        # The gate is still shut: only another thread can step now.
        living.begin_answer(quick, waiting.result(PATIENCE)).result(PATIENCE)
        gates.open("refused")


COMPUTING = """
from understudy import Wit
from tests.node.stage import gates
wit = Wit()

@wit.message("compute")
async def compute(name: str) -> None:
    gates.pass_through(name)
"""


@pytest.mark.usefixtures("hurried")
def test_an_asynchronous_wit_that_computes_holds_up_neither_the_others_nor_a_stop() -> None:
    living = Living(ClogStore())
    slow, quick = living.create(wit=COMPUTING), living.create()
    living.send(slow, "compute", "async")
    gates.wait_for("async")
    assert living.tell(quick, "ask", 1) == 1
    gates.open("not held")
    assert living.ask(quick, "wait", "not held").outcome is None
    living.stop()
    gates.open("async")
    living = Living(living.backend)
    living.come_to_rest()
    assert len(living.chain(slow)) == 2
    living.stop()


@pytest.mark.usefixtures("hurried")
def test_a_loop_that_no_thread_can_run_is_tried_again_until_one_can(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()
    with Living() as living:
        slow, quick = living.create(wit=COMPUTING), living.create()
        living.send(slow, "compute", "no loop")
        gates.wait_for("no loop")
        with monkeypatch.context() as patch:
            patch.setattr(threading, "Thread", no_thread(refused))
            gates.open("behind")
            waiting = living.send(quick, "wait", "behind")
            assert refused.wait(PATIENCE)
        # The gate is still shut: only another loop can go on now.
        assert living.begin_answer(quick, waiting).result(PATIENCE).outcome is None
        gates.open("no loop")


@pytest.mark.usefixtures("hurried")
def test_a_thread_that_comes_back_late_leaves_the_next_slow_wit_watched() -> None:
    with Living() as living:
        first, second = living.create(nonce="first"), living.create(nonce="second")
        quick = living.create(nonce="quick")
        living.send(first, "hold", "late first")
        gates.wait_for("late first")
        assert living.tell(quick, "ask", 1) == 1
        living.send(second, "hold", "late second")
        gates.wait_for("late second")
        gates.open("late first")
        living.begin(wait_until_idle(living, first)).result(PATIENCE)
        assert living.tell(quick, "ask", 2) == 2
        gates.open("late second")
        living.come_to_rest()


async def wait_until_idle(living: Living, actor: ActorId) -> None:
    """Wait for the next step of an actor."""
    async for _ in living.node.events(actor=actor, after=0):
        return


def test_a_node_that_was_stopped_says_so_to_everybody_who_comes_later() -> None:
    with Living() as living:
        actor = living.create()
        message = living.send(actor, "add", 1)
        living.come_to_rest()
        living.run(living.node.stop())
        with pytest.raises(NodeFailed):
            living.send(actor, "add", 2)
        with pytest.raises(NodeFailed):
            living.made(nonce="later")
        assert living.begin_answer(actor, message).result(PATIENCE).outcome is None


def test_no_thread_of_a_node_outlives_its_stop() -> None:
    before = set(threading.enumerate())
    living = Living()
    actor = living.create()
    for number in range(10):
        living.tell(actor, "ask", number)
    ours = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("understudy")]
    living.stop()
    assert ours
    for thread in ours:
        thread.join(PATIENCE)
        assert not thread.is_alive()
