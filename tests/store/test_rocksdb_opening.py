"""Many processes open one RocksDB store at once.

Tests of store/rocksdb/database.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from understudy.objects.codec import raw_block
from understudy.store.open import open_store
from understudy.store.port import Unit

PROCESSES = 6
OPENINGS = 25

OPENER = """
import sys
from understudy.objects.codec import raw_block
from understudy.store.errors import StoreInUse
from understudy.store.open import open_store
from understudy.store.port import Unit

url, openings, reads = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "reads"
for number in range(openings):
    try:
        store = open_store(url, read_only=reads)
    except StoreInUse:
        continue
    if reads:
        assert store.get([raw_block(b"here before").id]) == [b"here before"]
    else:
        # What is written becomes a log, and a table when the store is closed; both are removed later.
        store.commit([Unit(blocks=[raw_block(number.to_bytes(4096, "big"))])])
    store.close()
"""


def test_processes_that_open_a_store_at_once_get_it_or_hear_that_it_is_in_use(tmp_path: Path) -> None:
    url = f"rocksdb:{tmp_path / 'store'}"
    store = open_store(url)
    store.commit([Unit(blocks=[raw_block(b"here before")])])
    store.close()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url, str(OPENINGS), "reads" if number % 2 else "writes"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    said = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, said
    again = open_store(url, read_only=True)
    assert again.get([raw_block(b"here before").id]) == [b"here before"]
    again.close()
