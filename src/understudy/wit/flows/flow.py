"""One flow while it runs: its code, what it waits for, and how it is run again against its record.

The law: a flow that is run again from its record is in the same place, with the same values, as the one that made the record;
or it is named as one that went another way, and nothing of it counts.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NoReturn, Protocol

from understudy.actors.author_errors import code_and_text, is_of_the_machine
from understudy.actors.errors import CallFailed, Refusal, WitError
from understudy.wit.context import Context
from understudy.wit.flows.awaiting import Ask, Await, Kind
from understudy.wit.flows.failure import CANCELLED
from understudy.wit.flows.lines import Answered, Asked, Cancelled, Dropped, Event, Line
from understudy.wit.flows.loop import FlowLoop, FlowTask, TakeBack
from understudy.wit.flows.place import calling_place
from understudy.wit.flows.record import Record
from understudy.wit.running import RUNNING, Run

# A flow is run again from its beginning after a restart, and by a judge once for some hundred of its steps: some microseconds for
# each thing that it asked for, so a verdict on a flow of 5,000 takes some four times as long as the flow.
MAX_ASKS: Final = 5_000
MAX_ASKS_AFTER_CANCEL: Final = 100  # for compensation in `finally`; a flow that does not want to end is ended
# Code that catches TooManyAwaits and asks again does so for ever. Ten tasks for each ask that is allowed may each be told once.
MAX_REFUSALS: Final = 50_000
MAX_USED_OUTSIDE: Final = 100  # errors for one flow whose code is let go: its `finally` blocks have a few each
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Turn(Protocol):
    """The step in which a flow goes on: it carries out what the flow asks for."""

    @property
    def step(self) -> Context:
        """The step."""

    def type_of_flow(self, flow: Callable[..., Any] | str) -> str:
        """The message type that begins a flow. Raises TypeError."""

    def carry_out(self, flow: Flow, awaited: Await[Any]) -> bytes | None:
        """Do what is asked for; gives the answer, if it is there at once."""

    def take_back(self, flow: Flow, awaited: Await[Any]) -> None:
        """The flow does not wait for it any more."""


class Diverged(BaseException):
    """The code asks for something else than the record shows. No `except Exception` of the author's may catch it."""


class Ended(BaseException):
    """The flow ends here, whatever its code says. No `except Exception` of the author's may catch it."""


Begun = Callable[["Flow"], tuple[Run, Coroutine[Any, Any, Any]]]


