"""Requests to an id where no actor lives: who made one is told so with the step, once, whatever crashes.

Tests of objects/postmaster.py too.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.node.living import Living
from tests.node.test_timers import Life
from understudy.objects.errors import BadName
from understudy.objects.ids import node_id
from understudy.store.fsck import fsck
from understudy.testing.faults import MOMENTS, Moment

NOWHERE = [str(node_id(f"nowhere {number}".encode())) for number in range(2)]
WIT = """
from understudy import CallFailed, Context, Failure, FlowContext, Request, Wit

wit = Wit()

@wit.message("ask")
def ask(to: list, ctx: Context) -> None:
    for each in to:
        ctx.send(each, 1, type="x")
        ctx.request(each, 1, type="x", on_answer=heard, on_error=failed, timeout="3 days", about=each)

@wit.answer
def heard(answer: dict) -> None:
    raise AssertionError("nobody answers")

@wit.answer
def failed(why: Failure, request: Request, state: list) -> None:
    state.append([request.about, why.code, why.kind, why.text])

@wit.message("forget")
def forget(to: str, ctx: Context) -> None:
    ctx.request(to, 1, type="x", on_answer=heard)

@wit.flow("fetch")
async def fetch(to: str, ctx: FlowContext) -> None:
    try:
        await ctx.request(to, 1, type="x")
    except CallFailed as error:
        ctx.with_state(note, error.code)

def note(state: list, code: str) -> None:
    state.append(code)
"""


def test_each_request_to_nobody_is_answered_with_an_error_at_once() -> None:
    with Living() as living:
        asker = living.create(wit=WIT, state="[]")
        for _ in range(2):
            assert living.ask(asker, "ask", [*NOWHERE, NOWHERE[0]]).outcome is None
        living.come_to_rest()
        told: list[Any] = list(living.state(asker))
        assert sorted(one[0] for one in told) == sorted([*NOWHERE, NOWHERE[0]] * 2)
        assert {(code, kind) for _, code, kind, _ in told} == {("NoSuchActor", "unsent")}
        assert NOWHERE[0] in next(text for to, *_, text in told if to == NOWHERE[0])
        # Nothing waits any more, neither an answer nor a time-out.
        core = living.chain(asker)[-1].core
        for folder in ("requests", "timers"):
            found = living.node.reader.find(core, folder)
            assert found is None or len(living.node.reader.tree(found)) == 0
        assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH"]


def test_a_flow_hears_of_it_and_a_request_without_a_handler_of_errors_is_forgotten() -> None:
    with Living() as living:
        asker = living.create(wit=WIT, state="[]")
        living.ask(asker, "forget", NOWHERE[0])
        assert living.ask(asker, "fetch", NOWHERE[0]).outcome is None
        living.come_to_rest()
        assert list(living.state(asker)) == ["NoSuchActor"]
        found = living.node.reader.find(living.chain(asker)[-1].core, "requests")
        assert found is None or len(living.node.reader.tree(found)) == 0
        assert set(living.outcomes(asker)) == {"ok"}
        assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH"]


def test_nobody_else_can_say_so() -> None:
    with Living() as living:
        asker = living.create(wit=WIT, state="[]")
        with pytest.raises(BadName, match="postmaster"):
            living.send(asker, "error", {}, caller="postmaster")


@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_write_crashes_each_request_is_answered_once(moment: Moment) -> None:
    for crash in range(1, 8):
        life = Life(wit=WIT)
        life.restart(crash, moment)
        life.tell("ask", NOWHERE)
        life.tell("ask", NOWHERE)
        life.settle()
        life.restart()
        life.settle()
        told = sorted(to for to, *_ in life.rang)
        # What was never acknowledged may not be there; what is there was answered.
        assert told in ([], sorted(NOWHERE), sorted(NOWHERE * 2)), told
        assert fsck(life.inner).findings == []
        head = life.simulator.lookup.head(life.actor)
        assert head is not None
        reader = life.simulator.reader
        waiting = reader.find(reader.step(head).core, "requests")
        assert waiting is None or len(reader.tree(waiting)) == 0
        life.simulator.abandon()
