"""What leads a message to the flow that waits for it: `/requests/MESSAGE` for answers, `/awaited/TYPE/…` for all others.

The law: a message that comes in is found a flow, or none, at a cost that does not grow with the number of flows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.wit.content import encode_json
from understudy.wit.core import Core
from understudy.wit.flows.awaiting import digest_of

WAITS: Final = "awaited"
_ANY: Final = "-"  # no field has to be anything


class Place(Struct, frozen=True, array_like=True):
    """An ask of a flow."""

    flow: str
    n: int


def add_wait(core: Core, type: str, fields: Mapping[str, Any], place: Place) -> str:
    """Note that a flow waits for a message whose payload has these fields; gives where."""
    path = _path(type, sorted(fields), fields)
    core.set_json(path, [*_places(core, path), place])
    return path


def remove_wait(core: Core, path: str, place: Place) -> None:
    """It waits no more."""
    left = [one for one in _places(core, path) if one != place]
    if left:
        core.set_json(path, left)
    elif path in core:
        del core[path]


def is_awaited(core: Core, type: str) -> bool:
    """True if flows wait for messages of a type."""
    return f"{WAITS}/{_name(type)}" in core


def take_wait(core: Core, type: str, payload: bytes) -> Place | None:
    """The flow that has waited longest for a message like this, and now waits no more; those that say most about it come first."""
    folder = core.dir(f"{WAITS}/{_name(type)}")
    known = sorted(folder, key=lambda name: (name == _ANY, -name.count(","), name))
    given = _fields_of(payload) if known else {}
    for name in known:
        fields = [] if name == _ANY else name.split(",")
        if all(field in given for field in fields):
            path = _path(type, fields, given)
            for place in _places(core, path):
                remove_wait(core, path, place)
                return place
    return None


def _fields_of(payload: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _places(core: Core, path: str) -> list[Place]:
    data = core.get(path)
    if data is None:
        return []
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WitError("BadFlow", f"/{path} does not say which flows wait: {error}") from error


def _path(type: str, fields: list[str], given: Mapping[str, Any]) -> str:
    wanted = encode_json([given[name] for name in fields])
    return f"{WAITS}/{_name(type)}/{','.join(fields) or _ANY}/{digest_of(wanted)}"


def _name(type: str) -> str:
    return quote(type, safe=" ")


_decode: Final = msgspec.json.Decoder(list[Place]).decode
