"""The state of a comfortable wit: JSON at `/state`, decoded for each step and written back after it.

The laws: no Python object of the state outlives a step, so a replay starts from the same bytes as the step did; and the
state that is stored is the one that is read back, or the step fails and names the difference.
"""

from __future__ import annotations

import builtins
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from understudy.actors.author_errors import code_and_text, is_of_the_machine
from understudy.actors.contract import StateCheck
from understudy.actors.errors import CallFailed, WitError
from understudy.objects.wording import type_with_article, with_article
from understudy.wit.content import decoder_for, encode_as_python_1, encode_json, encode_loosely
from understudy.wit.context import UNREAD, Context
from understudy.wit.dropped import find_dropped
from understudy.wit.faults import find_difference
from understudy.wit.parameters import kind_with_article
from understudy.wit.query_context import QueryContext

PATH: Final = "state"
Kept = TypeVar("Kept")
# Each actor's state is one that it wrote in its last step, so as many are known as there may be busy actors of one code.
_MOST_KNOWN: Final = 4096
_LARGEST_KNOWN: Final = 1024  # bytes: 4 MB at most, mostly shared with the cache of blobs; a larger one is known alone
_UNREADABLE: Final = (ValueError, msgspec.MsgspecError, RecursionError)


class NewState(Struct, Generic[Kept], frozen=True):
    """What a handler returns to replace the state: `return NewState(Point(1, 2), reply="moved")`.

    A state that can be changed in place does not need this. `reply` goes to the sender, None sends nothing.
    """

    value: Kept
    reply: Any = None


