"""Troubles: why messages wait longer than their turn."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from understudy.node.looking.lookup import Pending
from understudy.objects.mailbox import mailbox_key


class Troubles(Struct, frozen=True, kw_only=True):
    """Actors that stand still, with the reason, and how often the first message of an inbox key was tried."""

    stuck: Mapping[str, str]
    attempts: Mapping[tuple[str, str], int]

    def explain(self, pending: Pending) -> Pending:
        """The pending message with what holds it up."""
        attempts = self.attempts.get((pending.to, mailbox_key(pending.sender, pending.lane)), 0)
        error = self.stuck.get(pending.to)
        state = "stuck" if error is not None else "retry" if attempts else pending.state
        return msgspec.structs.replace(pending, state=state, attempts=attempts, error=error)
