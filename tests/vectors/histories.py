"""Write the vectors of whole histories: `python -m tests.vectors.histories`, CAR files and what `verify` says of each.

A file that exists is never written again: a vector is a promise, and code that makes other steps says so in its engine text.
A new vector's verdict is what `verify` says when it is written: read it before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from tests.vectors.forged import FORGED
from tests.vectors.honest import HONEST
from tests.vectors.unreadable import UNREADABLE
from understudy.judging.foreign import verify_car

HERE: Final = Path(__file__).parent / "histories"
INDEX: Final = HERE / "histories.json"
VECTORS: Final[dict[str, Callable[[], bytes]]] = {**HONEST, **FORGED, **UNREADABLE}


def judged(data: bytes) -> list[dict[str, Any]]:
    """What `verify FILE.car` says, without what is only for people."""
    verdicts = verify_car(BytesIO(data))
    return [
        {"head": verdict.head, "verdict": verdict.verdict, "cause": verdict.cause, "height": verdict.at_height}
        for verdict in verdicts
    ]


def index() -> list[dict[str, Any]]:
    """The vectors that there are."""
    return json.loads(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else []


def file_of(name: str) -> str:
    """The file of a vector."""
    return name.replace(" ", "-").replace("'", "") + ".car"


def main() -> None:
    """Write those that are not there yet."""
    HERE.mkdir(exist_ok=True)
    found = index()
    known = {vector["name"] for vector in found}
    for name, make in VECTORS.items():
        if name not in known:
            data = make()
            kind = "honest" if name in HONEST else "forged" if name in FORGED else "unreadable"
            found.append({"name": name, "file": file_of(name), "kind": kind, "verdicts": judged(data)})
            (HERE / file_of(name)).write_bytes(data)
            print(f"{name}: {len(data):,} bytes", *found[-1]["verdicts"], sep="\n  ")
    INDEX.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
