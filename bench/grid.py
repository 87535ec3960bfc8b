"""`grid`: a top actor and columns of actors below it; every round goes down each column and back to the top.

The top actor sends to the first actor of every column, each forwards to the one below it, the last one answers the
top. The rounds do not wait for each other. Comfortable handlers, typed payload and state, durable.
"""

from __future__ import annotations

from time import perf_counter

import msgspec

from bench.node import open_node, run_live, state_of, wait_until
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects.ids import ActorId

TOP = b"""
from msgspec import Struct
from understudy import Context, Wit

class Build(Struct):
    columns: int
    rows: int

class Round(Struct):
    number: int

class Go(Struct):
    rounds: int

class Top(Struct):
    first: list[str] = []
    answers: int = 0

wit = Wit()

@wit.message("build")
def build(order: Build, state: Top, ctx: Context) -> None:
    for column in range(order.columns):
        below = str(ctx.actor_id)
        for row in range(order.rows):
            below = str(ctx.spawn("cell", {"below": below}))
        state.first = [*state.first, below]

@wit.message("go")
def go(order: Go, state: Top, ctx: Context) -> None:
    for number in range(order.rounds):
        for first in state.first:
            ctx.send(first, Round(number), type="round")

@wit.message("round")
def answer(round: Round, state: Top) -> None:
    state.answers += 1
"""

CELL = b"""
from msgspec import Struct
from understudy import Context, Wit

class Args(Struct):
    below: str

class Round(Struct):
    number: int

class Cell(Struct):
    below: str = ""
    passed: int = 0

wit = Wit()

@wit.genesis
def begin(args: Args, state: Cell) -> None:
    state.below = args.below

@wit.message("round")
def forward(round: Round, state: Cell, ctx: Context) -> None:
    state.passed += 1
    ctx.send(state.below, round, type="round")
"""

FILES = {
    "wit": b"/code:top:wit",
    "code/top.py": TOP,
    "cell/wit": b"/code:cell:wit",
    "cell/code/cell.py": CELL,
}


def run(params: Params) -> list[Result]:
    """Messages per second through the grid, from the first send to the last answer being durable."""
    return run_live(_run(params.get("columns", 50), params.get("rows", 50), params.get("rounds", 50)))


async def _run(columns: int, rows: int, rounds: int) -> list[Result]:
    async with open_node("grid") as node:
        top = (await node.create(FILES)).id
        build = await node.send(top, msgspec.json.encode({"columns": columns, "rows": rows}), type="build")
        await node.answer(top, build)
        await wait_until(lambda: not node.pending(limit=1))
        feed = node.lookup.newest_feed_number()
        start = perf_counter()
        await node.send(top, msgspec.json.encode({"rounds": rounds}), type="go")
        await wait_until(lambda: _answers(node, top) == rounds * columns)
        seconds = perf_counter() - start
        steps = node.lookup.newest_feed_number() - feed
    messages = rounds * columns * (rows + 1)
    params: dict[str, int | float | str] = {"columns": columns, "rows": rows, "rounds": rounds, "messages": messages}
    return [
        Result(benchmark="grid", rate=messages / seconds, unit="messages/s", params={**params, "steps": steps}),
    ]


def _answers(node: Node, top: ActorId) -> int:
    return int(state_of(node, top).get("answers", 0))