class Flow:
    """A flow whose code is loaded. `begun` gives what its code is given as `ctx`, and the coroutine."""

    def __init__(self, id: str, record: Record, begun: Begun) -> None:
        self.id = id
        self.record = record
        self.time = record.begin.time
        self.open: dict[int, Await[Any]] = {}
        self.places: dict[str, str] = {}  # the actors that names meant: the same ones as long as the flow
        self.problem: str | None = None  # why the code can't go on
        self.fault: BaseException | None = None  # what the machine failed in, which the code must not hide
        self.main: FlowTask | None = None
        self._begun = begun
        self._turn: Turn | None = None
        self._loop = FlowLoop(lambda: self.time, self._set_timer)
        self._asked = 0
        self._ask_limit = MAX_ASKS
        self._refusals = 0
        self._used_outside = 0
        self._script: deque[Line] = deque()
        self._is_live = False
        self._is_cancelled = False
        self._why = ""  # it was cancelled, where who began it is told that
        self._new: list[Line] = []
        self._random: Random | None = None

    @property
    def turn(self) -> Turn:
        """The step that it goes on in. Raises WitError("StepOver")."""
        if self._turn is None:
            self._used_outside += 1
            raise WitError("StepOver", "a flow is used outside of its own code: what it does is done while it runs")
        return self._turn

    @property
    def is_live(self) -> bool:
        """True while the code does something for the first time."""
        return self._is_live

    @property
    def is_over(self) -> bool:
        """True if its code has come to its end."""
        return self.main is not None and self.main.done()

    @property
    def is_cancelled(self) -> bool:
        """True if it was cancelled, and has not come to its end by that."""
        return self._is_cancelled

    @property
    def is_let_go(self) -> bool:
        """True if nothing of what its code does counts any more: it went another way, is to end, or was let go where it waited.

        What it asks for is then awaited in vain. It is told by an error first; code that catches every error and tries again
        would do so for ever.
        """
        if self.problem is not None or self.fault is not None:
            return True
        return self._turn is None and self._used_outside >= MAX_USED_OUTSIDE

    @property
    def asked(self) -> int:
        """How much its code has asked for."""
        return self._asked

    @property
    def loop(self) -> FlowLoop:
        """The event loop that its code runs on."""
        return self._loop

    def now(self) -> datetime:
        """The time of the step that the code went on in last."""
        return _EPOCH + timedelta(microseconds=self.time)

    @property
    def random(self) -> Random:
        """Random numbers that are the same whenever the flow is run again."""
        if self._random is None:
            self._random = Random(f"{self.record.begin.seed}/{self.id}")
        return self._random

    def begin(self, turn: Turn) -> None:
        """Run the code for the first time, until it waits. Raises what the machine failed in."""
        self._is_live = True
        with _During(self, turn):
            self._start()

    def rerun(self, lines: Iterable[Line], turn: Turn) -> None:
        """Run the code again, with the answers of its record, until it waits for one that is not there yet.

        `problem` says where it went another way.
        """
        self._script.extend(lines)
        # Entered once, and not for each line: that was a fifth of the time of a long flow.
        with _During(self, turn), self._loop.running():
            try:
                self._start()
                while self._script and self.problem is None:
                    self._replay(self._script.popleft())
            except (Refusal, WitError) as error:
                self._stop(f"its code can't be run again: {error}")
            if self.is_over:
                self._stop("the code ends where the flow's record shows that it waits")
        self._script.clear()

    def go_on(self, event: Event, turn: Turn) -> None:
        """Give the code an event that is new, and let it run until it waits again."""
        self._is_live = True
        self._new.append(event)
        with _During(self, turn):
            self._feed(event)

    def error(self) -> BaseException | None:
        """What its code ended with, if not with a result."""
        assert self.main is not None
        if self.main.cancelled():
            return CallFailed(CANCELLED, self._why or "the flow was cancelled")
        return self.main.exception()

    def result(self) -> Any:
        """What its code returned."""
        assert self.main is not None
        return self.main.result()

    def discard(self) -> None:
        """Let go of the code where it waits."""
        self._loop.discard()

    def ask(self, ask: Ask) -> Await[Any]:
        """Ask for something, as the code does. Raises WitError("TooManyAwaits")."""
        if self.is_let_go:
            return Await(self._loop, self._asked, ask)
        turn = self.turn
        if self._asked >= self._ask_limit:
            self._refuse()
        awaited: Await[Any] = Await(self._loop, self._asked, ask)
        self._asked += 1
        self.open[awaited.n] = awaited
        if self._is_live:
            self._carry_out(awaited, turn)
        else:
            self._compare(awaited)
        if awaited.to is not None:
            self.places[ask.work.to] = awaited.to
        return awaited

    def _refuse(self) -> NoReturn:
        text = f"a flow may ask for {MAX_ASKS:,} things, and {MAX_ASKS_AFTER_CANCEL} after it was cancelled"
        error = WitError("TooManyAwaits", f"{text}: do parts of the work in child flows, ctx.start(…)")
        self._refusals += 1
        if self._refusals <= MAX_REFUSALS:
            raise error
        self.fault = error
        raise Ended

    def _start(self) -> None:
        variables = contextvars.copy_context()
        ctx, coroutine = variables.run(self._begun, self)
        variables.run(RUNNING.set, ctx)
        self.main = self._loop.create_task(coroutine, context=variables)
        self._run()

    def _replay(self, line: Line) -> None:
        match line:
            case Asked():
                self._stop(f"{self._whereabouts()} where the flow's record shows {_shown(line)}")
            case Answered() | Cancelled():
                if self.is_over:
                    self._stop(f"the code has ended where the flow's record shows the answer {line.time}")
                else:
                    self._feed(line)

    def _feed(self, event: Event) -> None:
        assert self.main is not None
        self.time = event.time
        if isinstance(event, Cancelled):
            self._is_cancelled, self._why = True, event.why if event.told else ""
            self._ask_limit = min(MAX_ASKS, self._asked + MAX_ASKS_AFTER_CANCEL)
            self.main.cancel(event.why or None)
        else:
            awaited = self.open.pop(event.n, None)
            if awaited is not None:
                self._settle(awaited, event)
        self._run()

    def _run(self) -> None:
        self._loop.run()
        if self.fault is not None:
            raise self.fault
        for awaited in [one for one in self.open.values() if one.done()]:
            del self.open[awaited.n]
            if self._is_live:
                self._new.append(Dropped(n=awaited.n))
                self.turn.take_back(self, awaited)
        if self._is_live:
            self.record.add(self._new)
            self._new.clear()

    def _settle(self, awaited: Await[Any], line: Answered) -> None:
        if awaited.done():
            return
        if line.error is not None:
            awaited.set_exception(CallFailed(*line.error))
            return
        if awaited.go_off is not None:
            awaited.set_result(None)
            awaited.go_off()
            return
        try:
            awaited.set_result(awaited.ask.decode(self.record.content(self.turn.step.given.store, line)))
        except Refusal as error:
            awaited.set_exception(CallFailed("BadAnswer", error.text))
        except BaseException as error:
            # A class of the author's that its payload does not suit. The answer is in the record, so the flow hears of it.
            if is_of_the_machine(error):
                raise
            awaited.set_exception(CallFailed("BadAnswer", ": ".join(code_and_text(error))))

    def _carry_out(self, awaited: Await[Any], turn: Turn) -> None:
        ask, store = awaited.ask, turn.step.given.store
        answer: Answered | None = None
        try:
            with self._loop.stepped_out():
                content = turn.carry_out(self, awaited)
            if content is not None:
                answer = self.record.answer(store, awaited.n, content, time=self.time, now=True)
        except BaseException as error:
            if is_of_the_machine(error):
                self.fault = self.fault or error
                raise
            answer = Answered(n=awaited.n, time=self.time, now=True, error=code_and_text(error))
        self._new.append(
            Asked(
                n=awaited.n,
                what=ask.what,
                digest=ask.digest,
                at=calling_place(),
                message=awaited.message,
                to=awaited.to,
                due=awaited.due,
                key=awaited.key,
            )
        )
        if answer is not None:
            self._new.append(answer)
            del self.open[awaited.n]
            self._settle(awaited, answer)

    def _compare(self, awaited: Await[Any]) -> None:
        ask = awaited.ask
        line = self._script[0] if self._script else None
        if not isinstance(line, Asked) or (line.what, line.digest) != (ask.what, ask.digest):
            asks = f"the code asks for {ask.what!r} ({calling_place()})"
            if isinstance(line, Asked):
                same = " with another content" if line.what == ask.what else ""
                self._stop(f"{asks}{same} where the flow's record shows {_shown(line)}")
            else:
                self._stop(f"{asks} where the flow's record shows that it waits")
            raise Diverged
        self._script.popleft()
        awaited.message, awaited.to, awaited.due, awaited.key = line.message, line.to, line.due, line.key
        after = self._script[0] if self._script else None
        if isinstance(after, Answered) and after.now and after.n == awaited.n:
            self._script.popleft()
            del self.open[awaited.n]
            self._settle(awaited, after)

    def _set_timer(self, due: int, go_off: Callable[[], None]) -> TakeBack:
        until = _EPOCH + timedelta(microseconds=due)
        timer = self.ask(Ask(kind=Kind.TIMER, what=f"sleep until {until:%Y-%m-%d %H:%M:%S.%f}", work=due))
        timer.go_off = go_off
        return timer.cancel

    def _whereabouts(self) -> str:
        if self.is_over:
            return "the code ends"
        waits = sorted({awaited.ask.what for awaited in self.open.values()})
        return f"the code waits for {', '.join(map(repr, waits))}" if waits else "the code waits for nothing"

    def _stop(self, problem: str) -> None:
        # The first is what it is about; what follows from it says nothing.
        self.problem = self.problem or problem

    def _enter(self, turn: Turn) -> None:
        self._turn = turn

    def _leave(self) -> None:
        self._turn, self._is_live = None, False


class _During:
    """The time in which a step lets a flow run."""

    def __init__(self, flow: Flow, turn: Turn) -> None:
        self._flow = flow
        self._turn = turn

    def __enter__(self) -> None:
        self._flow._enter(self._turn)

    def __exit__(self, *_: object) -> None:
        self._flow._leave()


def _shown(line: Asked) -> str:
    return f"{line.what!r} (made in {line.at})" if line.at else repr(line.what)
