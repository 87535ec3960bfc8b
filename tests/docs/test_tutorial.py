"""The tutorial is true: its files are written, its commands run, and they say what the pages say they say.

In a page, ```LANGUAGE file=PATH is a file of the reader's project, and ```console holds commands behind `$ ` with what
they print. In what they print, `…` stands for anything, and a line of its own for any lines.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from understudy.cli import main as command
from understudy.engines.python import resolver

PAGES = sorted((Path(__file__).parents[2] / "docs" / "tutorial").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


SERVICE_PORT = "8950"  # what the pages say; a free one takes its place
PATIENCE = 30.0
Jobs = list[subprocess.Popen[bytes]]


class Block(NamedTuple):
    """A fenced block of a page, and the line that it begins at."""

    language: str
    file: str | None
    text: str
    line: int


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, and an interpreter that forgets afterwards what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("UNDERSTUDY_STORE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before, registered = set(sys.modules), resolver.default_resolver().registered()
    yield tmp_path
    resolver.default_resolver().restore(registered)
    for name, module in sys.modules.copy().items():
        if name not in before and str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """What the reader's shell runs in the background; it ends with the page."""
    jobs: Jobs = []
    yield jobs
    for job in jobs:
        end(job)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_can_be_followed_from_its_first_line_to_its_last(page: Path, folder: Path, jobs: Jobs) -> None:
    # Others run this page at the same time, on the same machine.
    text = page.read_text(encoding="utf-8").replace(SERVICE_PORT, str(free_port()))
    for block in blocks_of(text):
        if block.file is not None:
            write(folder / block.file, block.text)
        elif block.language == "console":
            for line, expected in commands_of(block):
                said = run(line, jobs)
                assert matches(expected, said), f"{page.name}:{block.line}: $ {line}\n{said}"


def test_the_tutorial_has_a_page_for_each_form() -> None:
    index = next(page for page in PAGES if page.stem == "README").read_text(encoding="utf-8")
    assert {page.name for page in PAGES if page.stem != "README"} == set(re.findall(r"\]\(([^\s/]+\.md)\)", index))


def test_what_is_left_out_may_be_anything_and_the_rest_may_not() -> None:
    assert matches("one …\n…\nend\n", "one two\nx\ny\nend\n")
    assert matches("…\nend", "end\n")
    assert not matches("one …\nend", "one two\nx\nend")
    assert not matches("(a.c)", "(abc)")


def blocks_of(page: str) -> list[Block]:
    return [
        Block(found[1], found[2], found[3], page.count("\n", 0, found.start()) + 1) for found in _BLOCK.finditer(page)
    ]


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what it should print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, said = part.partition("\n")
        yield line, said


def run(line: str, jobs: Jobs) -> str:
    """What a command prints, both streams in their order."""
    said, given = io.StringIO(), io.StringIO()
    name, *args = shlex.split(line)
    if name == "rm":
        Path(args[0]).unlink()
        return ""
    if name == "python" and args[-1] == "&":
        jobs.append(start(args[0]))
        return ""
    if name == "kill":
        end(jobs.pop())
        return ""
    if name == "echo" and args[1] == "|":
        given = io.StringIO(f"{args[0]}\n")
        name, *args = args[2:]
    assert name == "understudy", f"the tutorial knows no {name}"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        patch.setattr(sys, "argv", [name, *args])
        patch.setattr(sys, "stdin", given)
        with pytest.raises(SystemExit):
            command.main()
    return said.getvalue()


def start(script: str) -> subprocess.Popen[bytes]:
    """A server in the background, once it answers."""
    job = subprocess.Popen([sys.executable, script])
    port = int(re.findall(r"\b[0-9]{4,5}\b", Path(script).read_text(encoding="utf-8"))[0])
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return job
        except OSError:
            assert job.poll() is None and time.monotonic() < until, f"{script} does not answer"
            time.sleep(0.01)


def end(job: subprocess.Popen[bytes]) -> None:
    job.terminate()
    job.wait(PATIENCE)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def matches(expected: str, said: str) -> bool:
    lines = [re.escape(line.rstrip()).replace("…", ".*") for line in expected.strip().splitlines()]
    pattern = "".join("(?:.*\n)*" if line == ".*" else f"{line}\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in said.strip().splitlines())) is not None


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
