"""Compiled components on disk: compiling takes up to seconds, loading what was compiled a millisecond.

The law: loading a compiled component runs native code. So only files that this user wrote, and that are unchanged, are loaded.
The folder may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
import stat
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from wasmtime import WasmtimeError
from wasmtime.component import Component

from understudy.engines.wasm.compiler import COMPILED_BY, compiler
from understudy.engines.wasm.compiling import Tell, compile_beside
from understudy.store.whole_files import write_whole

MAX_FILES: Final = 256  # compiled components kept; the oldest go first
_DIGEST: Final = ".sha256"

_log = logging.getLogger(__name__)


class CompiledCache:
    """Compiles components, and keeps the results in a folder that only this user can open; with None it keeps nothing.
    `tell` is called every second while a component is compiled.
    """

    def __init__(self, folder: Path | None, tell: Tell = lambda text: None) -> None:
        self._folder = folder
        self._tell = tell

    def component(self, data: bytes, digest: str) -> Component:
        """The component of these bytes, whose sha256 is `digest`. Raises WitError("BadComponent"), HostFailed."""
        # Asked each time: whoever may write to the folder above may put another one in its place.
        if self._folder is None or not _is_private(self._folder):
            return Component.deserialize(compiler(), compile_beside(data, self._tell))
        path = self._folder / f"{digest}-{COMPILED_BY}.cwasm"
        return self._load(path) or self._compile(data, path)

    def _load(self, path: Path) -> Component | None:
        try:
            if not (_is_ours(path) and _is_ours(path.with_suffix(_DIGEST))):
                _log.warning("%s is not a file that only this user can write; compiling the component again", path)
                return None
            expected = path.with_suffix(_DIGEST).read_text()
            with path.open("rb") as file:
                found = file_digest(file, "sha256").hexdigest()
            if found != expected:
                _log.warning("%s is not what was written; compiling the component again", path)
                return None
            return Component.deserialize_file(compiler(), str(path))
        except (OSError, UnicodeDecodeError):
            return None
        except WasmtimeError as error:
            _log.warning("%s can't be loaded: %s; compiling the component again", path, error)
            return None

    def _compile(self, data: bytes, path: Path) -> Component:
        compiled = compile_beside(data, self._tell)
        try:
            write_whole(path, compiled)
            write_whole(path.with_suffix(_DIGEST), sha256(compiled).hexdigest().encode())
            _drop_oldest(path.parent)
        except OSError as error:
            _log.warning("a compiled component can't be kept in %s: %s", path.parent, error)
        # From the file: its pages need no memory of their own.
        return self._load(path) or Component.deserialize(compiler(), compiled)


def _is_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        _log.warning("compiled components are not kept: %s", error)
        return False
    if hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077):
        _log.warning("compiled components are not kept: others can write to %s; make it yours alone: chmod 700", folder)
        return False
    return True


def _is_ours(path: Path) -> bool:
    """True for an ordinary file of this user: before the folder was private, others may have put files here. Raises
    OSError.
    """
    found = path.lstat()
    is_owned = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISREG(found.st_mode) and is_owned and not stat.S_IMODE(found.st_mode) & 0o022


def _drop_oldest(folder: Path) -> None:
    compiled = sorted(folder.glob("*.cwasm"), key=lambda path: path.stat().st_mtime)
    for path in compiled[: max(0, len(compiled) - MAX_FILES)]:
        path.with_suffix(_DIGEST).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
