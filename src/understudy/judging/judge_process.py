"""A judge's process, seen from the one who starts it: what it asks is answered, and what it finds is handed back.

The law: it gets nothing of the user's environment but what a process needs to start, and its hash seed is fixed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from understudy.judging.wire import (
    At,
    Blocks,
    Broken,
    Done,
    FromJudge,
    HungUp,
    Pipe,
    Preparing,
    Question,
    Setup,
    Silent,
    Span,
    Value,
    Values,
)
from understudy.kernel.verify import DIED, TIMEOUT

_log = logging.getLogger("understudy.judging")

_START: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from understudy.judging.judge import main
main()
"""
# What a process may need of the machine to start at all.
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "PATH", "TMPDIR", "TEMP")


class JudgeLost(Exception):
    """A judge is gone; the text says how it went."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class JudgeProcess:
    """The process of one judge. `path` is where it finds modules; a step that takes more than `step_seconds` is given up."""

    def __init__(self, path: Sequence[str], setup: Setup, step_seconds: float) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-c", _START, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            # A Ctrl-C at the terminal is for us; we end our judges.
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._pipe: Pipe[FromJudge] = Pipe(self._process.stdout.fileno(), self._process.stdin.fileno(), FromJudge)
        self._step_seconds = step_seconds
        self._setup: Setup | None = setup
        self.at: int | None = None

    def judge(
        self, span: Span, answer: Callable[[Question], Blocks | Value | Values], step: Callable[[], None]
    ) -> Done:
        """Have a span judged. `answer` answers questions, `step` is told of each step. Raises JudgeLost."""
        self.at = None
        try:
            if self._setup is not None:
                self._pipe.send(self._setup)
                self._setup = None
            self._pipe.send(span)
            while True:
                said = self._pipe.receive(self._step_seconds)
                if isinstance(said, At):
                    self.at = said.height
                    step()
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
            code = self._process.wait()
            raise JudgeLost(DIED, f"the process that replayed the step ended with code {code}") from error

    def kill(self) -> None:
        """End the process and those that it started. Harmless when they have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
