"""RocksDB's log files, walked before RocksDB opens them: the write-ahead logs and the manifest.

The law: a file that was cut at any length passes, and a file in which a stored byte was changed does not.
RocksDB alone cannot tell the two apart: it takes a changed length near the end of a file for a record that was never
finished, and drops what follows without a word.

The format: <https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format>. Blocks of 32 KiB hold records of
crc32c (4, masked), length (2), type (1) and the payload; no record crosses a block, and fewer than 7 bytes at the end
of a block are padding.
"""

from __future__ import annotations

import re
from pathlib import Path
from struct import Struct
from typing import Final

import google_crc32c

from understudy.store.errors import Corrupt
from understudy.store.rocksdb.ends import Ends, find_ends

_BLOCK: Final = 32 * 1024
_HEADER: Final = Struct("<IHB")
# Full, first, middle, last. The other types belong to log recycling, compression and user timestamps, none of
# which we turn on: to accept them would be to accept what one flipped bit makes of these four.
_TYPES: Final = frozenset({1, 2, 3, 4})
_BEGIN: Final = frozenset({1, 2})
_END: Final = frozenset({1, 4})
_HEAD: Final = 128  # bytes of each record that are kept: what `ends` needs, twice over
_CURRENT = re.compile(rb"MANIFEST-[0-9]{6,}\n\Z")


def check_logs(store: Path) -> Ends:
    """Check the manifest and every write-ahead log of a RocksDB directory, and tell how far they go.

    Raises Corrupt with file and offset. Reads these files whole; the store's options bound them to some tens of
    megabytes. The answer is right only while no process has the store open.
    """
    manifest = check_log(_manifest(store))
    logs = []
    for path in store.glob("*.log"):
        try:
            logs.append((int(path.stem), check_log(path)))
        except FileNotFoundError:
            # A node that has the store open has just dropped this log; its lock is what the caller runs into next.
            continue
    return find_ends(manifest, sorted(logs))


def check_log(path: Path) -> list[bytes]:
    """Check one log file, and give the head of each whole record. Raises Corrupt with file and offset."""
    data = path.read_bytes()
    heads: list[bytes] = []
    begun = b""
    at, size = 0, len(data)
    while size - at >= _HEADER.size:
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        crc, length, type = _HEADER.unpack_from(data, at)
        if crc == length == type == 0:
            if any(data[at:]):
                raise _corrupt(path, at, "zeros where a record should begin")
            break
        if type not in _TYPES:
            raise _corrupt(path, at, f"a record of the unknown type {type}")
        if _HEADER.size + length > left:
            raise _corrupt(path, at, f"a record of {length:,} bytes, which would cross the end of its block")
        end = at + _HEADER.size + length
        if end > size:
            if _is_whole_with_another_length(data, at, crc):
                raise _corrupt(path, at, f"a whole record whose length was changed to {length:,}")
            break
        if _masked(google_crc32c.value(data[at + 6 : end])) != crc:
            raise _corrupt(path, at, "a record that does not match its checksum")
        if type in _BEGIN:
            begun = b""
        if len(begun) < _HEAD:
            # A record that begins at the end of a block may have a byte there, or none, and the rest in the next block.
            begun += data[at + _HEADER.size : min(end, at + _HEADER.size + _HEAD - len(begun))]
        if type in _END:
            heads.append(begun)
        at = end
    return heads


def _manifest(store: Path) -> Path:
    current = store / "CURRENT"
    while True:
        named = current.read_bytes()
        if not _CURRENT.match(named):
            raise Corrupt(f"{current} is damaged: it holds {named[:40]!r} instead of the name of a manifest")
        manifest = store / named.decode().strip()
        if manifest.exists():
            return manifest
        # A node that opens the store at this moment replaces the manifest, then CURRENT, then removes the old one.
        if current.read_bytes() == named:
            raise Corrupt(f"{current} is damaged, or {manifest.name} was removed: there is no such file")


def _is_whole_with_another_length(data: bytes, at: int, crc: int) -> bool:
    running = google_crc32c.value(data[at + 6 : at + 7])
    for position in range(at + 7, len(data)):
        if _masked(running) == crc:
            return True
        running = google_crc32c.extend(running, data[position : position + 1])
    return _masked(running) == crc


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _corrupt(path: Path, at: int, text: str) -> Corrupt:
    return Corrupt(f"{path} is damaged at byte {at:,}: {text}. Restore the file from a copy; nothing was changed")
