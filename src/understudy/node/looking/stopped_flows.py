"""Flows that stand still: of which actors, and why. What can't be read is named with its reason, and hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader
from understudy.wit.flows.overview import flow_ids, ids_in, why_stopped, why_stopped_in
from understudy.wit.flows.record import FOLDER

MOST_OF_ONE: Final = 100  # flows of an actor that are looked at to say how it does, in a list of a thousand actors too
MOST_LOOKED_AT: Final = 10_000  # actors and flows: a second's work


class StoppedFlow(Struct, frozen=True):
    """A flow that stands still, and why. `flow` is None where an actor's flows can't be read at all."""

    actor: ActorId
    flow: str | None
    why: str


def why_stalled(reader: Reader, folder: Id) -> str | None:
    """Why a flow of an actor stands still, one of MOST_OF_ONE; None if none of them does.

    `folder` is what the core has at `/flows`. Raises StoreError.
    """
    try:
        for flow in islice(ids_in(reader, folder), MOST_OF_ONE):
            why = why_stopped_in(reader, folder, flow)
            if why is not None:
                return f"the flow {flow} stands still: {why}"
    except (WitError, ObjectError) as error:
        return f"its flows can't be read: {error}"
    return None


def why_stalled_at(reader: Reader, step: Step, look: Callable[[Id], str | None] | None = None) -> str | None:
    """The same of the core after a step. `look` says it of a folder; the caller's own may remember."""
    try:
        flows = tree_entry(reader, step.core, FOLDER)
        if flows is None:
            return None
        return why_stalled(reader, flows) if look is None else look(flows)
    except (StoreError, ObjectError) as error:
        # Not remembered by `look`: the next one may well find it.
        return f"its flows can't be read: {error}"


def find_stopped_flows(reader: Reader, heads: Iterable[tuple[ActorId, StepId]], *, limit: int) -> list[StoppedFlow]:
    """At most `limit` flows of these actors that stand still, among the first MOST_LOOKED_AT."""
    looked_at = (found for actor, head in heads for found in _look_at(reader, actor, head))
    stopped = (found for found in islice(looked_at, MOST_LOOKED_AT) if found is not None)
    return list(islice(stopped, limit))


def _look_at(reader: Reader, actor: ActorId, head: StepId) -> Iterator[StoppedFlow | None]:
    """One value for the actor and one for each of its flows, None for what works."""
    try:
        core = reader.step(head).core
        flows = flow_ids(reader, core)
    except (StoreError, ObjectError) as error:
        yield StoppedFlow(actor, None, f"its flows can't be read: {error}")
        return
    yield None
    for flow in flows:
        try:
            why = why_stopped(reader, core, flow)
        except (WitError, StoreError, ObjectError) as error:
            why = f"its record can't be read: {error}"
        yield None if why is None else StoppedFlow(actor, flow, why)
