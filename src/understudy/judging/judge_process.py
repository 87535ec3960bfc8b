"""A judge's process, seen from who verifies: what it asks is answered, and what it finds is handed back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from understudy.judging.fork_server import ForkServer
from understudy.judging.pipe import HungUp, Silent
from understudy.judging.wire import At, Blocks, Broken, Done, Preparing, Question, Setup, Span, Value, Values
from understudy.kernel.verdict import DIED, TIMEOUT

_log = logging.getLogger("understudy.judging")

_PATIENCE: Final = 2  # times `step_seconds`: a judge watches over its performer itself, and says that it lives


class JudgeLost(Exception):
    """A judge is gone; the text says how it went."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class JudgeProcess:
    """The process of one judge. Raises OSError if none can be made."""

    def __init__(self, server: ForkServer, setup: Setup) -> None:
        self.at: int | None = None
        self._server = server
        self._step_seconds = setup.step_seconds
        self._pid, self._pipe = server.make_judge()
        with contextlib.suppress(HungUp):
            # Who hung up already is lost when it is asked to judge.
            self._pipe.send(setup)

    def judge(
        self, span: Span, answer: Callable[[Question], Blocks | Value | Values], passed: Callable[[int], None]
    ) -> Done:
        """Have a span judged. `answer` answers questions, `passed` is told how many more steps are through. Raises JudgeLost."""
        self.at = None
        try:
            self._pipe.send(span)
            while True:
                said = self._pipe.receive(_PATIENCE * self._step_seconds)
                if isinstance(said, At):
                    self.at = said.height if span.each else None
                    passed(said.steps)
                elif isinstance(said, Preparing):
                    if said.text:
                        _log.warning("%s", said.text)
                elif isinstance(said, Done):
                    return said
                elif isinstance(said, Broken):
                    raise JudgeLost(DIED, f"the judge failed: {said.text}")
                else:
                    self._pipe.send(answer(said))
        except Silent as error:
            raise JudgeLost(TIMEOUT, f"the replay of the step took more than {self._step_seconds:,.0f} s") from error
        except HungUp as error:
            raise JudgeLost(DIED, f"the process that replayed the step ended with code {self._code()}") from error
        except msgspec.DecodeError as error:
            raise JudgeLost(DIED, f"the judge talks nonsense: {error}") from error

    def end(self) -> None:
        """End the process and its performer. Harmless when they have ended."""
        with contextlib.suppress(OSError):
            self._code()
        with contextlib.suppress(OSError):
            self._pipe.close()

    def _code(self) -> int:
        pid, self._pid = self._pid, 0
        return self._server.end_judge(pid) if pid else 0
