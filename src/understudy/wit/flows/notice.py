"""Messages of type `flow`: what the runtime tells an actor's flows, and what who began one may tell it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.wit.content import decode_or_refuse, read_content
from understudy.wit.context import Context

FLOW: Final = "flow"


class Notice(Struct, frozen=True, omit_defaults=True):
    """The content of a message of type `flow`: go on with this ask, cancel, or look again whether the code fits."""

    flow: str = ""
    ask: int | None = None
    cancel: str | None = None


def read_notice(step: Context, delivery: Delivery) -> Notice:
    """The notice that a message brings. Raises Refusal("BadPayload")."""
    what = "the content of a message to a flow"
    return decode_or_refuse(_decode_notice, read_content(step.given.store, delivery.message.content, what), what)  # type: ignore[no-any-return]


_decode_notice: Final = msgspec.json.Decoder(Notice).decode
