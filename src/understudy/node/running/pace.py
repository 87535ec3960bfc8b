"""The pace of an actor: what its messages cost, measured, so that one step lasts milliseconds.

The law: a step of several messages is expected to end within STEP_SECONDS. What has not been measured goes alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Final

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


class Pace:
    """The measured cost of messages, by their types: of one actor, or (as its `prior`) of all that run the same code."""

    __slots__ = ("_prior", "_seconds")

    def __init__(self, prior: Pace | None = None) -> None:
        self._prior = prior
        self._seconds: dict[str, float] = {}

    def seconds(self, message: Message) -> float:
        """How long one message is expected to take; the time of a whole step where nobody knows."""
        known = self._seconds.get(message.type)
        if known is not None:
            return known
        return STEP_SECONDS if self._prior is None else self._prior.seconds(message)

    def learn(self, taken: Sequence[Delivery], seconds: float) -> None:
        """These messages together took so long."""
        if self._prior is not None:
            self._prior.learn(taken, seconds)
        if len(self._seconds) >= MAX_TYPES:
            self._seconds.clear()
        if seconds <= _IN_TIME:
            seconds = min(seconds, _HALF)
        # One measurement for all of them: each type was wrong by the same factor, as far as anybody can tell.
        wrong = max(seconds, 1e-9) / sum(self.seconds(delivery.message) for delivery in taken)
        for message in {delivery.message.type: delivery.message for delivery in taken}.values():
            known, found = self._seconds.get(message.type), self.seconds(message) * wrong
            self._seconds[message.type] = found if known is None else max(found, known / _FALL)


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
