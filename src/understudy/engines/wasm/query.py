"""Queries of a component's actor: its own, if it has any, and those that every actor answers, `state` and `wut`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from time import thread_time
from typing import Any, Final

import msgspec

from understudy.actors.errors import HostFailed, WitError
from understudy.actors.query import BAD_RESULT, JSON, UNKNOWN_QUERY, WUT, Blob, Error, QueryInput, Result
from understudy.engines.wasm.component import LoadedComponent
from understudy.engines.wasm.failure import OUT_OF_FUEL, Stopped
from understudy.engines.wasm.grit import answer_of
from understudy.engines.wasm.guest import Guest
from understudy.engines.wasm.host import Host, Log
from understudy.engines.wasm.limits import Limits
from understudy.engines.wasm.machine import QUICK_FUEL, QUICK_SECONDS, Machine
from understudy.engines.wasm.post import MESSAGE
from understudy.engines.wasm.program import STATE, read_state
from understudy.engines.wasm.values import Flavour, is_text
from understudy.objects.errors import ObjectError
from understudy.wit.content import encode_json
from understudy.wit.wut import DIALECT

TEXT: Final = "text/plain; charset=utf-8"
QUERY_FAILED: Final = "QueryFailed"  # the word for an error of the component, which is only a text


class WasmQuery:
    """The queries of one component under the limits of a core."""

    def __init__(self, loaded: LoadedComponent, limits: Limits, machine: Machine | None = None) -> None:
        self.is_external = False
        self._loaded = loaded
        self._machine = machine
        self._limits = limits

    def run(self, given: QueryInput) -> Result | Awaitable[Result]:
        """Run one query; awaitable if it computes for long.

        Raises WitError: UNKNOWN_QUERY, "NoState", or how the component failed; HostFailed.
        """
        state = read_state(given.store, given.step.core)
        if state is None:
            raise WitError("NoState", "the actor has no /state, since its genesis failed: an update can cure it")
        if not self._loaded.world.has_query:
            return self._complete(given, state, None)
        machine, fuel = self._machine, self._limits.fuel
        if machine is None or machine.gives_way or fuel <= QUICK_FUEL:
            return self._complete(given, state, self._ask(given, state, fuel))
        if self._loaded.is_dear:
            return self._compute(machine, given, state)
        began = thread_time()
        try:
            return self._complete(given, state, self._ask(given, state, QUICK_FUEL))
        except WitError as error:
            if error.code != OUT_OF_FUEL:
                raise
        finally:
            if thread_time() - began > QUICK_SECONDS:
                self._loaded.is_dear = True
        # A query changes nothing, and whom it asked it asks again at the same steps: it begins again, where there is time.
        return self._compute(machine, given, state)

    async def _compute(self, machine: Machine, given: QueryInput, state: bytes) -> Result:
        future = machine.answer(lambda: self._ask(given, state, self._limits.fuel), owner=str(given.actor))
        answer = await asyncio.wrap_future(future)
        return self._complete(given, state, answer)

    def _complete(self, given: QueryInput, state: bytes, answer: Result | None) -> Result:
        """The answer to a query: the component's own, or else what every actor answers."""
        if given.name == STATE and not isinstance(answer, Blob):
            return state_blob(state)
        if given.name == WUT and not isinstance(answer, Blob):
            return Blob(encode_json(_describe(self._loaded)), JSON)
        if answer is None:
            raise WitError(UNKNOWN_QUERY, f"there is no query {given.name!r}; there are {STATE} and {WUT}")
        return answer

    def _ask(self, given: QueryInput, state: bytes, fuel: int) -> Result:
        if self._loaded.world.flavour is Flavour.TEXT and not is_text(state):
            raise WitError("NotText", "/state is not UTF-8, and this component takes strings")
        host = Host(
            self._limits,
            Log(),
            time=given.step.time,
            seed=given.step.seed,
            number=0,
            objects=given.store,
            calls=given.calls,
            fuel=fuel,
        )
        try:
            with self._memory(len(given.context.data) + len(state)), Guest(self._loaded, host) as guest:
                answer = guest.answer(str(given.step_id), given.name, given.context.data, state)
            return Error(QUERY_FAILED, answer.value) if answer.name == "err" else answer_of(answer.value)
        except Stopped as error:
            raise WitError(error.outcome.code, error.outcome.text) from error
        except MemoryError as error:
            raise HostFailed("the machine had no memory left for the query of a component") from error
        except (ObjectError, ValueError) as error:
            raise WitError(BAD_RESULT, f"the component's answer to {given.name!r} can't be one: {error}") from error

    def _memory(self, handed: int) -> AbstractContextManager[None]:
        if self._machine is None:
            return nullcontext()
        return self._machine.memory(self._loaded.room(self._limits), self._loaded.way_in(self._limits, handed))


def state_blob(state: bytes) -> Blob:
    """A state with its media type: JSON, text, or bytes."""
    try:
        text = state.decode()
        msgspec.json.decode(text)
    except UnicodeDecodeError:
        return Blob(state)
    except msgspec.DecodeError:
        return Blob(state, TEXT)
    return Blob(state, JSON)


def _describe(loaded: LoadedComponent) -> dict[str, Any]:
    # The interface does not say what a component does with a message, so every schema allows everything.
    return {
        "$schema": DIALECT,
        "description": f"A WebAssembly component that takes messages and states as {loaded.world.flavour.value}.",
        "component-hash": loaded.hash,
        "messages": {MESSAGE: {"payload": {}}},
        "sends": {MESSAGE: {"payload": {}, "known_from": ["every component"]}},
        "queries": {name: {"arguments": {"type": "object"}, "result": {}} for name in (STATE, WUT)},
        "$defs": {},
    }
