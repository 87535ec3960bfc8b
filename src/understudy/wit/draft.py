"""What a low-level wit may return: the step as it wants it, which the kernel seals."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from understudy.actors.contract import Outgoing
from understudy.objects.ids import TreeId
from understudy.wit.core import Core


class Draft(Struct, frozen=True, kw_only=True):
    """The core after the step (None: as the wit left it) and messages that go after those already in the outbox."""

    core: TreeId | Core | None = None
    send: Sequence[Outgoing] = ()
