"""Timers on a living node, with its threads and its clock."""

from __future__ import annotations

import time

from tests.node.living import Living
from tests.node.stage import PATIENCE, gates
from understudy.objects.ids import ActorId
from understudy.objects.timer import instant_text

WIT = """
from understudy import Wit

wit = Wit()

@wit.message("due")
def due(state: dict, ctx) -> None:
    state.setdefault("rang", []).append(ctx.message.headers["timer"])
"""
FILES = {"wit": "/code:a:wit", "code__a.py": WIT, "state": "{}"}


class Clock:
    """The time, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.ahead_us

    def timer(self, seconds: float) -> str:
        return f'{{"at":"{instant_text(self() + int(seconds * 1_000_000))}","type":"due"}}'


async def step_after(living: Living, actor: ActorId, height: int) -> None:
    """Wait for a step, without a word to the node that would wake it."""
    async for event in living.node.events(actor=actor, after=0):
        if event.height > height:
            return


def test_a_node_at_rest_wakes_for_its_timer():
    clock = Clock()
    with Living(clock=clock) as living:
        actor = living.create(**FILES, timers__soon=clock.timer(0.3), timers__late=clock.timer(3600))
        living.run(step_after(living, actor, 0))
        assert living.state(actor) == {"rang": ["soon"]}


def test_what_was_due_while_the_node_was_down_rings_at_its_start():
    clock = Clock()
    with Living(clock=clock) as living:
        actor = living.create(**FILES, timers__late=clock.timer(3600), timers__later=clock.timer(7200))
        living.stop()
        clock.ahead_us = 5400 * 1_000_000
        with living.again() as again:
            again.run(step_after(again, actor, 0))
            assert again.state(actor) == {"rang": ["late"]}


def test_a_wit_that_holds_its_thread_keeps_no_timer_of_others_from_ringing():
    clock = Clock()
    with Living(clock=clock) as living:
        slow = living.create()
        held = living.send(slow, "hold", "timers")
        gates.wait_for("timers")
        actor = living.create(**FILES, timers__soon=clock.timer(0.5))
        living.run(step_after(living, actor, 0))
        assert living.state(actor) == {"rang": ["soon"]}
        gates.open("timers")
        assert living.begin_answer(slow, held).result(PATIENCE).outcome is None
