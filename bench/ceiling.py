"""The ceiling for all benchmarks: the rows of a step, straight to RocksDB, with nothing of ours around them.

One step is five objects of 240 random bytes under their ids, one head and two rows. A hundred steps go into one
batch, written and then synced, as our backend does it and with its options.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from rocksdict import Rdict, WriteBatch

from bench.result import Params, Result, scratch
from understudy.objects.codec import raw_block
from understudy.store.keys import feed_row, head_ref, height_row
from understudy.store.rocksdb.options import options

OBJECTS = 5
OBJECT_BYTES = 240
ACTORS = 2_500  # as many as `grid` has
STEPS_PER_COMMIT = 100
STEPS = 20_000
ROUNDS = 3
CEILING_IS = "five objects of 240 bytes, one head and two rows per step, 100 steps per sync, straight to RocksDB"


def run(params: Params) -> list[Result]:
    """The ceiling as a benchmark of its own, at 1, 10 and 100 steps per commit."""
    steps = params.get("steps", STEPS)
    sizes = ((1, steps // 20), (10, steps // 4), (STEPS_PER_COMMIT, steps))
    return [
        Result(
            benchmark="ceiling",
            rate=steps_per_second(steps=count, steps_per_commit=size),
            unit="steps/s",
            params={"steps": count, "steps_per_commit": size},
        )
        for size, count in sizes
    ]


def steps_per_second(*, steps: int = STEPS, steps_per_commit: int = STEPS_PER_COMMIT, rounds: int = ROUNDS) -> float:
    """The best of some rounds, each into a new store: a ceiling is what the machine can do, not what it did."""
    return max(_round(steps, steps_per_commit) for _ in range(rounds))


def _round(steps: int, steps_per_commit: int) -> float:
    # Made before the clock starts: drawing and hashing random bytes is not the store's work.
    commits = list(_commits(steps, steps_per_commit))
    with scratch("ceiling") as folder:
        store = _open(folder / "store")
        try:
            start = perf_counter()
            for rows in commits:
                batch = WriteBatch(raw_mode=True)
                for key, value in rows:
                    batch.put(key, value)
                store.write(batch)
                store.flush_wal(True)
            return steps / (perf_counter() - start)
        finally:
            store.close()


def _open(path: Path) -> Rdict:
    return Rdict(str(path), options=options())


def _commits(steps: int, steps_per_commit: int) -> Iterator[list[tuple[bytes, bytes]]]:
    actors = [raw_block(number.to_bytes(4, "big")).id for number in range(ACTORS)]
    for start in range(0, steps, steps_per_commit):
        numbers = range(start, min(start + steps_per_commit, steps))
        yield [row for number in numbers for row in _step_rows(actors[number % ACTORS], number)]


def _step_rows(actor: bytes, number: int) -> list[tuple[bytes, bytes]]:
    blocks = [raw_block(os.urandom(OBJECT_BYTES)) for _ in range(OBJECTS)]
    step = blocks[-1].id
    return [
        *((b"o" + block.id, block.data) for block in blocks),
        (b"r" + head_ref(actor), step),
        (b"w" + feed_row(number + 1), step),
        (b"w" + height_row(actor, number // ACTORS), step),
    ]
