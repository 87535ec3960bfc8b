"""Flows, holds, effects, timers and retries of random shops, on a node that may die at any write.

The law: what was accepted is applied exactly once in the end, each flow begins once and answers once, an effect was
begun at least once and is recorded once, and nothing is left over.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from understudy.actors.errors import Retry
from understudy.kernel.replay import Record, read_record
from understudy.node.errors import Rejected
from understudy.node.intake.composing import LOCAL, Composer
from understudy.objects.ids import ActorId, MessageId, StepId
from understudy.objects.mailbox import QUEUE, UPDATE
from understudy.objects.message import GENESIS
from understudy.objects.patch import patch_block
from understudy.objects.step import FAILED
from understudy.store.fsck import fsck
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.timer_rows import DUE
from understudy.store.verified import Grit
from understudy.testing.faults import MOMENTS, CrashingStore, Moment
from understudy.testing.model import check_replay
from understudy.testing.model_actors import WORLD, stage_files
from understudy.testing.simulator import Simulator

STOCK: Final = """
from understudy import Wit
wit = Wit()
@wit.message("reserve")
def reserve(order: dict, state: list) -> int:
    state.append(order["n"])
    return order["n"]
"""
SHOP: Final = """
from understudy import Context, Core, FlowContext, Wit
wit = Wit()

def note(state: dict, what: str, number: int) -> None:
    state.setdefault(what, []).append(number)

@wit.message("mark")
def mark(number: int, state: dict) -> None:
    note(state, "mark", number)

@wit.message("fail")
def fail(number: int, state: dict, core: Core) -> None:
    note(state, "fail", number)
    assert "cured" in core

@wit.message("pay")
async def pay(number: int, state: dict, core: Core, ctx: Context) -> None:
    await ctx.given.calls.call("world", str(number).encode())
    note(state, "pay", number)
    assert number % 2 or "cured" in core

@wit.message("go")
def go(order: dict) -> None:
    pass  # for which no flow waits

@wit.flow("order")
async def order(order: dict, ctx: FlowContext) -> int:
    ctx.with_state(note, "order", order["n"])
    got = await ctx.request("STOCK", order, type="reserve", returns=int)
    ctx.with_state(note, "reserved", got)
    if order["sleep"]:
        await ctx.sleep(order["sleep"])
    if order["waits"]:
        await ctx.wait("go", n=order["n"])
    ctx.with_state(note, "done", got)
    return got
