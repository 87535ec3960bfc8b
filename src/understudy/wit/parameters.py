"""What a wit's function may ask for, by name or by annotation, and how its arguments are put together.

Everything is decided once, when the module loads; a call runs a few small closures.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, TypeGuard

from understudy.actors.errors import WitError
from understudy.objects.ids import ActorId, StepId
from understudy.objects.wording import with_article
from understudy.store.reader import Decoded, Reader, Staging
from understudy.wit.context import Context
from understudy.wit.core import Core
from understudy.wit.inbox import Inbox
from understudy.wit.message import Message
from understudy.wit.outbox import Outbox
from understudy.wit.requests import Request
from understudy.wit.staging import CheckedStaging

Fill = Callable[[Any], Any]  # of the context of a step, or of a query


class Source(NamedTuple):
    """One thing that a function may ask for: its names, its annotations, and how to get it."""

    names: tuple[str, ...]
    kinds: tuple[Any, ...]
    fill: Fill


class Parameter(NamedTuple):
    """A parameter with its annotation resolved; `kind` and `default` are `inspect.Parameter.empty` without one."""

    name: str
    kind: Any
    default: Any
    by_keyword: bool


CONTEXT: Final = Source(("ctx", "context"), (Context,), lambda ctx: ctx)
CORE: Final = Source(("core",), (Core,), lambda ctx: ctx.core)
INBOX: Final = Source(("inbox",), (Inbox,), lambda ctx: ctx.inbox)
OUTBOX: Final = Source(("outbox",), (Outbox,), lambda ctx: ctx.outbox)
ACTOR: Final = Source(("actor_id", "actor"), (ActorId,), lambda ctx: ctx.given.actor)
STEP: Final = Source(("last_step_id", "last_step", "step_id", "step"), (StepId,), lambda ctx: ctx.given.parent)
STORE: Final = Source(
    ("store", "object_store"),
    (Staging, Reader),
    # Steps that were made under the first rules staged what they liked, and are replayed so.
    lambda ctx: (Decoded if ctx.abi.is_first else CheckedStaging)(ctx.given.store),
)
MESSAGE: Final = Source(("message",), (Message,), lambda ctx: ctx.message)
REQUEST: Final = Source(("request",), (Request,), lambda ctx: ctx.request_in_hand)
MESSAGES: Final = Source(
    ("messages", "new_messages"),
    (list[Message], Sequence[Message], list[Message]),
    lambda ctx: ctx.messages(),
)
_GENERATORS: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def parameters_of(function: Callable[..., Any]) -> tuple[list[Parameter], Any]:
    """A function's parameters but `*args` and `**kwargs`, and its return annotation. Raises WitError."""
    _check_answers(function)
    # A verifier loads the wit anew for each step, and this was most of the time that it took.
    if _is_plain(function):
        hints = _plain_hints(function)
        if hints is not None:
            return _plain_parameters(function, hints), hints.get("return", inspect.Parameter.empty)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise WitError("WrongSignature", f"{name_of(function)}: its parameters can't be found out: {error}") from error
    hints = _hints(function)
    parameters = [
        Parameter(
            found.name,
            hints.get(found.name, found.annotation),
            found.default,
            found.kind is found.KEYWORD_ONLY,
        )
        for found in signature.parameters.values()
        if found.kind not in (found.VAR_POSITIONAL, found.VAR_KEYWORD)
    ]
    return parameters, hints.get("return", signature.return_annotation)


def find_source(parameter: Parameter, sources: tuple[Source, ...]) -> Source | None:
    """The source that a parameter names: its annotation goes before its name."""
    by_kind, by_name = _index(sources)
    try:
        found = by_kind.get(_without_none(parameter.kind))
    except TypeError:
        # An annotation that can't be hashed is none of ours.
        found = None
    return found or by_name.get(parameter.name)


def fill_parameters(function: Callable[..., Any], sources: tuple[Source, ...], possible: str) -> Fill:
    """The function as one of the context alone. Raises WitError("WrongSignature") that says what is `possible`."""
    parameters, _ = parameters_of(function)
    fills: dict[str, Fill] = {}
    for parameter in parameters:
        source = find_source(parameter, sources)
        if source is not None:
            fills[parameter.name] = source.fill
        elif parameter.default is inspect.Parameter.empty:
            raise wrong_signature(function, parameter, f"can't be filled; possible are {possible}")
    return bind(function, parameters, fills)


def bind(function: Callable[..., Any], parameters: Sequence[Parameter], fills: Mapping[str, Fill]) -> Fill:
    """A function of the context alone. Parameters without a fill keep their defaults."""
    positional: list[Fill] = []
    named: dict[str, Fill] = {}
    for parameter in parameters:
        fill = fills.get(parameter.name)
        if fill is None:
            continue
        # After a default that is kept, the rest can only be given by name.
        if parameter.by_keyword or named or len(positional) < parameters.index(parameter):
            named[parameter.name] = fill
        else:
            positional.append(fill)
    return _closure(function, positional, named)


def wrong_signature(function: Callable[..., Any], parameter: Parameter, why: str) -> WitError:
    """The error of a parameter that can't be filled, with the place of the function."""
    return WitError("WrongSignature", f"{place_of(function)}: parameter {parameter.name!r} {why}")


