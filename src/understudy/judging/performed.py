"""A judge's stage: the Python code of histories, run by performers.

The laws: no code of a wit runs in this process; a performer runs one version of one history's code and is thrown away,
so what it spoils is its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import msgspec

from understudy.actors.contract import Engine, Program, StepInput, StepResult
from understudy.actors.errors import WitError
from understudy.actors.query import Error, QueryInput, Result, read_result
from understudy.engines.python.engine import ABI, PythonEngine
from understudy.judging.no_calls import NoCalls
from understudy.judging.nursery import Nursery
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.wire import (
    FRESH,
    KEPT,
    WATCHED,
    Answered,
    Blocks,
    Broken,
    FromPerformer,
    GetBlocks,
    GetStaged,
    HungUp,
    LoadedQuery,
    LoadQuery,
    Noted,
    Pipe,
    Ran,
    Refused,
    Run,
    RunQuery,
    Setup,
    Staged,
    ToPerformer,
    Unreadable,
)
from understudy.kernel.verify import DIED, WORLD
from understudy.objects import ids
from understudy.objects.codec import decode
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.objects.journal import journal_block, read_journal
from understudy.store.errors import Corrupt, Missing, StoreError
from understudy.store.reader import Reader, Staging
from understudy.store.verified import checked_block

MAX_AHEAD: Final = 64 * 1024  # bytes of a block that is sent before it was asked for


class PerformerLost(Exception):
    """The process that ran the code is gone, or what it says decides nothing; the text says how, `cause` is a verdict's."""

    def __init__(self, text: str, *, cause: str = DIED) -> None:
        super().__init__(text)
        self.cause = cause


def shut_reason(tried: Sequence[str]) -> str:
    """Why a step that reached for the world can't be judged, and what its author can do."""
    return (
        f"{'; '.join(tried)}: a replay's world is shut, so the code did not get there, and what it got when the step "
        "was made is not in the chain. Have the sender put what is needed into the message, or ask through `ctx`"
    )


class PerformedStage:
    """The stage of a judge. `modules` are those that register wits when they are imported."""

    def __init__(self, nursery: Nursery, setup: Setup) -> None:
        self._nursery = nursery
        self._setup = setup
        # Says which code a core names, and runs none of it.
        self._versions = PythonEngine()
        self._key: Hashable = None
        self._pipe: Pipe[FromPerformer] | None = None
        self._sent: set[bytes] = set()
        self._noted: Sequence[Noted] = ()
        self._kept = 0

    def begin(self) -> None:
        """See Stage."""
        self._drop()

    def fresh(self) -> Engine:
        """See Stage."""
        return _Engine(self, FRESH)

    def watched(self) -> Engine:
        """See Stage."""
        return _Engine(self, WATCHED)

    def kept(self) -> Engine:
        """See Stage."""
        self._kept += 1
        return _Engine(self, KEPT, key=(KEPT, self._kept))

    def noted(self) -> Sequence[Noted]:
        """See Stage."""
        return self._noted

    def version(self, core: TreeId, entry: str, store: Reader) -> Hashable:
        """What stands for the code that an entry of a core names. Raises WitError, StoreError."""
        return self._versions.version(core, entry, store)

    def load_query(self, core: TreeId, store: Reader) -> bool:
        """Have a performer load a core's queries; True if their code is not in the core. Raises as `load` does."""
        self.turn_to(("query", core))
        said = self._ask(LoadQuery(core), store)
        if isinstance(said, Refused):
            raise WitError(said.code, said.text)
        if not isinstance(said, LoadedQuery):
            raise self._lose(f"answered {type(said).__name__}")
        return said.external

    def run_query(self, asked: RunQuery, calls: NoCalls, store: Reader) -> Result:
        """Have it answer a query. Raises WitError, StoreError, PerformerLost."""
        said = self._ask(asked, store)
        if not isinstance(said, Answered | Refused):
            raise self._lose(f"answered {type(said).__name__}")
        calls.asked = said.asked
        if said.tried:
            raise PerformerLost(shut_reason(said.tried), cause=WORLD)
        if isinstance(said, Refused):
            raise WitError(said.code, said.text)
        try:
            if said.reply is not None:
                return read_result(said.reply)
            assert said.error is not None
            return Error(said.error.code, said.error.text)
        except (ObjectError, TypeError) as error:
            raise self._lose(str(error)) from error

    def run(self, asked: Run, calls: ReplayCalls, store: Reader) -> StepResult:
        """Have the performer run something. Raises WitError where it can't be loaded, StoreError, PerformerLost."""
        said = self._ask(asked, store)
        if isinstance(said, Ran | Refused):
            calls.tried = said.tried
        if isinstance(said, Refused):
            raise WitError(said.code, said.text)
        if not isinstance(said, Ran):
            raise self._lose(f"answered {type(said).__name__}")
        try:
            entries = () if said.journal is None else read_journal(decode(said.journal))
        except ObjectError as error:
            raise self._lose(str(error)) from error
        calls.take(entries, said.asked, said.requests, stuck=said.stuck, raced=said.raced)
        self._noted = said.noted
        return said.result

    def staged(self, into: Staging) -> None:
        """Get what the code staged in its last run, checked. Raises PerformerLost."""
        if self._pipe is None:
            return
        said = self._ask(GetStaged(), into)
        if not isinstance(said, Staged):
            raise self._lose(f"answered {type(said).__name__}")
        try:
            for id, data in said.blocks.items():
                into.put(checked_block(id, data))
        except (StoreError, ObjectError) as error:
            raise self._lose(str(error)) from error

    def turn_to(self, key: Hashable) -> None:
        """Have a performer that ran no other code than what this stands for. Raises PerformerLost."""
        if key != self._key or self._pipe is None:
            self._drop()
            self._key = key
            self._pipe = self._make()

    def ahead(self, given: StepInput) -> dict[bytes, bytes]:
        """The blocks that the code will need as a rule, as far as the performer did not get them yet."""
        wanted = [id for id in dict.fromkeys(_needed(given)) if id not in self._sent]
        self._sent.update(wanted)
        try:
            blocks = given.store.blocks(wanted)
        except (StoreError, ObjectError):
            # What the code needs of them it will ask for, and then the trouble has its place.
            return {}
        return {
            bytes(id): data
            for id, data in zip(wanted, blocks, strict=True)
            if data is not None and len(data) <= MAX_AHEAD
        }

    def _make(self) -> Pipe[FromPerformer]:
        self._sent.clear()
        try:
            pipe = self._nursery.make()
            pipe.send(self._setup)
        except OSError as error:
            raise PerformerLost("the process that starts others for a replay is gone") from error
        return pipe

    def _ask(self, message: Run | LoadQuery | RunQuery | GetStaged, store: Reader) -> FromPerformer:
        """Send something and wait for what it is answered; meanwhile answer what is asked."""
        pipe = self._pipe
        assert pipe is not None
        unread: StoreError | ObjectError | None = None
        try:
            pipe.send(message)
            while isinstance(said := pipe.receive(), GetBlocks):
                blocks: ToPerformer
                try:
                    blocks = Blocks(store.blocks([ids.from_bytes(id) for id in said.ids]))
                except (StoreError, ObjectError) as error:
                    unread = unread or error
                    blocks = Blocks([None] * len(said.ids), dict.fromkeys(range(len(said.ids)), str(error)))
                pipe.send(blocks)
        except HungUp as error:
            raise self._lose("ended") from error
        except msgspec.DecodeError as error:
            raise self._lose(f"talks nonsense: {error}") from error
        if unread is not None:
            raise unread
        if isinstance(said, Unreadable):
            raise _unreadable(said)
        if isinstance(said, Broken):
            raise self._lose(f"failed: {said.text}")
        return said

    def _lose(self, how: str) -> PerformerLost:
        self._close()
        try:
            code = self._nursery.wait() if how == "ended" else self._nursery.end()
        except OSError:
            code = None
        return PerformerLost(f"the process that replayed the step {how}{'' if code is None else f' with code {code}'}")

    def _drop(self) -> None:
        self._close()
        try:
            self._nursery.end()
        except OSError as error:
            raise PerformerLost("the process that starts others for a replay is gone") from error

    def _close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


