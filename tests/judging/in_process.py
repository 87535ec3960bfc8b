"""Histories judged in this process, without a replay: for thousands of verdicts, each over a fork server of its own otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, cast
from unittest.mock import patch

from understudy.judging import court, foreign
from understudy.judging.judge import Sitting, _tools
from understudy.judging.wire import At, Done, Setup, Span
from understudy.kernel.verdict import Verdict
from understudy.store.memory import MemoryBackend
from understudy.store.port import Backend


class _Pipe:
    """What a judge asks is answered at once."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._reply: Any = None

    def send(self, message: Any) -> None:
        self._reply = None if isinstance(message, At) else self._answer(message)

    def receive(self) -> Any:
        return self._reply


class _JudgeHere:
    def __init__(self, _: object, setup: Setup) -> None:
        self._setup = setup

    def judge(self, span: Span, answer: Callable[[Any], Any], _: Callable[[int], None]) -> Done:
        return Sitting(_tools(cast(Any, _Pipe(answer)), self._setup, cast(Any, None)), span).judge()

    def end(self) -> None: ...


class _NoServer:
    def __init__(self, _: Sequence[str]) -> None: ...

    def close(self) -> None: ...


@contextmanager
def judging_in_process() -> Iterator[Callable[[bytes], list[Verdict]]]:
    """A `verify_car` with `integrity_only` that starts no process and writes no file."""

    def open_temporary(_: str) -> Backend:
        return MemoryBackend()

    with (
        patch.object(court, "JudgeProcess", _JudgeHere),
        patch.object(court, "ForkServer", _NoServer),
        patch.object(foreign, "open_temporary", open_temporary),
    ):
        yield lambda data: foreign.verify_car(BytesIO(data), integrity_only=True)
