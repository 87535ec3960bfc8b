"""How far a RocksDB directory goes: what is read of a manifest's record, and where reading stops."""

from __future__ import annotations

import pytest

from understudy.store.rocksdb.ends import Ends, find_ends

COMPARATOR, LOG_NUMBER, LAST_SEQUENCE, COMPACT_POINTER, SKIPPABLE = 1, 2, 4, 5, b"\x80\x40"
BATCH_7_OF_3 = (7).to_bytes(8, "little") + (3).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("record", "sequence"),
    [
        (bytes([LAST_SEQUENCE, 7]), 7),
        (bytes([COMPARATOR, 2]) + b"ab" + bytes([LAST_SEQUENCE, 7]), 7),
        (SKIPPABLE + bytes([2]) + b"ab" + bytes([LAST_SEQUENCE, 7]), 7),
        (bytes([LAST_SEQUENCE, 7, COMPACT_POINTER, LAST_SEQUENCE, 99]), 7),  # what follows it is no tag
        (bytes([LAST_SEQUENCE, 7, LAST_SEQUENCE, 0x80]), 7),  # cut off within a number
        (b"", 0),
    ],
)
def test_the_last_sequence_is_read_up_to_the_first_field_that_is_not_known(record: bytes, sequence: int) -> None:
    assert find_ends([record], []) == Ends(sequence)


@pytest.mark.parametrize(
    ("manifest", "logs", "ends"),
    [
        ([bytes([LAST_SEQUENCE, 6])], [(3, [BATCH_7_OF_3])], Ends(9)),
        ([bytes([LAST_SEQUENCE, 5])], [(3, [BATCH_7_OF_3])], Ends(9, (6, 7))),
        ([bytes([LAST_SEQUENCE, 5, LOG_NUMBER, 4])], [(3, [BATCH_7_OF_3])], Ends(5)),  # the tables have this log
        ([bytes([LAST_SEQUENCE, 8])], [(3, [BATCH_7_OF_3])], Ends(9)),
    ],
)
def test_a_log_goes_on_where_the_tables_end_or_shows_the_gap(
    manifest: list[bytes], logs: list[tuple[int, list[bytes]]], ends: Ends
) -> None:
    assert find_ends(manifest, logs) == ends
