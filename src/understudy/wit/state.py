"""The state of a comfortable wit: JSON at `/state`, decoded for each step and written back after it.

The law: no Python object of the state outlives a step, so a replay starts from the same bytes as the step did.
"""

from __future__ import annotations

import builtins
import types
import typing
from typing import Any, Final

import msgspec

from understudy.actors.errors import WitError
from understudy.wit.content import decoder_for, encode_json
from understudy.wit.context import UNREAD, Context
from understudy.wit.query_context import QueryContext

PATH: Final = "state"


class StateType:
    """The one type that a wit's handlers use for the state. Without a declared type it is plain JSON, at first `{}`."""

    def __init__(self, kind: Any = dict) -> None:
        self.kind = kind
        self._decode = decoder_for(kind)
        # A TypedDict can't be asked whether something is an instance of it.
        is_class = isinstance(kind, type) and not typing.get_args(kind) and not typing.is_typeddict(kind)
        self._class = kind if is_class else None
        self._is_own = self._class is not None and self._class.__module__ != builtins.__name__

    def is_declared_as(self, returns: Any) -> bool:
        """True if a function that says it returns this returns a new state."""
        return bool(returns == self.kind)

    def is_state(self, value: Any) -> bool:
        """True for an instance of the author's own state class; a dict or a number could as well be a reply."""
        return self._is_own and isinstance(value, typing.cast("type", self._class))

    def read(self, ctx: Context | QueryContext) -> Any:
        """The state of the running step, the same object for all its messages; or that of the step that is asked."""
        if ctx._state is UNREAD:
            data = ctx.read_top(PATH)
            ctx._state_bytes = data
            ctx._state = self._first() if data is None else self._decoded(data)
        return ctx._state

    def replace(self, ctx: Context, state: Any) -> None:
        """Make a returned value the state of the running step. Raises WitError("BadResult") if it is of another class."""
        if self._is_own and not self.is_state(state):
            text = f"a handler that says that it returns the state, a {self.kind.__name__}, returned a {type(state).__name__}"
            raise WitError("BadResult", text)
        ctx._state = state

    def write(self, ctx: Context) -> None:
        """Put the state back into the core, if it was used and differs."""
        if ctx._state is UNREAD:
            return
        data = encode_json(ctx._state)
        if data != ctx._state_bytes:
            ctx.core.changes.write_top(PATH, data)

    def _decoded(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise WitError(
                "BadState", f"/state is not the JSON of the wit's state, mend it with an update: {error}"
            ) from error

    def _first(self) -> Any:
        if self.kind is Any:
            return {}
        if typing.get_origin(self.kind) in (typing.Union, types.UnionType) and type(None) in typing.get_args(self.kind):
            return None
        make = typing.get_origin(self.kind) or self.kind
        try:
            return make()
        except TypeError as error:
            text = f"the core has no /state and {make!r} can't be made without arguments"
            raise WitError("NoState", f"{text}: return the first one from @wit.genesis") from error
