"""The function of a flow: what it asks for, decided when the module loads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from understudy.actors.errors import WitError
from understudy.wit.content import Decode, decode_or_refuse, decoder_for
from understudy.wit.context import Context
from understudy.wit.flows.context import FlowContext
from understudy.wit.handler import NOTHING, Role
from understudy.wit.parameters import (
    ACTOR,
    Parameter,
    Source,
    describe_sources,
    find_source,
    is_async,
    kind_with_article,
    parameters_of,
    place_of,
    wrong_signature,
)

FLOW: Final = Source(("ctx", "context"), (FlowContext,), lambda ctx: ctx)
_ACTOR: Final = Source(ACTOR.names, ACTOR.kinds, lambda ctx: ctx.actor_id)
_SOURCES: Final = (FLOW, _ACTOR)
_NOT_HERE: Final = ("state", "core", "inbox", "outbox", "store", "message")
_EMPTY: Final = inspect.Parameter.empty


class FlowHandler:
    """A flow's function, ready to be called with its context and its payload."""

    __slots__ = (
        "_decode",
        "_names",
        "_payload_name",
        "function",
        "payload",
        "returns",
        "role",
        "sends",
        "type",
        "waits",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        kind: type | None,
        type: str,
        sends: Mapping[str, Any] = NOTHING,
        waits: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Raises WitError("WrongSignature")."""
        if not is_async(function):
            raise WitError("WrongSignature", f"{place_of(function)}: a flow is an `async def`")
        parameters, returns = parameters_of(function)
        self.function = function
        self.type = type
        self.returns = returns
        self.role = Role.MESSAGE
        self.sends = sends
        self.waits = waits
        self._names: dict[str, Source] = {}
        payload: Parameter | None = None
        for parameter in parameters:
            source = _source(function, parameter)
            if source is not None:
                self._names[parameter.name] = source
            elif parameter.default is not _EMPTY and parameter.kind is _EMPTY:
                continue
            elif payload is not None:
                raise wrong_signature(
                    function, parameter, f"would be a second payload beside {payload.name!r}; {_possible()}"
                )
            else:
                payload = parameter
        self._payload_name = None if payload is None else payload.name
        self.payload: Any = _payload_kind(function, payload, kind)
        self._decode = _decoder(function, payload, self.payload)

    def begin(self, ctx: FlowContext, payload: bytes) -> Coroutine[Any, Any, Any]:
        """The coroutine of a flow. Raises Refusal("BadPayload")."""
        arguments = {name: source.fill(ctx) for name, source in self._names.items()}
        if self._payload_name is not None:
            what = f"the content of the message {self.type!r}"
            arguments[self._payload_name] = decode_or_refuse(self._decode, payload, what)
        coroutine: Coroutine[Any, Any, Any] = self.function(**arguments)
        return coroutine


def _source(function: Callable[..., Any], parameter: Parameter) -> Source | None:
    source = find_source(parameter, _SOURCES)
    if source is _ACTOR and parameter.name not in source.names:
        return None
    if source is FLOW and parameter.kind not in (_EMPTY, FlowContext):
        if parameter.kind is Context:
            raise wrong_signature(
                function, parameter, "is a Context; a flow goes on in many steps, and gets a FlowContext"
            )
        return None
    if source is None and (parameter.name in _NOT_HERE or parameter.kind is Context):
        raise wrong_signature(
            function,
            parameter,
            "can't be filled: between two awaits of a flow others change it; "
            "read and change the state with ctx.with_state(function, …)",
        )
    return source


def _payload_kind(function: Callable[..., Any], payload: Parameter | None, kind: type | None) -> Any:
    if payload is None:
        return _EMPTY if kind is None else kind
    wanted = payload.kind
    if isinstance(wanted, str):
        raise wrong_signature(
            function, payload, f"has the annotation {wanted!r}, which can't be resolved in its module"
        )
    if wanted is _EMPTY:
        return Any if kind is None else kind
    if kind is not None and wanted is not kind and wanted is not bytes:
        raise wrong_signature(
            function, payload, f"is {kind_with_article(wanted)}, the message {kind_with_article(kind)}"
        )
    return wanted


def _decoder(function: Callable[..., Any], payload: Parameter | None, kind: Any) -> Decode:
    if payload is None:
        return bytes
    try:
        return decoder_for(kind)
    except TypeError as error:
        raise wrong_signature(function, payload, f"can't be filled: {error}; {_possible()}") from error


def _possible() -> str:
    return f"possible are {describe_sources(_SOURCES)}, and one payload with an annotation"
