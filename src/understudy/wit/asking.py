"""Asking other actors: a query from within a step or another query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from understudy.actors.errors import CallFailed
from understudy.actors.query import JSON, NO_CONTEXT, Blob, Error, QueryRequest, Result, read_result, request_bytes
from understudy.objects.ids import Id
from understudy.wit.content import encode_json
from understudy.wit.running import Run, current_loop, running

QUERY: Final = "query"  # the capability


def query_a_wit(actor_id: str | Id, query_name: str, context: Any = NO_CONTEXT) -> Any:
    """Ask an actor (an id or a name) at its newest durable step: a Blob, a Tree or an Error comes back.

    In an `async def` it is awaited, elsewhere it waits. The context is a Blob, bytes, or a value that becomes JSON.
    The journal of the asking step records the answer, and which step gave it.
    """
    return ask(running("query_a_wit"), actor_id, query_name, as_context(context), raises=False)


def ask(run: Run, actor: str | Id, name: str, context: Blob, *, raises: bool) -> Any:
    """Ask another actor, awaited where the caller is asynchronous; with `raises`, an error is raised as CallFailed and not
    returned.
    """
    request = request_bytes(QueryRequest(actor=str(actor), name=name, context=context))
    if may_await(run):
        return _await(run, request, raises)
    try:
        return read_result(run.calls.call_and_wait(QUERY, request))
    except CallFailed as error:
        return _answered(error, raises)


def as_context(value: Any) -> Blob:
    """What a query gets: a Blob as it is, bytes as bytes, anything else as JSON."""
    if isinstance(value, Blob):
        return value
    if isinstance(value, bytes) and not isinstance(value, Id):
        return Blob(value)
    return Blob(encode_json(value), JSON)


def one_context(context: Any, arguments: Mapping[str, Any]) -> Blob:
    """The context of a call that has either arguments or a context of its own. Raises TypeError for both."""
    if context is not None and arguments:
        raise TypeError("a query takes a context or arguments, not both")
    return as_context(arguments if context is None else context)


def may_await(run: Run) -> bool:
    """True if the caller is an `async def` handler."""
    loop = current_loop()
    return loop is not None and loop is not run.blocked_loop


async def _await(run: Run, request: bytes, raises: bool) -> Result:
    try:
        return read_result(await run.calls.call(QUERY, request))
    except CallFailed as error:
        return _answered(error, raises)


def _answered(error: CallFailed, raises: bool) -> Error:
    if raises:
        raise error
    return Error(error.code, error.text)
