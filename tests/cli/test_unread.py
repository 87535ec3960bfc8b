"""Commands whose output nobody reads, or can't be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.cli.conftest import Shell, environment

CHATTY = """
import logging

from understudy import Wit

wit = Wit()


@wit.message("talk")
def talk() -> str:
    print("x" * 100_000, flush=True)
    return "said"


@wit.message("warn")
def warn() -> None:
    logging.getLogger("chatty").warning("x" * 100_000)


@wit.message("fail")
def fail() -> None:
    raise ValueError("the wit is broken")
"""
CHATTY_PROJECT = {
    "understudy.toml": '[actors.chatty]\npath = "chatty"\n',
    "chatty/wit": "/code:chatty:wit\n",
    "chatty/code/chatty.py": CHATTY,
}
LOOKS = (
    "log greeter",
    "export greeter -o -",
    "verify --all",
    "push",
    "--help",
)


@contextmanager
def unread_pipe() -> Iterator[int]:
    """The end to write to of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def start(folder: Path, command: str, out: int) -> subprocess.Popen[bytes]:
    args = [sys.executable, "-m", "understudy", *command.split()]
    return subprocess.Popen(args, cwd=folder, env=environment({}), stdout=out, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_a_command_whose_reader_left_ends_as_if_the_system_had_ended_it(project: Shell) -> None:
    project.run("push")
    with unread_pipe() as out:
        started = {command: start(project.folder, command, out) for command in LOOKS}
        ended = {command: end(process) for command, process in started.items()}
    assert ended == dict.fromkeys(LOOKS, (141, b""))


def test_a_result_that_can_not_be_written_is_an_error_with_its_reason(project: Shell) -> None:
    project.run("push")
    with Path("/dev/full").open("wb") as full:
        ended = end(start(project.folder, "log greeter", full.fileno()))
    assert ended == (1, b"understudy: OSError: [Errno 28] No space left on device\n")


def test_an_error_whose_reader_left_is_still_a_no(project: Shell) -> None:
    project.run("push")
    with unread_pipe() as err:
        command = [sys.executable, "-m", "understudy", "log", "nobody"]
        assert subprocess.run(command, cwd=project.folder, env=environment({}), stderr=err, check=False).returncode == 1


def test_a_node_lives_on_when_the_readers_of_its_output_and_its_log_leave(shell: Shell) -> None:
    shell.write(CHATTY_PROJECT)
    with unread_pipe() as err, os.fdopen(os.dup(err), "wb") as errors:
        node = shell._start(["serve", "--listen", "127.0.0.1:0", "--json"], {}, errors)
        shell.nodes.append(node)
        assert node.stdout is not None
        address = ""
        while not address:
            line = node.stdout.readline().decode()
            address = line.partition('"address": ')[2].strip().strip('",')
        node.stdout.close()
        with httpx.Client(base_url=address, timeout=60) as http:
            post = "/actors/chatty/messages"
            for _ in range(2):
                assert http.post(post, headers={"Message-Type": "fail"}, content=b"null").json()["code"] == "ValueError"
                # What a wit prints is no part of its step, read or not.
                assert http.post(post, headers={"Message-Type": "talk"}, content=b"null").json()["outcome"] == "ok"
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0


def test_a_node_steps_and_stops_though_the_reader_of_its_output_hangs(shell: Shell) -> None:
    shell.write(CHATTY_PROJECT)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as errors:
        node = shell._start(["serve", "--listen", "127.0.0.1:0", "--json"], {}, errors)
        shell.nodes.append(node)
        assert node.stdout is not None
        address = ""
        while not address:
            address = node.stdout.readline().decode().partition('"address": ')[2].strip().strip('",')
        # From here on nobody reads standard output either: what is printed and logged is more than the pipes hold.
        with httpx.Client(base_url=address, timeout=60) as http:
            post = "/actors/chatty/messages"
            for _ in range(3):
                assert http.post(post, headers={"Message-Type": "talk"}, content=b"null").json()["outcome"] == "ok"
                assert http.post(post, headers={"Message-Type": "fail"}, content=b"null").json()["code"] == "ValueError"
                assert http.post(post, headers={"Message-Type": "warn"}, content=b"null").json()["outcome"] == "ok"
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0


def test_a_wit_that_prints_does_not_fail_because_nobody_reads_the_command_that_runs_it(shell: Shell) -> None:
    shell.write(CHATTY_PROJECT)
    shell.run("push")
    with unread_pipe() as out:
        end(start(shell.folder, "send chatty --type talk null", out))
    newest = shell.json("chain", "chatty")["entries"][0]["data"]
    assert (newest["height"], newest.get("outcome")) == (1, None)


def test_a_process_without_standard_streams_serves_and_lets_no_file_take_their_numbers(project: Shell) -> None:
    script = f"exec {sys.executable} -m understudy push <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", script], cwd=project.folder, env=environment({}), check=False)
    assert done.returncode == 0
    assert [actor["name"] for actor in project.json("actors")["actors"]] == ["greeter"]
