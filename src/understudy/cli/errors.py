"""How a command ends when it can't do what it was asked: with a sentence and an exit code, never with a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """The answer is no: exit code 1. The text says why and which command comes next; programs look at `code`."""

    exit_code = 1

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code or type(self).__name__.removeprefix("Command")


class WrongUse(CommandError):
    """The command was not understood as it was written: exit code 2."""

    exit_code = 2


class NodeBroke(CommandError):
    """The node could not go on, because its store failed: exit code 3. Whoever watches over it may start it again."""

    exit_code = 3
