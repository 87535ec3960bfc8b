"""The flows of an actor in one step: messages find them, and what they ask for is carried out.

The law: what comes for a flow is in its record before its code goes on, so nothing that came is lost, whatever the code does.
"""

from __future__ import annotations

from asyncio import gather
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from understudy.actors.author_errors import is_of_the_machine
from understudy.actors.contract import Delivery
from understudy.actors.errors import CallFailed, Refusal, WitError
from understudy.objects.ids import Id, TreeId
from understudy.objects.message import ERROR, Message
from understudy.wit.content import encode_json, read_content
from understudy.wit.context import Context
from understudy.wit.flows import index
from understudy.wit.flows.asks import Asks, Open
from understudy.wit.flows.awaited import Awaited
from understudy.wit.flows.awaiting import Await, Kind
from understudy.wit.flows.context import Call, Child
from understudy.wit.flows.failure import CANCELLED, content_of, describe_failure, read_failure
from understudy.wit.flows.flow import Flow
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.flows.index import Place
from understudy.wit.flows.kept import Kept
from understudy.wit.flows.lines import Answered, Cancelled, Event, open_asks
from understudy.wit.flows.maker import FlowMaker
from understudy.wit.flows.notice import FLOW, read_notice
from understudy.wit.flows.record import CANCEL, CANCEL_TOLD, FOLDER, STOPPED, Record, Stop
from understudy.wit.requests import REPLY, Failure, close_request, find_request
from understudy.wit.state import StateType


