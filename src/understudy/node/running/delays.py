"""Delays: why messages wait longer than usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from understudy.node.looking.lookup import READY, STALLED, WAITS, ActorInfo, Pending
from understudy.node.running.entry import ActorEntry, Status
from understudy.objects.mailbox import mailbox_key
from understudy.objects.wording import counted

_MAX_CALLS: Final = 8  # of the calls that a step waits for, so many are named


class Delays(Struct, frozen=True, kw_only=True):
    """Actors that are stuck or slowed down, with the reason; per actor and inbox key what the machine lacked, and the attempts.

    `running` has the actors with a step that runs at this moment, `calls` what those wait for that wait for an answer.
    """

    stuck: Mapping[str, str]
    host: Mapping[tuple[str, str], str]
    slowed: Mapping[str, str]
    attempts: Mapping[tuple[str, str], int]
    running: frozenset[str] = frozenset()
    calls: Mapping[str, str] = {}

    def explain(self, pending: Pending) -> Pending:
        """The pending message with the reason why it waits."""
        place = pending.to, mailbox_key(pending.sender, pending.lane)
        attempts = self.attempts.get(place, 0)
        stuck = self.stuck.get(pending.to)
        state = "stuck" if stuck is not None else "retry" if attempts and pending.error is None else pending.state
        error = stuck or pending.error or self.host.get(place)
        if state == WAITS and pending.to in self.slowed:
            state, error = "slowed", self.slowed[pending.to]
        if state == WAITS and pending.to in self.running:
            state, error = "running", self.calls.get(pending.to)
        return msgspec.structs.replace(pending, state=state, attempts=attempts, error=error)

    def about(self, info: ActorInfo) -> ActorInfo:
        """The actor with the reason why it does not work."""
        found = self.states().get(str(info.id)) if info.status in (READY, STALLED) else None
        return info if found is None else msgspec.structs.replace(info, status=found[0], reason=found[1])

    def states(self) -> dict[str, tuple[str, str]]:
        """The status and reason of each actor that something delays; of several, the one that says most."""
        retry = {
            actor: f"a message is tried again, {counted(count, 'try', 'tries')} so far"
            for (actor, _), count in self.attempts.items()
        }
        retry |= {actor: reason for (actor, _), reason in self.host.items()}
        found: dict[str, tuple[str, str]] = {}
        for status, reasons in (
            ("running", self.calls),
            ("slowed", self.slowed),
            ("retry", retry),
            ("stuck", self.stuck),
        ):
            found |= {actor: (status, reason) for actor, reason in reasons.items()}
        return found


def delays_of(entries: Sequence[ActorEntry]) -> Delays:
    """What delays these actors at this moment. From any thread: what changes meanwhile is copied first."""
    return Delays(
        stuck={entry.actor.text: entry.error for entry in entries if entry.error is not None},
        slowed={entry.actor.text: entry.slowed for entry in entries if entry.slowed is not None},
        # Before the reasons, which the scheduler sets first.
        attempts={(entry.actor.text, key): count for entry in entries for key, count in list(entry.attempts.items())},
        host={(entry.actor.text, key): why for entry in entries for key, why in list(entry.host_errors.items())},
        calls={entry.actor.text: what for entry in entries if (what := _waits_for(entry)) is not None},
        running=frozenset(entry.actor.text for entry in entries if entry.status is Status.RUNNING),
    )


def _waits_for(entry: ActorEntry) -> str | None:
    calls = entry.open_calls[:_MAX_CALLS]
    return f"its step waits for the answer to {', '.join(calls)}" if calls else None
