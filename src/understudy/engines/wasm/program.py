"""A component as the code of an actor: a fresh instance checks the contracts and handles the message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from time import thread_time
from typing import Final, NamedTuple

from understudy.actors.contract import Delivery, StepInput, StepResult
from understudy.actors.errors import NEEDS_WORLD, CallNeedsWorld, HostFailed, Refusal, Retry
from understudy.engines.wasm.component import LoadedComponent
from understudy.engines.wasm.failure import OUT_OF_FUEL, Stopped
from understudy.engines.wasm.guest import Guest
from understudy.engines.wasm.host import Host, Log
from understudy.engines.wasm.limits import MAX_BYTES, Limits
from understudy.engines.wasm.machine import QUICK_FUEL, QUICK_SECONDS, Machine
from understudy.engines.wasm.network import Network
from understudy.engines.wasm.post import Posted, address
from understudy.engines.wasm.settings import ENGINE_TEXT
from understudy.engines.wasm.values import Arguments, Flavour, is_text
from understudy.engines.wasm.waiting import Waiting
from understudy.objects import ids
from understudy.objects.ids import Id, TreeId
from understudy.objects.message import ERROR
from understudy.objects.step import FAILED, MAX_SENT, REFUSED, Outcome
from understudy.store.errors import Missing
from understudy.store.maps import edit_tree, tree_entry
from understudy.store.reader import Reader
from understudy.wit.content import put_bytes, read_content
from understudy.wit.core import Core
from understudy.wit.requests import is_failure

STATE: Final = "state"
MAX_STEP_SENT: Final = MAX_BYTES  # bytes that the messages of one step send together: as much as one of them may

_MESSAGE_CONTRACT: Final = "message-contract"
_STATE_CONTRACT: Final = "state-contract"


class _Outcome(NamedTuple):
    """The result of a step's messages: the state, and all that was sent."""

    state: bytes
    sent: Sequence[Posted]


class _Run:
    """One attempt at a step: its log, its core, the fuel that each message gets, and the most that one used, if somebody `counts`."""

    __slots__ = ("core", "counts", "fuel", "fuel_used", "log", "network", "sent", "waiting")

    def __init__(self, given: StepInput, fuel: int, *, counts: bool) -> None:
        self.log = Log()
        self.network = Network(given)
        self.core = Core(given.store, given.core)
        self.sent: list[Posted] = []  # by the messages before the one in hand
        self.waiting = Waiting(given, self.core, self.sent)
        self.fuel = fuel
        self.counts = counts
        self.fuel_used = 0


_Work = Callable[[StepInput, _Run], _Outcome]


class _Long(Exception):
    """A quick attempt did not end in time."""


