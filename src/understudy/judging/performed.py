"""A judge's stage: the Python code of histories, run by performers.

The laws: no code of a wit runs in this process; a performer runs one version of one history's code and is thrown away,
so what it spoils is its own. Where several actors' steps run in one, to learn what one did to another, that gives no verdict.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from typing import Final

from understudy.actors.contract import Engine, Program, StepInput, StepResult
from understudy.actors.errors import WitError
from understudy.actors.query import Error, QueryInput, Result, read_result
from understudy.engines.python.engine import ABI, PythonEngine
from understudy.judging.fork_server import FORKED, Performers
from understudy.judging.no_calls import NoCalls
from understudy.judging.performer_process import PerformerLost, PerformerProcess, unreadable
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.stage import Work
from understudy.judging.wire import (
    FRESH,
    KEPT,
    MINGLED,
    WATCHED,
    Answered,
    GetStaged,
    LoadedQuery,
    LoadQuery,
    Noted,
    Ran,
    Rans,
    Refused,
    Run,
    RunQuery,
    Runs,
    Setup,
    Staged,
    Unreadable,
)
from understudy.kernel.verdict import WORLD
from understudy.objects import ids
from understudy.objects.codec import decode
from understudy.objects.errors import ObjectError
from understudy.objects.ids import TreeId
from understudy.objects.journal import journal_block, read_journal
from understudy.store.errors import StoreError
from understudy.store.reader import Reader, Staging
from understudy.store.verified import checked_block

MAX_AHEAD: Final = 64 * 1024  # bytes of a block that is sent before it was asked for
MAX_ALL_AHEAD: Final = 16 * 1024 * 1024  # bytes of such blocks in one message: half of what a performer holds


class _Hashing(int):
    """A hash seed that is not ours."""


def shut_reason(tried: Sequence[str]) -> str:
    """Why a step that reached for the world can't be judged, and what its author can do."""
    return (
        f"{'; '.join(tried)}: a replay's world is shut, so the code did not get there, and what it got when the step "
        "was made is not in the chain. Have the sender put what is needed into the message, or ask through `ctx`"
    )


def refused_reason(refused: Sequence[str]) -> str:
    """The same of what only the system saw."""
    return (
        f"the system kept the code from this: {'; '.join(refused)}. Python did not show it: the code went around its "
        "hooks, or a library that is not Python did it. A replay's world is shut, and what came of it when the step was "
        "made is not in the chain"
    )


