"""The entry point of the command: whoever presses Ctrl-C while it still loads gets no traceback either.

The law: nothing is imported here but what the interpreter has loaded already, or has built in.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enums first, which takes longer than all else here
import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def start() -> NoReturn:
    """Load the command line, then run it."""
    # Loading takes a fifth of a second. An interrupt in it ends the process as if it had not begun.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    loaded = importlib.import_module("understudy.cli.main")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    loaded.main()
    raise SystemExit(0)


def _end(number: int, frame: object) -> NoReturn:
    # An exception, so that temporary folders are removed and stores closed on the way out.
    raise SystemExit(128 + number)
