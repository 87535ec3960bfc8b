"""The version of an actor's code: a short text that is the same for the same code, whatever the state is."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from understudy.objects.errors import WrongKind
from understudy.store.maps import small_entries, tree_entry
from understudy.store.reader import Reader

# What decides how a message is handled. Modules that stand elsewhere in a core are not looked at: a wit may keep its
# state anywhere, and each of its steps would look like new code.
CODE: Final = ("runtime", "wit", "wit_query", "wit_update", "code")
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
    except WrongKind:
        return ""
    return whole.hexdigest()[:_DIGITS]
