"""A history is cut into spans along an index that is not believed: what ties them together is checked."""

from __future__ import annotations

from unittest.mock import patch

import msgspec
import pytest

from tests.node import troupe as troupe_module
from tests.node.troupe import OWNER, Troupe, chain
from understudy.judging import case
from understudy.judging.verification import verify_targets
from understudy.objects.ids import MessageId
from understudy.objects.mailbox import Cursor
from understudy.objects.message import message_block
from understudy.objects.step import step_block
from understudy.store.keys import height_row
from understudy.store.port import Row, Unit

EVE = "out/test/eve"
WIT = "def wit(ctx):\n    ctx.core['data/last'] = str(ctx.height)\n"


@pytest.mark.parametrize("span", [1, 512])
def test_an_index_that_names_another_genesis_gives_nobody_the_right_to_update(
    span: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(case, "SPAN", span)
    troupe = Troupe()
    actor = troupe.create({"wit": "/code:keep:wit", "code/keep.py": WIT})
    with patch.object(troupe_module, "OWNER", EVE):
        # The node that made this step took its maker for the owner.
        troupe.update(actor, {"data/mine": "now"}, sender=EVE)
    first = chain(troupe, actor)[0]
    assert first.consumed[0].message.sender == OWNER
    genesis = message_block(msgspec.structs.replace(first.consumed[0].message, sender=EVE))
    cursor = Cursor(1, MessageId(genesis.id))
    other = step_block(msgspec.structs.replace(first.step, consumed=[cursor.message], inbox={EVE: cursor}))
    troupe.backend.commit([Unit(blocks=[genesis, other], rows=[Row(height_row(actor, 0), other.id)])])
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("MISMATCH", "output", 1)
    assert verdict.path == "data.outcome.kind"
