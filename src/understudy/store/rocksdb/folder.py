"""The folder that a RocksDB store is in: made, kept private, and checked before RocksDB opens it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from understudy.store.errors import Corrupt, StoreError, StoreFormat
from understudy.store.high_water import NAME as HIGH_WATER

CURRENT: Final = "CURRENT"  # the file that every RocksDB database has, once it was made
_ROOT: Final = 0
# What is in a directory when its creation was cut short. Without a CURRENT file, anything else in it is either
# not ours or what is left of a damaged store.
_BIRTH = re.compile(r"(LOCK|LOG.*|IDENTITY|MANIFEST-000001|OPTIONS-.*|.*\.dbtmp|rocksdict-config.json|lost\+found)\Z")


def make_directory(path: Path) -> None:
    new = [level for level in (path, *path.parents) if not level.exists()]
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        what = "a link to nothing" if path.is_symlink() else "no directory"
        raise StoreError(f"{path} is {what}: choose another --store") from error
    for level in new:
        # RocksDB syncs its own directory only: after a power cut, the entry that leads to it could be missing.
        handle = os.open(level.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def keep_private(path: Path) -> None:
    """Take from others what an older store, or RocksDB, lets them read: the node's secret is in it.

    RocksDB goes on making files that everybody may read, as far as the umask lets it; the folder shuts them in.
    What a link in the folder leads to is left alone: it may be any file of the machine.

    Raises StoreError if another user owns the folder, or everybody may use it, and this user can't change that.
    """
    files = (entry for entry in path.iterdir() if entry.is_file() and not entry.is_symlink())
    for entry, mode in ((path, 0o700), *((entry, 0o600) for entry in files)):
        # Only the owner may change the mode. A process that closes the store at this moment removes files.
        with suppress(PermissionError, FileNotFoundError):
            if entry.stat().st_mode & 0o077:
                entry.chmod(mode)
    _check_owner(path)


def _check_owner(path: Path) -> None:
    # Root may go anywhere, and is owner or not as it likes: folders of containers often belong to somebody else.
    if os.name != "posix" or os.geteuid() == _ROOT:
        return
    found = path.stat()
    if found.st_uid not in (os.geteuid(), _ROOT):
        who = f"belongs to another user (number {found.st_uid})"
    elif found.st_mode & 0o007:
        who = "is open to everybody, and this user can't change that"
    else:
        return
    raise StoreError(
        f"{path} {who}: the node's secret would be read there, and tokens put there. "
        "Choose another directory, or chown and chmod 700 this one"
    )


def holds_database(path: Path) -> bool:
    names = sorted(entry.name for entry in path.iterdir())
    if CURRENT in names:
        _check_mode(path / "rocksdict-config.json")
        return True
    strange = [name for name in names if not _BIRTH.match(name)]
    if any(name.endswith((".sst", ".log")) or name == HIGH_WATER for name in strange):
        # RocksDB would make a new, empty database over the old one.
        raise Corrupt(f"{path / CURRENT} is missing, and there is data beside it: restore the file from a copy")
    if strange:
        raise StoreFormat(
            f"{path} is not empty (there is {strange[0]!r}) and holds no Understudy store: choose a new directory"
        )
    return False


def _check_mode(config: Path) -> None:
    # rocksdict would open the database all the same, after it has overwritten what says how to read it.
    if config.exists() and b'"raw_mode":false' in config.read_bytes():
        raise StoreFormat(f"{config.parent} holds a rocksdict database, but no Understudy store: choose another place")
