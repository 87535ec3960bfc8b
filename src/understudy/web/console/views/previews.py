"""Previews: what a blob is, as far as a page can show it. Everything is bounded, and nothing is believed of its content."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec
from msgspec import Struct

from understudy.objects import ids
from understudy.objects.ids import Id
from understudy.objects.views import node_view
from understudy.store.reader import Reader
from understudy.web.console.views.texts import visible
from understudy.web.files import media_type_of

MAX_BYTES: Final = 128 * 1024  # of a blob that stand on a page; its address has all of them
MAX_LINES: Final = 3000
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 200, 40, 300
MAX_PICTURE_BYTES: Final = 16 * 1024 * 1024
_MAX_DEPTH: Final = 32  # each level is one more indentation of each line below it
_PICTURES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml", "image/avif", "image/bmp")
_TABLES: Final = {"text/csv": ",", "text/tab-separated-values": "\t"}
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_HEX_BYTES: Final = 256  # of a blob that is no text


class Preview(Struct, frozen=True, kw_only=True):
    """One of: "json", "text", "html" (as text), "picture", "table" (and its text), "binary" (in hexadecimal), "empty", "object".

    `text` is what can be read of it, `is_cut` that there is more; `size` counts the bytes of the whole, None for an object.
    """

    kind: str
    text: str = ""
    size: int | None = None
    media_type: str = ""
    rows: Sequence[Sequence[str]] = ()
    is_cut: bool = False

    @property
    def lines(self) -> list[str]:
        """The text in lines, at most MAX_LINES."""
        return self.text.split("\n")[:MAX_LINES]


def preview(reader: Reader, id: Id, *, path: str = "", most: int = MAX_BYTES) -> Preview:
    """What an object is; `path` is that of a file, whose name says what it is. Raises Missing, Corrupt."""
    big = None
    if not ids.is_raw(id):
        node = reader.node(id)
        if not (isinstance(node, dict) and "blob" in node):
            return _of_object(node, most)
        big = reader.blob_info(id)
    data = next(iter(reader.open_blob(id)), b"")
    size = len(data) if big is None else big.size
    media_type = media_type_of(path) if path else ""
    if media_type in _PICTURES and size <= MAX_PICTURE_BYTES:
        return Preview(kind="picture", size=size, media_type=media_type)
    return preview_of(data[:most], size=size, media_type=media_type)


def preview_of(data: bytes, *, size: int, media_type: str = "") -> Preview:
    """What these bytes are, which may be the beginning of more."""
    is_cut = len(data) < size
    if not data:
        return Preview(kind="empty", size=size, media_type=media_type)
    said = Preview(kind="text", size=size, media_type=media_type, is_cut=is_cut)
    pretty = None if is_cut or media_type in _TABLES else _pretty_json(data)
    if pretty is not None:
        return msgspec.structs.replace(said, kind="json", text=visible(pretty))
    text = _text(data, is_cut)
    if text is None:
        return msgspec.structs.replace(said, kind="binary", text=_hexadecimal(data), is_cut=is_cut or size > _HEX_BYTES)
    is_long = text.count("\n") >= MAX_LINES
    said = msgspec.structs.replace(said, text=visible(text), is_cut=is_cut or is_long)
    if media_type == "text/html":
        return msgspec.structs.replace(said, kind="html")
    if media_type in _TABLES and (rows := _rows(text, _TABLES[media_type])):
        return msgspec.structs.replace(said, kind="table", rows=rows, is_cut=is_cut or text.count("\n") > MAX_ROWS)
    return said


def _of_object(node: object, most: int) -> Preview:
    text = msgspec.json.format(msgspec.json.encode(node_view(node)), indent=2).decode()
    return Preview(kind="object", text=visible(text[:most]), is_cut=len(text) > most)


def _pretty_json(data: bytes) -> str | None:
    """JSON on several lines, its numbers as they are; None for what is no object or list, or goes too deep."""
    if data.lstrip()[:1] not in (b"{", b"[") or _depth(data) > _MAX_DEPTH:
        return None
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        return msgspec.json.format(data, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _depth(data: bytes) -> int:
    """At least how deep it goes: brackets in texts are counted, too."""
    depth = most = 0
    for found in _BRACKETS.finditer(data):
        depth += 1 if found[0] in b"[{" else -1
        most = max(most, depth)
    return most


def _text(data: bytes, is_cut: bool) -> str | None:
    if b"\0" in data:
        return None
    for spare in range(4 if is_cut else 1):
        # A cut may go through a character.
        try:
            return data[: len(data) - spare].decode()
        except UnicodeDecodeError:
            continue
    return None


def _hexadecimal(data: bytes) -> str:
    shown = data[:_HEX_BYTES]
    rows = [shown[at : at + 16] for at in range(0, len(shown), 16)]
    return "\n".join(f"{16 * number:06x}  {row.hex(' ')}" for number, row in enumerate(rows))


def _rows(text: str, separator: str) -> list[list[str]]:
    try:
        found = islice(csv.reader(io.StringIO(text), delimiter=separator), MAX_ROWS + 1)
        return [[visible(cell[:MAX_CELL]) for cell in row[:MAX_COLUMNS]] for row in found if row]
    except csv.Error:
        return []