class PerformedStage:
    """The stage of a judge. `modules` are those that register wits when they are imported."""

    def __init__(self, performers: Performers, setup: Setup) -> None:
        self._performer = PerformerProcess(performers, setup)
        # Says which code a core names, and runs none of it.
        self._versions = PythonEngine()
        self._history: Hashable = None
        self._lost: Exception | None = None
        self._noted: Sequence[Noted] = ()
        self._kept = 0

    def begin(self, history: Hashable = None) -> None:
        """See Stage."""
        if history is None or history != self._history:
            self._performer.drop()
        self._history = history

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

    def mingled(self, spot: Sequence[str] = ()) -> Engine:
        """See Stage."""
        self._kept += 1
        return _Engine(self, MINGLED, key=(KEPT, self._kept), spot=spot)

    def noted(self) -> Sequence[Noted]:
        """See Stage."""
        return self._noted

    def version(self, core: TreeId, entry: str, store: Reader) -> Hashable:
        """What stands for the code that an entry of a core names. Raises WitError, StoreError."""
        return self._versions.version(core, entry, store)

    def load_query(self, core: TreeId, store: Reader) -> bool:
        """Have a performer load a core's queries; True if their code is not in the core. Raises as `load` does."""
        self._performer.turn_to(("query", core))
        said = self._performer.ask(LoadQuery(core), store)
        if isinstance(said, Refused):
            raise WitError(said.code, said.text)
        if not isinstance(said, LoadedQuery):
            raise self._performer.lose(f"answered {type(said).__name__}")
        return said.external

    def run_query(self, asked: RunQuery, calls: NoCalls, store: Reader) -> Result:
        """Have it answer a query. Raises WitError, StoreError, PerformerLost."""
        said = self._performer.ask(asked, store)
        if not isinstance(said, Answered | Refused):
            raise self._performer.lose(f"answered {type(said).__name__}")
        calls.asked = said.asked
        if said.tried:
            raise PerformerLost(shut_reason(said.tried), cause=WORLD)
        if self._performer.refused:
            raise PerformerLost(refused_reason(self._performer.refused), cause=WORLD)
        if isinstance(said, Refused):
            raise WitError(said.code, said.text)
        try:
            if said.reply is not None:
                return read_result(said.reply)
            assert said.error is not None
            return Error(said.error.code, said.error.text)
        except (ObjectError, TypeError) as error:
            raise self._performer.lose(str(error)) from error

    def screening(self) -> Engine:
        """See Stage."""
        return _Engine(self, KEPT)

    def hashing(self, seed: int) -> Engine:
        """See Stage."""
        return _Engine(self, FRESH, key=_Hashing(seed))

    def perform_all(self, works: Sequence[Work]) -> Iterator[StepResult | Exception]:
        """See Stage."""
        groups = [list(group) for _, group in groupby(works, lambda work: _performed(work).key)]
        if groups:
            self._start(groups[0])
        return self._finish(groups)

    def run(self, work: Work) -> StepResult:
        """Have a performer run something. Raises WitError where it can't be loaded, StoreError, PerformerLost."""
        self._start([work])
        [found] = self._finish([[work]])
        if isinstance(found, Exception):
            raise found
        return found

    def _start(self, works: Sequence[Work]) -> None:
        """Send what shares a performer."""
        self._lost = None
        try:
            key = _performed(works[0]).key
            self._performer.turn_to(key, hash_seed=key if isinstance(key, _Hashing) else FORKED)
            ahead: dict[bytes, bytes] = {}
            left = MAX_ALL_AHEAD
            for work in works:
                if left > 0:
                    new = self._ahead(work.given)
                    left -= sum(map(len, new.values()))
                    ahead.update(new)
            self._performer.send(Runs([_performed(work).asked(work.given, work.after) for work in works], ahead))
        except PerformerLost as lost:
            self._lost = lost

    def _finish(self, groups: Sequence[Sequence[Work]]) -> Iterator[StepResult | Exception]:
        for number, works in enumerate(groups):
            if number:
                self._start(works)
            said: deque[Ran | Refused | Unreadable] = deque()
            refused: Sequence[str] = ()
            for work in works:
                try:
                    if not said and self._lost is None:
                        said.extend(self._next(work.given.store, most=len(works)))
                        # By which of them can't be told: each is judged alone then.
                        refused = self._performer.refused
                except (PerformerLost, StoreError, ObjectError) as error:
                    self._lost = error
                calls_of(work).refused = refused
                yield self._result(work, said.popleft()) if said else self._lost or PerformerLost("nothing came out")

    def _next(self, store: Reader, *, most: int) -> Sequence[Ran | Refused | Unreadable]:
        """What came out of the next runs, at least one."""
        said = self._performer.hear(store)
        if not isinstance(said, Rans) or not 0 < len(said.found) <= most:
            raise self._performer.lose(f"answered {type(said).__name__}")
        return said.found

    def _result(self, work: Work, said: Ran | Refused | Unreadable) -> StepResult | Exception:
        calls = calls_of(work)
        if isinstance(said, Unreadable):
            return unreadable(said)
        calls.tried = said.tried
        if isinstance(said, Refused):
            return WitError(said.code, said.text)
        try:
            entries = () if said.journal is None else read_journal(decode(said.journal))
        except ObjectError as error:
            return PerformerLost(f"the process that replayed the step talks nonsense: {error}")
        calls.take(entries, said.asked, said.requests, stuck=said.stuck, raced=said.raced)
        calls.threads, calls.outlive, calls.peeked = said.threads, said.outlive, said.peeked
        self._noted = said.noted
        return said.result

    def staged(self, into: Staging) -> None:
        """Get what the code staged in its last run, checked. Raises PerformerLost."""
        if not self._performer.lives:
            return
        said = self._performer.ask(GetStaged(), into)
        if not isinstance(said, Staged):
            raise self._performer.lose(f"answered {type(said).__name__}")
        try:
            for id, data in said.blocks.items():
                into.put(checked_block(id, data))
        except (StoreError, ObjectError) as error:
            raise self._performer.lose(str(error)) from error

    def _ahead(self, given: StepInput) -> dict[bytes, bytes]:
        """The blocks that the code will need as a rule, as far as the performer did not get them yet."""
        wanted = self._performer.take_unsent(_needed(given))
        try:
            blocks = given.store.blocks(wanted)
        except (StoreError, ObjectError):
            # What the code needs of them it will ask for, and then the trouble has its place.
            return {}
        return {
            id: data for id, data in zip(wanted, blocks, strict=True) if data is not None and len(data) <= MAX_AHEAD
        }


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
    def __init__(self, stage: PerformedStage, way: str, key: Hashable = None, spot: Sequence[str] = ()) -> None:
        self._stage = stage
        self._way = way
        self._key = key
        self._spot = spot

    @property
    def name(self) -> str:
        return "python"

    def load(self, core: TreeId, entry: str, store: Reader) -> Program:
        # Asked for in any way, so that a core that names no code has the same error everywhere.
        version = self._stage.version(core, entry, store)
        # Not beside a witness for the first time: it would see what Python's library does only once.
        key = (self._way == KEPT, version) if self._key is None else self._key
        return _Program(self._stage, entry, self._way, key, self._spot)

    def load_query(self, core: TreeId, store: Reader) -> PerformedQuery:
        return PerformedQuery(self._stage, is_external=self._stage.load_query(core, store))

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> Program | None:
        return None


