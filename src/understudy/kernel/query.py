"""A query, first and last: the code that answers at a step, and whether what it answered can be an answer.

The law: an answer depends on the step, the name, the context, and what other actors answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from understudy.actors.calls import Calls
from understudy.actors.contract import Engine
from understudy.actors.errors import WitError
from understudy.actors.query import BAD_RESULT, Blob, QueryInput, QueryProgram, Result, Tree, encoded
from understudy.kernel.core import Engines, engine_of
from understudy.objects.errors import ObjectError
from understudy.objects.ids import StepId
from understudy.objects.step import Step
from understudy.store.reader import Reader

MAX_RESULT: Final = 64 * 1024 * 1024  # bytes of one answer, which is held in memory as a whole


class QueryPlan(Struct, frozen=True):
    """A query that is ready to run."""

    program: QueryProgram
    given: QueryInput


def prepare_query(
    reader: Reader,
    step_id: StepId,
    step: Step,
    *,
    name: str,
    context: Blob,
    calls: Calls,
    engines: Engines | Mapping[str, Engine],
) -> QueryPlan:
    """Find the code that answers at a step. Raises WitError: NO_QUERIES, or why the code can't be loaded; StoreError."""
    given = QueryInput(
        actor=step.actor, step_id=step_id, step=step, name=name, context=context, store=reader, calls=calls
    )
    try:
        return QueryPlan(engine_of(reader, step.core, engines).load_query(step.core, reader), given)
    except ObjectError as error:
        raise WitError("InvalidCore", f"the core can't be read: {error}") from error


def check_result(reader: Reader, result: Result) -> Result:
    """The result, if it is small enough and a tree's objects exist. Raises WitError(BAD_RESULT)."""
    if isinstance(result, Blob) and len(result.data) > MAX_RESULT:
        size = f"{len(result.data):,} bytes"
        raise WitError(BAD_RESULT, f"the query answered with {size}: at most {MAX_RESULT:,} are allowed")
    if isinstance(result, Tree):
        try:
            encoded(result)
        except ObjectError as error:
            raise WitError(BAD_RESULT, f"the query answered with a tree that can't be: {error}") from error
        for name, id in result.entries.items():
            if not reader.has(id):
                raise WitError(BAD_RESULT, f"the query answered with a tree whose entry {name!r}, {id}, is nowhere")
    return result
