"""A message's content, or a state, in JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id
from understudy.store.reader import Reader

_MAX_INLINE_BYTES: Final = 64 * 1024 * 1024  # a larger reply is linked: an answer is held in memory as a whole


def content_view(reader: Reader, content: Id) -> Any:
    """A content in JSON: the JSON that it is, other bytes as base64, anything else (and the very large) as a link."""
    try:
        big = reader.blob_info(content)
    except WrongKind:
        return {"/": str(content)}
    if big is not None and big.size > _MAX_INLINE_BYTES:
        return {"/": str(content)}
    data = reader.blob(content)
    try:
        # Only checked: to build the values would take ten times as long.
        data.decode()
        msgspec.json.decode(data, type=msgspec.Raw)
        # As it is: a number of twenty digits would not survive being read and written again.
        return msgspec.Raw(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"base64": data}
