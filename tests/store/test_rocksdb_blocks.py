"""Records of RocksDB's log at the ends of its blocks: a process may be killed wherever they fall."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from understudy.store.open import open_store
from understudy.store.port import Backend, Row, Unit

BLOCK = 32 * 1024
HEADER = 7
OVERHEAD = 30  # of a record of one row with a key of six letters, and a value that needs two bytes for its length


@pytest.mark.parametrize("left", range(HEADER + 14))
def test_a_store_is_opened_after_a_kill_wherever_a_record_crosses_the_end_of_a_block(tmp_path: Path, left: int) -> None:
    folder, copy = tmp_path / "store", tmp_path / "copy"
    store = open_store(f"rocksdb:{folder}")
    _fill_block(store, folder, left)
    _put(store, b"crosses", 100)
    _put(store, b"after", 100)
    # What a killed process leaves: the files as they are, with nothing closed.
    shutil.copytree(folder, copy)
    store.close()
    again = open_store(f"rocksdb:{copy}")
    assert [len(again.row(key) or b"") for key in (b"crosses", b"after")] == [100, 100]
    again.close()


def _fill_block(store: Backend, folder: Path, left: int) -> None:
    """Write until the log ends so many bytes before the end of a block."""
    while (rest := BLOCK - left - _log_size(folder) % BLOCK) > 12_000:
        _put(store, b"filler", 10_000)
    _put(store, b"filler", rest - OVERHEAD)
    assert (_log_size(folder) + left) % BLOCK == 0


def _put(store: Backend, key: bytes, size: int) -> None:
    store.commit([Unit(rows=[Row(key, b"x" * size)])])


def _log_size(folder: Path) -> int:
    return max(folder.glob("*.log")).stat().st_size
