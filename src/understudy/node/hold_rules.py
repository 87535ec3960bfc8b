"""Hold rules: when an actor is paused, suspected, held and released."""

from __future__ import annotations

import logging
from collections.abc import Callable

from understudy.node.errors import Held, Rejected
from understudy.node.holds import HELD, MAX_REASON, PAUSED, SUSPECT, Hold, Holds, Kind
from understudy.node.looking.lookup import Lookup
from understudy.node.running.marks import Marks
from understudy.node.running.suspicion import suspect
from understudy.objects.ids import ActorId
from understudy.store.errors import Corrupt
from understudy.store.open import store_folder

_log = logging.getLogger("understudy.node")


class HoldRules:
    """`clock` is in microseconds. `only_updates` says that this node lets nothing but updates and births through. From any thread."""

    def __init__(self, holds: Holds, lookup: Lookup, clock: Callable[[], int]) -> None:
        self._holds = holds
        self._lookup = lookup
        self._clock = clock
        self.only_updates = False

    def pause(self, actor: ActorId, reason: str) -> None:
        """Let an actor take nothing but updates. Blocks. Raises Rejected."""
        if len(reason) > MAX_REASON:
            raise Rejected(f"the reason has {len(reason):,} characters; at most {MAX_REASON:,} are allowed")
        text = f"an operator paused it{': ' if reason else ''}{reason}; resume it to let it go on"
        self._holds.put({(actor, Kind.PAUSE): Hold(state=PAUSED, reason=text, since=self._clock())})

    def find_suspects(self, store_url: str, marks: Marks) -> None:
        """Read the holds, and hold whoever may have ended the last process on this store."""
        self._holds.load()
        folder = store_folder(store_url)
        if folder is None:
            return
        try:
            left = marks.keep_in(folder)
        except OSError as error:
            # The node can do without: only who ends the process would stay unknown.
            _log.warning("what runs can't be noted in %s: %s", folder, error)
            return
        found = suspect(left, self._holds.known, now=self._clock(), is_born=self._is_born)
        self._holds.put(found)
        for (actor, _), hold in found.items():
            level = logging.ERROR if hold.state == HELD else logging.WARNING
            _log.log(level, "actor %s (%s): %s", self._lookup.names.name_of(actor) or "no name", actor, hold.reason)

    def _is_born(self, actor: ActorId) -> bool:
        try:
            return self._lookup.head(actor) is not None
        except Corrupt:
            # It has one, which can't be read: its actor will stand still for that.
            return True

    def release(self, actor: ActorId) -> None:
        """Remove what holds an actor. Blocks."""
        if self.only_updates and self.is_held_unborn(actor):
            # Births are let through here, and this one may end a process that was not started to run it.
            text = "it is born once more, alone, when a node serves the store"
            hold = Hold(state=SUSPECT, reason=text, since=self._clock(), messages=1)
            self._holds.put({(actor, Kind.STEPS): hold})
        else:
            self._holds.remove(actor, Kind)

    def is_held_unborn(self, actor: ActorId) -> bool:
        """True if the birth of an actor ended the process, and this node will not try it by itself."""
        hold = self._holds.get(actor, Kind.STEPS)
        if hold is None or self._lookup.head(actor) is not None:
            return False
        return hold.state == HELD or self.only_updates

    def end_replaced(self, actor: ActorId, *, by: ActorId) -> None:
        """The birth of an actor, if it is held, ends without being run: another one has its name. Blocks."""
        hold = self._holds.get(actor, Kind.STEPS)
        if hold is not None and self.is_held_unborn(actor):
            reason = f"{hold.reason}; its name went to {by}"
            ended = Hold(state=HELD, reason=reason, since=self._clock(), is_replaced=True)
            self._holds.put({(actor, Kind.STEPS): ended})

    def refuse_held(self, actor: ActorId) -> None:
        """Raise Held for an actor whose birth ended the process."""
        hold = self._holds.get(actor, Kind.STEPS)
        if hold is not None and self.is_held_unborn(actor):
            raise Held(f"the actor of this core, {actor}, is held and was not born: {hold.reason}")
