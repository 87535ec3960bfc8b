"""`flows`: how many awaits of flows are answered in a second, durably: by flows of 10, 100 and 1,000 awaits.

Each await is a request to another actor and its answer: two steps. With `kept=0` no code is kept between steps, so that each
answer has its flow run again from its beginning, as after a restart.
"""

from __future__ import annotations

from time import perf_counter, process_time
from typing import Final

import msgspec

from bench.node import open_node, run_live, wait_until
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.wit.flows import kept
from understudy.wit.flows.kept import MAX_KEPT

_WIT: Final = b"/code:m:wit"
_ASKER: Final = b"""
from understudy import FlowContext, Wit
wit = Wit()
@wit.flow("begin")
async def begin(count: int, ctx: FlowContext) -> int:
    total = 0
    for number in range(count):
        total += await ctx.request("answerer", number, type="ask", returns=int)
    return total
"""
_ANSWERER: Final = b"""
from understudy import Wit
wit = Wit()
@wit.message("ask")
def ask(number: int) -> int:
    return number
"""


def run(params: Params) -> list[Result]:
    """Awaits per second for each length of a flow; a hundred flows of ten at once, ten of a hundred, one of a thousand."""
    total = params.get("awaits", 1000)
    results = []
    for length, is_kept in ((10, True), (100, True), (1000, True), (1000, False)):
        # Not a setting: what a restart costs, measured without one.
        setattr(kept, "MAX_KEPT", MAX_KEPT if is_kept else 0)  # noqa: B010
        flows = max(1, total // length)
        rate, cpu = run_live(_rate(flows, length))
        about: dict[str, int | float | str] = {"awaits": length, "flows": flows, "kept": int(is_kept)}
        about["cpu_us"] = round(cpu * 1_000_000)  # for each await: says something on a busy machine, too
        results.append(Result(benchmark="flows", rate=rate, unit="awaits/s", params=about))
    return results


async def _rate(flows: int, length: int) -> tuple[float, float]:
    """Awaits in a second, and the processor time of one in seconds."""
    async with open_node("flows") as node:
        asker = await _made(node)
        start, begun = perf_counter(), process_time()
        for _ in range(flows):
            await node.send(asker, msgspec.json.encode(length), type="begin")
        await wait_until(lambda: _ended(node, asker) and not node.pending(limit=1))
        awaits = flows * length
        return awaits / (perf_counter() - start), (process_time() - begun) / awaits


async def _made(node: Node) -> ActorId:
    await node.create({"wit": _WIT, "code/m.py": _ANSWERER}, name="answerer")
    return (await node.create({"wit": _WIT, "code/m.py": _ASKER}, name="asker")).id


def _ended(node: Node, asker: ActorId) -> bool:
    flows = node.reader.find(node.step(node.newest(asker)).core, "flows")
    return flows is not None and not node.reader.tree(flows)
