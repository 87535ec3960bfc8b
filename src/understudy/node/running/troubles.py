"""Troubles: why messages wait longer than their turn."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from understudy.node.looking.lookup import READY, WAITS, ActorInfo, Pending
from understudy.objects.mailbox import mailbox_key


class Troubles(Struct, frozen=True, kw_only=True):
    """Actors that stand still, with the reason, those that the machine failed or that flood, and how often a message was tried."""

    stuck: Mapping[str, str]
    host: Mapping[str, str]
    slowed: Mapping[str, str]
    attempts: Mapping[tuple[str, str], int]
    running: frozenset[str] = frozenset()  # actors with a step that runs at this moment

    def explain(self, pending: Pending) -> Pending:
        """The pending message with what holds it up."""
        attempts = self.attempts.get((pending.to, mailbox_key(pending.sender, pending.lane)), 0)
        stuck = self.stuck.get(pending.to)
        state = "stuck" if stuck is not None else "retry" if attempts and pending.error is None else pending.state
        error = stuck or pending.error or (self.host.get(pending.to) if attempts else None)
        if state == WAITS and pending.to in self.slowed:
            state, error = "slowed", self.slowed[pending.to]
        if state == WAITS and pending.to in self.running:
            state = "running"
        return msgspec.structs.replace(pending, state=state, attempts=attempts, error=error)

    def about(self, info: ActorInfo) -> ActorInfo:
        """The actor with what keeps it from working."""
        text = str(info.id)
        for status, reasons in (("stuck", self.stuck), ("retry", self.host), ("slowed", self.slowed)):
            if text in reasons and info.status == READY:
                return msgspec.structs.replace(info, status=status, reason=reasons[text])
        return info