def describe_sources(sources: Sequence[Source]) -> str:
    """What can be asked for, for an error message."""
    return ", ".join(f"{source.names[0]} ({describe_kind(source.kinds[0])})" for source in sources)


def describe_kind(kind: Any) -> str:
    """A type as an author would write it."""
    if kind == list[Message]:
        return "list[Message]"
    return (
        kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else getattr(kind, "__name__", str(kind))
    )


def kind_with_article(kind: Any) -> str:
    """The same with "a" or "an" before it."""
    return with_article(describe_kind(kind))


def is_async(function: Callable[..., Any]) -> bool:
    """True for a coroutine function, a decorated one too, and for an object whose `__call__` is one."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    target = function if inspect.isroutine(function) else type(function).__call__
    return any(map(inspect.iscoroutinefunction, (function, target, inspect.unwrap(target))))


def name_of(function: Callable[..., Any]) -> str:
    """A function's name."""
    return getattr(function, "__qualname__", None) or repr(function)


def place_of(function: Callable[..., Any]) -> str:
    """File, line and name of a function; the machine's part of the path is left out."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return name_of(function)
    file = "/".join(code.co_filename.replace("\\", "/").split("/")[1:]) if is_core_file(code.co_filename) else ""
    return f"{file or code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno} in {name_of(function)}"


def is_core_file(filename: str) -> bool:
    """True for the file name of code out of a core, which is `core-VERSION/PATH`."""
    return filename.startswith("core-")


def _check_answers(function: Callable[..., Any]) -> None:
    if isinstance(function, type):
        raise WitError("WrongSignature", f"{name_of(function)} is a class: what handles must be a function")
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATORS:
        text = "has a `yield`, so that calling it only makes a generator: return the answer instead"
        raise WitError("WrongSignature", f"{place_of(function)} {text}")


@cache
def _index(sources: tuple[Source, ...]) -> tuple[dict[Any, Source], dict[str, Source]]:
    # Backwards, so that the first of two wins.
    by_kind = {kind: source for source in reversed(sources) for kind in source.kinds}
    return by_kind, {name: source for source in reversed(sources) for name in source.names}


def _is_plain(function: Callable[..., Any]) -> TypeGuard[types.FunctionType]:
    """True for a function that nobody decorated: what `inspect` goes by for those is in `__dict__`."""
    return type(function) is types.FunctionType and not function.__dict__


def _plain_parameters(function: types.FunctionType, hints: Mapping[str, Any]) -> list[Parameter]:
    """What `inspect.signature` says of it, without its checks."""
    code = function.__code__
    count, empty = code.co_argcount, inspect.Parameter.empty
    names = code.co_varnames[: count + code.co_kwonlyargcount]
    defaults = dict(zip(reversed(names[:count]), reversed(function.__defaults__ or ()), strict=False))
    defaults |= function.__kwdefaults__ or {}
    return [
        Parameter(name, hints.get(name, empty), defaults.get(name, empty), number >= count)
        for number, name in enumerate(names)
    ]


def _plain_hints(function: types.FunctionType) -> dict[str, Any] | None:
    """What `typing.get_type_hints` gives where each annotation is a class; None if it has to be asked."""
    hints: dict[str, Any] = {}
    for name, annotation in function.__annotations__.items():
        kind = annotation
        if type(annotation) is str:
            try:
                kind = eval(_expression(annotation), function.__globals__)
            except Exception:
                return None
        if kind is not None and not isinstance(kind, type):
            return None
        hints[name] = type(None) if kind is None else kind
    return hints


@lru_cache(maxsize=4096)
def _expression(annotation: str) -> types.CodeType:
    return compile(annotation, "<annotation>", "eval")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__
    try:
        # With names of its own: `typing` keeps one `List["Item"]` for all modules, and would give what another's was.
        return typing.get_type_hints(target, localns={}, include_extras=True)
    except Exception:
        return _hints_one_by_one(inspect.unwrap(target))


def _hints_one_by_one(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations that can be resolved; one that can't stays text, which may not matter: names count too."""
    hints: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        hints[name] = annotation
        if isinstance(annotation, str):
            try:
                hints[name] = eval(annotation, getattr(function, "__globals__", {}))
            except Exception:
                continue
    return hints


def _without_none(kind: Any) -> Any:
    if not isinstance(kind, type) and typing.get_origin(kind) in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(kind) if one is not type(None)]
        if len(kinds) == 1:
            return kinds[0]
    return kind


def _closure(function: Callable[..., Any], positional: list[Fill], named: dict[str, Fill]) -> Fill:
    if named:
        return lambda ctx: function(
            *[fill(ctx) for fill in positional], **{name: fill(ctx) for name, fill in named.items()}
        )
    match positional:
        case []:
            return lambda ctx: function()
        case [one]:
            return lambda ctx: function(one(ctx))
        case [one, two]:
            return lambda ctx: function(one(ctx), two(ctx))
        case [one, two, three]:
            return lambda ctx: function(one(ctx), two(ctx), three(ctx))
    return lambda ctx: function(*[fill(ctx) for fill in positional])
