"""Bounces: who made a request to an id where no actor lives is told so, instead of waiting for an answer that can't come.

The law: the word of it is in the unit of the step that made the request, so no crash leaves one without the other. Such a
message is never sent, not even if the actor is born later, so nothing else could answer it.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from understudy.actors.contract import Delivery
from understudy.kernel.accept import accept
from understudy.kernel.seal import NO_SUCH_ACTOR, Sealed, Unreached
from understudy.objects.codec import raw_block
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, Id
from understudy.objects.mailbox import QUEUE, Cursor, mailbox_key
from understudy.objects.message import ERROR
from understudy.objects.postmaster import postmaster_of
from understudy.store.keys import meta_row, outside_row, read_cursor_value
from understudy.store.maps import tree_entry
from understudy.store.port import Backend, Unit
from understudy.store.verified import InFlight
from understudy.wit.requests import FOLDER, Failure


class Bounces:
    """What the postmaster says to the actors of a node. A part of the scheduler: what holds for it holds here.

    `reader` shows the blocks of a step before `add` gets it.
    """

    def __init__(self, backend: Backend, reader: InFlight) -> None:
        self._backend = backend
        self._reader = reader
        self._last: dict[ActorId, Cursor] = {}  # of actors whose last word from it is not durable yet
        self._sender: str | None = None

    def add(self, sealed: Sealed) -> Sealed:
        """The step with an error for each of its requests that reached nobody; what waits is looked up in its core."""
        requests = self._requests(sealed.step.core)
        waiting = [] if requests is None else [one for one in sealed.unreached if self._waits(requests, one)]
        if not waiting:
            return sealed
        bounced: list[Delivery] = []
        units = [sealed.unit]
        for one in waiting:
            delivery, unit = self._bounce(sealed.actor.id, one)
            bounced.append(delivery)
            units.append(unit)
        rows = {row.key: row for unit in units for row in unit.rows}  # the newest of each, as for the cursor
        blocks = [block for unit in units[1:] for block in unit.blocks]
        self._reader.add(blocks)
        unit = structs.replace(sealed.unit, blocks=[*sealed.unit.blocks, *blocks], rows=list(rows.values()))
        return structs.replace(sealed, unit=unit, bounced=bounced)

    def settled(self, actor: ActorId) -> None:
        """No step of an actor is under way any more: the store knows what was said last."""
        self._last.pop(actor, None)

    def _bounce(self, actor: ActorId, unreached: Unreached) -> tuple[Delivery, Unit]:
        id, draft = unreached
        failure = Failure(
            code=NO_SUCH_ACTOR,
            kind="unsent",
            message=str(id),
            text=f"there is no actor {draft.to}: the message was not sent",
            type=draft.type,
        )
        content = raw_block(msgspec.json.encode(failure))
        delivery, unit = accept(
            to=str(actor),
            sender=self._party,
            type=ERROR,
            content=content.id,
            blocks=[content],
            last=self._cursor(actor),
            re=str(id),
        )
        self._last[actor] = Cursor(delivery.message.seq, delivery.id)
        return delivery, unit

    def _cursor(self, actor: ActorId) -> Cursor | None:
        if actor in self._last:
            return self._last[actor]
        value = self._backend.row(outside_row(self._party, mailbox_key(str(actor), QUEUE)))
        return None if value is None else read_cursor_value(value)

    def _requests(self, core: bytes) -> Id | None:
        try:
            return tree_entry(self._reader, core, FOLDER)
        except WrongKind:
            return None

    def _waits(self, requests: Id, unreached: Unreached) -> bool:
        try:
            return tree_entry(self._reader, requests, str(unreached.id)) is not None
        except WrongKind:
            # The author's own, at a place that is ours.
            return False

    @property
    def _party(self) -> str:
        if self._sender is None:
            self._sender = postmaster_of((self._backend.row(meta_row("node")) or b"").decode())
        return self._sender
