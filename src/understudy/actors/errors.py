"""Failures between kernel, engine and wit, each with the word that stands in the step's outcome."""

from __future__ import annotations

from typing import Final


class WitError(Exception):
    """The wit of a core could not be loaded or run. `code` is one word, the text says what to do.

    `engine` is the engine text, where another configuration of the engine might have come to another end.
    """

    def __init__(self, code: str, text: str, *, engine: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.engine = engine


class Refusal(Exception):
    """A contract or a schema says no to a message: the step is `refused` and changes nothing."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Retry(Exception):
    """A wit raises this when the world failed it: the message is tried again later, up to the core's policy."""


class HostFailed(Exception):
    """The machine failed the code: no memory, no thread, no room. A program may raise it instead of returning a result.

    Nothing is consumed, since another try, or another machine, may well succeed. `again` is False where another try
    on this machine would fail as well.
    """

    def __init__(self, text: str, *, again: bool = True) -> None:
        super().__init__(text)
        self.again = again


class CallFailed(Exception):
    """A capability's answer was an error; it is journalled as it is, with the step of another actor that it came from, if any."""

    def __init__(self, code: str, text: str, *, step: str | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.step = step


# The codes of a replay that can't go on, for people. A verdict goes by what the replay says of its calls: an author may
# give an exception any name.
NEEDS_WORLD: Final = "replay/needs-world"
STUCK: Final = "replay/stuck"


class CallNeedsWorld(Exception):
    """A replay asks for a call that the journal does not hold: the code does something else than it did."""
