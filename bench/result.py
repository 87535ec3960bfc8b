"""What a benchmark gives back, and the folder it may fill."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

Params = Mapping[str, int]

# In the tree and not in the system's folder for temporary files: that is often memory, where a sync costs nothing.
SCRATCH = Path(__file__).parents[1] / ".build" / "bench"


class Result(Struct, frozen=True, kw_only=True):
    """One measurement. `params` tells it from its neighbours; `rate` is a number of `unit`.

    A benchmark that has a ceiling of its own gives it with a sentence in `ceiling_is`. Without one, steps/s and
    messages/s are held against bench/ceiling.py, and other units against nothing.
    """

    benchmark: str
    rate: float
    unit: str
    params: Mapping[str, int | float | str] = {}
    ceiling: float | None = None
    ceiling_is: str | None = None


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """An empty folder on the disk that the tree is on, removed afterwards."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=SCRATCH))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
