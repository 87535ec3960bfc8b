"""The log of a step: what the wit wrote, and what the runtime notes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_LOG_BYTES: Final = 1024 * 1024
_CUT: Final = "! the log was cut here: a step's log has at most 1 MiB\n"


def log_text(wit_lines: Sequence[str], notes: Sequence[str]) -> bytes:
    """The log blob (docs/FORMAT.md section 10); empty if there is nothing to say."""
    if not wit_lines and not notes:
        return b""
    lines = [_line(" ", text) for text in wit_lines] + [_line("!", text) for text in notes]
    data = "".join(lines).encode("utf-8", "replace")
    if len(data) <= MAX_LOG_BYTES:
        return data
    kept = data[: MAX_LOG_BYTES - len(_CUT)]
    return kept[: kept.rfind(b"\n") + 1] + _CUT.encode()


def log_lines(data: bytes) -> list[str]:
    """The lines of a log blob. A line feed alone ends one: other separators are text of the wit, and forge no mark."""
    return data.decode("utf-8", "replace").split("\n")[:-1]


def _line(mark: str, text: str) -> str:
    return mark + text.replace("\r\n", "\n").replace("\n", "\n\t") + "\n"
