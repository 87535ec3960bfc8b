"""The command as a user has it: a process of its own in a folder of its own, loaded already (`tests/loaded_command.py`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

from tests.loaded_command import LOADED, Running

GREETER = """
from msgspec import Struct

from understudy import Wit


class Greet(Struct):
    name: str


class State(Struct):
    greeted: int = 0


wit = Wit()


@wit.message("greet")
def greet(hello: Greet, state: State) -> str:
    state.greeted += 1
    return f"Hello {hello.name}, number {state.greeted}"


@wit.message("fail")
def fail() -> None:
    raise ValueError("the wit is broken")
"""


class Shell:
    """Runs `understudy` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[subprocess.Popen[bytes] | subprocess.Popen[str] | Running] = []
        self.prefix: list[str] = []  # of the command that serves, to have it in other circumstances

    def run(self, *args: str, code: int | None = 0, stdin: bytes | None = None, **env: str) -> str:
        """What the command prints; it must end with this exit code (None: any) and show no traceback."""
        done = self._run(args, stdin, env)
        said = done.stdout.decode() + done.stderr.decode()
        assert "Traceback" not in said, said
        assert code is None or done.returncode == code, said
        return said

    def run_together(self, *commands: Sequence[str], code: int) -> list[str]:
        """What commands print that run at the same time, in their order; for those that wait."""
        with ThreadPoolExecutor(len(commands)) as pool:
            return list(pool.map(lambda command: self.run(*command, code=code), commands))

    def done(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        """The command that has ended, however it did."""
        return self._run(args, None, {})

    def raw(self, *args: str) -> bytes:
        """The bytes of standard output."""
        done = self._run(args, None, {})
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def json(self, *args: str, code: int = 0) -> Any:
        """The one JSON document that the command prints."""
        done = self._run([*args, "--json"], None, {})
        assert done.returncode == code, done.stdout.decode() + done.stderr.decode()
        return json.loads(done.stdout)

    def serve(self, *args: str, **env: str) -> dict[str, Any]:
        """A serving node, and what it says of itself."""
        with (self.folder / "serve.err").open("wb") as errors:
            node = self._start(["serve", "--listen", "127.0.0.1:0", "--json", *args], env, errors)
        self.nodes.append(node)
        text = b""
        while not text.rstrip().endswith(b"}"):
            assert node.stdout is not None
            line = node.stdout.readline()
            assert line, (self.folder / "serve.err").read_text()
            text += line
        said: dict[str, Any] = json.loads(text)
        return said

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the node that was started last; its exit code."""
        node = self.nodes.pop()
        node.send_signal(how)
        node.communicate(timeout=60)
        return node.wait()

    def write(self, files: dict[str, str]) -> None:
        """Write files of the project."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _start(
        self, args: Sequence[str], env: Mapping[str, str], errors: IO[bytes]
    ) -> Running | subprocess.Popen[bytes]:
        if not self.prefix:
            return LOADED.start(args, self.folder, environment(env), errors)
        command = [*self.prefix, sys.executable, "-m", "understudy", *args]
        return subprocess.Popen(command, cwd=self.folder, env=environment(env), stdout=subprocess.PIPE, stderr=errors)

    def _run(
        self, args: Sequence[str], stdin: bytes | None, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        return LOADED.run(args, self.folder, environment(env), stdin=stdin or b"")


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user who set nothing but this."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("UNDERSTUDY_")}
    return {**kept, "TERMINAL_WIDTH": "200", **more}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    shell = Shell(tmp_path)
    yield shell
    for node in shell.nodes:
        node.kill()
        node.communicate()


@pytest.fixture
def project(shell: Shell) -> Shell:
    """A shell in a project with one actor."""
    shell.write(
        {
            "understudy.toml": '[actors.greeter]\npath = "greeter"\n',
            "greeter/wit": "/code:greeter:wit\n",
            "greeter/code/greeter.py": GREETER,
        }
    )
    return shell