class _Program:
    """Code that is loaded where it runs, and only then: one way there and back for both."""

    def __init__(self, stage: PerformedStage, entry: str, way: str, key: Hashable, spot: Sequence[str]) -> None:
        self.key = key
        self._spot = spot
        self._stage = stage
        self._entry = entry
        self._way = way

    @property
    def engine(self) -> str:
        return ABI

    def run(self, given: StepInput) -> StepResult:
        return self._stage.run(Work(self, given))

    def asked(self, given: StepInput, after: TreeId | None = None) -> Run:
        calls = given.calls
        assert isinstance(calls, ReplayCalls)
        return Run(
            entry=self._entry,
            way=self._way,
            actor=given.actor,
            parent=given.parent,
            height=given.height,
            time=given.time,
            seed=given.seed,
            core=given.core,
            inbox=given.inbox,
            outbox=given.outbox,
            consumed=[(delivery.id, delivery.message) for delivery in given.messages],
            journal=journal_block(calls.answers).data if calls.answers else None,
            exhausted=calls.exhausted,
            timers_first=calls.timers_first,
            abi=given.abi,
            room=calls.room,
            keeps_room=calls.keeps_room,
            spot=self._spot,
            after=after,
        )


def calls_of(work: Work) -> ReplayCalls:
    """The calls of a replay."""
    calls = work.given.calls
    assert isinstance(calls, ReplayCalls)
    return calls


def _performed(work: Work) -> _Program:
    assert isinstance(work.program, _Program)
    return work.program


def _needed(given: StepInput) -> list[bytes]:
    """What code reads as a rule. The step before and the messages come with what it is given."""
    tree = given.store.node(given.core).get("tree", {})
    blobs = [id for id in tree.values() if ids.is_raw(id)]
    return [*(delivery.message.content for delivery in given.messages), given.core, *blobs]
