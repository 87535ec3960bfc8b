"""Engine texts: which engine made a step, under which rules and which settings.

`NAME/ABI`, then `;key=value` parts sorted by their keys: `kernel/1`, `python/1;source=none`, `wasm/1;config=…`.
What the parts of each engine are, docs/FORMAT.md section 10 says.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from understudy.objects.errors import WrongKind

MAX_ENGINE_TEXT: Final = 255  # characters, which are bytes
_WORD: Final = r"[a-z][a-z0-9-]*"
_TEXT: Final = re.compile(rf"({_WORD})/(0|[1-9][0-9]*)((?:;{_WORD}=[A-Za-z0-9._-]+)*)")


class EngineText(NamedTuple):
    """An engine text in its parts."""

    name: str
    abi: int
    parts: tuple[tuple[str, str], ...]


@lru_cache(maxsize=1024)
def read_engine_text(text: str) -> EngineText:
    """The parts of an engine text. Raises WrongKind for what is none."""
    found = _TEXT.fullmatch(text) if len(text) <= MAX_ENGINE_TEXT else None
    if found is None:
        raise WrongKind(f"the engine {text[:80]!r} is not NAME/ABI with ;key=value parts")
    name, abi, rest = found.groups()
    parts = [(key, value) for key, _, value in (part.partition("=") for part in rest.split(";")[1:])]
    if not all(a[0] < b[0] for a, b in pairwise(parts)):
        raise WrongKind(f"the parts of the engine {text!r} are not sorted by their keys, each of them once")
    return EngineText(name, int(abi), tuple(parts))
