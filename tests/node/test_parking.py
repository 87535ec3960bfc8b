"""Parking: what waits for its moment, and what an update ended before."""

from __future__ import annotations

from understudy.kernel.actor import unborn
from understudy.node.running.entry import ActorEntry
from understudy.node.running.parking import Parking
from understudy.objects.codec import node_block
from understudy.objects.ids import ActorId, TreeId


def test_the_end_of_a_rest_that_an_update_cut_short_does_not_end_the_next_one() -> None:
    parking, entry = Parking(), ActorEntry(unborn(ActorId(TreeId(node_block({}).id))))
    parking.rest(entry, "first", 10.0)
    entry.slowed = None
    parking.rest(entry, "second", 60.0)
    slowed: list[str | None] = []
    for moment in (10.0, 60.0):
        list(parking.wake(moment))
        slowed.append(entry.slowed)
    assert slowed == ["second", None]
