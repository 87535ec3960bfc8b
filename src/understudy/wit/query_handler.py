"""One query of a comfortable wit: its arguments, by name and type, decided when the module loads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.actors.query import BAD_ARGUMENTS, TEXTS, Blob, Error, Result, Tree
from understudy.actors.query import JSON as JSON_TYPE
from understudy.objects.ids import ActorId, Id, StepId
from understudy.store.reader import Reader
from understudy.wit.content import argument_decoder, encode_json
from understudy.wit.context import Context
from understudy.wit.core import Core
from understudy.wit.parameters import (
    Fill,
    Parameter,
    Source,
    bind,
    describe_sources,
    fill_parameters,
    find_source,
    name_of,
    parameters_of,
    wrong_signature,
)
from understudy.wit.query_context import QueryContext
from understudy.wit.state import StateType

STATE: Final = "state"
CONTEXT: Final = Source(("ctx",), (QueryContext, Context), lambda ctx: ctx)
CORE: Final = Source(("core",), (Core,), lambda ctx: ctx.core)
ACTOR: Final = Source(("actor_id",), (ActorId,), lambda ctx: ctx.given.actor)
STEP: Final = Source(("step_id", "step", "last_step_id", "last_step"), (StepId,), lambda ctx: ctx.given.step_id)
STORE: Final = Source(("store", "object_store"), (Reader,), lambda ctx: ctx.reader)
GIVEN: Final = Source(("context",), (Blob,), lambda ctx: ctx.given.context)
NAME: Final = Source(("query_name", "name", "query"), (), lambda ctx: ctx.given.name)
# The low-level form gets its name, too; in the comfortable one, `name` is an argument like others.
LOW_LEVEL: Final = (STEP, NAME, GIVEN, STORE, CORE, ACTOR, CONTEXT)
SOURCES: Final = (STEP, GIVEN, STORE, CORE, ACTOR, CONTEXT)
_EMPTY: Final = inspect.Parameter.empty
_IDS: Final = (ACTOR, STEP)

_object_of_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Argument(Struct, frozen=True, kw_only=True):
    """One argument: the type that it is declared to have (Any without one), and its default."""

    name: str
    kind: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """True if a query without it is refused."""
        return self.default is _EMPTY


class QueryHandler:
    """A query, ready to be called with its context alone."""

    __slots__ = ("arguments", "call", "function", "returns")

    def __init__(self, function: Callable[..., Any], state: StateType) -> None:
        """Raises WitError("WrongSignature") that names the parameter."""
        self.function = function
        parameters, self.returns = parameters_of(function)
        fills: dict[str, Fill] = {}
        arguments: list[Argument] = []
        for parameter in parameters:
            source = _source(parameter)
            if parameter.name == STATE:
                fills[STATE] = state.read
            elif source is not None:
                fills[parameter.name] = source.fill
            else:
                arguments.append(_argument(function, parameter))
        self.arguments = arguments
        if not arguments and any(_source(parameter) is GIVEN for parameter in parameters):
            # It reads the context itself, which need not be JSON.
            self.call = bind(function, parameters, fills)
        else:
            self.call = _with_arguments(function, fills, arguments)


def inject_query(function: Callable[..., Any]) -> Fill:
    """A low-level query as a function of its context alone. Raises WitError("WrongSignature") that names the parameter."""
    return fill_parameters(function, LOW_LEVEL, f"query_name, {describe_sources(SOURCES)}")


def as_result(value: Any) -> Result:
    """What a query returned as what it answers: bytes are a blob, and so is the JSON of any other value. Raises TypeError."""
    if isinstance(value, Blob | Tree | Error):
        return value
    if isinstance(value, bytes) and not isinstance(value, Id):
        return Blob(value)
    return Blob(encode_json(value), JSON_TYPE)


def _source(parameter: Parameter) -> Source | None:
    source = find_source(parameter, SOURCES)
    if source is None or parameter.kind is _EMPTY or isinstance(parameter.kind, str):
        return source
    if source in _IDS and parameter.name not in source.names:
        # An id under another name is another actor's: an argument.
        return None
    # Of another type it is an argument, whatever its name.
    return find_source(Parameter("", parameter.kind, _EMPTY, False), (source,))


def _argument(function: Callable[..., Any], parameter: Parameter) -> Argument:
    kind = Any if parameter.kind is _EMPTY else parameter.kind
    if isinstance(kind, str):
        raise wrong_signature(function, parameter, f"has the annotation {kind!r}, which can't be resolved")
    try:
        argument_decoder(kind, texts=False)
    except TypeError as error:
        raise wrong_signature(function, parameter, f"can't be filled from JSON: {error}") from error
    return Argument(name=parameter.name, kind=kind, default=parameter.default)


def _with_arguments(function: Callable[..., Any], fills: Mapping[str, Fill], arguments: list[Argument]) -> Fill:
    known = {argument.name: argument for argument in arguments}
    decoders = {
        argument.name: [argument_decoder(argument.kind, texts=texts) for texts in (False, True)]
        for argument in arguments
    }

    positional = _positional_only(function)

    def call(ctx: QueryContext) -> Any:
        given = _given(ctx)
        _refuse_others(given, known, name_of(function))
        is_text = ctx.given.context.media_type == TEXTS
        values = {name: fill(ctx) for name, fill in fills.items()}
        for name, argument in known.items():
            if name in given:
                values[name] = _decoded(name, given[name], decoders[name][is_text], is_text=is_text)
            elif argument.is_required:
                raise WitError(BAD_ARGUMENTS, f"the argument {name!r} is missing; {_expected(known)}")
        return function(*[values.pop(name) for name in positional if name in values], **values)

    return call


def _positional_only(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [found.name for found in parameters if found.kind is found.POSITIONAL_ONLY]


def _given(ctx: QueryContext) -> Mapping[str, msgspec.Raw]:
    data = ctx.given.context.data
    if not data:
        return {}
    try:
        return _object_of_raw(data)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise WitError(BAD_ARGUMENTS, f"the context is not a JSON object of arguments: {error}") from error


def _refuse_others(given: Mapping[str, Any], known: Mapping[str, Argument], query: str) -> None:
    others = sorted(given.keys() - known.keys())
    if others:
        raise WitError(BAD_ARGUMENTS, f"{query} takes no argument {others[0]!r}; {_expected(known)}")


def _decoded(name: str, raw: msgspec.Raw, decode: Callable[[bytes], Any], *, is_text: bool) -> Any:
    data = bytes(raw)
    try:
        return decode(data)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        if is_text and data.startswith(b'"'):
            # A list of one is written like a single value, in a URL and on a command line.
            with suppress(ValueError, msgspec.MsgspecError):
                return decode(b"[" + data + b"]")
        raise WitError(BAD_ARGUMENTS, f"argument {name!r}: {error}") from error


def _expected(known: Mapping[str, Argument]) -> str:
    if not known:
        return "it takes none"
    return "it takes " + ", ".join(name if one.is_required else f"{name} (optional)" for name, one in known.items())
