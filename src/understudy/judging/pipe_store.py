"""A judge's or a performer's view of the store: what comes through its pipe.

The law: a judge trusts nothing of it. Each block is checked against its id once, when it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from understudy.judging.pipe import Pipe
from understudy.judging.wire import Blocks, GetBefore, GetBlocks, GetRef, GetSteps, ToJudge, ToPerformer, Value, Values
from understudy.objects.ids import ActorId, Id, StepId, TreeId, is_id, matches
from understudy.store.errors import Corrupt
from understudy.store.keys import head_ref, name_ref
from understudy.store.port import Backend
from understudy.store.recent import Remembered
from understudy.store.verified import Grit

MAX_FETCH: Final = 512  # blocks asked for at once: at 2 MiB each the most is a gigabyte, as a rule it is some 200 KB
MAX_HELD: Final = 32 * 1024 * 1024  # bytes of blocks that came and may be asked for again, as they are
MAX_NODES: Final = 32 * 1024 * 1024  # bytes of decoded nodes that are kept
MAX_REMEMBERED: Final = 200_000  # ids that were fetched; their blocks are in the cache of the door


class PipeStore:
    """Asks the process that started this one. `missing` collects the blocks that were needed and not there."""

    def __init__(self, pipe: Pipe[ToJudge] | Pipe[ToPerformer]) -> None:
        self.missing: set[bytes] = set()
        self._pipe = pipe
        self._held: dict[bytes, bytes] = {}
        self._size = 0
        self._fetched: set[bytes] = set()

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        """The blocks with these ids, as a backend gives them; None for what is no id. Raises Corrupt for one that could not be read."""
        found: dict[bytes, bytes | None] = {}
        # Code asks for any bytes. No store has what no block hashes to, and the other side takes such a question for nonsense.
        wanted = [id for id in ids if id not in self._held and is_id(id)]
        for start in range(0, len(wanted), MAX_FETCH):
            part = wanted[start : start + MAX_FETCH]
            reply = self._ask(part)
            for number, text in reply.damaged.items():
                raise Corrupt(text, Id(part[number]))
            found.update(zip(part, reply.data, strict=True))
        self.missing.update(id for id, data in found.items() if data is None)
        return [self._held[id] if id in self._held else found.get(id) for id in ids]

    def fetch(self, ids: Iterable[bytes]) -> None:
        """Get blocks before they are needed; those that are not there or can't be read are left out."""
        wanted = [id for id in dict.fromkeys(ids) if id not in self._fetched]
        if len(self._fetched) > MAX_REMEMBERED:
            self._fetched.clear()
        for start in range(0, len(wanted), MAX_FETCH):
            part = wanted[start : start + MAX_FETCH]
            self._fetched.update(part)
            for id, data in zip(part, self._ask(part).data, strict=True):
                # A damaged one is asked for again by who needs it, and named.
                if data is not None and matches(id, data):
                    self._hold(id, data)

    def held(self, id: bytes) -> bytes | None:
        """A block that is here and was checked."""
        return self._held.get(id)

    def hold(self, blocks: Mapping[bytes, bytes]) -> None:
        """Take blocks that came without having been asked for, from a judge that checked them."""
        for id, data in blocks.items():
            self._hold(id, data)

    def head(self, actor: ActorId) -> StepId | None:
        """The head that the store has for an actor."""
        value = self._ref(head_ref(actor))
        return None if value is None else StepId(Id(value))

    def named(self, name: str) -> ActorId | None:
        """The actor that has a name in the store."""
        value = self._ref(name_ref(name))
        return None if value is None else ActorId(TreeId(Id(value)))

    def steps(self, actor: ActorId, *, low: int, high: int) -> list[StepId]:
        """What the store's index says are the steps at these heights, as far as it has them."""
        return self._steps(GetSteps(actor=actor, low=low, high=high))

    def before(self, step: StepId) -> list[StepId]:
        """What the feed of the store's node says are steps of other actors before a step, the newest first."""
        return self._steps(GetBefore(step))

    def _steps(self, question: GetSteps | GetBefore) -> list[StepId]:
        self._pipe.send(question)
        reply = self._pipe.receive()
        assert isinstance(reply, Values)
        return [StepId(Id(value)) for value in reply.values]

    def _ref(self, ref: bytes) -> bytes | None:
        self._pipe.send(GetRef(ref))
        reply = self._pipe.receive()
        assert isinstance(reply, Value)
        return reply.value

    def _hold(self, id: bytes, data: bytes) -> None:
        if self._size > MAX_HELD:
            self._held.clear()
            self._size = 0
        self._held[id] = data
        self._size += len(data)

    def _ask(self, ids: Sequence[bytes]) -> Blocks:
        self._pipe.send(GetBlocks(ids))
        reply = self._pipe.receive()
        assert isinstance(reply, Blocks)
        return reply


class PipeReader(Grit):
    """The door of a process at a pipe: what was checked when it came is not checked again."""

    def __init__(self, store: PipeStore) -> None:
        # The door asks a backend for blocks only, and those are all that a pipe has.
        super().__init__(cast(Backend, store), cache=Remembered(MAX_NODES))
        self._store = store

    def block(self, id: bytes) -> bytes:
        held = self._store.held(id)
        return super().block(id) if held is None else held

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        found = [self._store.held(id) for id in ids]
        if None not in found:
            return found
        others = iter(super().blocks([id for id, data in zip(ids, found, strict=True) if data is None]))
        return [next(others) if data is None else data for data in found]
