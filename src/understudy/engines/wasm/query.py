"""Questions to a component's actor: those that every one answers, `state` and `wut`."""

from __future__ import annotations

from typing import Final

import msgspec

from understudy.actors.errors import WitError
from understudy.actors.query import JSON, UNKNOWN_QUERY, WUT, Blob, QueryInput, Result
from understudy.engines.wasm.component import LoadedComponent
from understudy.engines.wasm.program import STATE, read_state
from understudy.engines.wasm.settings import NAME

TEXT: Final = "text/plain; charset=utf-8"


class WasmQuery:
    """The queries of one component."""

    def __init__(self, loaded: LoadedComponent) -> None:
        self._loaded = loaded

    def run(self, given: QueryInput) -> Result:
        """Run one query. Raises WitError(UNKNOWN_QUERY), "NoState"."""
        if given.name == STATE:
            return state_blob(_state(given))
        if given.name == WUT:
            return Blob(msgspec.json.encode(_describe(self._loaded)), JSON)
        raise WitError(UNKNOWN_QUERY, f"there is no query {given.name!r}; there are {STATE} and {WUT}")


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


def _state(given: QueryInput) -> bytes:
    state = read_state(given.store, given.step.core)
    if state is None:
        raise WitError("NoState", "the actor has no /state, since its genesis failed: an update can cure it")
    return state


def _describe(loaded: LoadedComponent) -> dict[str, object]:
    flavour = loaded.world.flavour.value
    return {
        "runtime": NAME,
        "component-hash": loaded.hash,
        "message": flavour,
        "state": flavour,
        "queries": [STATE, WUT],
    }
