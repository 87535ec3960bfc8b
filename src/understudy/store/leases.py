"""Leases: who may step the actors of a shard, for how long, and whose units count.

The law: every holder of a shard has another epoch, and epochs only rise. A unit that carries the lease's move is committed
only while that lease is the shard's, whatever clocks say: time decides who may take a shard over, never what is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from understudy.store.errors import Corrupt
from understudy.store.port import Backend, Move, Row, Unit

SHARDS: Final = 256  # enough for dozens of nodes to have equal shares, few enough to read them all at once
LEASE_SECONDS: Final = 10.0  # how long the actors of a node that died stand still
LEASES: Final = b"lease/"
EXPIRIES: Final = b"l"
_US: Final = 1_000_000


class Lease(Struct, frozen=True):
    """A shard that somebody holds or held, in the words of the store. `epoch` tells it from all others of the shard."""

    shard: int
    epoch: int
    holder: str

    @property
    def move(self) -> Move:
        """For each unit that is made under this lease: it fails where the shard is another's, and moves nothing."""
        value = _value(self.epoch, self.holder)
        return Move(_ref(self.shard), value, value)


class Holding(Struct, frozen=True):
    """Who has a shard, and for how many seconds more by the store's clock; not above 0 if anybody may take it."""

    lease: Lease
    seconds: float


def shard_of(actor: bytes) -> int:
    """The shard of an actor's id. Ids are digests, so shards have equal shares of the actors."""
    return actor[4]


def holdings(backend: Backend) -> list[Holding]:
    """The shards that have a holder, in order."""
    now = backend.now()
    expiries = {key[1]: int.from_bytes(value, "big") for key, value in backend.rows(EXPIRIES)}
    return [Holding(lease, (expiries.get(lease.shard, 0) - now) / _US) for lease in _leases(backend) if lease.holder]


def acquire(backend: Backend, holder: str, shards: Iterable[int], *, seconds: float = LEASE_SECONDS) -> list[Lease]:
    """Take those of the shards that nobody holds any more, or that this holder had in an earlier life. In order."""
    assert holder, "a lease without a holder is a free one"
    before = {lease.shard: lease for lease in _leases(backend)}
    taken = {held.lease.shard for held in holdings(backend) if held.seconds > 0 and held.lease.holder != holder}
    wanted = []
    for shard in sorted(set(shards) - taken):
        old = before.get(shard)
        new = Lease(shard, 1 if old is None else old.epoch + 1, holder)
        move = Move(_ref(shard), None if old is None else old.move.new, new.move.new)
        wanted.append((new, move))
    return _committed(backend, wanted, seconds)


def renew(backend: Backend, leases: Sequence[Lease], *, seconds: float = LEASE_SECONDS) -> list[Lease]:
    """Hold leases for so long from now; those that are still held. One that is another's by now is left alone.

    Units under way are not disturbed: what they carry stays as it is.
    """
    return _committed(backend, [(lease, lease.move) for lease in leases], seconds)


def release(backend: Backend, leases: Sequence[Lease]) -> None:
    """Give leases back, so that others need not wait for their end. Units made under them fail from now on."""
    backend.commit(
        [
            Unit(
                moves=[Move(_ref(lease.shard), lease.move.expected, _value(lease.epoch, ""))],
                rows=[Row(_expiry(lease.shard), None)],
            )
            for lease in leases
        ]
    )


def _committed(backend: Backend, wanted: Sequence[tuple[Lease, Move]], seconds: float) -> list[Lease]:
    end = (backend.now() + int(seconds * _US)).to_bytes(8, "big")
    units = [Unit(moves=[move], rows=[Row(_expiry(lease.shard), end)]) for lease, move in wanted]
    receipts = backend.commit(units)
    return [lease for (lease, _), receipt in zip(wanted, receipts, strict=True) if receipt.conflict is None]


def _leases(backend: Backend) -> Iterator[Lease]:
    for ref, value in backend.refs(LEASES):
        if len(ref) != len(LEASES) + 1 or len(value) < 8:
            raise Corrupt(f"{ref!r} is no lease of a shard")
        yield Lease(ref[-1], int.from_bytes(value[:8], "big"), value[8:].decode(errors="replace"))


def _ref(shard: int) -> bytes:
    return LEASES + bytes([shard])


def _expiry(shard: int) -> bytes:
    return EXPIRIES + bytes([shard])


def _value(epoch: int, holder: str) -> bytes:
    return epoch.to_bytes(8, "big") + holder.encode()
