"""`ctx.effect`: a plain function whose result is recorded in the journal; a replay does not call it.

The law: the author gets the value from the journal, in the type that the function declares, live as in a replay.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, get_type_hints

from understudy.actors.effect import EFFECT, Work, read_result
from understudy.actors.errors import WitError
from understudy.objects.wording import type_with_article
from understudy.wit.asking import may_await
from understudy.wit.content import Decode, decoder_for, encode_json
from understudy.wit.running import Run

IN_EFFECT: Final[ContextVar[str | None]] = ContextVar("understudy-in-effect", default=None)


def effect(run: Run, function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """The result, or an awaitable of it where the caller may await. Raises TypeError for what can't be asked for."""
    name = _name_of(function)
    request = _request(name, arguments, named)
    work = _work(function, name, arguments, named)
    decode = _decoder(function)
    if may_await(run):
        return _await(run, request, work, decode)
    if work.is_async:
        raise TypeError(f"{name} is an async def: await ctx.effect(…) in an `async def` handler")
    return _read(run.calls.call_and_wait(EFFECT, request, beside=work), decode)


def refuse_in_effect() -> None:
    """Raise WitError in a function that `ctx.effect` runs: a replay does not run it, so its calls would have no answers."""
    name = IN_EFFECT.get()
    if name is not None:
        raise WitError(
            "InEffect",
            f"{name} is run by ctx.effect, which no replay does: ask by `ctx` in the handler, and hand it in",
        )


async def _await(run: Run, request: bytes, work: Work, decode: Decode) -> Any:
    return _read(await run.calls.call(EFFECT, request, beside=work), decode)


def _read(reply: bytes, decode: Decode) -> Any:
    is_json, data = read_result(reply)
    return decode(data) if is_json else data


def _request(name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> bytes:
    try:
        return encode_json({"function": name, "arguments": list(arguments), "named": dict(named)})
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"what {name} is given by ctx.effect has to be JSON, so that a replay can compare it: {error}"
        ) from error


def _work(function: Callable[..., Any], name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Work:
    def run() -> Any:
        # In a context of its own, which ends with it.
        IN_EFFECT.set(name)
        return function(*arguments, **named)

    async def run_later() -> Any:
        token = IN_EFFECT.set(name)
        try:
            return await function(*arguments, **named)
        finally:
            IN_EFFECT.reset(token)

    is_async = inspect.iscoroutinefunction(function)
    later: Callable[[], Awaitable[Any]] = run_later
    return Work(name=name, run=later if is_async else run, is_async=is_async, encode=encode_json)


def _decoder(function: Callable[..., Any]) -> Decode:
    """What makes the function's result of its JSON."""
    try:
        kind = get_type_hints(function).get("return", Any)
        return decoder_for(Any if kind is bytes else kind)
    except (TypeError, NameError, AttributeError):
        # It promises nothing that JSON can become.
        return decoder_for(Any)


def _name_of(function: Callable[..., Any]) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not callable(function) or isinstance(function, type) or module is None or name is None:
        raise TypeError(
            f"ctx.effect runs a function, not {type_with_article(function)}: ctx.effect(function, argument, …)"
        )
    return f"{module}:{name}"
