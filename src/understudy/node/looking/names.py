"""The names of actors, both ways: refs in the store from a name to its actor, and from an actor back in memory."""

from __future__ import annotations

import threading

from understudy.objects.ids import ActorId, Id, TreeId
from understudy.store.errors import StoreError
from understudy.store.keys import NAMES, name_ref
from understudy.store.port import Backend, Move


class Names:
    """Durable names only. From any thread. Whoever moves names in this process says so to `moved`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._of_actors: dict[bytes, set[str]] | None = None

    def actor_of(self, name: str) -> ActorId | None:
        """The actor of a name."""
        value = self._backend.ref(name_ref(name))
        return None if value is None else _actor(value)

    def all(self) -> dict[str, ActorId]:
        """All names."""
        return {_name(ref): _actor(actor) for ref, actor in self._backend.refs(NAMES)}

    def name_of(self, actor: ActorId) -> str | None:
        """The first name of an actor. The first question costs a look at all names, which are kept: some 300 bytes each."""
        with self._lock:
            return min(self._known().get(actor, ()), default=None)

    def _known(self) -> dict[bytes, set[str]]:
        """All names by their actors. For who holds the lock."""
        if self._of_actors is None:
            self._of_actors = {}
            for ref, named in self._backend.refs(NAMES):
                self._of_actors.setdefault(named, set()).add(_name(ref))
        return self._of_actors

    def containing(self, text: str) -> set[bytes]:
        """The actors of which a name contains a text, capital or small. Costs a look at all names, in memory."""
        wanted = text.casefold()
        with self._lock:
            of_actors = self._known()
            return {actor for actor, names in of_actors.items() if any(wanted in name.casefold() for name in names)}

    def moved(self, move: Move) -> None:
        """A ref was moved, and that is durable. In any order; what is no name is passed over."""
        if not move.ref.startswith(NAMES):
            return
        with self._lock:
            if self._of_actors is None:
                return
            try:
                # Not what the move says: one that came after it may have been told of before.
                now = self._backend.ref(move.ref)
            except StoreError:
                # The move is durable all the same. Whoever asks next looks at all names again.
                self._of_actors = None
                return
            for actor in (move.expected, move.new):
                if actor is not None and actor != now:
                    self._of_actors.get(actor, set()).discard(_name(move.ref))
            if now is not None:
                self._of_actors.setdefault(now, set()).add(_name(move.ref))


def _name(ref: bytes) -> str:
    return ref[len(NAMES) :].decode()


def _actor(value: bytes) -> ActorId:
    return ActorId(TreeId(Id(value)))
