"""CAR files: blocks in one stream, with the roots they hang from.

CARv1 after <https://ipld.io/specs/transport/car/carv1/>: a length and a header, then for each block a length, its id
and its bytes. The law: what `write_car` wrote, `read_car` gives back, and nothing comes in that does not match its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from understudy.objects import ids
from understudy.objects.codec import MAX_BLOCK, Block, decode, encode
from understudy.objects.errors import NotCanonical, ObjectError, TooLarge, WrongKind
from understudy.objects.ids import ID_BYTES, Id
from understudy.objects.varint import write_varint
from understudy.store.errors import BadCar
from understudy.store.port import Backend, Unit
from understudy.store.verified import checked_object

_MAX_HEADER: Final = 1024 * 1024  # 25,000 roots
_MAX_VARINT_BYTES: Final = 9  # the bound of the multiformats' unsigned varints
BATCH: Final = 512  # blocks to a commit, usually well under one MiB
BATCH_BYTES: Final = 16 * 1024 * 1024  # and one block's more: chunks of large blobs come one after the other

Progress = Callable[[int, int], None]


def unseen(done: int, total: int) -> None:
    """Nobody looks."""


def write_car(file: BinaryIO, roots: Sequence[bytes], blocks: Iterable[Block]) -> int:
    """Write a CARv1 with these roots and blocks, in their order; gives the number of blocks. Holds one in memory."""
    count = -1  # the header is the first piece
    for piece in car_pieces(roots, blocks):
        file.write(piece)
        count += 1
    return count


def car_pieces(roots: Sequence[bytes], blocks: Iterable[Block]) -> Iterator[bytes]:
    """The pieces of a CARv1: its header, then each block with its length and its id."""
    header = encode({"roots": [bytes(root) for root in roots], "version": 1})
    yield write_varint(len(header)) + header
    for block in blocks:
        yield write_varint(ID_BYTES + len(block.data)) + block.id + block.data


def read_car(file: BinaryIO) -> tuple[list[Id], Iterator[Block]]:
    """The roots, and the blocks as they come, each checked against its id. Holds one block in memory.

    Raises BadCar if the file is no CARv1 of ours, is cut off, has a block above its bound or one of no kind of ours, and
    Corrupt or NotCanonical for a block that is not what its id says: for the header at once, for the blocks when they are
    asked for. A block may stand in a file more than once. A root need not be in it.
    """
    source = _Source(file)
    return _read_roots(source), _read_blocks(source)


class _Source:
    """A file that is read forward, and knows where it is for the error messages."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.at = 0

    def take(self, size: int, what: str) -> bytes:
        pieces = []
        wanted = size
        # A pipe gives less than it is asked for.
        while wanted and (piece := self._file.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        self.at += size - wanted
        if wanted:
            raise BadCar(f"the CAR file is cut off at byte {self.at:,}: {wanted:,} more bytes of {what} should follow")
        return b"".join(pieces)

    def length(self, what: str) -> int | None:
        """The next varint, None at the end of the file."""
        start = self.at
        first = self._file.read(1)
        if not first:
            return None
        self.at += 1
        value, shift, byte = first[0] & 0x7F, 7, first[0]
        while byte & 0x80:
            if shift == 7 * _MAX_VARINT_BYTES:
                raise BadCar(f"not a CAR file: no length of {what} at byte {start:,}")
            byte = self.take(1, f"the length of {what}")[0]
            value |= (byte & 0x7F) << shift
            shift += 7
        if byte == 0 and shift > 7:
            raise BadCar(f"the length of {what} at byte {start:,} is not written in the shortest way")
        return value


def _read_roots(source: _Source) -> list[Id]:
    size = source.length("the header")
    if size is None:
        raise BadCar("not a CAR file: it is empty")
    if not 1 <= size <= _MAX_HEADER:
        raise BadCar(f"not a CAR file: a header of {size:,} bytes, 1 to {_MAX_HEADER:,} are allowed")
    data = source.take(size, "the header")
    try:
        match decode(data):
            case {"version": 1, "roots": list(roots), **rest} if not rest:
                return [ids.from_bytes(root) for root in roots]
            case {"version": int(version)} if version != 1:
                raise BadCar(f"a CAR file of version {version}: only version 1 can be read")
    except (ObjectError, TypeError, AttributeError) as error:
        raise BadCar(f"not a CAR file: its header is wrong: {error}") from error
    raise BadCar("not a CAR file: its header is not {version: 1, roots: [ids]}")


def _read_blocks(source: _Source) -> Iterator[Block]:
    number = 0
    while True:
        start = source.at
        what = f"block {number}"
        size = source.length(what)
        if size is None:
            return
        if not ID_BYTES <= size <= ID_BYTES + MAX_BLOCK:
            raise BadCar(
                f"{what} at byte {start:,} of the CAR file has {size:,} bytes with its id: "
                f"{ID_BYTES} to {ID_BYTES + MAX_BLOCK:,} are allowed"
            )
        section = source.take(size, what)
        try:
            id = ids.from_bytes(section[:ID_BYTES])
        except ObjectError as error:
            raise BadCar(f"{what} at byte {start:,} of the CAR file: {error}") from error
        try:
            block = checked_object(id, section[ID_BYTES:])
        except (WrongKind, TooLarge) as error:
            raise BadCar(f"{what} at byte {start:,} of the CAR file, {id}: {error}") from error
        except NotCanonical as error:
            raise NotCanonical(f"{what} at byte {start:,} of the CAR file, {id}: {error}") from error
        yield block
        number += 1


def store_blocks(backend: Backend, file: BinaryIO, *, progress: Progress = unseen) -> list[Id]:
    """Store the blocks of a CAR file as they come, and give its roots. Raises BadCar, Corrupt and NotCanonical.

    What was read before a bad block is then in the backend: use one that can be thrown away. `progress` counts blocks.
    """
    roots, blocks = read_car(file)
    done = 0
    for batch in _batches(blocks):
        backend.commit([Unit(blocks=batch)])
        done += len(batch)
        progress(done, 0)
    progress(done, done)
    return roots


def _batches(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    batch: list[Block] = []
    size = 0
    for block in blocks:
        batch.append(block)
        size += len(block.data)
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
