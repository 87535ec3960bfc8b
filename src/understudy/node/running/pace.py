"""The pace of an actor: what its messages cost, measured, so that one step lasts milliseconds.

The law: a step of several messages is expected to end within STEP_SECONDS. A message of a type that was not measured yet is
run alone.

A step also takes longer because the machine is busy: its thread waits for a processor, or for the interpreter. No clock
tells that from a wit that sleeps. So what a step computed counts at once, and a wait counts when it comes again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Final

from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.objects.message import Message

# An update waits for the step that runs, and so do all callers whose messages are in it. Ten milliseconds are enough for
# some hundred cheap messages, so that what each step costs besides is still shared by many.
STEP_SECONDS: Final = 0.01
MAX_TYPES: Final = 64  # measured for each actor; senders choose the types, so they must not fill the memory
MAX_CODES: Final = 1024  # versions of code that are remembered, the last used
# A step has a part that does not grow with its messages, such as the wait for a durable parent. So after one that ended
# in time twice as many are tried, though they were expected to take a little too long.
_IN_TIME: Final = 0.6 * STEP_SECONDS
_HALF: Final = 0.49 * STEP_SECONDS
_FALL: Final = 4.0  # an estimate falls at most so many times at once: the first step of a type also loads code
RECENT: Final = 3  # a wait counts when so many steps in a row have it: a busy machine rarely does that to all of them
# Waits from here on count at once: hardly a machine makes a thread wait so long, and many messages may each wait so.
LONG_WAIT: Final = 0.1


class _Cost(Struct, frozen=True):
    """What one message of a type takes: the least of the last measurements, and at least what it computed in the last."""

    recent: tuple[float, ...]
    seconds: float


class Pace:
    """The measured cost of messages, by their types: of one actor, or (as its `prior`) of all that run the same code."""

    __slots__ = ("_costs", "_prior")

    def __init__(self, prior: Pace | None = None) -> None:
        self._prior = prior
        self._costs: dict[str, _Cost] = {}

    def seconds(self, message: Message) -> float:
        """How long one message is expected to take; the time of a whole step if its type was not measured yet."""
        cost = self._cost(message.type)
        return STEP_SECONDS if cost is None else cost.seconds

    def learn(self, taken: Sequence[Delivery], seconds: float, computed: float) -> None:
        """These messages together took so long, and a thread computed for so much of it (0 where that is not known)."""
        if self._prior is not None:
            self._prior.learn(taken, seconds, computed)
        if len(self._costs) >= MAX_TYPES:
            self._costs.clear()
        if seconds - computed >= LONG_WAIT:
            computed = seconds
        if seconds <= _IN_TIME:
            seconds = min(seconds, _HALF)
        # One measurement for all of them: each type was wrong by the same factor, as far as anybody can tell.
        expected = sum(self.seconds(delivery.message) for delivery in taken)
        wrong, least = max(seconds, 1e-9) / expected, min(seconds, computed) / expected
        for type in {delivery.message.type for delivery in taken}:
            known = self._costs.get(type)
            if known is None and self._prior is not None:
                self._costs[type] = self._prior._costs[type]  # which has learnt from this step
            else:
                self._costs[type] = _learnt(known, wrong, least)

    def _cost(self, type: str) -> _Cost | None:
        known = self._costs.get(type)
        return self._prior._cost(type) if known is None and self._prior is not None else known


def _learnt(known: _Cost | None, wrong: float, least: float) -> _Cost:
    """The cost after another measurement: `wrong` and `least` are factors to what was expected."""
    if known is None:
        found = STEP_SECONDS * wrong
        return _Cost((found,), found)
    found = max(known.seconds * wrong, known.seconds / _FALL)
    recent = (*known.recent, found)[-RECENT:]
    return _Cost(recent, max(min(recent), known.seconds * least))


class Paces:
    """The paces of codes: a new actor begins with what others of the same code cost."""

    def __init__(self) -> None:
        self._of_code: OrderedDict[Hashable, Pace] = OrderedDict()

    def new(self, code: Hashable) -> Pace:
        """The pace of an actor that runs this code and has not been measured yet."""
        prior = self._of_code.setdefault(code, Pace())
        self._of_code.move_to_end(code)
        if len(self._of_code) > MAX_CODES:
            self._of_code.popitem(last=False)
        return Pace(prior)
