"""Whatever keeps an actor from working is said by name, with the reason: of the actor, of what waits for it, of the node."""

from __future__ import annotations

import json
from functools import partial
from typing import NamedTuple

import pytest

from tests.node.living import Living
from tests.node.stage import ClogStore, gates, troubles
from tests.node.test_storms import STORM
from understudy.node.holds import HELD, Hold, Holds, Kind
from understudy.node.looking.directory import Wanted
from understudy.node.looking.roster import UNREADABLE
from understudy.node.running import floods
from understudy.objects.ids import ActorId, node_id
from understudy.store.keys import head_ref
from understudy.store.port import Move, Unit

CALLS = """
from understudy import Wit
wit = Wit()
@wit.message("call")
async def call(which: int, ctx):
    await ctx.given.calls.call("world", b"")
"""
FLOW = """
from understudy import FlowContext, Wit
wit = Wit()
@wit.flow("begin")
async def begin(ctx: FlowContext) -> None:
    await ctx.wait("go")
"""
HOLD = json.dumps({"on_failure": "hold"})
RETRY = json.dumps({"retry": {"attempts": 9, "first_ms": 3_600_000, "most_ms": 3_600_000}})
WHOLE_NODE = {"paused", "held", "suspect", "stuck", "slowed"}


class World:
    """A capability that answers once its gate is open."""

    name = "world"

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        await gates.wait_through("the world")
        return b""


class Case(NamedTuple):
    """An actor, what is sent to it, and how it is to be shown."""

    actor: ActorId
    type: str
    content: object
    status: str
    reason: str


def is_shown(living: Living, case: Case) -> bool:
    return living.node.actor(case.actor).status == case.status


def check(living: Living, case: Case) -> None:
    about = living.node.actor(case.actor)
    assert (about.status, case.reason in (about.reason or "")) == (case.status, True), (case, about)
    check_list(living)
    waiting = living.node.pending(case.actor)
    assert waiting and {one.state for one in waiting} == {case.status}, (case, waiting)
    if case.status != "retry":
        assert all(case.reason in (one.error or "") for one in waiting), (case, waiting)
    listed = {hold["actor"]: hold for hold in living.node.holds()}
    if case.status in WHOLE_NODE:
        assert listed[str(case.actor)]["state"] == case.status and listed[str(case.actor)]["name"]


def check_list(living: Living) -> None:
    """The list of who looks for actors says the same as each actor, but for what came between the two looks."""

    def agrees() -> bool:
        listed = [one for one in living.node.find_actors(Wanted()).items if one.seen.outcome != UNREADABLE]
        found = [living.node.actor(one.seen.actor) for one in listed]
        return len(listed) > 6 and all(
            (one.status, (one.reason or "")[:200]) == (about.status, (about.reason or "")[:200])
            for one, about in zip(listed, found, strict=True)
        )

    living.until(agrees)


def test_each_reason_is_named_of_the_actor_of_its_mail_and_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floods, "FLOOD", 50)
    store = ClogStore()
    with Living(store) as living:
        made = {
            "fails": living.create(nonce="fails", policy=HOLD),
            "paused": living.create(nonce="paused"),
            "deadly": living.create(nonce="deadly"),
            "damaged": living.create(nonce="damaged"),
            "retries": living.create(nonce="retries", policy=RETRY),
            "storm": living.create(wit=STORM),
            "calls": living.create(wit=CALLS),
            "flow": living.create(wit=FLOW),
        }
        for name, actor in made.items():
            living.run(living.node.set_name(name, actor, expected=None))
        living.run(living.node.pause(made["paused"], reason="moving house"))
        living.tell(made["flow"], "begin")
        assert living.update(made["flow"], wit=FLOW.replace("go", "stay")) is None
        living.tell(made["flow"], "go")
    holds = Holds(store)
    ended = Hold(state=HELD, reason="it ended the process 2 times", since=1, deaths=2)
    holds.put({(made["deadly"], Kind.STEPS): ended})
    store.commit(
        [Unit(moves=[Move(head_ref(made["damaged"]), store.ref(head_ref(made["damaged"])), node_id(b"gone"))])]
    )
    troubles["always"] = 1_000_000
    cases = [
        Case(made["fails"], "fail", 1, "held", "its code failed on message"),
        Case(made["paused"], "add", 1, "paused", "moving house"),
        Case(made["deadly"], "add", 1, "held", "ended the process"),
        Case(made["retries"], "stumble", "always", "retry", "a message is tried again"),
        Case(made["storm"], "storm", 40, "slowed", "it sends more than its recipients take"),
        Case(made["calls"], "call", 1, "running", "its step waits for the answer to world/0"),
    ]
    with Living(store, capabilities={"world": World()}) as living:
        for case in cases:
            living.send(case.actor, case.type, case.content)
        for case in cases:
            living.until(partial(is_shown, living, case))
            check(living, case)
        # Its head can't be read, so only its mail can say so.
        living.send(made["damaged"], "add", 1)
        living.until(lambda: {one.state for one in living.node.pending(made["damaged"])} == {"stuck"})
        assert {hold["actor"] for hold in living.node.holds() if hold["state"] == "stuck"} == {str(made["damaged"])}
        # A flow that stands still keeps no message waiting, and a head that can't be read hides none.
        stopped = {one.actor: one for one in living.node.stopped_flows()}
        assert stopped.keys() == {made["flow"], made["damaged"]} and stopped[made["damaged"]].flow is None
        assert "the code asks for 'wait stay'" in stopped[made["flow"]].why
        about = living.node.actor(made["flow"])
        assert about.status == "stalled" and f"stands still: {stopped[made['flow']].why}" in str(about.reason)
        [listed] = living.node.find_actors(Wanted(state="stalled")).items
        assert (listed.seen.actor, listed.status, listed.reason) == (made["flow"], "stalled", str(about.reason)[:200])
        assert made["flow"] in {one.seen.actor for one in living.node.find_actors(Wanted(state="trouble")).items}
        assert made["flow"] not in {one.seen.actor for one in living.node.find_actors(Wanted(state="held")).items}
        # Mended, or with a hold of its own, it is called otherwise.
        living.run(living.node.pause(made["flow"]))
        assert living.node.actor(made["flow"]).status == "paused"
        living.run(living.node.resume(made["flow"]))
        assert living.update(made["flow"], wit=FLOW) is None
        living.tell(made["flow"], "flow", {})
        assert (living.node.actor(made["flow"]).status, living.node.actor(made["flow"]).reason) == ("ready", None)
        assert living.node.find_actors(Wanted(state="stalled")).items == []
        living.update(made["storm"], wit="def wit(): pass")
        gates.open("the world")
