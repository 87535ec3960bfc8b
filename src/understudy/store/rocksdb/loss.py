"""What a RocksDB store lost of its end, or out of its middle, when a file of it was cut short or put back."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from understudy.store.high_water import Mark, read_mark
from understudy.store.rocksdb.ends import Ends
from understudy.store.rocksdb.log import check_logs

CURE: Final = "Nothing was changed. Bring back a copy of the store, or go on without what is gone: `understudy fsck --accept-loss`"


def is_short(ends: Ends, mark: Mark | None) -> bool:
    """True if writes are missing before the end, or the end is before the mark."""
    return ends.gap is not None or (mark is not None and ends.sequence < mark.sequence)


def is_short_for_sure(store: Path) -> bool:
    """The same, looked at while nobody can write. False if another process has the store open: that one checked when it opened it.

    Never for a store that this process has open: its lock would be gone with ours.
    """
    with _locked(store / "LOCK") as got:
        return got and is_short(check_logs(store), read_mark(store))


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether the lock of RocksDB was free; it is held meanwhile."""
    with path.open("ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