"""
RETRIES: Final = {"attempts": 3, "first_ms": 1}
POLICIES: Final = (
    {"on_failure": "hold", "retry": RETRIES},
    {"on_failure": "record", "retry": RETRIES, "batch": 3},
)
HOLDS, RECORDS = range(2)
SECOND: Final = 1_000_000
# Longer than any flow sleeps: at rest the simulator's clock goes on by itself, and a restart sets it back.
HOUR: Final = 3600 * SECOND
TYPES: Final = ("mark", "fail", "pay", "order", "order", "go", "cancel")
shops = st.sampled_from([HOLDS, RECORDS])


def is_acknowledged(task: asyncio.Task[MessageId]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


class World:
    """What is paid: every third payment is not taken at once."""

    name = WORLD

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        number = int(request)
        self.begun[number] += 1
        if self.begun[number] == 1 and number % 3 == 0:
            raise Retry("not yet")
        return b"paid"


class Shops(RuleBasedStateMachine):
    """Two shops, of which one holds when its code fails, and the stock that both ask."""

    @initialize(crash=st.none() | st.integers(1, 30), moment=st.sampled_from(MOMENTS))
    def begin(self, crash: int | None, moment: Moment) -> None:
        self.inner = MemoryBackend(entropy=lambda size: bytes(size))
        self.world = World()
        self.now = 1_700_000_000_000_000
        self.sent: list[tuple[int, str, asyncio.Task[MessageId]]] = []  # shop, type, task; its number is its place
        self.open(None, moment)
        self.stock = self.create({"wit": STOCK, "state": "[]"})
        wit = SHOP.replace("STOCK", str(self.stock))
        self.shops = [self.create({"wit": wit, "policy": json.dumps(policy)}) for policy in POLICIES]
        self.restart(crash, moment)

    def open(self, crash: int | None, moment: Moment) -> None:
        store = CrashingStore(self.inner, at=crash, moment=moment)
        self.simulator = Simulator(store, capabilities={WORLD: self.world}, start_us=self.now)

    def restart(self, crash: int | None = None, moment: Moment = Moment.BEFORE) -> None:
        self.simulator.abandon()
        self.open(crash, moment)

    def create(self, files: dict[str, str]) -> ActorId:
        staging = Staging(Grit(self.inner))
        core = stage_files(staging, files)
        self.simulator.send(str(core), type=GENESIS, content=core, blocks=list(staging.new.values()))
        self.simulator.settle()
        return ActorId(core)

    @property
    def alive(self) -> bool:
        return not self.simulator.crashed

    def tell(self, shop: int, type: str, content: Any, **headers: str) -> asyncio.Task[MessageId]:
        staging = Staging(Grit(self.inner))
        id = staging.put_blob(json.dumps(content).encode())
        return self.simulator.send(
            str(self.shops[shop]), type=type, content=id, blocks=list(staging.new.values()), headers=headers, lane=QUEUE
        )

    @precondition(lambda self: self.alive)
    @rule(some=st.lists(st.tuples(shops, st.sampled_from(TYPES), st.integers(0, 4), st.booleans()), min_size=3))
    def send(self, some: list[tuple[int, str, int, bool]]) -> None:
        for shop, type, sleep, waits in some:
            if self.alive:
                self.send_one(shop, type, sleep, waits)

    def send_one(self, shop: int, type: str, sleep: int, waits: bool) -> None:
        if type in ("go", "cancel"):
            if self.orders:
                self.tell_of_order(type, self.orders[-1 - sleep % len(self.orders)])
            return
        number = len(self.sent)
        content = {"n": number, "sleep": sleep, "waits": waits} if type == "order" else number
        self.sent.append((shop, type, self.tell(shop, type, content, number=str(number))))

    def tell_of_order(self, type: str, number: int) -> None:
        shop, _, task = self.sent[number]
        if type == "go":
            self.tell(shop, "go", {"n": number})
            return
        # Who cancels it knows its id, so it is durable.
        self.simulator.turn(burst=0)
        self.simulator.commit()
        self.simulator.turn(burst=0)
        if self.alive and is_acknowledged(task):
            self.tell(shop, "flow", {"flow": str(task.result()), "cancel": "enough"})

    @property
    def orders(self) -> list[int]:
        return [number for number, (_, type, _) in enumerate(self.sent) if type == "order"]

    @precondition(lambda self: self.alive)
    @rule(shop=shops, cured=st.booleans())
    def update(self, shop: int, cured: bool) -> None:
        staging = Staging(Grit(self.inner))
        patch = staging.put(patch_block({"cured": staging.put_blob(b"") if cured else None}))
        blocks = list(staging.new.values())
        self.simulator.send(str(self.shops[shop]), type=UPDATE, lane=UPDATE, content=patch, blocks=blocks)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def retry(self, data: Any) -> None:
        failed = [record.id for record in self.records(RECORDS) if record.step.outcome is not None]
        if failed:
            self.retry_step(data.draw(st.sampled_from(failed)))

    def retry_step(self, step: StepId) -> None:
        reader = self.simulator.reader
        try:
            _, order = Composer(self.simulator.name, self.simulator.lookup, reader).retry(step, None, LOCAL)
        except Rejected:
            return  # it was retried, and that went well
        self.simulator.send(order.to, type=order.type, content=order.content, blocks=order.blocks, lane=order.lane)

    @precondition(lambda self: self.alive)
    @rule(burst=st.integers(0, 3))
    def turn(self, burst: int) -> None:
        self.simulator.turn(burst=burst)

    @precondition(lambda self: self.alive)
    @rule(most=st.integers(1, 4))
    def commit(self, most: int) -> None:
        self.simulator.commit(most=most)

    @precondition(lambda self: self.alive)
    @rule()
    def come_to_rest(self) -> None:
        self.simulator.settle()

    @rule(seconds=st.integers(0, 3))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.simulator.pass_time(seconds * SECOND)

    @rule(crash=st.none() | st.integers(1, 20), moment=st.sampled_from(MOMENTS))
    def die_and_come_back(self, crash: int | None, moment: Moment) -> None:
        self.restart(crash, moment)

    def records(self, shop: int) -> list[Record]:
        return list(self.read(self.shops[shop]))[::-1]

    def read(self, actor: ActorId) -> Iterator[Record]:
        reader = Grit(self.inner)
        step = self.simulator.lookup.head(actor)
        while step is not None:
            record = read_record(reader, step)
            yield record
            step = record.step.parent

    def teardown(self) -> None:
        if not hasattr(self, "simulator"):
            return
        self.restart()
        self.simulator.settle()
        for shop in (HOLDS, RECORDS):
            self.update(shop, cured=True)
        self.simulator.settle()
        self.simulator.pass_time(HOUR)
        self.simulator.settle()
        for number in self.orders:
            self.tell(self.sent[number][0], "go", {"n": number})
        for record in self.records(RECORDS):
            if record.step.outcome is not None:
                self.retry_step(record.id)
        self.simulator.settle()
        assert self.simulator.failure is None
        assert self.simulator.lookup.pending() == []
        assert fsck(self.inner).findings == []
        assert not list(self.inner.rows(DUE))
        for shop in (HOLDS, RECORDS):
            self.check(shop)
        self.simulator.abandon()

    def check(self, shop: int) -> None:
        """What the history of a shop says, held against what was sent to it."""
        records, reader = self.records(shop), Grit(self.inner)
        taken = {
            int(one.message.headers["number"]): one.id
            for record in records
            for one in record.consumed
            if "number" in one.message.headers
        }
        mine = {number: type for number, (to, type, _) in enumerate(self.sent) if to == shop}
        for number in mine:
            task = self.sent[number][2]
            if is_acknowledged(task):
                assert taken.get(number) == task.result(), "what was acknowledged was not consumed"
        state = self.state(reader, records[-1])
        for type in ("mark", "fail", "pay", "order"):
            assert Counter(state.get(type, ())) == Counter(number for number in taken if mine[number] == type)
        if shop == HOLDS:
            assert all(record.step.outcome is None or record.step.outcome.kind != FAILED for record in records)
        self.check_effects(records, state)
        self.check_flows(records, state, {number: taken[number] for number in taken if mine[number] == "order"})
        check_replay(reader, records, f"out/{self.simulator.name}/{LOCAL}")

    def check_effects(self, records: list[Record], state: dict[str, list[int]]) -> None:
        """Each was begun at least once, and is recorded once among the steps that went well."""
        recorded = Counter(
            entry.request
            for record in records
            if record.step.outcome is None
            for entry in record.answers
            if entry.path.startswith(f"{WORLD}/")
        )
        paid = state.get("pay", [])
        assert recorded == Counter(sha256(str(number).encode()).hexdigest() for number in paid)
        assert all(self.world.begun[number] for number in paid)

    def check_flows(self, records: list[Record], state: dict[str, list[int]], orders: dict[int, MessageId]) -> None:
        """Each answered once, with what came of it; the stock was asked once by each; nothing of them is left."""
        reader = Grit(self.inner)
        answers = {
            str(one.message.re): (one.message.type, json.loads(reader.blob(one.message.content)))
            for record in records
            for one in record.sent
        }
        count = Counter(str(one.message.re) for record in records for one in record.sent)
        asked = Counter(self.state(reader, next(self.read(self.stock))))
        done = Counter(state.get("done", ()))
        for number, id in orders.items():
            assert (count[str(id)], asked[number]) == (1, 1)
            type, content = answers[str(id)]
            assert (type, done[number]) == ("reply", 1) if done[number] else type == "error"
            assert content == number if type == "reply" else content["code"] == "Cancelled"
        core = records[-1].step.core
        for folder in ("flows", "requests", "timers"):
            found = reader.find(core, folder)
            assert found is None or not list(reader.tree(found))

    def state(self, reader: Grit, record: Record) -> Any:
        found = reader.find(record.step.core, "state")
        return {} if found is None else json.loads(reader.blob(found))


TestShops = Shops.TestCase
TestShops.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
