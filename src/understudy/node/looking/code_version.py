"""The version of an actor's code: a short text that is the same for the same code, whatever the state is."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from understudy.objects.errors import WrongKind
from understudy.objects.ids import is_raw
from understudy.store.errors import StoreError
from understudy.store.maps import small_entries, tree_entry
from understudy.store.reader import Reader

# What decides how a message is handled, with the folders that pointers name. A pointer without a folder (`/:module:wit`)
# searches the whole core, which is not looked at: a wit may keep its state anywhere, and each of its steps would look like
# new code.
CODE: Final = ("runtime", "wit", "wit_query", "wit_update", "code")
_POINTERS: Final = ("wit", "wit_query", "wit_update")
_POINTER: Final = re.compile(rb"\s*/([^:\n]+):[^:\n]+:[^:\n]+\Z")
_MAX_POINTER: Final = 4096  # bytes; what is longer is code
_DIGITS: Final = 8


def code_version(reader: Reader, core: bytes) -> str:
    """Eight hexadecimal digits; empty for a core that is no tree. Raises Missing, Corrupt."""
    whole = sha256()
    try:
        # Of a small core all at once: the roster asks for those of a hundred thousand.
        entries = small_entries(reader, core)
        for name in CODE:
            found = tree_entry(reader, core, name) if entries is None else entries.get(name)
            whole.update(name.encode() + b"\0" + (found or b"") + b"\0")
            if found is not None and name in _POINTERS:
                whole.update(_pointed_at(reader, core, found))
    except WrongKind:
        return ""
    return whole.hexdigest()[:_DIGITS]


def _pointed_at(reader: Reader, core: bytes, id: bytes) -> bytes:
    """The folder that a pointer names and its id; nothing where that can't be read, which hides no actor."""
    try:
        folder = _folder_of(reader, id)
        return b"" if folder is None else folder.encode() + b"\0" + (reader.find(core, folder) or b"") + b"\0"
    except StoreError:
        return b""


def _folder_of(reader: Reader, id: bytes) -> str | None:
    """The folder that a pointer names; None for one that is counted anyway, and for what is no pointer."""
    text = reader.block(id) if is_raw(id) else b""
    found = _POINTER.match(text.rstrip()) if len(text) <= _MAX_POINTER else None
    folder = "" if found is None else found[1].decode("utf-8", "replace")
    return folder if folder not in ("", *CODE) else None
