"""Output that is dropped where it can't be written: the reader of a pipe left, or the disk that a log is on is full.

A node goes on all the same, and so does a wit that prints. A node does not wait either for a reader that does not read.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO, cast

from understudy.cli.unread import Unread

_STANDARD: Final = (0, 1, 2)


class Lossy:
    """A text stream whose `write` and `flush` never raise OSError. In all else it is the stream that `stream` gives.

    With `unread` they don't wait for its reader either.
    """

    def __init__(self, stream: Callable[[], TextIO], unread: Unread | None = None) -> None:
        self._stream = stream
        self._unread = unread

    def write(self, text: str) -> int:
        """Write what can be written; what is asked for counts as written."""
        with self._dropping():
            if self._unread is None:
                self._stream().write(text)
            else:
                self._unread.write(self._stream(), text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        with self._dropping():
            if self._unread is None:
                self._stream().flush()
            else:
                self._unread.flush(self._stream())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            close_pipe(self._stream())
        except OSError:
            # A full disk may have room again later; Python keeps a few KiB until then.
            pass


def lossy_stderr() -> TextIO:
    """Standard error, whatever it is when something is written."""
    return cast(TextIO, Lossy(lambda: sys.stderr))


@contextlib.contextmanager
def lossy_output(*, waits: bool = True) -> Iterator[None]:
    """Until the end of the block, nothing in this process fails because its output can't be written.

    Unless it `waits`, nothing stands still either because its output is not read: that is for a node, which lives for
    others than its reader. A command waits, as its output is its result.
    """
    out, err = sys.stdout, sys.stderr
    of_out, of_err = (None, None) if waits else (Unread(), Unread())
    sys.stdout, sys.stderr = cast(TextIO, Lossy(lambda: out, of_out)), cast(TextIO, Lossy(lambda: err, of_err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def close_pipe(stream: TextIO) -> None:
    """Let what a stream still holds, and all that follows, go nowhere: its reader has left, and does not come back."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_closed_streams() -> None:
    """Open what the process was started without, of standard input, output and error.

    Else the next file that is opened, perhaps one of the store, gets the number of a standard stream, and whoever
    writes to that stream writes into the file.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
