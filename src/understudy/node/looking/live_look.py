"""What a living node adds when one looks at it: what keeps actors and messages waiting at this moment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice

from understudy.node.holds import read_holds
from understudy.node.looking.directory import States
from understudy.node.looking.look import Look
from understudy.node.looking.lookup import ActorInfo, Page, Pending
from understudy.node.running.delays import Delays
from understudy.objects.ids import ActorId
from understudy.objects.names import actor_of


class LiveLook(Look, ABC):
    """A look at a store that may be served by this very process."""

    @abstractmethod
    def delays(self, actor: ActorId | None = None) -> Delays | None:
        """What holds actors up at this moment, or one of them; None where nothing runs."""

    def actor(self, actor: ActorId) -> ActorInfo:
        """See Lookup.actor; on a living node with what keeps it from working at this moment."""
        info, delays = self.lookup.actor(actor), self.delays(actor)
        return info if delays is None else delays.about(info)

    def actors(self, *, after: str | None = None, limit: int = 100) -> Page[ActorInfo]:
        """See Lookup.actors; with what keeps them from working, as `actor`."""
        page, delays = self.lookup.actors(after=after, limit=limit), self.delays()
        return page if delays is None else Page([delays.about(info) for info in page.items], page.next)

    def _states(self) -> States:
        found, delays = dict(super()._states()), self.delays()
        if delays is not None:
            for text, state in delays.states().items():
                found.setdefault(actor_of(text), state)
        return found

    def pending(self, actor: ActorId | None = None, *, limit: int = 1000) -> list[Pending]:
        """Messages that wait; on a living node with what holds them up."""
        found, delays = self.lookup.pending(actor, limit=limit), self.delays()
        return found if delays is None else [delays.explain(pending) for pending in found]

    def holds(self, *, limit: int = 100) -> list[dict[str, str | None]]:
        """The actors that do not work, each with its name, state and reason."""
        found = [
            {"actor": str(actor), "name": self.lookup.names.name_of(actor), "state": hold.state, "reason": hold.reason}
            for (actor, _), hold in islice(read_holds(self.backend).items(), limit)
        ]
        delays = self.delays()
        if delays is not None:
            others = [(text, "stuck", reason) for text, reason in delays.stuck.items()]
            others += [(text, "slowed", reason) for text, reason in delays.slowed.items()]
            for text, state, reason in others[: max(0, limit - len(found))]:
                name = self.lookup.names.name_of(actor_of(text))
                found.append({"actor": text, "name": name, "state": state, "reason": reason})
        return found
