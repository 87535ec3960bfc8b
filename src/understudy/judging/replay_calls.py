"""Calls during a replay: answered from the journal, in its order of completion, and never by the world."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256

from understudy.actors.errors import CallFailed, CallNeedsWorld, Retry
from understudy.judging.virtual_loop import VirtualLoop
from understudy.objects.codec import Block
from understudy.objects.journal import MAX_ENTRIES, Entry
from understudy.store.reader import Reader

Asked = tuple[str, str | None, str]  # the path of a call, the digest that is recorded, and the one asked for


class ReplayCalls:
    """The calls of one replayed step.

    `answers` are the journal's entries of calls. `exhausted` is the recorded text of a step that ended because the
    world failed too often: then a call that has no entry is the one that the world failed. `problem` says what the code
    asked for and the journal does not hold: the path, the digest that is recorded, and the one asked for. `stuck` is set
    by who runs the step and has to give it up. Neither is ever told from the outcome: a wit may name its exceptions as it likes.

    `keeps_room`: the record says how deep the code could call. Older ones do not, so `room` is how many frames deeper than usual
    it may go.

    The journal does not say how answers and the wit's own timers were in turn. `timers_first` of them go off before each
    answer, and `raced` says whether that could make a difference.
    """

    def __init__(
        self,
        answers: Sequence[Entry],
        reader: Reader,
        *,
        exhausted: str | None = None,
        timers_first: int = 0,
        room: int = 0,
        keeps_room: bool = False,
    ) -> None:
        self.answers = answers
        self.exhausted = exhausted
        self.timers_first = timers_first
        self.room = room
        self.keeps_room = keeps_room
        self.raced = False
        self.entries: list[Entry] = []
        self.blocks: Sequence[Block] = ()
        self.unanswered: Exception | None = None
        self.requests: dict[str, bytes] = {}  # what the code asked, by the call's path
        self.problem: Asked | None = None
        self.stuck = False
        self.tried: Sequence[str] = ()  # what the code tried of the world
        self.refused: Sequence[str] = ()  # what only the system saw of that
        self.peeked: Sequence[str] = ()  # what it tried to read of the world while it was imported
        self.threads: Sequence[str] = ()  # where it started threads
        self.outlive: Sequence[str] = ()  # where it started those that went on after the step
        self._closed = False
        self._by_path = {entry.path: entry for entry in answers}
        self._reader = reader
        self._digests: dict[str, str] = {}
        self._started = 0
        self._completed = 0
        self._timers_left = timers_first
        self._asked: set[str] = set()  # with the request that is recorded
        self._taken: set[str] = set()  # those that a wit blocked for: out of turn
        self._waiting: dict[str, asyncio.Future[None]] = {}

    @property
    def is_alone(self) -> bool:
        """True if the code reached for nothing outside, as far as it was seen, and left nothing running."""
        return not (self.tried or self.refused or self.outlive)

    def close(self) -> None:
        """Take over the answers to calls that the wit made and did not wait for; what it leaves behind has no say any more.

        They came before it returned, or they would not be recorded; a replay answers only when all else waits.
        """
        self._closed = True
        self.entries[:] = [entry for entry in self.answers if entry.path in self._asked]

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The journal's answer. Raises CallFailed as recorded, and CallNeedsWorld for a call that has none."""
        path = self._start(capability, request)
        await self._turn(path)
        return self._answer(path)

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The same at once: while a wit waited for it, nothing else of its step went on."""
        path = self._start(capability, request)
        if path not in self._by_path:
            raise self._no_answer(path)
        self._taken.add(path)
        return self._answer(path)

    def take(
        self,
        entries: Sequence[Entry],
        problem: Asked | None,
        requests: Mapping[str, bytes],
        *,
        stuck: bool,
        raced: bool,
    ) -> None:
        """What became of the same calls in another process."""
        self.entries, self.problem, self.requests = list(entries), problem, dict(requests)
        self.stuck, self.raced = stuck, raced

    def complete_next(self, timer: bool) -> bool:
        """Let the next call of the journal go on, if it was made; False if it was not, or a timer comes before it."""
        while self._completed < len(self.answers) and self.answers[self._completed].path in self._taken:
            self._completed += 1
        if self._completed == len(self.answers):
            return False
        path = self.answers[self._completed].path
        if path not in self._waiting:
            return False
        self.raced = self.raced or timer
        if timer and self._timers_left:
            self._timers_left -= 1
            return False
        self._timers_left = self.timers_first
        waiting = self._waiting.pop(path)
        self._completed += 1
        if not waiting.done():
            waiting.set_result(None)
        return True

    def fail_one(self) -> bool:
        """Nothing else can happen: fail the first call that the journal has no answer for; False if there is none."""
        while self._waiting:
            path = next(iter(self._waiting))
            waiting = self._waiting.pop(path)
            if not waiting.done():
                waiting.set_exception(self._no_answer(path))
                return True
        return False

    def _start(self, capability: str, request: bytes) -> str:
        """The path of a new call; what it asks is what was recorded, if anything was."""
        path = f"{capability}/{self._started}"
        self._started += 1
        if self._started > MAX_ENTRIES:
            raise CallFailed("TooManyCalls", f"a step may make {MAX_ENTRIES:,} calls")
        digest = sha256(request).hexdigest()
        self._digests[path] = digest
        self.requests[path] = request
        entry = self._by_path.get(path)
        if entry is not None and entry.request != digest:
            self._note(path, entry.request, digest)
            self.unanswered = CallNeedsWorld(f"the call {path} asks for something else than was recorded")
            raise self.unanswered
        self._asked.add(path)
        return path

    def _answer(self, path: str) -> bytes:
        entry = self._by_path[path]
        self.entries.append(entry)
        if entry.error is not None:
            raise CallFailed(entry.error.code, entry.error.text, step=entry.step)
        assert entry.reply is not None
        return self._reader.blob(entry.reply)

    async def _turn(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            # A loop of the wit's own, which can't be told when it is this call's turn.
            if path not in self._by_path:
                raise self._no_answer(path)
            return
        waiting = self._waiting[path] = loop.create_future()
        await waiting

    def _no_answer(self, path: str) -> Exception:
        if self.exhausted is not None:
            self.unanswered = Retry(self.exhausted)
        else:
            self._note(path, None, self._digests[path])
            self.unanswered = CallNeedsWorld(f"the call {path} is not in the journal")
        return self.unanswered

    def _note(self, path: str, recorded: str | None, asked: str) -> None:
        if self.problem is None and not self._closed:
            self.problem = (path, recorded, asked)