class WasmProgram:
    """One component under the limits of a core."""

    engine: Final = ENGINE_TEXT

    def __init__(self, loaded: LoadedComponent, limits: Limits, machine: Machine | None = None) -> None:
        """With a machine, a step that computes for long does so on its threads, and `run` returns an awaitable."""
        self.loaded = loaded
        self._limits = limits
        self._machine = machine
        self._was_long = False

    def run(self, given: StepInput) -> StepResult | Awaitable[StepResult]:
        """Run one step: genesis, or messages.

        Awaitable if it computes for long, or if a message goes to a name, which must be looked up. Raises HostFailed
        where the machine fails it.
        """
        if given.parent is None:
            return self._start(given, self._begin, component_hash=self.loaded.hash)
        return self._start(given, self._handle)

    def run_update(self, given: StepInput, *, component_hash: str | None) -> StepResult | Awaitable[StepResult]:
        """Ask the state contract whether the actor may go on with this component; an actor without a state gets one."""
        return self._start(given, self._begin, component_hash=component_hash)

    def _start(
        self, given: StepInput, work: _Work, *, component_hash: str | None = None
    ) -> StepResult | Awaitable[StepResult]:
        machine = self._machine
        if machine is None:
            return self._attempt(given, work, component_hash)
        # A step that asks others can't begin again: the journal has its first answers.
        if not (self._was_long or self.loaded.is_dear or self.loaded.world.asks):
            began = thread_time()
            try:
                return self._attempt(given, work, component_hash, quick=True)
            except _Long:
                # Its log and host are dropped, so nothing of this attempt remains: it begins again, where there is time.
                self._was_long = True
            finally:
                if thread_time() - began > QUICK_SECONDS:
                    self.loaded.is_dear = True
        future = machine.compute(
            lambda: self._attempt(given, work, component_hash), owner=str(given.actor), waits=self.loaded.world.asks
        )
        return self._await(future)

    async def _await(self, future: Future[StepResult | Awaitable[StepResult]]) -> StepResult:
        try:
            result = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The step was cut. What still computes keeps its thread, and a quick message must not wait behind it.
            self._was_long = False
            raise
        return result if isinstance(result, StepResult) else await result

    def _attempt(
        self, given: StepInput, work: _Work, component_hash: str | None, *, quick: bool = False
    ) -> StepResult | Awaitable[StepResult]:
        """Do the work of a step, to its end. Raises _Long if it is `quick` and has no end yet; HostFailed."""
        fuel = min(self._limits.fuel, QUICK_FUEL) if quick else self._limits.fuel
        run = _Run(given, fuel, counts=not quick and self._machine is not None)
        try:
            done = work(given, run)
        except Retry as error:
            # What it asked could not be answered now; nothing of this attempt counts.
            return StepResult(engine=ENGINE_TEXT, core=given.core, retry=str(error))
        except MemoryError as error:
            raise HostFailed("the machine had no memory left for a component") from error
        except (Stopped, Refusal, Missing, CallNeedsWorld) as error:
            if run.fuel < self._limits.fuel and isinstance(error, Stopped) and error.outcome.code == OUT_OF_FUEL:
                raise _Long from None
            # An actor that is born has its component, whatever became of its first state; one that goes on keeps its own.
            born_with = component_hash if given.parent is None else None
            return StepResult(
                engine=ENGINE_TEXT,
                core=given.core,
                log=run.log.lines,
                outcome=_outcome_of(error),
                component_hash=born_with,
            )
        self._was_long = run.fuel_used > QUICK_FUEL
        state = put_bytes(given.store, done.state)
        result = StepResult(
            engine=ENGINE_TEXT,
            core=edit_tree(given.store, run.core.seal(), {STATE: state}),
            log=run.log.lines,
            component_hash=component_hash,
        )
        return address(result, done.sent, given, run.waiting.named)

    def _begin(self, given: StepInput, run: _Run) -> _Outcome:
        """The first state: what the core brings, or else what `init` returns."""
        host = self._host(given, run, 0)
        state = read_state(given.store, given.core)
        if state is not None:
            self._check_text(state, "/state")
        with self._memory(len(state or b"")), Guest(self.loaded, host) as guest:
            if state is None:
                state = self._new_state(guest, host, "init", guest.arguments())
            _check_state(guest, state)
            if run.counts:
                run.fuel_used = guest.fuel_used
        return _Outcome(state, host.sent)

    def _handle(self, given: StepInput, run: _Run) -> _Outcome:
        state = read_state(given.store, given.core)
        if state is None:
            raise Stopped("NoState", "the actor has no /state, since its genesis failed: an update can cure it")
        bytes_sent = 0
        for number, delivery in enumerate(given.messages):
            answered = self._answered(run, delivery)
            if delivery.message.type == ERROR and answered is None:
                # A component is told no types, so it would take this for a message like any other.
                run.log.write(_about(delivery, given.store))
                continue
            content = self._content(given.store, delivery)
            host = self._host(given, run, number, delivery)
            host.answered = answered
            state = self._handle_one(run, host, content, state)
            run.sent += host.sent
            bytes_sent += host.bytes_sent
            _check_sent(len(run.sent), bytes_sent)
        return _Outcome(state, run.sent)

    def _answered(self, run: _Run, delivery: Delivery) -> tuple[str, str, str, bool] | None:
        """What a message answers, for a component that makes requests."""
        closed = run.waiting.close(delivery) if self.loaded.world.requests else None
        if closed is None:
            return None
        id, request = closed
        return id, request.to, request.type, is_failure(delivery.message)

    def _handle_one(self, run: _Run, host: Host, content: bytes, state: bytes) -> bytes:
        with self._memory(len(content) + len(state)), Guest(self.loaded, host) as guest:
            arguments = guest.arguments(content, state)
            if not guest.agrees(_MESSAGE_CONTRACT, arguments):
                raise Stopped("MessageContract", "the message-contract refuses this message", kind=REFUSED)
            state = self._new_state(guest, host, "handle", arguments)
            _check_state(guest, state)
            if run.counts:
                run.fuel_used = max(run.fuel_used, guest.fuel_used)
        return state

    def _new_state(self, guest: Guest, host: Host, function: str, arguments: Arguments) -> bytes:
        host.sending = True
        state = guest.content(function, arguments)
        host.sending = False
        return state

    def _memory(self, handed: int) -> AbstractContextManager[None]:
        if self._machine is None:
            return nullcontext()
        return self._machine.memory(self.loaded.room(self._limits), self.loaded.way_in(self._limits, handed))

    def _host(self, given: StepInput, run: _Run, number: int, about: Delivery | None = None) -> Host:
        return Host(
            self._limits,
            run.log,
            time=given.time,
            seed=given.seed,
            number=number,
            objects=given.store,
            calls=given.calls,
            fuel=run.fuel,
            about=about,
            network=run.network,
            core=run.core,
            waiting=run.waiting,
        )

    def _content(self, store: Reader, delivery: Delivery) -> bytes:
        id = delivery.message.content
        info = None if ids.is_raw(id) or store.kind(id) != "a blob" else store.blob_info(id)
        content = b"" if info is not None and info.size > self._limits.message else _read_content(store, delivery)
        size = info.size if info is not None else len(content)
        if size > self._limits.message:
            text = f"the message has {size:,} bytes; this actor takes {self._limits.message:,}: raise /limits"
            raise Refusal("MessageTooLarge", text)
        self._check_text(content, "the message")
        return content

    def _check_text(self, content: bytes, what: str) -> None:
        if self.loaded.world.flavour is Flavour.TEXT and not is_text(content):
            raise Refusal("NotText", f"{what} is not UTF-8, and this component takes strings")


