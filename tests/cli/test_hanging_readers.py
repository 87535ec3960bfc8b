"""What is written to a pipe whose reader hangs, and what is said of it once it reads again."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from understudy.cli.unread import PATIENCE_S, Unread
from understudy.node.running.last_resort import open_unwaiting


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w", encoding="utf-8")
    yield reader, stream
    with contextlib.suppress(OSError):
        os.close(reader)
    with contextlib.suppress(OSError):
        stream.close()


def read_all(reader: int) -> str:
    os.set_blocking(reader, False)
    found = b""
    try:
        while True:
            found += os.read(reader, 1 << 20)
    except BlockingIOError:
        return found.decode()


def test_what_has_room_arrives_as_it_was_written(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    text = "".join(f"line {number}: ä🙂\n" for number in range(1000))
    Unread().write(stream, text)
    assert read_all(reader) == text


@pytest.mark.parametrize("character", ["x", "ä", "🙂"])
def test_lines_without_room_are_counted_and_the_count_stands_where_they_are_missing(
    pipe: tuple[int, TextIO], character: str
) -> None:
    reader, stream = pipe
    unread = Unread()
    for _ in range(100):
        unread.write(stream, character * 5000 + "\n")
    whole = [line for line in read_all(reader).split("\n") if len(line) == 5000]
    assert 0 < len(whole) < 100
    unread.write(stream, "later\n")
    told = read_all(reader).split("\n")
    assert told[-3:] == [f"understudy: {100 - len(whole)} lines are missing here: nobody read this output", "later", ""]


def test_a_thread_that_waits_in_the_stream_makes_no_other_wait(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    unread = Unread()
    fill(stream.fileno())

    def wait() -> None:
        with contextlib.suppress(OSError):
            stream.buffer.write(b"x" * 100_000)

    waits = threading.Thread(target=wait)
    waits.start()
    unread.write(stream, "not waited for\n")
    unread.flush(stream)
    assert waits.is_alive()
    os.close(reader)
    waits.join()


def test_a_reader_that_never_reads_is_waited_for_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def has_room(stream: TextIO, seconds: float) -> bool:
        nonlocal now
        now += seconds
        return False

    monkeypatch.setattr("understudy.cli.unread._has_room", has_room)
    unread = Unread(lambda: now)
    for _ in range(1000):
        unread.write(io.StringIO(), "nobody reads this\n")
    assert now == PATIENCE_S
    now += 100 * PATIENCE_S
    rested = now
    unread.write(io.StringIO(), "nobody reads this\n")
    assert now == rested + PATIENCE_S


def test_a_traceback_for_a_pipe_that_nobody_reads_is_given_up(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    fill(stream.fileno())
    with open_unwaiting(stream) as again:
        assert again is not stream
        faulthandler.dump_traceback(again)
    assert os.get_blocking(stream.fileno())


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)
