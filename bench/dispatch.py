"""`dispatch`: what the comfortable form costs over the low-level one: steps of one message, loaded, run and sealed into a core.

The low-level wit is the same counter by hand: a function of core and messages that reads and writes its own JSON.
Nothing is committed: a disk would hide the difference.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

from bench.result import Params, Result
from understudy.engines.python.engine import PythonEngine
from understudy.testing import engine_suite

COMFORTABLE = """
from msgspec import Struct
from understudy import Wit

class Add(Struct):
    amount: int

class Counter(Struct):
    total: int = 0

wit = Wit()

@wit.message("add")
def add(order: Add, state: Counter) -> None:
    state.total += order.amount
"""
LOW_LEVEL = """
from msgspec.json import decode, encode

def wit(core, new_messages):
    state = decode(core["state"])
    for message in new_messages:
        if message.type == "add":
            state["total"] += decode(message.bytes())["amount"]
    core["state"] = encode(state)
"""
ROUNDS = 5


def run(params: Params) -> list[Result]:
    """Steps per second of the comfortable form; its ceiling is the rate of the low-level one."""
    steps = params.get("steps", 20_000)
    rates: dict[str, list[float]] = {COMFORTABLE: [], LOW_LEVEL: []}
    # In turns: on a shared machine the rate of a moment ago is another machine's.
    for _ in range(ROUNDS):
        for wit, found in rates.items():
            found.append(_rate(wit, steps // ROUNDS))
    return [
        Result(
            benchmark="dispatch",
            rate=median(rates[COMFORTABLE]),
            unit="dispatched steps/s",
            params={"steps": steps},
            ceiling=median(rates[LOW_LEVEL]),
            ceiling_is="the same counter in the low-level form",
        )
    ]


def _rate(wit: str, steps: int) -> float:
    objects, engine = engine_suite.Objects(), PythonEngine()
    core = objects.core({"wit": wit, "state": b'{"total":0}'})
    message = engine_suite.delivery(objects, str(core), b'{"amount":1}', type="add")
    givens = [engine_suite.step_input(objects, core, [message]) for _ in range(steps)]
    engine_suite.run(engine, givens[0])
    start = perf_counter()
    for given in givens:
        engine_suite.run(engine, given)
    return steps / (perf_counter() - start)