def _check_sent(count: int, size: int) -> None:
    """Refuse what the messages of a step sent together; one alone stays within this, so each can be handled alone."""
    if count > MAX_SENT:
        raise Stopped("TooManySent", f"one step sends at most {MAX_SENT:,} messages: lower `batch` in /policy")
    if size > MAX_STEP_SENT:
        text = f"one step sends at most {MAX_STEP_SENT:,} bytes, and this one {size:,}: lower `batch` in /policy"
        raise Stopped("OutputTooLarge", text)


def _check_state(guest: Guest, state: bytes) -> None:
    if not guest.agrees(_STATE_CONTRACT, guest.arguments(state)):
        raise Stopped("StateContract", "the state-contract refuses the state", kind=REFUSED)


def _read_content(store: Reader, delivery: Delivery) -> bytes:
    return read_content(store, delivery.message.content, "the content of a message")


def read_state(store: Reader, core: TreeId) -> bytes | None:
    """The state in a core, if there is one. Raises Refusal if it is no blob."""
    id = tree_entry(store, core, STATE)
    return None if id is None else read_content(store, Id(id), "/state")


def _about(delivery: Delivery, store: Reader) -> bytes:
    content = read_content(store, delivery.message.content, "the content of an error")
    return b"error from %s: %s" % (delivery.message.sender.encode(), content)


def _outcome_of(error: Stopped | Refusal | Missing | CallNeedsWorld) -> Outcome:
    match error:
        case Stopped():
            return error.outcome
        case Refusal():
            return Outcome(REFUSED, error.code, error.text)
        case Missing():
            return Outcome(FAILED, "Missing", str(error))
        case CallNeedsWorld():
            return Outcome(FAILED, NEEDS_WORLD, str(error))
