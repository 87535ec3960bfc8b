"""`verify`: what judging costs, in processor time and in steps per second, against the run that it judges.

A counter with one message to a step, a component that counts, and the example's ledger. The ceiling of each is the run
itself, in the same process a moment before; a share of 1 means that judging costs what running did.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter

import msgspec
from msgspec import Struct

from bench.components import COUNTER as COMPONENT
from bench.components import counter_files, driver_files
from bench.hot import COUNTER, SENDER
from bench.node import open_node, run_live, wait_until
from bench.result import Params, Result
from understudy.judging.verification import Target, verify_targets
from understudy.node.node import Node
from understudy.objects.ids import ActorId

STEPS = 5_000
BANK = Path(__file__).parents[1] / "examples" / "ledger" / "bank"
OWNERS = 12
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: what a judge leaves behind is ours to wait for, and to count

Run = Callable[[Node, int], Awaitable[Sequence[ActorId]]]


class Cost(Struct, frozen=True):
    """Of some steps: how long they took, and the processor time of this process and of all that it started."""

    steps: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """Processor time for each step."""
        return self.cpu_seconds / self.steps * 1e6


def run(params: Params) -> list[Result]:
    """Microseconds of processor time for each step, and steps per second, judged by one process and by all."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    steps = params.get("steps", STEPS)
    kinds: dict[str, Run] = {"counter": _count, "component": _count_in_a_component, "ledger": _keep_books}
    return [result for name, play in kinds.items() for result in run_live(_measure(name, play, steps))]


async def _measure(name: str, play: Run, steps: int) -> list[Result]:
    results = []
    async with open_node(f"verify-{name}") as node:
        feed, usage, start = node.lookup.newest_feed_number(), _cpu_seconds(), perf_counter()
        actors = await play(node, steps)
        made = node.lookup.newest_feed_number() - feed
        run = Cost(made, perf_counter() - start, _cpu_seconds() - usage)
        for processes in dict.fromkeys((1, os.cpu_count() or 1)):
            judged = _judge(node, actors, processes)
            about: dict[str, int | float | str] = {"what": name, "steps": judged.steps, "processes": processes}
            for rate, ceiling, unit in (
                (judged.cpu_microseconds, run.cpu_microseconds, "µs of CPU/step"),
                (judged.rate, run.rate, "verified steps/s"),
            ):
                results.append(
                    Result(
                        benchmark="verify",
                        rate=rate,
                        unit=unit,
                        params=about,
                        ceiling=ceiling,
                        ceiling_is="the same of the run that was judged",
                    )
                )
    return results


def _judge(node: Node, actors: Sequence[ActorId], processes: int) -> Cost:
    usage, start = _cpu_seconds(), perf_counter()
    verdicts = verify_targets(
        node.backend, [Target(actor, node.actor(actor).head) for actor in actors], processes=processes
    )
    seconds = perf_counter() - start
    bad = [verdict for verdict in verdicts if not verdict.ok]
    if bad:
        raise RuntimeError(f"the history does not verify: {bad[0]}")
    return Cost(sum(verdict.steps for verdict in verdicts), seconds, _cpu_seconds() - usage)


async def _count(node: Node, steps: int) -> Sequence[ActorId]:
    files = {"wit": b"/code:counter:wit", "code/counter.py": COUNTER, "policy": b'{"batch": 1}'}
    counter = (await node.create(files)).id
    sender = (await node.create({"wit": b"/code:sender:wit", "code/sender.py": SENDER})).id
    await node.send(sender, msgspec.json.encode({"to": str(counter), "count": steps}), type="go")
    await wait_until(lambda: node.actor(counter).height == steps)
    return [counter]


async def _count_in_a_component(node: Node, steps: int) -> Sequence[ActorId]:
    component = COMPONENT.read_bytes()
    counter = (await node.create(counter_files(component))).id
    driver = (await node.create(driver_files(component))).id
    order = msgspec.json.encode({"actors": [str(counter)], "each": steps})
    await node.send(driver, order, type="go")
    await wait_until(lambda: node.actor(counter).height == steps)
    return [counter]


async def _keep_books(node: Node, steps: int) -> Sequence[ActorId]:
    files = [path for path in BANK.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    bank = (await node.create({path.relative_to(BANK).as_posix(): path.read_bytes() for path in files})).id
    names = [f"owner-{number}" for number in range(OWNERS)]
    for name in names:
        await node.send(bank, msgspec.json.encode({"owner": name}), type="open")
    orders = [("deposit", {"owner": name, "cents": 1_000_000, "ref": f"D{name}"}) for name in names]
    orders += [
        (
            "transfer",
            {"source": names[n % OWNERS], "target": names[(n * 5 + 1) % OWNERS], "cents": 1 + n, "ref": f"T{n}"},
        )
        for n in range(steps // 10)
    ]
    for number, (type, content) in enumerate(orders):
        await node.send(bank, msgspec.json.encode(content), type=type)
        if number % 10 == 0:
            await wait_until(lambda: not node.pending(limit=1), pause_seconds=0.001)
    await wait_until(lambda: not node.pending(limit=1))
    return [info.id for info in node.actors(limit=OWNERS + 1).items]


def _cpu_seconds() -> float:
    with contextlib.suppress(ChildProcessError):
        while os.wait():
            pass
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime
