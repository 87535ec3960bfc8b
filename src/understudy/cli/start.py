"""The entry point of the command: whoever presses Ctrl-C while it still loads gets no traceback either."""

from __future__ import annotations

import importlib
import signal
from typing import NoReturn


def start() -> NoReturn:
    """Load the command line, then run it."""
    # Loading takes half a second. An interrupt in it ends the process as if it had not begun.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    loaded = importlib.import_module("understudy.cli.main")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    loaded.main()
    raise SystemExit(0)
