"""A RocksDB database opened and closed, also beside processes that do the same."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Final

from rocksdict import AccessType, Rdict

from understudy.store.rocksdb.options import options

_TRIES: Final = 8  # to open beside processes that open and close: each of them can be in the way once
_FILE_GONE: Final = re.compile(r"No such file or directory: .*")  # RocksDB's words; the rest names the file


def open_database(path: Path, *, read_only: bool) -> Rdict:
    """Open the database in a directory. Raises what rocksdict raises."""
    access = AccessType.read_only() if read_only else AccessType.read_write()
    with _one_opens(path):
        return _open_beside_others(path, access)


def close_database(db: Rdict) -> None:
    while True:
        try:
            return db.close()
        except RuntimeError as error:
            # A thread is in the middle of a read. No new read begins, so this ends soon.
            if "borrowed" not in str(error):
                raise
            sleep(0.0005)


def holds_nothing(db: Rdict) -> bool:
    cursor = db.iter()
    cursor.seek_to_first()
    cursor.status()
    return not cursor.valid()


def _open_beside_others(path: Path, access: AccessType) -> Rdict:
    """Open again where another process has just removed a file that RocksDB was about to open.

    A writer removes logs and tables that it no longer needs while it opens, works and closes. A view that read the list
    of files before that finds one gone. The list that it reads next does not name that file: one that is missing twice
    in a row is damage.
    """
    gone = ""
    for _ in range(_TRIES):
        try:
            return Rdict(str(path), options=options(), access_type=access)
        except Exception as error:
            found = _FILE_GONE.search(str(error))
            if found is None or found[0] == gone:
                raise
            gone = found[0]
    return Rdict(str(path), options=options(), access_type=access)


@contextmanager
def _one_opens(path: Path) -> Iterator[None]:
    """Keep other processes from opening the store meanwhile, for reading too.

    RocksDB moves the text log of its last run away before it takes its own lock, and removes the oldest of such logs.
    Two processes that do so at once find each other's files gone, and one of them fails. A process that closes the
    store removes such logs too, and is not kept out here: see `_open_beside_others`.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
