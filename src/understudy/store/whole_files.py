"""Small files that are there as a whole or not at all: written aside, then renamed into place."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

_PART: Final = ".part-"
_LEFT_SECONDS: Final = 3600.0  # nobody writes such a file for so long: who began it was killed


def write_whole(path: Path, data: bytes, *, synced: bool = False) -> None:
    """Write a file of mode 0600, in place of one that is there; with `synced` it is on the disk then. Raises OSError.

    What a process that was killed left of such a file in this folder is removed.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PART)
    try:
        with os.fdopen(handle, "wb") as file:
            _remove_left_over(path.parent, now=os.fstat(file.fileno()).st_mtime)
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _remove_left_over(folder: Path, *, now: float) -> None:
    for path in folder.glob(f"{_PART}*"):
        # Another process may be at it, or be writing its own.
        with contextlib.suppress(OSError):
            if now - path.lstat().st_mtime > _LEFT_SECONDS:
                path.unlink()
