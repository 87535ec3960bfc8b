"""Running components, each ended with its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.components.actor_process import COUNTER, ActorProcess

Run = Callable[..., ActorProcess]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts `understudy run` in the test's folder: a component's file (the committed counter, without one), options."""
    started: list[ActorProcess] = []

    def start(component: Path = COUNTER, *args: str, **env: str) -> ActorProcess:
        started.append(ActorProcess(tmp_path, component, *args, **env))
        return started[-1]

    yield start
    for process in started:
        process.stop()