class Turn:
    """What the flows of an actor do in one step. Made for each step that has to do with flows."""

    def __init__(
        self,
        step: Context,
        handlers: Mapping[str, FlowHandler],
        awaited: Mapping[str, Awaited],
        state: StateType,
        kept: Kept,
    ) -> None:
        self.step = step
        self._maker = FlowMaker(step, handlers)
        self._awaited = awaited
        self._asks = Asks(step, state)
        self._kept = kept
        self._flows: dict[str, Flow] = {}
        self._events: deque[tuple[str, Callable[[Flow], Event]]] = deque()
        self._called: dict[tuple[str, int], Callable[[Flow], Event]] = {}
        self._begun: deque[Flow] = deque()

    def calls_of(self, deliveries: Sequence[Delivery]) -> list[Place]:
        """The calls to the world that the messages of a step are there for."""
        return [place for delivery in deliveries if (place := self._call_of(delivery)) is not None]

    async def make_calls(self, places: Sequence[Place]) -> None:
        """Make calls, all at once; their answers come to the flows when the messages are taken."""
        asked = [(place, call) for place in places if (call := self._find_call(place)) is not None]
        answers = await gather(*(self._call(call) for _, call in asked))
        for (place, _), answer in zip(asked, answers, strict=True):
            self._called[place.flow, place.n] = self._event(place.n, answer)

    def take(self, delivery: Delivery) -> bool:
        """Give a message to the flow that it is for; False if it is for none."""
        message = delivery.message
        if message.type == FLOW:
            self._take_notice(delivery)
        elif not (self._take_answer(message) or self._take_awaited(message)):
            if not self._maker.has_type(message.type):
                return False
            self._begin(delivery)
        self._go_on()
        return True

    def finish(self) -> None:
        """Write the records of the flows that went on."""
        self._go_on()
        core = self.step.core
        for id, flow in self._flows.items():
            before = flow.record.tree
            tree = flow.record.save(self.step.given.store)
            if tree != before:
                core[f"{FOLDER}/{id}"] = tree
            if flow.problem is None:
                self._kept.keep(self.step.actor_id, flow)
            else:
                flow.discard()
        self._flows.clear()

    def abandon(self) -> None:
        """The step failed: let go of what ran."""
        for flow in self._flows.values():
            flow.discard()
        self._flows.clear()

    def type_of_flow(self, flow: Callable[..., Any] | str) -> str:
        """The message type that begins a flow. Raises TypeError."""
        return self._maker.type_of(flow)

    def carry_out(self, flow: Flow, awaited: Await[Any]) -> bytes | None:
        """Do what a flow asks for the first time."""
        if awaited.ask.kind is Kind.CHILD:
            self._begin_child(flow, awaited.n, awaited.ask.work)
            return None
        return self._asks.carry_out(flow, awaited)

    def take_back(self, flow: Flow, open: Open) -> None:
        """Forget what would have led an answer to a flow."""
        self._asks.take_back(flow.id, open)
        child = f"{flow.id}.{open.n}"
        if child in self._flows or f"{FOLDER}/{child}" in self.step.core:
            self.tell(
                child, lambda _: Cancelled(time=self._now, why="the flow that began it does not want it any more")
            )

    def tell(self, flow: str, event: Callable[[Flow], Event]) -> None:
        """Note an event for a flow."""
        self._events.append((flow, event))

    def write_state(self) -> None:
        """Write the state, if it was used."""
        self._asks.state.write(self.step)

    @property
    def _now(self) -> int:
        return self.step.given.time

    # What comes in.

    def _take_notice(self, delivery: Delivery) -> None:
        notice, sender = read_notice(self.step, delivery), delivery.message.sender
        if sender == str(self.step.actor_id):
            # The step that makes a call is there, so no error of it will come.
            self._asks.forget_request(str(delivery.id))
        flow = None if not notice.flow else self._find(notice.flow)
        if not notice.flow:
            self._look_again()
        elif flow is None:
            self.step.log(f"there is no flow {notice.flow!r}: it may be over")
        elif notice.cancel is not None:
            if sender not in (flow.record.begin.sender, str(self.step.actor_id)):
                raise Refusal("NotPermitted", f"{sender} may not cancel the flow {notice.flow}: only who began it may")
            why = notice.cancel
            self.tell(notice.flow, lambda _: Cancelled(time=self._now, why=why))
        elif notice.ask is not None:
            event = self._called.get((notice.flow, notice.ask))
            if event is not None:
                self.tell(notice.flow, event)
            elif flow.problem is None:
                self._take_timer(flow, notice.ask)
            elif sender == str(self.step.actor_id):
                flow.record.missed.append(notice.ask)

    def _take_timer(self, flow: Flow, n: int) -> None:
        awaited = flow.open.get(n)
        # Anybody may say that it is time; whether it is, the record says.
        if awaited is not None and awaited.due is not None and awaited.due <= self._now:
            self.tell(flow.id, lambda _: Answered(n=n, time=self._now, text=""))

    def _take_answer(self, message: Message) -> bool:
        request = find_request(self.step.core, message, is_ours=False)
        if request is None or request.flow is None or not isinstance(request.about, int):
            return False
        assert message.re is not None
        close_request(self.step.core, message.re)
        content = self._content(message)
        answer = read_failure(content) if message.type == ERROR else content
        self.tell(request.flow, self._event(request.about, answer))
        return True

    def _take_awaited(self, message: Message) -> bool:
        if not index.is_awaited(self.step.core, message.type):
            return False
        content = self._content(message)
        if isinstance(content, CallFailed):
            return False
        place = index.take_wait(self.step.core, message.type, content)
        if place is None:
            return False
        if message.type in self._awaited:
            # What the flow could not read would end its wait.
            self._awaited[message.type].check(content)
        self.tell(place.flow, self._event(place.n, content))
        return True

    def _content(self, message: Message) -> bytes | CallFailed:
        try:
            return read_content(self.step.given.store, message.content, f"the content of the message {message.type!r}")
        except Refusal as error:
            return CallFailed(error.code, error.text)

    def _event(self, n: int, answer: bytes | CallFailed) -> Callable[[Flow], Event]:
        def make(flow: Flow) -> Event:
            if isinstance(answer, CallFailed):
                return Answered(n=n, time=self._now, error=(answer.code, answer.text))
            return flow.record.answer(self.step.given.store, n, answer, time=self._now)

        return make

    # How a flow begins, goes on and ends.

    def _begin(self, delivery: Delivery) -> None:
        flow = self._maker.begun_by(delivery, others=len(self._flows))
        self._flows[flow.id] = flow
        flow.begin(self)
        error = flow.error() if flow.is_over else None
        if error is not None:
            # Nobody knows yet of what it did: its message fails, as with any handler.
            raise error
        self._look_after(flow)

    def _begin_child(self, parent: Flow, n: int, child: Child) -> None:
        flow = self._maker.child_of(parent, n, child, others=len(self._flows))
        self._flows[flow.id] = flow
        # Its code runs when its parent's waits: no flow's code runs within another's.
        self._begun.append(flow)

    def _find(self, id: str) -> Flow | None:
        """A flow that is under way, where it waits."""
        if id in self._flows:
            return self._flows[id]
        tree = None if "/" in id else self.step.core.changes.find(f"{FOLDER}/{id}")
        if not isinstance(tree, Id):
            return None
        flow = self._kept.take(self.step.actor_id, TreeId(tree)) or self._maker.load(id, tree, self)
        self._flows[id] = flow
        if flow.problem is not None:
            self._stop(flow, flow.problem)
        self._catch_up(flow)
        return self._flows.get(id)

    def _stop(self, flow: Flow, problem: str) -> None:
        """The code is another one than the record's: note that, and wait for a cure."""
        flow.discard()
        before = flow.record.stopped
        if before is None or before.why != problem:
            flow.record.stopped = Stop(why=problem, since=self._now)
            self.step.log(f"the flow {flow.id} stands still: {problem}")

    def _catch_up(self, flow: Flow) -> None:
        """Give a flow what came while it stood still, and the cancel that an operator put beside its record."""
        record = flow.record
        if flow.problem is None and record.stopped is not None:
            self.step.log(f"the flow {flow.id} goes on")
            arrived, missed = record.arrived, record.missed
            record.stopped, record.arrived, record.missed = None, [], []
            for awaited in list(flow.open.values()):
                if awaited.ask.kind is Kind.CALL and awaited.n in missed:
                    self._asks.ask_for_call(flow.id, awaited.n)
                elif awaited.due is not None:
                    self._take_timer(flow, awaited.n)
            for event in arrived:
                if flow.id in self._flows:
                    self._give(flow, msgspec.structs.replace(event, time=self._now))
        if record.cancel is not None and flow.id in self._flows:
            why, record.cancel = record.cancel, None
            self._give(flow, Cancelled(time=self._now, why=why, told=record.is_cancel_told))

    def _look_again(self) -> None:
        """Try the flows that stand still, and those that an operator cancelled."""
        folder = self.step.core.dir(FOLDER)
        for id in folder:
            tree = self.step.core.changes.find(f"{FOLDER}/{id}")
            names = self.step.given.store.tree(tree) if isinstance(tree, Id) else {}
            if STOPPED in names or CANCEL in names or CANCEL_TOLD in names:
                self._find(id)

    def _go_on(self) -> None:
        """Let flows go on until nothing more happens in this step."""
        while self._begun or self._events:
            if self._begun:
                self._first_turn(self._begun.popleft())
            else:
                id, event = self._events.popleft()
                flow = self._find(id)
                if flow is not None:
                    self._give(flow, event(flow))

    def _first_turn(self, child: Flow) -> None:
        try:
            child.begin(self)
        except BaseException as error:
            # The payload is none that it takes.
            if child.fault is not None or is_of_the_machine(error):
                raise
            self._fail(child, error)
        else:
            self._look_after(child)

    def _give(self, flow: Flow, event: Event) -> None:
        if isinstance(event, Cancelled) and (flow.problem is not None or flow.is_cancelled):
            self._fail(flow, CallFailed(CANCELLED, event.why or "the flow was cancelled"))
        elif flow.problem is not None:
            flow.record.arrived.append(event)
        else:
            try:
                flow.go_on(event, self)
            except WitError as error:
                # It never waits again. Were the step to fail, what came would be lost and the flow still there.
                self._fail(flow, error)
                return
            self._look_after(flow)

    def _look_after(self, flow: Flow) -> None:
        """Answer who began a flow if that has come to its end."""
        if not flow.is_over:
            if not flow.open:
                text = "it awaits what can never come: it asked for nothing that is still open"
                self._fail(flow, WitError("FlowStuck", text))
            return
        error = flow.error()
        if error is None:
            try:
                self._end(flow, content_of(flow.result()))
                return
            except (TypeError, ValueError) as fault:
                error = TypeError(f"what the flow returned is no JSON: {fault}")
        self._fail(flow, error)

    def _fail(self, flow: Flow, error: BaseException) -> None:
        """A flow is over, with its failure."""
        failure = describe_failure(error, flow.id, flow.record.begin.type)
        self.step.log(f"the flow {flow.id} ({failure.type}) failed: {failure.code}: {failure.text}")
        self._end(flow, failure)

    def _end(self, flow: Flow, answer: bytes | Failure) -> None:
        """A flow is over, with its result or its failure."""
        core = self.step.core
        for awaited in self._open(flow):
            self.take_back(flow, awaited)
        flow.discard()
        del self._flows[flow.id]
        path = f"{FOLDER}/{flow.id}"
        if path in core:
            del core[path]
        self._answer(flow, answer)

    def _open(self, flow: Flow) -> Sequence[Open]:
        if flow.problem is None:
            return list(flow.open.values())
        # Its code did not get there: its record says what it waits for.
        store = self.step.given.store
        tree = flow.record.tree
        return [] if tree is None else open_asks(Record.read(store, tree).read_lines(store))

    def _answer(self, flow: Flow, answer: bytes | Failure) -> None:
        begin, outbox = flow.record.begin, self.step.outbox
        if begin.parent is not None and begin.ask is not None:
            told = answer if isinstance(answer, bytes) else CallFailed(answer.code, answer.text)
            self.tell(begin.parent, self._event(begin.ask, told))
        elif begin.sender is not None and isinstance(answer, bytes):
            outbox.send(begin.sender, type=REPLY, content=answer, re=flow.id)
        elif begin.sender is not None:
            outbox.send(begin.sender, type=ERROR, content=encode_json(answer), re=flow.id)

    def _call_of(self, delivery: Delivery) -> Place | None:
        if delivery.message.type != FLOW or delivery.message.sender != str(self.step.actor_id):
            return None
        notice = read_notice(self.step, delivery)
        return None if notice.ask is None or notice.cancel is not None else Place(notice.flow, notice.ask)

    def _find_call(self, place: Place) -> Call | None:
        flow = self._find(place.flow)
        awaited = None if flow is None or flow.problem is not None else flow.open.get(place.n)
        return awaited.ask.work if awaited is not None and awaited.ask.kind is Kind.CALL else None

    async def _call(self, call: Call) -> bytes | CallFailed:
        try:
            return await self.step.given.calls.call(call.capability, call.request, beside=call.beside)
        except CallFailed as error:
            return error
