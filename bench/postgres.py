"""`postgres`: `many` on a store in PostgreSQL, against one client that inserts the same rows.

The server is started here, with its defaults, on the disk that the tree is on, and waits for each commit. The ceiling is
measured after the node, on the same server: the units that the node committed, a hundred to a transaction, one statement for
each table, prepared, and nothing compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Final

import psycopg

from bench.many import pass_tokens
from bench.node import living, run_live
from bench.result import SCRATCH, Params, Result
from understudy.node.node import Node
from understudy.objects.ids import Id
from understudy.store.keys import feed_row
from understudy.store.port import Backend, Receipt, Unit
from understudy.store.postgres.backend import open_backend
from understudy.store.postgres.schema import MIGRATIONS
from understudy.store.postgres.url import read_url
from understudy.testing.postgres_server import PostgresServer

STEPS_PER_COMMIT: Final = 100
CEILING_IS: Final = "the same rows from one client of the same server, 100 steps to a transaction, nothing compared"
_BYTES: Final = "%b::bytea[]"
_STATEMENTS: Final = (
    f"INSERT INTO understudy_blocks SELECT * FROM unnest({_BYTES}, {_BYTES}) ON CONFLICT DO NOTHING",
    f"INSERT INTO understudy_refs SELECT * FROM unnest({_BYTES}, {_BYTES}) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    f"INSERT INTO understudy_rows SELECT * FROM unnest({_BYTES}, {_BYTES}) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    f"DELETE FROM understudy_rows WHERE key = ANY({_BYTES})",
)
Values = tuple[list[bytes], ...]


def run(params: Params) -> list[Result]:
    """Steps per second of a node, and of its rows without it."""
    actors, hops = params.get("actors", 1_000), params.get("hops", 20)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    server = PostgresServer(parent=SCRATCH)
    try:
        for name in ("node", "ceiling"):
            server.execute(f"CREATE SCHEMA {name}")
        url = read_url(server.url(schema="node").removeprefix("postgresql:"))
        backend = Recording(open_backend(url, folder=server.folder / "node"))
        rate = run_live(_run(backend, actors, hops))
        ceiling = _insert(server.url(schema="ceiling"), backend.units)
    finally:
        server.remove()
    about = {"actors": actors, "hops": hops, "batch": 1}
    return [
        Result(benchmark="postgres", rate=rate, unit="steps/s", params=about, ceiling=ceiling, ceiling_is=CEILING_IS)
    ]


async def _run(backend: Recording, actors: int, hops: int) -> float:
    async with living(Node(backend)) as node:
        return await pass_tokens(node, actors, hops, begins=backend.begin)


class Recording:
    """A backend that remembers what was committed since `begin`."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.units: list[Unit] = []
        self.get, self.ref, self.row = inner.get, inner.ref, inner.row
        self.refs, self.rows, self.ids, self.close = inner.refs, inner.rows, inner.ids, inner.close
        self.now = inner.now

    def begin(self) -> None:
        """Forget what was so far."""
        self.units.clear()

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        self.units += units
        return self._inner.commit(units)


def _insert(url: str, units: Sequence[Unit]) -> float:
    """Steps per second of a client that only inserts."""
    steps = sum(len(unit.feed) for unit in units)
    # Made before the clock starts: it is not the database's work.
    batches = list(_batches(units))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MIGRATIONS[0])
        start = perf_counter()
        for batch in batches:
            with connection.pipeline(), connection.transaction():
                for statement, values in zip(_STATEMENTS, batch, strict=True):
                    connection.execute(statement, values, prepare=True)
        return steps / (perf_counter() - start)


def _batches(units: Sequence[Unit]) -> Iterator[Sequence[Values]]:
    feed, batch = 0, list[Unit]()
    for unit in units:
        batch.append(unit)
        if sum(len(unit.feed) for unit in batch) >= STEPS_PER_COMMIT:
            yield _values(batch, feed)
            feed += sum(len(unit.feed) for unit in batch)
            batch = []
    yield _values(batch, feed)


def _values(units: Sequence[Unit], feed: int) -> Sequence[Values]:
    blocks = {bytes(block.id): block.data for unit in units for block in unit.blocks}
    refs = {move.ref: move.new or b"" for unit in units for move in unit.moves}
    rows = {row.key: row.value for unit in units for row in unit.rows}
    steps: list[Id] = [step for unit in units for step in unit.feed]
    rows |= {feed_row(feed + number): step for number, step in enumerate(steps, 1)}
    kept = {key: value for key, value in rows.items() if value is not None}
    gone = [key for key, value in rows.items() if value is None]
    return (
        (list(blocks), list(blocks.values())),
        (list(refs), list(refs.values())),
        (list(kept), list(kept.values())),
        (gone,),
    )
