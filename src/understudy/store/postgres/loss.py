"""What a database lost that a process on this machine knows to have been there."""

from __future__ import annotations

from typing import Final

from understudy.objects.ids import Id
from understudy.store.high_water import NAME, Mark
from understudy.store.keys import feed_row
from understudy.store.loss import describe_loss
from understudy.store.postgres import schema
from understudy.store.postgres.url import PostgresUrl, state_folder

CURE: Final = "Nothing was changed. Bring back a backup or the right server, or go on without what is gone: `understudy fsck --accept-loss`"


def loss_of(ask: schema.Ask, url: PostgresUrl, mark: Mark | None) -> str | None:
    """What is gone that a mark says was there, as a sentence; None if all is there, or if there is no mark."""
    if mark is None:
        return None
    if not schema.is_made(ask):
        return (
            f"{url.shown} holds no store any more, and it held {mark.feed} steps. Nothing was changed. Bring back a backup; "
            f"or, for a new store, remove {state_folder(url) / NAME}"
        )
    found = ask(schema.ROW, (feed_row(mark.feed),))
    step = str(Id(found[0][0])) if found else None
    facts = schema.facts(ask)
    if facts.commits >= mark.sequence and mark.step == step:
        return None
    # What a transaction wrote is there as a whole: only an end can be missing.
    return f"{url.shown} {describe_loss(range(1, facts.feed + 1), mark)}. {CURE}"
