"""A small synchronous node for tests: accepts messages, makes steps, and lets a test lie about them afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from understudy.actors.contract import Capability, Delivery, Engine, Outgoing, StepResult
from understudy.engines.python.engine import PythonEngine
from understudy.judging.verification import Target
from understudy.kernel.accept import accept
from understudy.kernel.actor import Actor, load_actor
from understudy.kernel.advance import Plan, prepare
from understudy.kernel.deliver import Judgement, Waiting, judge, sender_key, unpack_row
from understudy.kernel.replay import Record, read_record
from understudy.kernel.retries import exhausted
from understudy.kernel.seal import Sealed, seal
from understudy.kernel.seeds import Seeds
from understudy.node.running.calls import LiveCalls
from understudy.node.running.host import Host
from understudy.objects.clock import Ring, clock_of, ring_headers
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.mailbox import QUEUE, UPDATE, mailbox_key
from understudy.objects.message import GENESIS
from understudy.objects.names import actor_of
from understudy.objects.patch import patch_block
from understudy.objects.step import Outcome, Step, step_block
from understudy.store.keys import head_ref, height_row, outside_row, read_cursor_value, waiting_of
from understudy.store.maps import build_tree, mailbox_get, patch_tree
from understudy.store.memory import MemoryBackend
from understudy.store.port import Backend, Move, Row, Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit

OWNER = "out/test/owner"


class AtOnce(Host):
    """A host whose steps are durable at once."""

    def owner(self) -> str:
        return OWNER

    def when_durable(self, start: Callable[[], None], lose: Callable[[], None]) -> None:
        start()

    def leave(self) -> bool:
        return True


class Troupe:
    """Actors on a memory backend. Time goes on by a millisecond per step."""

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        engines: Mapping[str, Engine] | None = None,
        capabilities: Mapping[str, Capability] | None = None,
        batch: int = 1,
    ) -> None:
        self.backend = backend or MemoryBackend()
        self.reader = Grit(self.backend)
        self.engines = engines or {"python": PythonEngine()}
        self.capabilities = capabilities or {}
        self.batch = batch
        self._seeds = Seeds(b"s" * 32)
        self.time = 1_700_000_000_000_000

    def create(self, files: Mapping[str, str | bytes], *, play: bool = True) -> ActorId:
        """Make an actor with this core."""
        staging = Staging(self.reader)
        core = patch_tree(staging, build_tree(staging, {}), _staged(staging, files))
        self._accept(str(core), GENESIS, core, staging)
        if play:
            self.play()
        return ActorId(core)

    def send(
        self, actor: ActorId, type: str, content: Any = None, *, lane: str = QUEUE, sender: str = OWNER
    ) -> MessageId:
        """Accept a message with JSON content; `play` makes the steps."""
        staging = Staging(self.reader)
        return self._accept(str(actor), type, staging.put_blob(msgspec.json.encode(content)), staging, lane, sender)

    def ring(
        self,
        actor: ActorId,
        name: str,
        type: str,
        content: Any = None,
        *,
        sender: str = clock_of("test"),
        without: str | None = None,
        **ring: Any,
    ) -> MessageId:
        """Accept the clock's message for the timer of this name as it stands in the newest core."""
        staging = Staging(self.reader)
        file = self.reader.find(self.step(actor).core, f"timers/{name}")
        assert file is not None
        headers = ring_headers(Ring(name, file, **{"due": 1, **ring}))
        headers.pop(without or "", None)
        content = staging.put_blob(msgspec.json.encode(content))
        return self._accept(str(actor), type, content, staging, QUEUE, sender, headers)

    def tell(self, actor: ActorId, type: str, content: Any = None, **more: Any) -> StepId:
        """Send a message and make the steps; the actor's new head."""
        self.send(actor, type, content, **more)
        self.play()
        return self.head(actor)

    def update(self, actor: ActorId, files: Mapping[str, str | bytes | None], *, sender: str = OWNER) -> StepId:
        """Send a patch and make the steps; the actor's new head."""
        staging = Staging(self.reader)
        patch = staging.put(patch_block(_staged(staging, files)))
        self._accept(str(actor), UPDATE, patch, staging, UPDATE, sender)
        self.play()
        return self.head(actor)

    def retry(self, actor: ActorId, order: Id | str, *, sender: str = OWNER) -> StepId:
        """Order to retry a step, and make the steps; the actor's new head."""
        staging = Staging(self.reader)
        self._accept(str(actor), "retry", staging.put_blob(str(order).encode()), staging, UPDATE, sender)
        self.play()
        return self.head(actor)

    def play(self) -> None:
        """Make steps until nobody has anything to do."""
        while any([self._play(actor) for actor in self._waiting_actors()]):
            pass

    def head(self, actor: ActorId) -> StepId:
        """The actor's head."""
        value = self.backend.ref(head_ref(actor))
        assert value is not None
        return StepId(Id(value))

    def target(self, actor: ActorId) -> Target:
        """What to verify."""
        return Target(actor, self.head(actor))

    def step(self, actor: ActorId) -> Step:
        """The actor's newest step."""
        return self.reader.step(self.head(actor))

    def forge(self, actor: ActorId, *, staging: Staging | None = None, **changes: Any) -> StepId:
        """Put another step in the place of the newest one, with the index and the head as if it had always been so."""
        block = step_block(msgspec.structs.replace(self.step(actor), **changes))
        return self._put_head(actor, StepId(block.id), [block, *(staging.new.values() if staging else ())])

    def play_these(self, actor: ActorId, messages: list[MessageId]) -> StepId:
        """Make a step out of these messages, whatever the order of their lanes says."""
        at = load_actor(self.reader, actor, self.head(actor))
        sealed = self._make(at, [Delivery(id, self.reader.message(id)) for id in messages])
        return self._put_head(actor, sealed.id, list(sealed.unit.blocks), height=sealed.step.height)

    def flip(self, id: bytes) -> None:
        """Flip one bit of a stored block."""
        assert isinstance(self.backend, MemoryBackend)
        data = bytearray(self.backend._blocks[bytes(id)])
        data[len(data) // 2] ^= 1
        self.backend._blocks[bytes(id)] = bytes(data)

    def lose(self, id: bytes) -> None:
        """Drop a stored block."""
        assert isinstance(self.backend, MemoryBackend)
        del self.backend._blocks[bytes(id)]

    def _put_head(self, actor: ActorId, id: StepId, blocks: list[Any], height: int | None = None) -> StepId:
        rows = [Row(height_row(actor, self.step(actor).height if height is None else height), id)]
        unit = Unit(blocks=blocks, moves=[Move(head_ref(actor), self.head(actor), id)], rows=rows)
        self._commit(unit)
        return id

    def _commit(self, unit: Unit) -> None:
        # Not in the assert itself: with -O there would be no commit, and `play` would never end.
        [receipt] = self.backend.commit([unit])
        assert receipt.conflict is None

    def _accept(
        self,
        to: str,
        type: str,
        content: Id,
        staging: Staging,
        lane: str = QUEUE,
        sender: str = OWNER,
        headers: Mapping[str, str] | None = None,
    ) -> MessageId:
        row = self.backend.row(outside_row(sender, mailbox_key(to, lane)))
        delivery, unit = accept(
            to=to,
            sender=sender,
            type=type,
            content=content,
            blocks=list(staging.new.values()),
            last=None if row is None else read_cursor_value(row),
            lane=lane,
            headers=headers,
        )
        self.backend.commit([unit])
        return delivery.id

    def _waiting_actors(self) -> list[ActorId]:
        rows = self.backend.rows(b"i")
        return list({actor_of(self.reader.message(value).to): None for _, value in rows})

    def _play(self, id: ActorId) -> bool:
        head = self.backend.ref(head_ref(id))
        actor = load_actor(self.reader, id, None if head is None else StepId(Id(head)))
        waiting = Waiting()
        for row, value in self.backend.rows(waiting_of(id)):
            for delivery in unpack_row(self.reader, row, MessageId(Id(value)), after=0):
                key = sender_key(delivery.message)
                cursor = waiting.tails.get(key) or mailbox_get(self.reader, actor.inbox, key)
                if judge(delivery.id, delivery.message, cursor) is Judgement.NEXT:
                    waiting.add(delivery)
        taken = waiting.take(born=head is not None, limit=self.batch)
        if not taken:
            return False
        sealed = self._make(actor, taken)
        self._commit(sealed.unit)
        return True

    def _make(self, actor: Actor, taken: list[Delivery], *, cut: Outcome | None = None) -> Sealed:
        self.time += 1000
        plan = prepare(
            actor,
            taken,
            time=self.time,
            seed=self._seeds.seed(actor.head, taken),
            staging=Staging(self.reader),
            calls=LiveCalls(self.capabilities, actor, taken, AtOnce()),
            engines=self.engines,
            owner=lambda: OWNER,
            cut=cut,
        )
        result = self._run(plan)
        return seal(plan, exhausted(result) if result.retry is not None else result, known=self._known)

    def _run(self, plan: Plan) -> StepResult:
        if plan.program is None:
            assert plan.result is not None
            return plan.result
        result = plan.program.run(plan.given)
        if isinstance(result, StepResult):
            return result

        async def wait() -> StepResult:
            return await result

        return asyncio.run(wait())

    def _known(self, _: int, draft: Outgoing) -> bool:
        return self.backend.ref(head_ref(actor_of(draft.to))) is not None


def _staged(staging: Staging, files: Mapping[str, str | bytes | None]) -> dict[str, Id | None]:
    return {
        path: None if data is None else Id(staging.put_blob(data.encode() if isinstance(data, str) else data))
        for path, data in files.items()
    }


def chain(troupe: Troupe, actor: ActorId) -> list[Record]:
    """The records of an actor's history, the genesis first."""
    found: list[Record] = []
    at: StepId | None = troupe.head(actor)
    while at is not None:
        found.append(read_record(troupe.reader, at))
        at = found[-1].step.parent
    return found[::-1]
