"""The rows in which a store describes itself: its format, the node's name and the node's secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from understudy.store.errors import StoreFormat
from understudy.store.keys import meta_row
from understudy.store.port import Row

FORMAT: Final = b"1"
FORMAT_ROW: Final = meta_row("format")
NODE_ROW: Final = meta_row("node")
SECRET_ROW: Final = meta_row("secret")

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_NAME_LENGTH: Final = 12  # 62 bits: two nodes of the world do not meet


def new_meta(entropy: Callable[[int], bytes]) -> tuple[Row, ...]:
    """The rows of a new store; `entropy(n)` gives n random bytes."""
    number, letters = int.from_bytes(entropy(16), "big"), []
    for _ in range(_NAME_LENGTH):
        number, digit = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[digit])
    return (Row(FORMAT_ROW, FORMAT), Row(NODE_ROW, "".join(letters).encode()), Row(SECRET_ROW, entropy(32)))


def check_format(found: bytes | None, *, where: str) -> None:
    """Raise StoreFormat unless the format row says that this version reads the store."""
    if found is None:
        raise StoreFormat(f"{where} holds no Understudy store: choose another place")
    if found != FORMAT:
        raise StoreFormat(
            f"{where} was written in store format {found.decode(errors='replace')}, and this version reads "
            f"{FORMAT.decode()}: use the version of Understudy that wrote it, or a newer one"
        )
