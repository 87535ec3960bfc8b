"""`many`: a thousand actors in a ring, each with a token to pass on, and one message to a step.

`grid` lets a step take many messages, and so hides what one step costs. Here every step consumes one message and sends
one. Comfortable handlers, typed payload and state, durable.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import msgspec

from bench.node import open_node, run_live, wait_until
from bench.result import Params, Result
from understudy.node.node import Node

MEMBER = b"""
from msgspec import Struct
from understudy import Context, Wit

class Args(Struct):
    next: str = ""

class Token(Struct):
    left: int

class Member(Struct):
    next: str = ""
    passed: int = 0

wit = Wit()

@wit.message("join")
def join(args: Args, state: Member) -> None:
    state.next = args.next

@wit.message("token")
def forward(token: Token, state: Member, ctx: Context) -> None:
    state.passed += 1
    if token.left:
        ctx.send(state.next, Token(token.left - 1), type="token")
"""

STARTER = b"""
from msgspec import Struct
from understudy import Context, Wit

class Token(Struct):
    left: int

class Start(Struct):
    members: list[str]
    hops: int

wit = Wit()

@wit.message("start")
def start(order: Start, ctx: Context) -> None:
    for member in order.members:
        ctx.send(member, Token(order.hops), type="token")
"""

FILES = {
    "wit": b"/code:member:wit",
    "code/member.py": MEMBER,
    "policy": msgspec.json.encode({"batch": 1}),
}
STARTER_FILES = {"wit": b"/code:starter:wit", "code/starter.py": STARTER}


def run(params: Params) -> list[Result]:
    """Steps per second, from the moment the tokens are sent to the last step being durable."""
    return run_live(_run(params.get("actors", 1_000), params.get("hops", 30)))


async def _run(actors: int, hops: int) -> list[Result]:
    async with open_node("many") as node:
        rate = await pass_tokens(node, actors, hops)
    return [Result(benchmark="many", rate=rate, unit="steps/s", params={"actors": actors, "hops": hops, "batch": 1})]


async def pass_tokens(node: Node, actors: int, hops: int, *, begins: Callable[[], None] = lambda: None) -> float:
    """Steps per second of a ring of actors; `begins` is called when they are made, and only steps follow."""
    members = [(await node.create(FILES, nonce=str(number))).id for number in range(actors)]
    for number, member in enumerate(members):
        await node.send(member, msgspec.json.encode({"next": str(members[number - 1])}), type="join")
    starter = (await node.create(STARTER_FILES)).id
    await wait_until(lambda: not node.pending(limit=1))
    before = node.lookup.newest_feed_number()
    # Every token makes `hops + 1` steps, and the starter makes one.
    end = before + actors * (hops + 1) + 1
    order = {"members": [str(member) for member in members], "hops": hops}
    begins()
    start = perf_counter()
    await node.send(starter, msgspec.json.encode(order), type="start")
    await wait_until(lambda: _steps(node) >= end)
    return (end - before) / (perf_counter() - start)


def _steps(node: Node) -> int:
    return node.lookup.newest_feed_number()
