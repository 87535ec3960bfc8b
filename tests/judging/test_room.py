"""How deep code of an author can call: as deep in a node as in a replay, on each way to it, and what it sets ends with it.

Tests of engines/room.py.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from tests.node.living import Living
from tests.node.troupe import Troupe
from understudy.engines.python.settings import SETTINGS
from understudy.engines.room import DEPTH, ROOM, SWITCH_SECONDS, at_depth
from understudy.judging.verification import verify_targets
from understudy.objects.ids import ActorId
from understudy.objects.step import Outcome

DEEP = """
import asyncio
import sys

def down(n):
    return n if n == 0 else down(n - 1)

def deepest(n):
    try:
        return deepest(n + 1)
    except RecursionError:
        return n
"""
# The ways of a node to code of an author; {} is what goes deep.
WAYS = {
    "def": "def wit(ctx):\n    ctx.log({})",
    "async def": "async def wit(ctx):\n    ctx.log({})",
    "after a pause": "async def wit(ctx):\n    await asyncio.sleep(0.001)\n    ctx.log({})",
    "a task": """
async def wit(ctx):
    async def task():
        return {}
    ctx.log(await asyncio.create_task(task()))
""",
    "a task after a pause": """
async def wit(ctx):
    async def task():
        await asyncio.sleep(0.001)
        return {}
    ctx.log((await asyncio.gather(task()))[0])
""",
    "a callback": """
async def wit(ctx):
    done = asyncio.get_running_loop().create_future()
    def call():
        try:
            done.set_result({})
        except RecursionError as error:
            done.set_exception(RuntimeError("too deep"))
    asyncio.get_running_loop().call_later(0.001, call)
    ctx.log(await done)
""",
    "a thread": "async def wit(ctx):\n    ctx.log(await asyncio.to_thread(lambda: {}))",
    "a handler": "from understudy import Wit\nwit = Wit()\n@wit.message('go')\ndef go(ctx):\n    ctx.log({})",
}


@pytest.fixture
def living() -> Iterator[Living]:
    """A node whose threads take turns as often as those of `understudy serve`."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    with Living() as living:
        yield living
    sys.setswitchinterval(before)


def told(living: Living, body: str, deep: str) -> ActorId:
    actor = living.create(wit="/code:deep:wit", **{"code/deep.py": DEEP + body.replace("{}", deep)})
    living.ask(actor, "go")
    return actor


@pytest.mark.parametrize("way", WAYS)
def test_code_can_call_as_deep_in_a_node_as_in_a_replay(living: Living, way: str):
    first = told(living, WAYS[way], "deepest(0)")
    found = int(living.log(living.chain(first)[-1]))
    actors = [told(living, WAYS[way], f"down({found + more})") for more in range(-3, 4)]
    codes = [living.outcomes(actor)[-1] for actor in actors]
    assert (codes[0], codes[-1] == "ok") == ("ok", False), codes
    for verdict in living.run(living.node.verify()):
        assert verdict.ok, verdict


def test_each_way_of_code_into_a_node_begins_at_one_depth(living: Living):
    found = {way: int(living.log(living.chain(told(living, WAYS[way], "deepest(0)"))[-1])) for way in WAYS}
    own = {way: deep for way, deep in found.items() if way not in ("a callback", "a thread")}
    assert all(ROOM - 20 < deep <= ROOM for deep in own.values()), found


def test_modules_are_imported_at_about_that_depth(living: Living):
    actor = told(living, "FOUND = {}\ndef wit(ctx):\n    ctx.log(FOUND)", "deepest(0)")
    assert ROOM - 40 < int(living.log(living.chain(actor)[-1])) <= ROOM


