"""The command as a user has it: a process of its own in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
        self.nodes: list[subprocess.Popen[str]] = []
        self.prefix: list[str] = []  # of the command that serves, to have it in other circumstances

    def run(self, *args: str, code: int | None = 0, stdin: bytes | None = None, **env: str) -> str:
        """What the command prints; it must end with this exit code (None: any) and show no traceback."""
        done = self._run(args, stdin, env)
        said = done.stdout.decode() + done.stderr.decode()
        assert "Traceback" not in said, said
        assert code is None or done.returncode == code, said
        return said

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
        command = [*self.prefix, *_COMMAND, "serve", "--listen", "127.0.0.1:0", "--json", *args]
        errors = (self.folder / "serve.err").open("w")
        node = subprocess.Popen(
            command, cwd=self.folder, env=environment(env), stdout=subprocess.PIPE, stderr=errors, text=True
        )
        errors.close()
        self.nodes.append(node)
        assert node.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
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
        return node.returncode

    def write(self, files: dict[str, str]) -> None:
        """Write files of the project."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _run(self, args: Any, stdin: bytes | None, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*_COMMAND, *args],
            cwd=self.folder,
            env=environment(env),
            input=b"" if stdin is None else stdin,
            capture_output=True,
            timeout=120,
        )


_COMMAND = [sys.executable, "-m", "understudy"]


def environment(more: dict[str, str]) -> dict[str, str]:
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
