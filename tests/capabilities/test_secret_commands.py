"""Commands that print secrets: one that hangs or fails delays few calls, and leaves nothing running."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from tests.node.stage import PATIENCE
from understudy.capabilities import secret_commands
from understudy.capabilities.secret_commands import FAILED_SECONDS, KEPT_SECONDS, Command, CommandFailed, SecretCommands

NOTE = "import sys; open({path!r}, 'a').write('x'); "


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def commands(clock: Clock) -> SecretCommands:
    return SecretCommands(clock)


def noting(ran: Path, then: str) -> Command:
    """A command that notes each of its runs in a file."""
    return (sys.executable, "-c", NOTE.format(path=str(ran)) + then)


@pytest.mark.parametrize(
    ("then", "seconds", "said"),
    [("print('value')", KEPT_SECONDS, "value"), ("sys.exit(3)", FAILED_SECONDS, "exit code 3")],
)
def test_what_a_command_came_to_is_used_again_for_a_while(
    commands: SecretCommands, clock: Clock, tmp_path: Path, then: str, seconds: float, said: str
):
    def ask() -> str:
        try:
            return commands.value(noting(tmp_path / "ran", then))
        except CommandFailed as error:
            return str(error)

    for now, ran in ((0, "x"), (seconds - 1, "x"), (seconds + 1, "xx")):
        clock.now = now
        assert said in ask()
        assert (tmp_path / "ran").read_text() == ran


def test_many_that_need_a_command_at_once_run_it_once(commands: SecretCommands, tmp_path: Path):
    command = noting(tmp_path / "ran", "import time; time.sleep(0.2); print('value')")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(commands.value(command))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == ["value"] * 8 and (tmp_path / "ran").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="sessions")
def test_a_command_that_hangs_is_ended_with_what_it_started(
    commands: SecretCommands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(secret_commands, "COMMAND_SECONDS", 1.0)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Whoever it started holds the other end of the pipe until it is ended, too.
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    command = ("sh", "-c", f"sleep 1000 > {fifo} & sleep 1000")
    for _ in range(2):
        with pytest.raises(CommandFailed, match="took more than 1 s; it is tried again"):
            commands.value(command)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_command_that_is_not_there_or_prints_no_text_says_so(commands: SecretCommands):
    for command, why in (
        (("/no/such/command",), "No such file"),
        ((sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff')"), "no text"),
    ):
        with pytest.raises(CommandFailed, match=why):
            commands.value(command)
