"""What one message may use: `/limits` in the core, a JSON object in which every field may be absent."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id
from understudy.store.reader import Reader

MAX_FUEL: Final = 1_000_000_000_000  # some twenty minutes
MAX_MEMORY: Final = 4 * 1024 * 1024 * 1024
MAX_BYTES: Final = 64 * 1024 * 1024
LIMITS: Final = "limits"


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one message may use.

    `fuel` is roughly the number of instructions: with the default an endless loop ends after a second or two, and one of
    `memory.grow` or `table.grow` alone after up to a minute: wasmtime charges them like any instruction. `memory`
    bounds each linear memory, `message` the bytes of a message, and `output` the new state and all that is sent.
    """

    fuel: int = 1_000_000_000
    memory: int = 128 * 1024 * 1024
    message: int = 2 * 1024 * 1024
    output: int = 2 * 1024 * 1024


DEFAULT: Final = Limits()
_MOST: Final = {"fuel": MAX_FUEL, "memory": MAX_MEMORY, "message": MAX_BYTES, "output": MAX_BYTES}
_decoder = msgspec.json.Decoder(Limits)


def read_limits(reader: Reader, id: Id | None) -> Limits:
    """The limits that a core's `/limits` sets. Raises WitError("BadLimits") that says what is wrong in it."""
    if id is None:
        return DEFAULT
    try:
        limits = _decoder.decode(reader.blob(id))
    except (msgspec.DecodeError, WrongKind, UnicodeDecodeError) as error:
        raise WitError("BadLimits", f"/limits is not the JSON of limits: {error}") from error
    for name, most in _MOST.items():
        if not 1 <= getattr(limits, name) <= most:
            raise WitError("BadLimits", f"/limits: {name} is {getattr(limits, name):,}; it must be 1 to {most:,}")
    return limits
