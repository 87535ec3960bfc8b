"""Random programs of actors, on a node that may die at any write, against a model in plain Python."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from understudy.actors.errors import Retry
from understudy.node.errors import KeyReused
from understudy.objects.ids import ActorId, Id, MessageId
from understudy.objects.mailbox import QUEUE, SIGNAL, UPDATE, Cursor
from understudy.objects.message import GENESIS, Message
from understudy.objects.names import actor_of, is_outside
from understudy.objects.patch import patch_block
from understudy.store.fsck import fsck
from understudy.store.keys import FEED, OUTSIDE, head_ref, read_cursor_value
from understudy.store.maps import mailbox_items
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit
from understudy.testing.faults import MOMENTS, CrashingStore, Moment
from understudy.testing.model import History, check_replay, consumed_by_key, read_history
from understudy.testing.model_actors import BROKEN, KINDS, WORLD, child_of, root_files, stage_files
from understudy.testing.simulator import Simulator

EXAMPLES = int(os.environ.get("UNDERSTUDY_MODEL_EXAMPLES", "25"))
CALLERS = ("ann", "bob", "cyd")  # ann makes the actors; bob may update one of them
ROOTS = tuple(range(3))
NAMES = ("n0", "n1")
NOBODY = str(child_of("low", "never made"))
TARGETS = (*ROOTS, *((kind, name) for kind in KINDS for name in NAMES), None)

roots = st.sampled_from(ROOTS)
targets = st.sampled_from(TARGETS)
callers = st.sampled_from(CALLERS)
TYPES = ("add", "add", "ask", "fail", "refuse", "never", "patient", "relay", "relay", "spawn", "spawn", "renew", "put")
patches = st.dictionaries(
    st.sampled_from(["data/x", "data/y", "data/x/deep", "wit", "wit_update"]), st.none() | st.just(BROKEN), min_size=1
).filter(lambda patch: not {"data/x", "data/x/deep"} <= patch.keys() and patch.get("wit") is None)


class Order(NamedTuple):
    """A message to send; what of it counts depends on the type."""

    to: Any
    type: str
    lane: str
    caller: str
    keyed: bool
    whom: Any
    kind: str
    name: str
    size: int


orders = st.builds(
    Order,
    to=st.one_of(roots, targets),
    type=st.sampled_from(TYPES),
    lane=st.sampled_from([QUEUE, QUEUE, SIGNAL]),
    caller=callers,
    keyed=st.booleans(),
    whom=targets,
    kind=st.sampled_from(KINDS),
    name=st.sampled_from(NAMES),
    size=st.integers(0, 4),
)


class World:
    """What the wits call: it fails as often as it is told, and sees that nobody calls before the parent is durable."""

    name = WORLD

    def __init__(self) -> None:
        self.simulator: Simulator | None = None
        self.asked: dict[str, int] = {}

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        assert self.simulator is not None
        order = json.loads(request)
        assert str(self.simulator.lookup.head(caller)) == order["parent"]
        self.asked[order["key"]] = self.asked.get(order["key"], 0) + 1
        if self.asked[order["key"]] <= order["times"]:
            raise Retry("not yet")
        return b"done"


class Submission:
    """A message from outside and what became of it so far."""

    def __init__(
        self, *, to: str, lane: str, caller: str, number: int, life: int, task: asyncio.Task[MessageId]
    ) -> None:
        self.to, self.lane, self.caller, self.number = to, lane, caller, number
        self.life = life
        self.task = task
        self.again = False

    @property
    def acknowledged(self) -> MessageId | None:
        """The message's id if its sender was told that it is durable."""
        good = self.task.done() and not self.task.cancelled() and self.task.exception() is None
        return self.task.result() if good else None


