"""What the requests of a component to the network have in common within one step."""

from __future__ import annotations

from understudy.actors.contract import StepInput
from understudy.actors.exchange import Spent
from understudy.wit.secret import marker_of


class Network:
    """What the requests of one step have in common."""

    def __init__(self, given: StepInput) -> None:
        self._given = given
        self.spent = Spent()
        self.secrets: dict[str, str] = {}  # the names of secrets by their markers

    def marker(self, name: str) -> str:
        """The marker of a secret. Raises ValueError for what can be no name."""
        marker = marker_of(self._given.actor, self._given.parent, self._given.seed, name)
        self.secrets[marker] = name
        return marker
