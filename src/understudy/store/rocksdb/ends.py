"""How far a RocksDB directory goes, told from its manifest and logs before RocksDB opens them.

Every write has a sequence number, and they have no gaps: the manifest says up to which number the tables go, and each
record of a log carries its first number and how many there are. So a file that was cut short shows as a gap, or as an
end before the one that is known.

The formats: <https://github.com/facebook/rocksdb/wiki/MANIFEST>, and `write_batch.cc` of RocksDB for the head of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final, NamedTuple

from understudy.objects.varint import read_varint

_BATCH: Final = Struct("<QI")  # a record of a log: its first sequence number, the count of its writes

# Tags of a manifest's record. Those that matter come before the lists of tables, which are not read.
_COMPARATOR, _LOG_NUMBER, _LAST_SEQUENCE = 1, 2, 4
_NUMBERS: Final = frozenset({_LOG_NUMBER, 3, _LAST_SEQUENCE, 9, 10, 203})
_FIRST_SKIPPABLE: Final = 8192  # tags from here on are followed by a length and so many bytes


class Ends(NamedTuple):
    """The last sequence number, and the first gap before it: the number that should follow, and the one that does."""

    sequence: int
    gap: tuple[int, int] | None = None


class _Tables(NamedTuple):
    sequence: int
    first_log: int


def find_ends(manifest: Iterable[bytes], logs: Iterable[tuple[int, Sequence[bytes]]]) -> Ends:
    """What the heads of the records say, of the manifest and of each log by its number, lowest first."""
    tables = _read_tables(manifest)
    last, gap = tables.sequence, None
    for number, records in logs:
        if number < tables.first_log:
            # All of it is in the tables; the file was just not removed yet.
            continue
        for record in records:
            first, count = _BATCH.unpack_from(record)
            if first > last + 1 and gap is None:
                gap = (last + 1, first)
            last = max(last, first + count - 1)
    return Ends(last, gap)


def _read_tables(manifest: Iterable[bytes]) -> _Tables:
    sequence = first_log = 0
    for record in manifest:
        numbers = _numbers(record)
        sequence = max(sequence, numbers.get(_LAST_SEQUENCE, 0))
        first_log = max(first_log, numbers.get(_LOG_NUMBER, 0))
    return _Tables(sequence, first_log)


def _numbers(record: bytes) -> dict[int, int]:
    """The numbers at the beginning of a record, by their tags."""
    found: dict[int, int] = {}
    at = 0
    try:
        while at < len(record):
            tag, at = read_varint(record, at)
            if tag == _COMPARATOR or tag >= _FIRST_SKIPPABLE:
                size, at = read_varint(record, at)
                at += size
            elif tag in _NUMBERS:
                found[tag], at = read_varint(record, at)
            else:
                break
    except IndexError:
        # Only the beginning of a long record was kept.
        pass
    return found
