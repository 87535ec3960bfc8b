"""Parties as they are shown to people: by name where they have one."""

from __future__ import annotations

from understudy.node.looking.look import Look
from understudy.objects import ids
from understudy.objects.errors import BadId
from understudy.objects.ids import ActorId, TreeId


class Parties:
    """Names of senders and recipients."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def name(self, party: str) -> str:
        """The name of an actor, or else the party as it is in the message."""
        try:
            return self._look.name_of(ActorId(TreeId(ids.parse(party)))) or party
        except BadId:
            return party
