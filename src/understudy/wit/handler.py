"""One handler of a comfortable wit: what it asks for, decided when the module loads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from understudy.actors.errors import Refusal
from understudy.wit.content import Decode, decode_or_refuse, decoder_for, read_content
from understudy.wit.context import Context
from understudy.wit.parameters import (
    ACTOR,
    CONTEXT,
    CORE,
    INBOX,
    MESSAGE,
    OUTBOX,
    REQUEST,
    STEP,
    STORE,
    Fill,
    Parameter,
    Source,
    bind,
    describe_kind,
    describe_sources,
    find_source,
    is_async,
    kind_with_article,
    parameters_of,
    wrong_signature,
)
from understudy.wit.state import PATH, StateType

SOURCES: Final = (CONTEXT, CORE, MESSAGE, INBOX, OUTBOX, ACTOR, STEP, STORE)
ANSWER_SOURCES: Final = (*SOURCES, REQUEST)
STATE: Final = "state"
_PAYLOAD_NAMES: Final = ("payload", "content")
_EMPTY: Final = inspect.Parameter.empty
NOTHING: Final[Mapping[str, Any]] = {}


class Role(Enum):
    """What a handler is for, and where its payload comes from."""

    MESSAGE = "message"
    GENESIS = "genesis"
    UPDATE = "update"
    ANSWER = "answer"  # an answer to a request, or the error in its place


class Handler:
    """A handler, ready to be called with the context alone."""

    __slots__ = (
        "_state",
        "call",
        "function",
        "is_async",
        "old",
        "payload",
        "returns",
        "returns_state",
        "role",
        "sends",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        role: Role,
        kind: type | None,
        type: str,
        state: StateType,
        sends: Mapping[str, Any] = NOTHING,
    ) -> None:
        parameters, returns = parameters_of(function)
        fills: dict[str, Fill] = {}
        payload: Parameter | None = None
        old: StateType | None = None
        migrated: Parameter | None = None
        for parameter in parameters:
            source = _source(function, parameter, role)
            if source is not None:
                fills[parameter.name] = source.fill
            elif parameter.name == STATE:
                fills[STATE] = state.read
            elif parameter.default is not _EMPTY and parameter.kind is _EMPTY:
                continue
            elif role is Role.UPDATE and old is None and parameter.kind is not _EMPTY:
                old, migrated = _old_state(function, parameter), parameter
                fills[parameter.name] = old.read_stored
            elif payload is not None:
                raise wrong_signature(
                    function, parameter, f"would be a second payload beside {payload.name!r}; {_possible(role)}"
                )
            else:
                payload = parameter
                fills[parameter.name] = _payload(function, role, parameter, kind, type)
        self.function = function
        self.role = role
        self.sends = sends
        self.returns = returns
        self.payload = _payload_kind(payload, kind)  # inspect.Parameter.empty without one
        self.call = bind(function, parameters, fills)
        self.is_async = is_async(function)
        self.returns_state = returns is not _EMPTY and state.is_declared_as(returns)
        self.old = old
        self._state = state
        if old is not None and migrated is not None and (STATE in fills or not self.returns_state):
            text = "an update has no payload; with an annotation it is the old state, so the function must return the new one"
            raise wrong_signature(function, migrated, f"can't be filled: {text}: -> {describe_kind(state.kind)}")

    def has_work(self, ctx: Context) -> bool:
        """False for a migration where no state is stored, or one that has the new type and not the old one.

        Code is pushed again with its migration in it, and what was migrated must not be migrated twice.
        """
        if self.old is None:
            return True
        data = ctx.read_top(PATH)
        if data is None:
            return False
        return self.old.check(data).ok or not self._state.check(data).ok


def _old_state(function: Callable[..., Any], parameter: Parameter) -> StateType:
    if isinstance(parameter.kind, str):
        raise wrong_signature(function, parameter, f"has the annotation {parameter.kind!r}, which can't be resolved")
    try:
        return StateType(parameter.kind)
    except TypeError as error:
        raise wrong_signature(function, parameter, f"can't be filled with the old state: {error}") from error


def state_kind(function: Callable[..., Any]) -> Any:
    """The type that a handler declares for the state, `inspect.Parameter.empty` if it does not."""
    parameters, _ = parameters_of(function)
    for parameter in parameters:
        if parameter.name == STATE and find_source(parameter, SOURCES) is None:
            if isinstance(parameter.kind, str):
                raise wrong_signature(
                    function, parameter, f"has the annotation {parameter.kind!r}, which can't be resolved"
                )
            return parameter.kind
    return _EMPTY


def _source(function: Callable[..., Any], parameter: Parameter, role: Role) -> Source | None:
    source = find_source(parameter, _sources(role))
    if source in (ACTOR, STEP) and parameter.name not in source.names:
        # An id under another name is another actor's: a payload.
        return None
    if source is None or parameter.kind is _EMPTY or isinstance(parameter.kind, str) or _fits(parameter, source):
        return source
    # A payload may well be called `message`; under our other names it would surely be a mistake.
    if source is MESSAGE:
        return None
    raise wrong_signature(
        function,
        parameter,
        f"is {kind_with_article(source.kinds[0])}, not {kind_with_article(parameter.kind)}; call a payload something else",
    )


def _fits(parameter: Parameter, source: Source) -> bool:
    return find_source(Parameter("", parameter.kind, _EMPTY, False), (source,)) is not None


def _payload_kind(payload: Parameter | None, kind: type | None) -> Any:
    if payload is None:
        return _EMPTY if kind is None else kind
    if payload.kind is not _EMPTY:
        return payload.kind
    return Any if kind is None else kind


def _payload(function: Callable[..., Any], role: Role, parameter: Parameter, kind: type | None, type: str) -> Fill:
    decode = _payload_decoder(function, role, parameter, kind)
    if role is Role.GENESIS:
        return _args_reader(decode, parameter.default)
    what = f"what {type} is given" if role is Role.ANSWER else f"the content of the message {type!r}"

    def read(ctx: Context) -> Any:
        return decode_or_refuse(decode, read_content(ctx.given.store, ctx.delivery.message.content, what), what)

    return read


def _payload_decoder(function: Callable[..., Any], role: Role, parameter: Parameter, kind: type | None) -> Decode:
    wanted = parameter.kind
    if role is Role.UPDATE:
        raise wrong_signature(
            function,
            parameter,
            f"can't be filled: an update has no payload; with an annotation, it is the old state; {_possible(role)}",
        )
    if isinstance(wanted, str):
        raise wrong_signature(
            function, parameter, f"has the annotation {wanted!r}, which can't be resolved in its module"
        )
    if wanted is _EMPTY:
        named = parameter.name in _PAYLOAD_NAMES or (role is Role.GENESIS and parameter.name == "args")
        if kind is None and not named:
            raise wrong_signature(function, parameter, f"has no annotation and no name of ours; {_possible(role)}")
        wanted = Any if kind is None else kind
    elif kind is not None and wanted is not kind and wanted is not bytes:
        raise wrong_signature(
            function,
            parameter,
            f"is {kind_with_article(wanted)}, the message {kind_with_article(kind)}",
        )
    try:
        return decoder_for(wanted)
    except TypeError as error:
        raise wrong_signature(function, parameter, f"can't be filled: {error}; {_possible(role)}") from error


def _args_reader(decode: Decode, default: Any) -> Fill:
    def read(ctx: Context) -> Any:
        data = ctx.core.get("args")
        if data is None and default is not _EMPTY:
            return default
        if data is None:
            raise Refusal("BadPayload", "the core has no /args, which the genesis handler asks for")
        return decode_or_refuse(decode, data, "/args")

    return read


def _sources(role: Role) -> tuple[Source, ...]:
    return ANSWER_SOURCES if role is Role.ANSWER else SOURCES


def _possible(role: Role) -> str:
    return f"possible are {describe_sources(_sources(role))}, state, and one payload with an annotation"