class StateType:
    """The one type that a wit's handlers use for the state. Without a declared type it is plain JSON, at first `{}`."""

    def __init__(self, kind: Any = None) -> None:
        self.is_declared = kind is not None
        self.kind = kind = dict if kind is None else kind
        self._decode = decoder_for(kind)
        # A TypedDict can't be asked whether something is an instance of it.
        is_class = isinstance(kind, type) and not typing.get_args(kind) and not typing.is_typeddict(kind)
        self._class = kind if is_class else None
        self._is_own = self._class is not None and self._class.__module__ != builtins.__name__
        self._known: dict[bytes, None] = {}  # states that were seen to lose nothing

    def is_declared_as(self, returns: Any) -> bool:
        """True if a function says that it returns this type."""
        return bool(returns == self.kind)

    def is_state(self, value: Any) -> bool:
        """True for an instance of the author's own state class; a dict or a number could as well be a reply."""
        return self._is_own and isinstance(value, typing.cast("type", self._class))

    def read(self, ctx: Context | QueryContext) -> Any:
        """The state of the running step, the same object for all its messages; or that of the step that is asked."""
        if ctx._state is UNREAD:
            data = ctx.read_top(PATH)
            ctx._state_bytes = data
            if data is None:
                ctx._state = self._first()
            else:
                ctx._state = self.decode(data, strict=isinstance(ctx, Context) and not ctx.abi.is_first)
        return ctx._state

    def read_stored(self, ctx: Context) -> Any:
        """What is stored at this moment, as this type: the old state in an update. Raises WitError("BadState")."""
        data = ctx.read_top(PATH)
        return self._first() if data is None else self.decode(data)

    def replace(self, ctx: Context, state: Any) -> None:
        """Make a returned value the state of the running step. Raises WitError("BadResult") if it is of another class."""
        if self._is_own and not self.is_state(state):
            text = f"a handler that says that it returns {with_article(self.kind.__name__)}, the state, returned {type_with_article(state)}"
            raise WitError("BadResult", text)
        ctx._state = state

    def touch(self, ctx: Context, function: Callable[[Any], Any]) -> bytes:
        """Let a function read or change the state; gives its result as JSON. If it fails, the state is as it was.

        Raises CallFailed with the name of what it raised, and WitError("BadState").
        """
        before = self.read(ctx)
        data = self.encode(before)
        try:
            result = function(before)
            if isinstance(result, NewState):
                self.replace(ctx, result.value)
                result = result.reply
            self.encode(ctx._state)
            return encode_json(result)
        except BaseException as error:
            ctx._state = self.decode(data)
            if is_of_the_machine(error):
                raise
            raise CallFailed(*code_and_text(error)) from error

    def begin(self, ctx: Context, state: Any, what: str) -> None:
        """Make the value that a genesis or update handler returned the state. Raises WitError("BadResult") if it can't
        be.
        """
        if self._is_own and not self.is_state(state):
            fault = f"it returned {type_with_article(state)}"
        else:
            try:
                self.encode(state)
                ctx._state = state
                return
            except WitError as error:
                fault = error.text
        kind = kind_with_article(self.kind)
        text = f"what {with_article(what)} handler returns is the state, here {kind}, and nothing is the state as it is"
        raise WitError("BadResult", f"{text}: {fault}; to answer, call ctx.reply(…)")

    def write(self, ctx: Context) -> None:
        """Put the state back into the core, if it was used and differs. Raises WitError("BadState")."""
        if ctx._state is UNREAD:
            return
        data = encode_as_python_1(ctx._state) if ctx.abi.is_first else self.encode(ctx._state, ctx._state_bytes)
        if data != ctx._state_bytes:
            ctx.changes.write_top(PATH, data)

    def decode(self, data: bytes, *, strict: bool = True) -> Any:
        """The state that some bytes are; with `strict`, all that is in them. Raises WitError("BadState")."""
        try:
            state = self._decode(data)
            is_known = not strict or data in self._known
            dropped = () if is_known else self._dropped(data, state)
        except _UNREADABLE as error:
            raise WitError(
                "BadState", f"/state is not the JSON of the wit's state, mend it with an update: {error}"
            ) from error
        if dropped:
            text = f"the wit's state, {kind_with_article(self.kind)}, has no place for what /state holds at"
            raise WitError("BadState", f"{text} {', '.join(dropped)}; {_CURE}")
        if not is_known:
            self._remember(data)
        return state

    def encode(self, state: Any, before: bytes | None = None) -> bytes:
        """The bytes of a state, which differ from those `before` only if they give it back. Raises WitError("BadState")."""
        try:
            data = encode_loosely(state) if self.kind is not bytes else self._encoded(state)
            if data == before and data in self._known:
                return data
            again = self._decode(data)
        except (TypeError, *_UNREADABLE) as error:
            raise WitError("BadState", f"the state can't be stored, nothing was changed: {error}") from error
        fault = find_difference(state, again)
        if fault is not None:
            text = "the state would not be read back as it is, nothing was changed"
            raise WitError("BadState", f"{text}: {fault}; declare its type, or keep something else")
        self._remember(data)
        return data

    def check(self, data: bytes) -> StateCheck:
        """How a stored state is read as this type."""
        try:
            return StateCheck(dropped=self._dropped(data, self._decode(data)))
        except _UNREADABLE as error:
            return StateCheck(error=str(error))

    def _remember(self, data: bytes) -> None:
        if len(self._known) >= _MOST_KNOWN or len(data) > _LARGEST_KNOWN:
            self._known.clear()
        self._known[data] = None

    def _dropped(self, data: bytes, state: Any) -> tuple[str, ...]:
        if self.kind is bytes or self._encoded(state) == data:
            return ()
        return find_dropped(data, self._encoded(state), lambda other: self._encoded(self._decode(other)))

    def _encoded(self, state: Any) -> bytes:
        if self.kind is not bytes:
            return encode_loosely(state)
        if not isinstance(state, bytes | bytearray | memoryview):
            raise TypeError(f"it is said to be bytes, and is {type_with_article(state)}")
        return bytes(state)

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


_CURE: Final = (
    "nothing was changed: give the type these fields again, or let an @wit.update function say what becomes of them"
)
