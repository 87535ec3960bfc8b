"""How flows come to be: a message or another flow begins them, or they are run again from their record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudy.actors.contract import Delivery
from understudy.actors.errors import Refusal, WitError
from understudy.objects.ids import Id
from understudy.store.maps import tree_len
from understudy.wit.content import put_bytes, read_content
from understudy.wit.context import Context
from understudy.wit.flows.context import Child, FlowContext
from understudy.wit.flows.flow import Flow, Turn
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.flows.record import FOLDER, FORM, Begin, Record

MAX_FLOWS: Final = 10_000  # of one actor at once: more work is for more actors
# A name has 255 bytes, and that of a flow's timer is the flow's id, 5 before it and 5 behind it: some 90 flows deep.
MAX_ID: Final = 245


class FlowMaker:
    """Makes the flows of one step. `handlers` are the functions of flows, by the message type that begins them."""

    def __init__(self, step: Context, handlers: Mapping[str, FlowHandler]) -> None:
        self._step = step
        self._handlers = handlers

    def has_type(self, type: str) -> bool:
        """True if messages of a type begin a flow."""
        return type in self._handlers

    def type_of(self, flow: Callable[..., Any] | str) -> str:
        """The message type that begins a flow. Raises TypeError."""
        for type, handler in self._handlers.items():
            if flow in (type, handler.function):
                return type
        known = ", ".join(sorted(self._handlers)) or "none"
        raise TypeError(
            f"{getattr(flow, '__qualname__', flow)!r} is no flow: write @wit.flow(…) above it; there are: {known}"
        )

    def begun_by(self, delivery: Delivery, *, others: int) -> Flow:
        """The flow that a message begins; `others` are at work in this step. Raises Refusal("TooManyFlows")."""
        message, given = delivery.message, self._step.given
        begin = Begin(v=FORM, type=message.type, time=given.time, seed=given.seed, sender=message.sender)
        return self._new(str(delivery.id), Record(begin, message.content), others)

    def child_of(self, parent: Flow, n: int, child: Child, *, others: int) -> Flow:
        """The flow that an ask of another one begins. Raises Refusal("TooManyFlows"), WitError("TooDeep")."""
        given = self._step.given
        id = f"{parent.id}.{n}"
        if len(id) > MAX_ID:
            text = f"{id.count('.') - 1} flows began each other: {child.type!r} can't begin one more below them"
            raise WitError("TooDeep", f"{text}: let one further up begin it, or send the actor a message of that type")
        begin = Begin(v=FORM, type=child.type, time=given.time, seed=given.seed, parent=parent.id, ask=n)
        return self._new(id, Record(begin, put_bytes(given.store, child.payload)), others)

    def load(self, id: str, tree: Id, turn: Turn) -> Flow:
        """A flow that waits, from its record; `problem` says why it can't go on. Raises WitError("BadFlow"), StoreError."""
        store = self._step.given.store
        record = Record.read(store, tree)
        handler = self._handlers.get(record.begin.type)
        if handler is None:
            flow = Flow(id, record, _no_code)
            flow.problem = f"the code has no flow that messages of type {record.begin.type!r} begin"
            return flow
        flow = Flow(id, record, lambda flow: _start(flow, handler))
        flow.rerun(record.read_lines(store), turn)
        return flow

    def _new(self, id: str, record: Record, others: int) -> Flow:
        given, handler = self._step.given, self._handlers[record.begin.type]
        if others + tree_len(given.store, given.core, FOLDER) >= MAX_FLOWS:
            raise Refusal("TooManyFlows", f"{MAX_FLOWS:,} flows of this actor are under way: no more may begin")
        return Flow(id, record, lambda flow: _start(flow, handler))


def _start(flow: Flow, handler: FlowHandler) -> tuple[FlowContext, Any]:
    ctx = FlowContext(flow)
    what = f"the content of the message {handler.type!r}"
    return ctx, handler.begin(ctx, read_content(flow.turn.step.given.store, flow.record.payload, what))


def _no_code(flow: Flow) -> Any:
    raise AssertionError("a flow without code is not run")