class PerformedQuery:
    """The queries of one core, which a performer answers."""

    def __init__(self, stage: PerformedStage, *, is_external: bool) -> None:
        """`is_external`: the code is not in the core."""
        self.is_external = is_external
        self._stage = stage

    def run(self, given: QueryInput) -> Result:
        """Run one query, whose `calls` must be `NoCalls`. Raises WitError, StoreError, PerformerLost."""
        calls, context = given.calls, given.context
        assert isinstance(calls, NoCalls)
        asked = RunQuery(step=given.step_id, name=given.name, context=context.data, media_type=context.media_type)
        return self._stage.run_query(asked, calls, given.store)


class _Engine:
    def __init__(self, stage: PerformedStage, way: str, key: Hashable = None) -> None:
        self._stage = stage
        self._way = way
        self._key = key

    @property
    def name(self) -> str:
        return "python"

    def load(self, core: TreeId, entry: str, store: Reader) -> Program:
        # Asked for in any way, so that a core that names no code has the same error everywhere.
        version = self._stage.version(core, entry, store)
        return _Program(self._stage, entry, self._way, self._key or version)

    def load_query(self, core: TreeId, store: Reader) -> PerformedQuery:
        return PerformedQuery(self._stage, is_external=self._stage.load_query(core, store))

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> Program | None:
        return None


class _Program:
    """Code that is loaded where it runs, and only then: one way there and back for both."""

    def __init__(self, stage: PerformedStage, entry: str, way: str, key: Hashable) -> None:
        self._stage = stage
        self._entry = entry
        self._way = way
        self._key = key

    @property
    def engine(self) -> str:
        return ABI

    def run(self, given: StepInput) -> StepResult:
        calls = given.calls
        assert isinstance(calls, ReplayCalls)
        self._stage.turn_to(self._key)
        asked = Run(
            entry=self._entry,
            way=self._way,
            actor=given.actor,
            parent=given.parent,
            height=given.height,
            time=given.time,
            seed=given.seed,
            core=given.core,
            consumed=[delivery.id for delivery in given.messages],
            journal=journal_block(calls.answers).data if calls.answers else None,
            exhausted=calls.exhausted,
            timers_first=calls.timers_first,
            abi=given.abi,
            ahead=self._stage.ahead(given),
        )
        return self._stage.run(asked, calls, given.store)


def _needed(given: StepInput) -> Iterator[Id]:
    if given.parent is not None:
        yield given.parent
    for delivery in given.messages:
        yield delivery.id
        yield delivery.message.content
    yield given.core
    tree = given.store.node(given.core).get("tree", {})
    yield from (ids.from_bytes(id) for id in tree.values() if ids.is_raw(id))


def _unreadable(said: Unreadable) -> StoreError:
    try:
        id = ids.from_bytes(said.id)
    except ObjectError:
        return Corrupt(said.text)
    return Missing(id) if said.missing else Corrupt(said.text, id)
