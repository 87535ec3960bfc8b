"""Composing: what somebody outside wants to say becomes a message that can be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from understudy.actors.errors import WitError
from understudy.kernel.retry import check_not_retried, check_retryable, read_order
from understudy.node.errors import NotFound
from understudy.node.intake.cores import rejected, stage_patch
from understudy.node.intake.sending import Expected, Sending
from understudy.node.looking.lookup import Lookup
from understudy.objects.clock import CLOCK
from understudy.objects.errors import BadName, WrongKind
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.mailbox import QUEUE, UPDATE, mailbox_key
from understudy.objects.names import OPERATOR, is_outside
from understudy.objects.postmaster import POSTMASTER
from understudy.store.errors import Missing
from understudy.store.keys import head_ref
from understudy.store.maps import mailbox_get
from understudy.store.port import Move
from understudy.store.reader import Reader, Staging

RETRY: Final = "retry"  # the type of an order to retry, for people: what it is, its lane and its content say
LOCAL: Final = "local"  # the caller of all that comes through loopback or the command line


class SendOptions(Struct, frozen=True, kw_only=True):
    """How a message is sent, and in whose name."""

    lane: str = QUEUE
    headers: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    caller: str = LOCAL


ORDINARY: Final = SendOptions()


class Composer:
    """Makes messages of the node with this name. It only reads the store. From any thread."""

    def __init__(self, node: str, lookup: Lookup, reader: Reader) -> None:
        self.lookup = lookup
        self.reader = reader
        self._node = node

    def party(self, caller: str) -> str:
        """A caller as messages name it. Raises BadName for those in whose names the node alone may speak."""
        if caller in (CLOCK, POSTMASTER):
            raise BadName(f"the caller {caller!r} is the node itself")
        return f"out/{self._node}/{caller}"

    def message(self, actor: ActorId, content: bytes, type: str, options: SendOptions) -> Sending:
        """A message with these bytes. Raises NotFound."""
        staging = Staging(self.reader)
        id = staging.put_blob(content)
        return self._sending(actor, type, id, staging, options)

    def update(
        self, actor: ActorId, patch: Mapping[str, bytes | None], idempotency_key: str | None, caller: str
    ) -> Sending:
        """An update message. Raises NotFound, Rejected for a patch that can't be."""
        staging = Staging(self.reader)
        id = stage_patch(staging, patch)
        if caller == LOCAL and self._is_spawned(actor):
            caller = OPERATOR
        options = SendOptions(lane=UPDATE, idempotency_key=idempotency_key, caller=caller)
        return self._sending(actor, UPDATE, id, staging, options)

    def retry(self, step: StepId, idempotency_key: str | None, caller: str) -> tuple[ActorId, Sending]:
        """An order to retry a step, and whose it is; of a retry that failed, the step that it retried.

        Raises NotFound, Rejected if it can never be retried, or was.
        """
        found = self.reader.step(step)
        before = read_order(self.reader, self.reader.message(found.consumed[0])) if found.outcome is not None else None
        actor = found.actor
        # Anybody may have sent an order that names a step of another actor: that one is none of the caller's.
        if before is not None and (ordered := self.reader.step(before)).actor == actor:
            step, found = before, ordered
        self.lookup.check_step(actor, step)
        head = self.lookup.head(actor)
        try:
            check_retryable(self.reader, step, found)
            if idempotency_key is None and head is not None:
                # With a key it may be the order that was taken before, whose answer is wanted.
                check_not_retried(self.reader, step, self.reader.step(head).core)
        except WitError as error:
            raise rejected(error) from error
        if caller == LOCAL and self._is_spawned(actor):
            caller = OPERATOR
        staging = Staging(self.reader)
        content = staging.put_blob(str(step).encode())
        options = SendOptions(lane=UPDATE, idempotency_key=idempotency_key, caller=caller)
        return actor, self._sending(actor, RETRY, content, staging, options)

    def _is_spawned(self, actor: ActorId) -> bool:
        """True if another actor made this one, so that it may be updated by the operator of the node."""
        first = self.lookup.step_at(actor, 0)
        return first is not None and not is_outside(self.reader.message(self.reader.step(first).consumed[0]).sender)

    def _sending(self, actor: ActorId, type: str, content: Id, staging: Staging, options: SendOptions) -> Sending:
        if self.lookup.head(actor) is None:
            raise NotFound(f"there is no actor {actor} here; `understudy actors` lists those there are")
        return Sending(
            to=str(actor),
            sender=self.party(options.caller),
            type=type,
            content=content,
            blocks=list(staging.new.values()),
            lane=options.lane,
            headers=options.headers,
            idempotency_key=options.idempotency_key,
        )

    def expecting(self, sending: Sending, actor: ActorId, head: StepId) -> Sending:
        """The message, to be taken only while this is the head of its recipient."""
        try:
            inbox = self.reader.step(head).inbox
            consumed = mailbox_get(self.reader, inbox, mailbox_key(sending.sender, sending.lane))
        except (Missing, WrongKind):
            consumed = None  # it is no step of this store, so the head is another one, and the move fails
        expected = Expected(head, consumed)
        return replace(sending, expected=expected, moves=[Move(head_ref(actor), head, head)])
