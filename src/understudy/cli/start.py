"""The entry point of the command. Ctrl-C while modules still load prints no traceback.

The law: this module imports only what the interpreter has already loaded, or has built in.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enums first, which takes longer than all else here
import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def start() -> NoReturn:
    """Load the command line, then run it."""
    # Loading takes a fifth of a second. An interrupt during it ends the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    loaded = importlib.import_module("understudy.cli.main")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    loaded.main()
    raise SystemExit(0)


def _end(number: int, frame: object) -> NoReturn:
    # An exception, so that temporary folders are removed and stores closed on the way out.
    raise SystemExit(128 + number)
