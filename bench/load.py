"""`load`: what the first step of a core pays for its modules, and what every later one pays for finding them again.

Later loads follow a step that changed `/state` alone, as most do. The ceiling of those is what a step may pay: 50 µs.
"""

from __future__ import annotations

from time import perf_counter

from bench.result import Params, Result
from understudy.engines.python.engine import PythonEngine
from understudy.objects.ids import TreeId
from understudy.store.maps import build_tree, patch_tree
from understudy.store.memory import MemoryBackend
from understudy.store.port import Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit

MODULES = (1, 30, 300)
CACHED_LOADS = 2_000
FIRST_LOADS = 5
ALLOWED_PER_SECOND = 1_000_000 / 50
MODULE = """
from msgspec import Struct

class Order{0}(Struct):
    amount: int
    note: str = ""

def total_{0}(orders: list[Order{0}]) -> int:
    return sum(order.amount for order in orders)
"""


def run(params: Params) -> list[Result]:
    """Loads per second, first and cached, by number of modules; also of a core that is searched as a whole and is large."""
    results: list[Result] = []
    for count in MODULES:
        files = _files("/code:main:wit", count)
        results.append(_first(files, count))
        results.append(_cached(files, count, "folder"))
    results.append(_cached(_files("/:main:wit", 30), 30, "whole core"))
    large = _files("/:main:wit", 30) | {f"data-{number}": "x" for number in range(1_000)}
    results.append(_cached(large, 30, "whole core of 1,000 entries"))
    return results


def _files(wit: str, count: int) -> dict[str, str]:
    modules = {f"code/part{number}.py": MODULE.format(number) for number in range(count - 1)}
    imports = "".join(f"import part{number}\n" for number in range(count - 1))
    return {"wit": wit, "code/main.py": f"{imports}\ndef wit(core): pass\n", "state": "0", **modules}


def _first(files: dict[str, str], count: int) -> Result:
    seconds = []
    for number in range(FIRST_LOADS):
        # Another version each time, so that nothing that was compiled before helps.
        reader, core = _stored({**files, "code/version.py": f"VERSION = {number}"})
        start = perf_counter()
        PythonEngine().load(core, "wit", reader)
        seconds.append(perf_counter() - start)
    return Result(
        benchmark="load", rate=1 / min(seconds), unit="first loads/s", params={"modules": count, "wit": "folder"}
    )


def _cached(files: dict[str, str], count: int, wit: str) -> Result:
    reader, core = _stored(files)
    engine, staging = PythonEngine(), Staging(reader)
    cores = [
        patch_tree(staging, core, {"state": staging.put_blob(str(number).encode())}) for number in range(CACHED_LOADS)
    ]
    engine.load(core, "wit", staging)
    start = perf_counter()
    for changed in cores:
        engine.load(changed, "wit", staging)
    rate = CACHED_LOADS / (perf_counter() - start)
    return Result(
        benchmark="load",
        rate=rate,
        unit="cached loads/s",
        params={"modules": count, "wit": wit},
        ceiling=ALLOWED_PER_SECOND,
        ceiling_is="one in 50 µs: what a step may pay; a ratio of 1 or more is well",
    )


def _stored(files: dict[str, str]) -> tuple[Grit, TreeId]:
    backend = MemoryBackend()
    staging = Staging(Grit(backend))
    core = patch_tree(
        staging, build_tree(staging, {}), {path: staging.put_blob(text.encode()) for path, text in files.items()}
    )
    backend.commit([Unit(blocks=list(staging.new.values()))])
    return Grit(backend), core
