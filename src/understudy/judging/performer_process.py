"""A performer's process, seen from its judge: what it is asked, what it asks itself, and how it is lost."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence

import msgspec

from understudy.judging.fork_server import FORKED, Performers
from understudy.judging.pipe import HungUp, Pipe, Silent
from understudy.judging.refusals import Refusals
from understudy.judging.wire import (
    Blocks,
    Broken,
    FromPerformer,
    GetBlocks,
    GetStaged,
    LoadQuery,
    RunQuery,
    Runs,
    Setup,
    ToPerformer,
    Unreadable,
)
from understudy.kernel.verdict import DIED, TIMEOUT
from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.store.errors import Corrupt, Missing, StoreError
from understudy.store.reader import Reader


class PerformerLost(Exception):
    """The process that ran the code is gone, or what it says decides nothing; the text says how, `cause` is a verdict's."""

    def __init__(self, text: str, *, cause: str = DIED) -> None:
        super().__init__(text)
        self.cause = cause


class PerformerProcess:
    """The performer that lives, if one does. It never ran other code than what its key stands for."""

    def __init__(self, performers: Performers, setup: Setup) -> None:
        self._performers = performers
        self._setup = setup
        self._key: Hashable = None
        self._pipe: Pipe[FromPerformer] | None = None
        self._sent: set[bytes] = set()
        self._refusals: Refusals | None = None
        self._is_met = False  # it said whether there is a listener

    @property
    def lives(self) -> bool:
        """True if there is one, as far as we heard."""
        return self._pipe is not None

    def turn_to(self, key: Hashable, *, hash_seed: int = FORKED) -> None:
        """Have a performer for what this stands for. Raises PerformerLost."""
        if key == self._key and self._pipe is not None:
            return
        self.drop()
        self._key = key
        self._sent.clear()
        try:
            self._pipe = self._performers.make(hash_seed=hash_seed)
            self._pipe.send(self._setup)
        except (OSError, HungUp) as error:
            raise PerformerLost("no process can be made to replay the step") from error

    @property
    def refused(self) -> Sequence[str]:
        """What the system refused it while we heard it last."""
        return () if self._refusals is None else list(self._refusals.seen)

    def take_unsent(self, wanted: Iterable[bytes]) -> list[bytes]:
        """Those of some ids whose blocks it did not get yet; from now on it did."""
        unsent = [id for id in dict.fromkeys(wanted) if id not in self._sent]
        self._sent.update(unsent)
        return unsent

    def ask(self, message: LoadQuery | RunQuery | GetStaged, store: Reader) -> FromPerformer:
        """Send something and wait for what it is answered. Raises as `hear` does."""
        self.send(message)
        return self.hear(store)

    def send(self, message: LoadQuery | RunQuery | GetStaged | Runs) -> None:
        """Send something. Raises PerformerLost."""
        assert self._pipe is not None
        try:
            self._pipe.send(message)
        except HungUp as error:
            raise self.lose("ended") from error

    def hear(self, store: Reader) -> FromPerformer:
        """Wait for what the performer says; meanwhile answer what it asks. One bound for all of it: code may ask for ever.

        Raises PerformerLost, and StoreError or ObjectError if what it needed can't be read.
        """
        pipe = self._pipe
        assert pipe is not None
        unread: StoreError | ObjectError | None = None
        until = time.monotonic() + self._setup.step_seconds
        try:
            self._meet(pipe)
            while isinstance(said := self._next(pipe, until), GetBlocks):
                blocks: ToPerformer
                try:
                    blocks = Blocks(store.blocks([ids.from_bytes(id) for id in said.ids]))
                except (StoreError, ObjectError) as error:
                    unread = unread or error
                    blocks = Blocks([None] * len(said.ids), dict.fromkeys(range(len(said.ids)), str(error)))
                pipe.send(blocks)
        except HungUp as error:
            raise self.lose("ended") from error
        except Silent as error:
            self.lose("was ended")
            text = f"the replay of the step took more than {self._setup.step_seconds:,.0f} s"
            raise PerformerLost(text, cause=TIMEOUT) from error
        except (msgspec.DecodeError, ObjectError, RecursionError) as error:
            raise self.lose(f"talks nonsense: {error}") from error
        if unread is not None:
            raise unread
        if isinstance(said, Unreadable):
            raise unreadable(said)
        if isinstance(said, Broken):
            raise self.lose(f"failed: {said.text}")
        return said

    def _meet(self, pipe: Pipe[FromPerformer]) -> None:
        if self._is_met:
            if self._refusals is not None:
                self._refusals.turn()
            return
        listener = pipe.take_over(self._setup.step_seconds)
        self._is_met = True
        if listener is not None:
            self._refusals = Refusals(listener, self._performers.living or 0)

    def _next(self, pipe: Pipe[FromPerformer], until: float) -> FromPerformer:
        said = pipe.receive(max(0.0, until - time.monotonic()), beside=self._refusals)
        if self._refusals is not None:
            self._refusals.answer_late()
        return said

    def lose(self, how: str) -> PerformerLost:
        """End it; what there is to raise, with how it went."""
        self._close()
        try:
            code = self._performers.end(kill=how != "ended")
        except OSError:
            code = None
        return PerformerLost(f"the process that replayed the step {how}{'' if code is None else f' with code {code}'}")

    def drop(self) -> None:
        """End it, if there is one. Raises PerformerLost."""
        self._close()
        try:
            self._performers.end()
        except OSError as error:
            raise PerformerLost("the process that forks others is gone") from error

    def _close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._refusals is not None:
            self._refusals.close()
            self._refusals = None
        self._is_met = False


def unreadable(said: Unreadable) -> StoreError:
    """Why the code could not go on: an object that it needed."""
    try:
        id = ids.from_bytes(said.id)
    except ObjectError:
        return Corrupt(said.text)
    return Missing(id) if said.missing else Corrupt(said.text, id)
