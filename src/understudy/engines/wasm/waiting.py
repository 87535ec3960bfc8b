"""The requests of one step of a component: what it asks (each message gets its id at once) and the answers that it gets.

A message's id depends on those before it to the same actor. So at a request the names of all messages so far are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from understudy.actors.contract import Delivery, Outgoing, StepInput
from understudy.actors.errors import CallFailed
from understudy.engines.wasm.post import Posted, ask_for, is_party
from understudy.objects.errors import ObjectError
from understudy.wit.content import put_bytes
from understudy.wit.core import Core
from understudy.wit.outbox import Outbox, Sent
from understudy.wit.requests import Request, answered_by, check_count, close_request, find_request, open_request


class Waiting:
    """The requests of one step. `earlier` is what the messages before the one in hand sent; `named` are the actors whose names
    were looked up, None for one that is not there.
    """

    def __init__(self, given: StepInput, core: Core, earlier: Sequence[Posted]) -> None:
        self.named: dict[str, str | None] = {}
        self._given = given
        self._core = core
        self._earlier = earlier
        self._outbox: Outbox | None = None  # most steps ask nothing
        self._placed = 0
        self._is_checked = False

    def check(self) -> None:
        """Raise WitError, ObjectError if no further request may wait."""
        if not self._is_checked:
            check_count(self._given)
            self._is_checked = True

    def party(self, to: str) -> str:
        """Whom an id or a name means. Raises CallFailed where there is none."""
        if is_party(to):
            return to
        if to not in self.named:
            self.named[to] = ask_for(self._given.calls, to)
        found = self.named[to]
        if found is None:
            raise CallFailed("NoSuchActor", f"there is no actor {to[:100]!r}")
        return found

    def place(self, sent: Sequence[Posted]) -> Sent:
        """The last of the messages that the one in hand sent. Its id counts on all that are sent before it."""
        outbox = self._outbox = self._outbox or Outbox(self._given)
        for to, content, type, re in self._unplaced(sent):
            try:
                party = self.party(to)
            except CallFailed:
                continue
            outbox.sent.append(Outgoing(to=party, type=type, content=put_bytes(self._given.store, content), re=re))
        self._placed = len(self._earlier) + len(sent)
        return Sent(outbox, len(outbox.sent) - 1)

    def open(self, asked: Delivery | None, sent: Sent, timeout: float | None) -> str:
        """Note that a message that was placed waits for its answer; its id."""
        open_request(self._core, self._given, asked, sent, timeout=timeout)
        return str(sent.id)

    def close(self, delivery: Delivery) -> tuple[str, Request] | None:
        """The request that a message answers, which does not wait any more then."""
        message = delivery.message
        try:
            request = find_request(self._core, message, is_ours=False)
        except ObjectError:
            # The author put something else there.
            return None
        id = answered_by(message)
        if request is None or id is None:
            return None
        close_request(self._core, id)
        return id, request

    def _unplaced(self, sent: Sequence[Posted]) -> Iterator[Posted]:
        before = len(self._earlier)
        if self._placed < before:
            yield from self._earlier[self._placed :]
        yield from sent[max(0, self._placed - before) :]