class Programs(RuleBasedStateMachine):
    """Random programs. A simulator lives on a store that crashes; what the inner store holds goes on in the next."""

    @initialize(
        run_ahead=st.sampled_from([1, 2, 512]), crash=st.none() | st.integers(1, 30), moment=st.sampled_from(MOMENTS)
    )
    def begin(self, run_ahead: int, crash: int | None, moment: Moment) -> None:
        self.inner = MemoryBackend(entropy=lambda size: bytes(size))
        self.world = World()
        self.run_ahead = run_ahead
        self.life = 0
        self.numbers = 0
        self.submissions: list[Submission] = []
        self.keyed: dict[str, Submission] = {}
        self.commands: dict[str, tuple[Any, ...]] = {}
        self.open(None, moment)
        self.roots = [self.make_root(number) for number in ROOTS]
        self.simulator.settle()
        self.restart(crash, moment)

    def open(self, crash: int | None, moment: Moment) -> None:
        self.life += 1
        self.store = CrashingStore(self.inner, at=crash, moment=moment)
        self.simulator = Simulator(
            self.store,
            capabilities={WORLD: self.world},
            run_ahead=self.run_ahead,
            start_us=1_700_000_000_000_000 + self.life * 1_000_000_000,
        )
        self.world.simulator = self.simulator

    def restart(self, crash: int | None, moment: Moment) -> None:
        self.simulator.abandon()
        self.open(crash, moment)

    def make_root(self, number: int) -> str:
        kind = KINDS[number % len(KINDS)]
        bob = f"out/{self.simulator.name}/bob"
        staging = Staging(Grit(self.inner))
        core = stage_files(
            staging, root_files(kind, nonce=str(number), may_update=[bob, "self"] if number == 2 else [])
        )
        for _ in range(2):
            self.simulator.send(str(core), type=GENESIS, content=core, blocks=list(staging.new.values()), caller="ann")
        return str(core)

    def id_of(self, target: Any) -> str:
        if target is None:
            return NOBODY
        return self.roots[target] if isinstance(target, int) else str(child_of(*target))

    def submit(
        self, to: str, type: str, content: Any, *, lane: str, caller: str, key: str | None, number: int
    ) -> Submission:
        staging = Staging(Grit(self.inner))
        if lane == UPDATE:
            changes: Mapping[str, str | None] = content
            id = staging.put(patch_block({path: _staged(staging, text) for path, text in changes.items()}))
        else:
            id = staging.put_blob(msgspec.json.encode(content))
        task = self.simulator.send(
            to,
            type=type,
            content=id,
            blocks=list(staging.new.values()),
            lane=lane,
            headers={"number": str(number)},
            caller=caller,
            key=key,
        )
        submission = Submission(to=to, lane=lane, caller=caller, number=number, life=self.life, task=task)
        self.submissions.append(submission)
        return submission

    @property
    def alive(self) -> bool:
        return not self.simulator.crashed

    @precondition(lambda self: self.alive)
    @rule(some=st.lists(orders, min_size=1, max_size=8))
    def send(self, some: list[Order]) -> None:
        for order in some:
            if self.alive:
                self.send_one(order)

    def send_one(self, order: Order) -> None:
        self.numbers += 1
        number = self.numbers
        numbers = [number * 10 + place for place in range(order.size)]
        content: Any = {
            "patient": {"key": str(number), "times": order.size, "number": number},
            "relay": {"to": self.id_of(order.whom), "lane": order.lane, "numbers": numbers},
            "spawn": {"kind": order.kind, "name": order.name, "numbers": numbers},
            "renew": {"to": self.id_of(order.whom), "files": {"data/x": str(number)}},
            "put": {"path": "data/x/deep" if order.size % 2 else "data/y", "text": str(number)},
        }.get(order.type, number)
        to = self.id_of(order.to)
        if self.inner.ref(head_ref(actor_of(to))) is None:
            to = self.roots[0]
        key = f"key {number}" if order.keyed else None
        submission = self.submit(to, order.type, content, lane=order.lane, caller=order.caller, key=key, number=number)
        if key is not None:
            self.keyed[key] = submission
            self.commands[key] = (to, order.type, content, order.lane, order.caller)

    @precondition(lambda self: self.alive)
    @rule(to=roots, caller=callers, patch=patches)
    def update(self, to: int, caller: str, patch: dict[str, str | None]) -> None:
        self.numbers += 1
        self.submit(self.roots[to], UPDATE, patch, lane=UPDATE, caller=caller, key=None, number=self.numbers)

    @precondition(lambda self: self.alive and self.keyed)
    @rule(data=st.data())
    def send_again_with_the_same_key(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.keyed)))
        before = self.keyed[key]
        to, order, content, lane, caller = self.commands[key]
        after = self.submit(to, order, content, lane=lane, caller=caller, key=key, number=before.number)
        after.again = True

    @precondition(lambda self: self.alive and self.keyed)
    @rule(data=st.data())
    def use_a_key_for_something_else(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.keyed)))
        if self.keyed[key].acknowledged is None:
            return
        to, _, _, lane, caller = self.commands[key]
        other = self.submit(to, "add", -1, lane=lane, caller=caller, key=key, number=-1)
        assert isinstance(other.task.exception(), KeyReused) or self.simulator.crashed
        self.submissions.remove(other)

    @precondition(lambda self: self.alive)
    @rule(burst=st.integers(1, 4))
    def turn(self, burst: int) -> None:
        self.simulator.turn(burst=burst)

    @precondition(lambda self: self.alive)
    @rule(most=st.integers(1, 6))
    def commit(self, most: int) -> None:
        self.simulator.commit(most=most)

    @rule(crash=st.none() | st.integers(1, 60), moment=st.sampled_from(MOMENTS))
    def die_and_come_back(self, crash: int | None, moment: Moment) -> None:
        self.restart(crash, moment)

    @precondition(lambda self: not self.alive)
    @rule()
    def come_back(self) -> None:
        self.restart(None, Moment.BEFORE)

    @precondition(lambda self: self.alive)
    @rule()
    def come_to_rest(self) -> None:
        self.simulator.settle()
        if self.alive:
            self.check_all()

    @invariant()
    def nothing_is_told_that_is_not_in_the_store(self) -> None:
        for submission in getattr(self, "submissions", ()):
            if submission.acknowledged is not None:
                assert self.inner.get([submission.acknowledged])[0] is not None

    def teardown(self) -> None:
        if not hasattr(self, "simulator"):
            return
        self.restart(None, Moment.BEFORE)
        self.simulator.settle()
        histories = self.check_all()
        for history in histories.values():
            check_replay(Grit(self.inner), history.records, history.player.owner)
        assert fsck(self.inner).findings == []
        self.simulator.abandon()

    def check_all(self) -> dict[str, History]:
        """Everything that must hold when nothing is under way."""
        assert self.simulator.failure is None
        assert self.simulator.lookup.pending() == []
        assert self.simulator.lookup.evidence() == []
        reader = Grit(self.inner)
        histories = {str(actor): read_history(reader, head) for actor, head in self.simulator.lookup.all_actors()}
        self.check_index(histories)
        self.check_mailboxes(histories)
        self.check_submissions(histories)
        self.check_nobody(histories)
        return histories

    def check_index(self, histories: dict[str, History]) -> None:
        """Heights and feed name every step exactly once, each after its parent."""
        feed = list(self.inner.rows(FEED))
        assert [int.from_bytes(key[1:], "big") for key, _ in feed] == list(range(1, len(feed) + 1))
        fed: dict[str, list[bytes]] = {}
        for _, step in feed:
            fed.setdefault(str(self.simulator.reader.step(step).actor), []).append(step)
        assert fed == {actor: [record.id for record in history.records] for actor, history in histories.items()}
        for actor, history in histories.items():
            for record in history.records:
                assert self.simulator.lookup.step_at(actor_of(actor), record.step.height) == record.id

    def check_mailboxes(self, histories: dict[str, History]) -> None:
        """Every message that was sent was consumed once, in the order of its lane."""
        sent: dict[tuple[str, str], Cursor] = {}
        for row, value in self.inner.rows(OUTSIDE):
            sender, _, mailbox = row[len(OUTSIDE) :].decode().partition("\0")
            sent[_conversation(sender, mailbox)] = read_cursor_value(value)
        for actor, history in histories.items():
            for key, cursor in mailbox_items(self.simulator.reader, history.records[-1].step.outbox):
                sent[_conversation(actor, key)] = cursor
        received: dict[tuple[str, str], Cursor] = {}
        for actor, history in histories.items():
            for key, cursor in mailbox_items(self.simulator.reader, history.records[-1].step.inbox):
                received[key, actor] = cursor
            for seqs in consumed_by_key(history).values():
                assert seqs == list(range(1, len(seqs) + 1))
        assert received == {place: cursor for place, cursor in sent.items() if not is_outside(place[1])}

    def check_submissions(self, histories: dict[str, History]) -> None:
        """What was acknowledged was applied once; what was not, at most once; all in the order of its sender."""
        consumed: dict[int, Message] = {}
        ids: set[MessageId] = set()
        for history in histories.values():
            for record in history.records:
                for id, message, _ in record.consumed:
                    ids.add(id)
                    if "number" in message.headers:
                        number = int(message.headers["number"])
                        assert number not in consumed, "a message was applied twice"
                        consumed[number] = message
        last: dict[tuple[str, str, str, int], int] = {}
        for submission in self.submissions:
            if submission.acknowledged is not None:
                assert submission.acknowledged in ids, "an acknowledged message was lost"
            found = consumed.get(submission.number)
            if found is None or submission.again:
                continue
            place = (submission.caller, submission.to, submission.lane, submission.life)
            assert found.seq > last.get(place, 0)
            last[place] = found.seq

    def check_nobody(self, histories: dict[str, History]) -> None:
        """A message was dropped for want of a recipient only if that one was not yet there."""
        number = {step: int.from_bytes(key[1:], "big") for key, step in self.inner.rows(FEED)}
        for history in histories.values():
            for record in history.records:
                for entry in record.journal:
                    if entry.error is not None and entry.error.code == "NoSuchActor":
                        other = histories.get(entry.error.text.rpartition(" ")[2])
                        assert other is None or number[other.records[0].id] > number[record.id]
                for _, message, _ in record.sent:
                    assert is_outside(message.to) or message.to in histories


def _staged(staging: Staging, text: str | None) -> Id | None:
    return None if text is None else staging.put_blob(text.encode())


def _conversation(sender: str, key: str) -> tuple[str, str]:
    """The inbox key and the recipient of an outbox key."""
    lane, _, to = key.rpartition("/") if not key.startswith("out/") else ("", "", key)
    return (f"{lane}/{sender}" if lane else sender), to


Programs.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPrograms = pytest.mark.filterwarnings("ignore:coroutine")(Programs.TestCase)
