"""Commands that are started at once on one store: the second waits for the first, whichever that is."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, environment
from tests.loaded_command import LOADED, Running
from understudy.cli import turns
from understudy.store.open import open_store

ROOT = Path(__file__).parents[2]
SEND = ("send", "greeter", '{"name": "Ada"}', "--type", "greet")
LOOKING = (("log", "greeter"), ("actors",), ("show", "greeter"), ("chain", "greeter"), ("pending",), ("wut", "greeter"))


class Many:
    """Commands of one folder that run at the same time."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.port = _free_port()

    def start(self, *args: str) -> Running:
        """A command that has only just begun."""
        more = ("--listen", f"127.0.0.1:{self.port}") if args[0] == "serve" else ()
        process = LOADED.start([*args, *more], self._shell.folder, environment({}))
        self._shell.nodes.append(process)
        return process


@pytest.fixture
def many(project: Shell) -> Many:
    return Many(project)


@pytest.mark.parametrize("seed", range(4))
def test_commands_started_at_once_on_a_store_that_is_not_there_all_end_well(many: Many, seed: int) -> None:
    chosen = random.Random(seed)
    maker = chosen.choice(["serve", "push"])
    commands = [SEND, SEND, ("push",), *chosen.sample(LOOKING, 2)]
    chosen.shuffle(commands)
    commands.insert(chosen.randrange(len(commands)), (maker,))
    started = [(command, many.start(*command)) for command in commands]
    for command, process in started:
        if command[0] == "serve":
            continue
        said = _said(process)
        assert process.returncode == 0, (seed, command, said)
        assert "Traceback" not in said


def test_commands_started_at_once_on_a_store_that_is_there_all_end_well(many: Many, project: Shell) -> None:
    project.run("push")
    started = [(command, many.start(*command)) for command in (SEND, ("serve",), SEND, ("push",), ("log", "greeter"))]
    for command, process in started:
        if command[0] != "serve":
            said = _said(process)
            assert process.returncode == 0, (command, said)
    assert project.json("actors")["actors"][0]["height"] == 2


def test_a_store_that_is_made_between_two_looks_is_not_looked_at_before_its_maker_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, note = f"rocksdb:{tmp_path / 'store'}", tmp_path / "store.starting"
    looks: list[turns.Starting | None] = []
    look = turns.other_that_starts

    def look_while_another_process_makes_it(url: str) -> turns.Starting | None:
        found = look(url)
        looks.append(found)
        if len(looks) == 1:
            note.write_text(f'{{"pid": {os.getppid()}, "makes_store": true}}')
            open_store(url).close()
        elif len(looks) == 3:
            note.unlink()
        return found

    monkeypatch.setattr(turns, "other_that_starts", look_while_another_process_makes_it)
    turns.wait_until_made(url)
    assert len(looks) == 4


def test_of_two_nodes_started_at_once_one_serves_and_the_other_says_so(many: Many) -> None:
    first, second = many.start("serve"), many.start("serve")
    _wait_until(lambda: first.poll() is not None or second.poll() is not None)
    loser, winner = (first, second) if first.poll() is not None else (second, first)
    said = _said(loser)
    assert re.search("serves this store already|something listens there already", said), said
    assert loser.returncode in (1, 2)
    assert winner.poll() is None


def test_a_command_on_a_store_that_nobody_makes_says_what_makes_one_and_makes_none(project: Shell) -> None:
    for said in project.run_together(SEND, ("log", "greeter"), code=1):
        assert "there is no store at rocksdb:.understudy: `understudy serve` makes one" in said
        assert "waiting for `understudy serve`" in said
    assert not (project.folder / ".understudy").exists()


def test_what_a_killed_node_left_while_it_started_misleads_nobody(project: Shell) -> None:
    project.run("push")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    project.write({".understudy.starting": f'{{"pid": {gone.pid}, "makes_store": true}}'})
    project.run(*SEND)
    old = time.time() - 3600
    project.write({".understudy.starting": f'{{"pid": {os.getpid()}, "makes_store": true}}'})
    os.utime(project.folder / ".understudy.starting", (old, old))
    project.run("log", "greeter")
    project.serve()
    project.run(*SEND)
    assert not (project.folder / ".understudy.starting").exists()


def test_the_block_of_the_readme_works_as_it_is_pasted_also_for_the_second_time(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples" / "greeter", tmp_path / "examples" / "greeter", dirs_exist_ok=True)
    shutil.rmtree(folder / ".understudy", ignore_errors=True)
    port = _free_port()
    with (folder / "understudy.toml").open("a") as file:
        file.write(f'\n[node]\nlisten = "127.0.0.1:{port}"\n')
    bin = tmp_path / ".venv" / "bin"
    bin.mkdir(parents=True)
    (bin / "understudy").write_text(f'#!/bin/sh\nexec {sys.executable} -m understudy "$@"\n')
    (bin / "understudy").chmod(0o755)
    block = _block_of_the_readme().replace("127.0.0.1:8321", f"127.0.0.1:{port}")
    for greeted in (2, 4):
        said = _paste(block, tmp_path)
        assert f"Hello Grace, you are number {greeted}." in said, said
        assert "1 of 1 match" in said, said
        assert "understudy: " not in said, said


def _said(process: Running) -> str:
    """What a command says until it ends."""
    said, errors = process.communicate(timeout=120)
    return (said + errors).decode()


def _block_of_the_readme() -> str:
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (block,) = [block for block in blocks if "understudy serve &" in block]
    return str(block)


def _paste(block: str, folder: Path) -> str:
    """What a terminal shows for a block whose first command goes on in the background; that one is ended after it."""
    script = f"{block}\nkill %1\nwait\n"
    done = subprocess.run(
        ["bash", "-m"], input=script, cwd=folder, env=environment({}), capture_output=True, text=True, timeout=180
    )
    return done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _wait_until(happened: object) -> None:
    assert callable(happened)
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)