def test_how_deep_a_module_can_call_does_not_depend_on_what_was_imported_before(living: Living):
    deep = DEEP + "FOUND = deepest(0)\n"
    core = {
        "wit": "/code:deep:wit",
        "code/deep.py": deep + "import above\nfrom p.q import r\nimport p.q\n"
        "FOUND = [FOUND, above.FOUND, above.below.FOUND, p.FOUND, p.q.FOUND, r.FOUND]\n"
        "def wit(ctx):\n    import late\n    ctx.log(str([*FOUND, late.FOUND]))",
        "code/above.py": deep + "import below",
        **dict.fromkeys(["code/below.py", "code/late.py"], deep),
        **dict.fromkeys(["code/p/__init__.py", "code/p/q/__init__.py", "code/p/q/r.py"], deep),
    }
    logs = set()
    for again in range(8):
        # Other text, so that it is imported again; the interpreter counts fewer calls of code that ran often.
        files = {path: f"{text}\n# {again}".encode() for path, text in core.items() if path != "wit"}
        files["wit"] = core["wit"].encode()
        actor = living.run(living.node.create(files)).id
        living.ask(actor, "go")
        logs.add(living.log(living.chain(actor)[-1]))
    assert len(logs) == 1, logs
    for verdict in living.run(living.node.verify()):
        assert verdict.ok, verdict


@pytest.mark.parametrize("begun", ["def", "async def"])
def test_what_code_sets_of_the_interpreter_ends_with_its_step(living: Living, begun: str):
    told(living, WAYS["def"], "0")  # the first code that runs in a process sets the limit for all
    limit, interval = sys.getrecursionlimit(), sys.getswitchinterval()
    body = f"{begun} wit(ctx):\n    ctx.log(sys.getrecursionlimit())\n    ctx.log(sys.getswitchinterval())\n"
    body += "    sys.setrecursionlimit(4321)\n    sys.setswitchinterval(0.125)\n"
    actor = told(living, body, "")
    living.ask(actor, "go")
    assert (sys.getrecursionlimit(), sys.getswitchinterval()) == (limit, interval)
    assert {living.log(step) for step in living.chain(actor)} == {f" {limit}\n {interval}\n"}
    assert all(verdict.ok for verdict in living.run(living.node.verify()))


def test_the_limit_that_a_module_sets_holds_in_each_step_of_it_and_in_no_other(living: Living):
    body = "sys.setrecursionlimit(3000)\ndef wit(ctx):\n    ctx.log(down({}))"
    deep = told(living, body, "2900")
    living.ask(deep, "go")
    other = told(living, WAYS["def"], "down(1500)")
    living.ask(deep, "go")
    assert living.outcomes(deep) == ["ok"] * 4
    assert living.outcomes(other)[-1] == "RecursionError"
    assert all(verdict.ok for verdict in living.run(living.node.verify()))


def test_steps_of_before_do_not_say_how_deep_they_could_call_and_are_not_accused():
    troupe = Troupe()
    actor = troupe.create(
        {"wit": "/code:deep:wit", "code/deep.py": DEEP + WAYS["def"].format("down(ROOM)").replace("ROOM", "965")}
    )
    assert troupe.step(actor).outcome is None
    for engine in ("python/2", f"python/2{SETTINGS}".replace(f";room={ROOM}", "")):
        troupe.forge(actor, engine=engine)
        verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
        assert verdict.ok, verdict


@pytest.mark.parametrize("room", ["999", "1001", "10", "01000", "x"])
def test_a_node_can_not_choose_how_deep_code_may_call(room: str):
    troupe = Troupe()
    actor = troupe.create({"wit": "/code:deep:wit", "code/deep.py": DEEP + WAYS["def"].format("1")})
    troupe.forge(actor, engine=f"python/2;room={room}")
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert (verdict.verdict, verdict.cause) == ("MISMATCH", "engine"), verdict


def test_a_recursion_that_was_not_too_deep_is_found_where_the_step_says_its_room():
    troupe = Troupe()
    actor = troupe.create({"wit": "/code:deep:wit", "code/deep.py": DEEP + WAYS["def"].format("down(980)")})
    troupe.forge(actor, outcome=Outcome("failed", "RecursionError", "made up"), log=None)
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert (verdict.verdict, verdict.cause) == ("MISMATCH", "output"), verdict


def test_a_call_begins_where_it_is_asked_to_and_no_deeper_than_it_is():
    found: list[int] = []

    def look() -> None:
        found.extend(at_depth(depth, _room) for depth in (DEPTH, DEPTH // 2))
        found.append(at_depth(DEPTH, at_depth, DEPTH // 2, _room))

    # In a thread of its own: the test runner is deep already.
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    deep, shallow, nested = found
    assert shallow == deep + DEPTH - DEPTH // 2
    assert deep - 4 <= nested < deep


def _room(n: int = 0) -> int:
    try:
        return _room(n + 1)
    except RecursionError:
        return n
