"""Parties: who sent a message, and to whom, as a page names them."""

from __future__ import annotations

from msgspec import Struct

from understudy.node.looking.look import Look
from understudy.objects.ids import ActorId
from understudy.objects.names import actor_of, is_outside
from understudy.web.authorization import Authorization
from understudy.web.console import addresses


class Party(Struct, frozen=True):
    """A sender or recipient: what it is called, its whole text, and its page if it is an actor here."""

    name: str
    text: str
    page: str | None


class Parties:
    """Names of senders and recipients. A token for some actors learns no more of the others than their ids."""

    def __init__(self, look: Look, authorization: Authorization) -> None:
        self._look = look
        self._allowed = authorization.actors is None
        self._known: dict[str, Party] = {}

    def party(self, text: str) -> Party:
        """One of them."""
        if text not in self._known:
            self._known[text] = self._find(text)
        return self._known[text]

    def actor(self, text: str) -> ActorId | None:
        """The actor that a party is, if it lives here and may be spoken of."""
        if not self._allowed or is_outside(text):
            return None
        actor = actor_of(text)
        return actor if self._look.head(actor) is not None else None

    def _find(self, text: str) -> Party:
        if is_outside(text):
            # out/NODE/CALLER: what matters is the caller.
            return Party(text.rpartition("/")[2], text, None)
        actor = self.actor(text)
        if actor is None:
            return Party("", text, None)
        return Party(self._look.name_of(actor) or "", text, addresses.actor(actor))
