"""A counter. Its state is {"count": n}; the message {"add": 2} adds to it, and {"add": 2, "tell": ACTOR} sends the new
count to another actor too."""

import json
from typing import Any

from wit_world import exports
from wit_world.imports import runtime

MOST = 9007199254740991  # what every reader of JSON keeps exactly


def is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) <= MOST


def read(data: bytes) -> dict[str, Any]:
    """The JSON object; empty if the bytes are something else."""
    try:
        # Decoded here: json guesses at UTF-16 otherwise, and loads a codec that a component does not hold.
        value = json.loads(data.decode())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def state_of(count: int) -> bytes:
    return json.dumps({"count": count}, separators=(",", ":")).encode()


class Actor(exports.Actor):
    def init(self) -> bytes:
        return state_of(0)

    def state_contract(self, state: bytes) -> bool:
        count = read(state).get("count")
        return is_integer(count) and count >= 0

    def message_contract(self, msg: bytes, state: bytes) -> bool:
        message = read(msg)
        return is_integer(message.get("add")) and isinstance(message.get("tell", ""), str)

    def handle(self, msg: bytes, state: bytes) -> bytes:
        message = read(msg)
        count = read(state)["count"] + message["add"]
        if count > MOST:
            raise OverflowError("the count is too large")
        after = state_of(count)
        runtime.log(f"added {message['add']}, the count is {count}")
        if "tell" in message:
            runtime.send(message["tell"], after)
        return after
