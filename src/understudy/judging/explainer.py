"""The explainer: why the code of a step gives something else than what is recorded. It changes no verdict's word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from understudy.engines.python.engine import NAME as PYTHON
from understudy.judging.clues import ADDRESS
from understudy.judging.fork_server import HASH_SEED
from understudy.judging.neighbours import Neighbours, Say
from understudy.judging.replays import Engines, Owner, Replay, Replays
from understudy.judging.stage import Stage
from understudy.judging.wire import Noted
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verdict import CLOCK, GLOBAL, HASH, THREADS, WORLD, Problem
from understudy.objects.wording import counted
from understudy.store.reader import Reader

OTHER_SEEDS: Final = (1, 2, 3)  # of hashes: three items of a set stand alike in one of six
_ADDRESS: Final = re.compile(r"<\S[^\n]{0,200}? at 0x[0-9a-f]+(?=>)")
MAX_KEPT_STEPS: Final = 1024  # how far back is looked for a global that shows in a step


class Explainer:
    """Runs the step in other ways: beside a witness, in one namespace with those before it, in one process with others'."""

    def __init__(self, reader: Reader, stage: Stage, replays: Replays, others: Engines, neighbours: Neighbours) -> None:
        """`others` are engines beside Python."""
        self._reader = reader
        self._stage = stage
        self._replays = replays
        self._others = others
        self._neighbours = neighbours

    def explain(self, record: Record, owner: Owner, problem: Problem, replay: Replay, say: Say) -> Problem:
        """The problem with its cause, as far as one is found. `replay` is that of the step alone.

        `say` is called before each step that is made again.
        """
        self._replays.make(record, owner, {**self._others, PYTHON: self._stage.watched()})
        noted = self._stage.noted()
        sure = [one for one in noted if one.sure]
        guesses = [one for one in noted if not one.sure]
        hashing = [one.text for one in noted if one.cause == HASH]
        return (
            _by(problem, sure, CLOCK)
            or self._as_global(record, owner, problem, guesses)
            or (self._as_hash(record, owner, problem, hashing, replay) if hashing else None)
            or _by(problem, sure, WORLD)
            or self._as_neighbours(record, problem, say)
            or _by(problem, guesses, CLOCK)
            or _as_threads(problem, replay.calls.threads)
            or _as_address(problem, [one.text for one in guesses if one.cause == ADDRESS])
            or _by(problem, guesses, GLOBAL, "; whoever has the same code in the same process shares that")
            or _by(problem, guesses, WORLD)
            or (None if hashing else self._as_hash(record, owner, problem, (), replay))
            or _unexplained(problem)
        )

    def _as_neighbours(self, record: Record, problem: Problem, say: Say) -> Problem | None:
        """The problem, if it is the work of other code in the process that made the step. Guesses come after it."""
        found = self._neighbours.blame(record, say)
        return None if found is None else msgspec.structs.replace(problem, cause=GLOBAL, reason=found)

    def _as_global(self, record: Record, owner: Owner, problem: Problem, guesses: Sequence[Noted]) -> Problem | None:
        kept = self._kept_steps(record, owner)
        if kept is None:
            return None
        changed = "".join(f"; {one.text}" for one in guesses if one.cause == GLOBAL)
        reason = (
            f"the code keeps something between steps outside its core: in one namespace with the {kept} "
            f"before it, the step comes out as recorded{changed}"
        )
        return msgspec.structs.replace(problem, cause=GLOBAL, reason=reason)

    def _as_hash(
        self, record: Record, owner: Owner, problem: Problem, places: Sequence[str], replay: Replay
    ) -> Problem | None:
        """Whether the step comes out otherwise where hashes are others. It takes a process each."""
        if not self._comes_out_so(record, owner, replay, seed=HASH_SEED):
            # Not with the same hashes either. The order of a set of objects depends on where they are in memory.
            return _as_process(problem, places)
        for seed in OTHER_SEEDS:
            if not self._comes_out_so(record, owner, replay, seed=seed):
                where = "; ".join(places) or "no line of the author's makes one, so it is in what it calls"
                reason = (
                    f"what comes out depends on the order of a set or on hash(), which no two processes share: {where}"
                )
                return msgspec.structs.replace(problem, cause=HASH, reason=reason)
        return None

    def _comes_out_so(self, record: Record, owner: Owner, replay: Replay, *, seed: int) -> bool:
        again = self._replays.make(record, owner, {**self._others, PYTHON: self._stage.hashing(seed)})
        return again.sealed.id == replay.sealed.id

    def _kept_steps(self, record: Record, owner: Owner) -> str | None:
        """After how many steps in one namespace the step comes out as recorded; None if it never does."""
        earlier: list[Record] = []
        source = self._earlier(record)
        count = 1
        while count <= MAX_KEPT_STEPS:
            for one in source:
                earlier.append(one)
                if len(earlier) == count:
                    break
            if not earlier or len(earlier) <= count // 2:
                return None
            if self._comes_out([*reversed(earlier), record], owner):
                return counted(len(earlier), "step")
            count *= 2
        return None

    def _comes_out(self, records: Sequence[Record], owner: Owner) -> bool:
        kept: Engines = {**self._others, PYTHON: self._stage.kept()}
        replay = None
        for record in records:
            replay = self._replays.make(record, owner, kept)
        return replay is not None and replay.sealed.id == records[-1].id and replay.calls.problem is None

    def _earlier(self, record: Record) -> Iterator[Record]:
        while record.step.parent is not None:
            record = read_record(self._reader, record.step.parent)
            yield record


def _as_process(problem: Problem, places: Sequence[str]) -> Problem:
    if places:
        reason = f"what comes out depends on the order of a set or on hash(), by where objects are in memory: {'; '.join(places)}"
        return msgspec.structs.replace(problem, cause=HASH, reason=reason)
    reason = (
        "what comes out is another in each process, and no line of the author's asks for it by a function: an address in memory, "
        "what the process was started with (sys.argv, sys.flags), or what it holds (gc, sys.modules)"
    )
    return msgspec.structs.replace(problem, cause=WORLD, reason=reason)


def _by(problem: Problem, noted: Sequence[Noted], cause: str, more: str = "") -> Problem | None:
    found = [one.text for one in noted if one.cause == cause]
    return msgspec.structs.replace(problem, cause=cause, reason="; ".join(found) + more) if found else None


def _unexplained(problem: Problem) -> Problem:
    """Nothing was found. Who changed what, no history can tell: the author of this one is not accused."""
    reason = (
        f"{problem.reason}, and nothing in this history explains it: the record was changed, or other code in the process "
        "that made the step changed something that both use, such as a function of a library"
    )
    return msgspec.structs.replace(problem, reason=reason)


def _as_threads(problem: Problem, places: Sequence[str]) -> Problem | None:
    if not places:
        return None
    reason = f"{'; '.join(places)}: when threads go on is in no record, and the step may depend on it"
    return msgspec.structs.replace(problem, cause=THREADS, reason=reason)


def _as_address(problem: Problem, places: Sequence[str]) -> Problem | None:
    """If the two values differ only in addresses of the machine's memory."""
    recorded, replayed = str(problem.recorded), str(problem.replayed)
    if recorded == replayed or _ADDRESS.sub("", recorded) != _ADDRESS.sub("", replayed):
        return None
    found = _ADDRESS.search(recorded)
    reason = (
        f"the address of an object in memory is in what comes out ({found[0] if found else 'at 0x…'}), as its repr() shows "
        f"it{''.join(f'; {place}' for place in places)}: give its class a __repr__, or store what is meant"
    )
    return msgspec.structs.replace(problem, cause=CLOCK, reason=reason)
