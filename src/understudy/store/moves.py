"""The compare-and-set of a unit's refs, which every backend decides in this one way.

The law: a unit moves all of its refs, or none. A move sees what the moves before it in the same unit made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from understudy.store.port import Move, Receipt


def try_moves(
    moves: Sequence[Move], held: Mapping[bytes, bytes | None]
) -> tuple[dict[bytes, bytes | None], Receipt | None]:
    """What the refs of a unit hold after it, and None; or the receipt of the first move that fails.

    `held` is what the refs hold before it. One that is not there, or None, does not exist.
    """
    after: dict[bytes, bytes | None] = {}
    for move in moves:
        found = after[move.ref] if move.ref in after else held.get(move.ref)
        if found != move.expected:
            return {}, Receipt(conflict=move, found=found)
        after[move.ref] = move.new
    return after, None
