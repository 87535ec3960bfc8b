"""The policy of an actor: `/policy` in its core, a JSON object in which every field may be absent."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from understudy.actors.errors import WitError
from understudy.objects.errors import WrongKind
from understudy.objects.ids import TreeId
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader

MAX_MS: Final = 24 * 60 * 60 * 1000  # a day: who waits longer wants a message, and clocks take only so much
RECORD: Final = "record"  # `on_failure`: the step that failed is recorded, and the next message has its turn
HOLD: Final = "hold"  # nothing is consumed, and the actor stands still
SELF: Final = "self"  # in `update`: the actor may update itself


class RetryPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How often and how long a message is tried again when the world failed: `first_ms`, then twice as long each time."""

    attempts: int = 8
    first_ms: int = 100
    most_ms: int = 60_000

    def delay_ms(self, attempt: int) -> int:
        """How long to wait after the attempt with this number (from 1)."""
        return min(self.most_ms, self.first_ms << min(attempt - 1, 30))


class HttpPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What the actor leaves of what the operator granted it over HTTP: these hosts, these methods; None: all of them."""

    allow: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may update besides the sender of the genesis; retries; messages per step; the deadline of a step that waits;
    what may be asked for over HTTP; what becomes of a message on which the code fails.

    Without `batch` the engine says how many messages make a step: many for a Python wit, one for a component.
    """

    update: tuple[str, ...] = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    batch: int | None = None
    deadline_ms: int | None = None
    http: HttpPolicy = HttpPolicy()
    on_failure: Literal["record", "hold"] = RECORD


DEFAULT: Final = Policy()
_decoder = msgspec.json.Decoder(Policy)


def read_policy(reader: Reader, core: TreeId) -> Policy:
    """The policy of a core. Raises WitError("BadPolicy") that says what is wrong in it."""
    id = tree_entry(reader, core, "policy")
    if id is None:
        return DEFAULT
    try:
        big = reader.blob_info(id)
        if big is not None:
            raise WitError("BadPolicy", f"/policy has {big.size:,} bytes; at most 1 MiB is allowed")
        policy = _decoder.decode(reader.block(id))
    except (msgspec.DecodeError, WrongKind, UnicodeDecodeError) as error:
        raise WitError("BadPolicy", f"/policy is not the JSON of a policy: {error}") from error
    deadline_ms = MAX_MS if policy.deadline_ms is None else policy.deadline_ms
    times = (policy.retry.first_ms, policy.retry.most_ms, deadline_ms)
    batch = 1 if policy.batch is None else policy.batch
    if min(policy.retry.attempts, batch, *times) < 1:
        raise WitError("BadPolicy", "/policy: attempts, first_ms, most_ms, batch and deadline_ms are 1 or more")
    if max(times) > MAX_MS:
        raise WitError("BadPolicy", f"/policy: first_ms, most_ms and deadline_ms are at most a day, {MAX_MS:,}")
    return policy
