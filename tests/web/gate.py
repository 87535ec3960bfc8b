"""A gate inside a wit: a story knows that the wit is running, and says when it goes on."""

from __future__ import annotations

import threading

SECONDS = 60  # nobody waits that long; a story that broke should end


class Gate:
    """Closed until it is opened."""

    def __init__(self) -> None:
        self.entered, self._open = threading.Event(), threading.Event()

    def open(self) -> None:
        """Let through who waits, and who comes."""
        self._open.set()

    def close(self) -> None:
        """As at the beginning."""
        self._open.clear()
        self.entered.clear()

    def wait(self) -> None:
        """For the wit: say that it is here, and wait."""
        self.entered.set()
        if not self._open.wait(SECONDS):
            raise TimeoutError("nobody opened the gate")


GATE = Gate()
