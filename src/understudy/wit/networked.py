"""The clients for the network that a context gives its code."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Networked:
    """What a step and a flow have in common of the network. Who inherits sets both attributes."""

    __slots__ = ("_network", "_secrets")

    _network: Any  # None until it is used
    _secrets: dict[str, str]  # the names of secrets by their markers

    @property
    def http(self) -> Any:
        """A client of httpx for the network: an `httpx.AsyncClient` in an `async def`, an `httpx.Client` in a `def`.

        Hand it to any library that takes one. The responses are recorded, in the journal or the flow's record, and a replay
        reads them there. The operator grants hosts; others raise CallFailed("NotGranted").
        """
        return self.network.client("httpx")

    @property
    def httpx2(self) -> Any:
        """The same for libraries that want a client of httpx2, the successor of httpx. Needs that package."""
        return self.network.client("httpx2")

    @property
    def network(self) -> Any:
        """What the clients have in common."""
        if self._network is None:
            # Loaded where it is used: httpx takes longer to load than most commands do.
            self._network = import_module("understudy.wit.http").Network(self, self._secrets)
        return self._network
