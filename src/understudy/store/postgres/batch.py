"""The units of one commit as one batch of changes, decided without asking the database.

The law: `decide` says what becomes of each unit if the refs held what it was told, or what the first unit that moves them
expected. The database checks that in the statement that writes the batch, and writes nothing where it is not so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from psycopg.types.numeric import Int4, Int8

from understudy.store.moves import try_moves
from understudy.store.port import Receipt, Unit

# Bound to what holds: the refs that move hold what was expected, nobody else has opened the store since, and the server's
# process is the one that has the lock and our settings. A pooler may have put another one behind the connection.
WRITE: Final = """
WITH moves AS (SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[]) AS m(name, expected, new)),
held AS (
    SELECT r.name FROM moves m JOIN understudy_refs r ON r.name = m.name WHERE r.value = m.expected FOR UPDATE OF r
),
absent AS (
    SELECT m.name FROM moves m
    WHERE m.expected IS NULL AND NOT EXISTS (SELECT FROM understudy_refs r WHERE r.name = m.name)
),
gate AS (
    UPDATE understudy_store SET feed = feed + %b::int8, commits = commits + 1, batch = %b
    WHERE writer = %b AND pg_backend_pid() = %b::int4
        AND (SELECT count(*) FROM held) + (SELECT count(*) FROM absent) = (SELECT count(*) FROM moves)
    RETURNING feed - %b::int8 AS base
),
moved AS (
    UPDATE understudy_refs r SET value = m.new FROM gate, moves m
    WHERE r.name = m.name AND m.expected IS NOT NULL AND m.new <> m.expected
),
made AS (
    INSERT INTO understudy_refs SELECT m.name, m.new FROM gate, moves m WHERE m.expected IS NULL AND m.new IS NOT NULL
),
removed AS (DELETE FROM understudy_refs r USING gate, moves m WHERE r.name = m.name AND m.new IS NULL),
blocks AS (
    INSERT INTO understudy_blocks SELECT b.* FROM gate, unnest(%b::bytea[], %b::bytea[]) AS b ON CONFLICT DO NOTHING
),
written AS (
    INSERT INTO understudy_rows SELECT w.* FROM gate, unnest(%b::bytea[], %b::bytea[]) AS w
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
),
deleted AS (DELETE FROM understudy_rows r USING gate, unnest(%b::bytea[]) AS d(key) WHERE r.key = d.key),
fed AS (
    INSERT INTO understudy_rows
    SELECT '\\x66'::bytea || int8send(gate.base + f.number), f.step
    FROM gate, unnest(%b::bytea[]) WITH ORDINALITY AS f(step, number)
)
SELECT base FROM gate
"""
BLOCKS: Final = "INSERT INTO understudy_blocks SELECT * FROM unnest(%b::bytea[], %b::bytea[]) ON CONFLICT DO NOTHING"
PART_BYTES: Final = 32 * 1024 * 1024  # of blocks in one statement: the server takes no message above 1 GiB


class Batch(Struct, frozen=True):
    """What is to be written if the refs hold what was assumed. `receipts` count the feed from 1."""

    moves: Mapping[bytes, tuple[bytes | None, bytes | None]]
    blocks: Mapping[bytes, bytes]
    rows: Mapping[bytes, bytes | None]
    feed: Sequence[bytes]
    receipts: Sequence[Receipt]

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to write, and nothing was assumed."""
        return not (self.moves or self.blocks or self.rows or self.feed)

    def parts(self) -> tuple[list[Mapping[bytes, bytes]], Mapping[bytes, bytes]]:
        """The blocks that go before the rest, each part a statement of its own; and those that go with the rest."""
        before: list[Mapping[bytes, bytes]] = []
        part: dict[bytes, bytes] = {}
        size = 0
        for id, data in self.blocks.items():
            if part and size + len(data) > PART_BYTES:
                before.append(part)
                part, size = {}, 0
            part[id] = data
            size += len(data)
        return before, part

    def values(self, blocks: Mapping[bytes, bytes], *, id: bytes, writer: bytes, process: int) -> tuple[object, ...]:
        """What WRITE asks for, with these of the blocks."""
        steps = Int8(len(self.feed))
        kept = {key: value for key, value in self.rows.items() if value is not None}
        gone = [key for key, value in self.rows.items() if value is None]
        return (
            *(list(self.moves), [old for old, _ in self.moves.values()], [new for _, new in self.moves.values()]),
            *(steps, id, writer, Int4(process), steps),
            *(list(blocks), list(blocks.values())),
            *(list(kept), list(kept.values()), gone, list(self.feed)),
        )

    def receipts_from(self, base: int) -> list[Receipt]:
        """The receipts, once it is known which feed number was the last one before."""
        return [Receipt(feed=base + receipt.feed) if receipt.feed else receipt for receipt in self.receipts]


def refs_of(units: Iterable[Unit]) -> list[bytes]:
    """The refs that these units would move."""
    return list(dict.fromkeys(move.ref for unit in units for move in unit.moves))


def decide(units: Iterable[Unit], held: Mapping[bytes, bytes | None] | None = None) -> Batch:
    """What these units change, one after the other. Without `held`, the first to move a ref is taken to expect the truth."""
    before: dict[bytes, bytes | None] = dict(held or {})
    now = dict(before)
    blocks: dict[bytes, bytes] = {}
    rows: dict[bytes, bytes | None] = {}
    feed: list[bytes] = []
    receipts: list[Receipt] = []
    for unit in units:
        for move in unit.moves:
            if move.ref not in now:
                now[move.ref] = before[move.ref] = move.expected
        after, conflict = try_moves(unit.moves, now)
        if conflict is not None:
            receipts.append(conflict)
            continue
        now.update(after)
        blocks.update((bytes(block.id), block.data) for block in unit.blocks)
        rows.update((row.key, row.value) for row in unit.rows)
        receipts.append(Receipt(feed=len(feed) + 1 if unit.feed else 0))
        feed += unit.feed
    return Batch({ref: (old, now[ref]) for ref, old in before.items()}, blocks, rows, feed, receipts)
