"""Errors of rocksdict, of RocksDB and of the system, as the errors of a store."""

from __future__ import annotations

import re
from pathlib import Path
from traceback import clear_frames
from typing import NoReturn

from rocksdict import DbClosedError

from understudy.store.errors import Corrupt, StoreClosed, StoreError, StoreFormat, StoreFull, StoreInUse

_MANIFEST_BLAMED = re.compile(r"The file \S.*MANIFEST-[0-9]+ may be corrupted\.")


def raise_named(error: BaseException, path: Path) -> NoReturn:
    """Raise what rocksdict or the system raised as an error of ours; what is neither passes as it is."""
    if _is_foreign(error):
        # The error's frames may hold a cursor, and an error that is kept would keep the database open.
        clear_frames(error.__traceback__)
        kind, text = named(error, path)
        raise kind(text) from error
    raise error


def _is_foreign(error: BaseException) -> bool:
    # rocksdict raises plain Exceptions with RocksDB's text; a panic of its Rust code is a BaseException.
    if isinstance(error, RuntimeError):
        return "borrowed" in str(error)
    return type(error) is Exception or isinstance(error, OSError | DbClosedError) or _is_panic(error)


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _beside_the_manifest(text: str) -> str:
    # RocksDB blames the manifest for all that goes wrong while it loads what the manifest lists: for the properties
    # of a table too, which it parses before it looks at their checksum. We have checked the manifest's records.
    if ".sst" in text or not _MANIFEST_BLAMED.search(text):
        return ""
    return " Its records match their checksums: it was cut short, or the damage is in a table beside it (*.sst)"


def named(error: BaseException, path: Path) -> tuple[type[StoreError], str]:
    """The error of ours, and its text, for a foreign one."""
    text = str(error)
    if isinstance(error, DbClosedError | RuntimeError):
        return StoreClosed, f"{path} was closed"
    if "lock hold by current process" in text or ("While lock file" in text and "temporarily unavailable" in text):
        return StoreInUse, f"{path} is in use by another process: stop it, or talk to it instead"
    if any(sign in text for sign in ("No space left on device", "File too large", "Disk quota exceeded")):
        return StoreFull, f"{path}: the disk is full. Nothing that was acknowledged is lost: free space and start again"
    if any(sign in text for sign in ("Permission denied", "Read-only file system", "Operation not permitted")):
        return StoreError, f"{path} cannot be written ({text}): make it writable, or choose another --store"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreError, f"{path} is no directory and cannot become one ({text}): choose another --store"
    if "Corruption" in text or ("No such file or directory" in text and ".sst" in text):
        return Corrupt, f"{path} is damaged: {text}{_beside_the_manifest(text)}"
    if text.startswith("Invalid argument"):
        return StoreFormat, f"{path} holds a RocksDB database, but no Understudy store: {text}"
    if _is_panic(error):
        return StoreError, f"{path}: RocksDB's library failed: {text}"
    return StoreError, f"{path}: {text or type(error).__name__}"
