"""The watchdog sleeps while nothing runs; and a node leaves the process that it is in as it was."""

from __future__ import annotations

import gc
import sys

import pytest

from tests.node.living import Living
from tests.node.stage import gates
from understudy.node.running.async_wits import AsyncWits


def test_the_watchdog_sleeps_while_nothing_runs_and_wakes_for_what_does(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    relieve = AsyncWits.relieve

    def look(wits: AsyncWits) -> None:
        looks.append(None)
        relieve(wits)

    monkeypatch.setattr(AsyncWits, "relieve", look)
    with Living() as living:
        actor = living.create()
        living.until(lambda: living.runner._watchdog.sleeps)
        before = len(looks)
        for _ in range(50):
            living.until(lambda: True)
        assert len(looks) == before
        for type in ("spin", "wait"):
            living.send(actor, type, f"idle {type}")
            gates.wait_for(f"idle {type}")
            seen = len(looks)
            living.until(lambda seen=seen: len(looks) > seen)  # type: ignore[misc]
            gates.open(f"idle {type}")
            living.come_to_rest()


def test_a_node_changes_no_setting_of_the_process_it_is_in() -> None:
    before = sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()
    with Living() as living:
        living.create()
        assert (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()) == before


def test_threads_take_turns_as_often_as_the_process_says_whatever_a_wit_sets() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.002)
    try:
        with Living() as living:
            restless = living.create(wit="import sys\ndef wit(core): sys.setswitchinterval(0.003)")
            living.send(restless, "go")
            living.come_to_rest()
            assert sys.getswitchinterval() == pytest.approx(0.002)
    finally:
        sys.setswitchinterval(before)


def test_a_capability_of_ones_own_takes_none_of_the_nodes_away() -> None:
    class World:
        name = "world"

    with Living(capabilities={"world": World()}) as living:
        table = set(living.node._runner._executor._capabilities)
    with Living() as living:
        assert table == {*living.node._runner._executor._capabilities, "world"}
