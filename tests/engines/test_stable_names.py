"""Modules of a core have names that stay when the code changes, and that mean the right version's module to all who look."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.node.test_first_abi import FirstAbi
from tests.node.test_verification import verify
from tests.node.troupe import Troupe
from understudy.actors.contract import StepResult
from understudy.actors.errors import WitError
from understudy.actors.query import Blob, QueryInput
from understudy.engines.python.aliases import Alias
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.settings import SETTINGS
from understudy.objects.ids import StepId
from understudy.testing.engine_suite import Objects, delivery, run, step_input

# Each defines `told`, which gives the version if whoever looks up a class by its module's name finds the right one.
SHAPES = """
import enum, dataclasses, msgspec, typing, collections
VERSION = {version!r}
class Plain:
    def __init__(self): self.x = 1
    def version(self): return VERSION
class Colour(enum.Enum):
    RED = VERSION
Pair = collections.namedtuple("Pair", "a b")
@dataclasses.dataclass
class Data:
    n: "Inner"
    kind: "typing.ClassVar[str]" = VERSION
class Inner(msgspec.Struct):
    version: "Kind" = VERSION
Kind = typing.Literal[VERSION]
class Outer(msgspec.Struct):
    inner: "Inner"
"""
WAYS = {
    "pickle": "import pickle, shapes\ndef told():\n"
    "    return [pickle.loads(pickle.dumps(shapes.Plain(), p)).version() for p in range(6)][-1]",
    "pickle in Python": "import pickle, shapes\ndef told():\n"
    "    return pickle._loads(pickle._dumps(shapes.Plain())).version()",
    "pickle of an enum": "import pickle, shapes\ndef told():\n"
    "    again = pickle.loads(pickle.dumps(shapes.Colour.RED))\n"
    "    return again.value if again is shapes.Colour.RED else 'another'",
    "pickle of a function": "import pickle, shapes\ndef told():\n"
    "    return pickle.loads(pickle.dumps(shapes.Plain.version))(None)",
    "pickle of a named tuple": "import pickle, shapes\ndef told():\n"
    "    return type(pickle.loads(pickle.dumps(shapes.Pair(1, 2)))) is shapes.Pair and shapes.VERSION",
    "pickle of a module not loaded yet": "import pickle\ndef told():\n"
    "    return pickle.loads(b'\\x80\\x04cunderstudy_core.late\\nLATE\\n.')",
    "its own class": "import pickle\nclass Own: kind = {version!r}\ndef told():\n"
    "    return pickle.loads(pickle.dumps(Own())).kind",
    "copy": "import copy, shapes\ndef told():\n    return copy.deepcopy([shapes.Plain()])[0].version()",
    "get_type_hints": "import typing, shapes\ndef told():\n"
    "    return typing.get_args(typing.get_type_hints(shapes.Inner)['version'])[0]",
    "dataclass": "import dataclasses, shapes\ndef told():\n"
    "    return [field.name for field in dataclasses.fields(shapes.Data)] == ['n'] and shapes.Data.kind",
    "msgspec": "import msgspec, shapes\ndef told():\n"
    "    return msgspec.json.decode(b'{{\"inner\": {{}}}}', type=shapes.Outer).inner.version",
    "pydantic": "import pydantic, typing\nfrom shapes import VERSION\n"
    "class Model(pydantic.BaseModel):\n    other: 'Other'\n"
    "class Other(pydantic.BaseModel):\n    version: typing.Literal[VERSION] = VERSION\n"
    "def told(): return Model.model_validate({{'other': {{}}}}).other.version",
    "by hand": "import sys, shapes\ndef told(): return vars(sys.modules[shapes.Plain.__module__])['VERSION']",
    "itself": "import sys\nVERSION = {version!r}\nsys.modules[__name__].more = 1\ndef told():\n"
    "    return more and sys.modules[__name__].VERSION",
    "another in its place": "import sys, odd\ndef told(): return odd.version",
    "a circle": "import ring.one\ndef told(): return ring.one.two.one.told()",
    "a vendored library": "from vendored.moves import version\ndef told(): return version",
    "a thread of its own": "import pickle, threading, shapes\ndef told():\n    got = []\n"
    "    def work(): got.append(pickle.loads(pickle.dumps(shapes.Plain())).version())\n"
    "    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()\n    return got[0]",
    "a callback": "import asyncio, pickle, shapes\nasync def later():\n"
    "    return await asyncio.to_thread(pickle.loads, pickle.dumps(shapes.Plain()))\n"
    "def told(): return asyncio.new_event_loop().run_until_complete(later()).version()",
}
OTHERS = {
    "code/shapes.py": SHAPES,
    "code/late.py": "LATE = {version!r}",
    "code/odd.py": "import sys\nclass Odd: version = {version!r}\nsys.modules[__name__] = Odd()",
    "code/ring/__init__.py": "",
    "code/ring/one.py": "from . import two\ndef told(): return {version!r}",
    "code/ring/two.py": "from . import one",
    "code/vendored.py": "import sys, types\n__path__ = []\nmoves = types.ModuleType(__name__ + '.moves')\n"
    "moves.version = {version!r}\nsys.modules[moves.__name__] = moves\n",
}


def core_of(objects, version, code):
    files = {path: text.format(version=version) for path, text in OTHERS.items()}
    code = code.format(version=version) + "\ndef wit(ctx): ctx.log(told())\n"
    return objects.core({**files, "wit": "/code:m:wit", "code/m.py": code})


def logged(engine, objects, core):
    result = run(engine, step_input(objects, core, [delivery(objects, str(core), "x")]))
    assert result.outcome is None, result.outcome.text
    return list(result.log)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """What a vendored library put into `sys.modules` by itself is its own doing."""
    yield
    sys.modules.pop("understudy_core.vendored.moves", None)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_who_looks_a_class_up_by_its_name_finds_that_of_the_running_version(way, fresh):
    objects, engine = Objects(), PythonEngine(fresh=fresh)
    for version in ("one", "two", "one") if way != "a vendored library" else ("one",):
        assert logged(engine, objects, core_of(objects, version, WAYS[way])) == [version]


KEEPS = """
import logging, pickle
from shapes import Plain
def wit(core, ctx):
    core["logger"] = logging.getLogger(__name__).name
    if "kept" in core:
        core["read"] = pickle.loads(core["kept"]).version()
    else:
        core["kept"] = pickle.dumps(Plain())
"""


def test_a_pickle_and_a_logger_outlast_an_update_and_the_history_matches():
    troupe = Troupe()
    shapes = SHAPES.format(version="one")
    actor = troupe.create({"wit": "/code:m:wit", "code/m.py": KEEPS, "code/shapes.py": shapes})
    troupe.update(actor, {"code/shapes.py": SHAPES.format(version="two").encode()})
    troupe.tell(actor, "x", 1)
    step = troupe.step(actor)
    assert step.outcome is None
    found = {name: troupe.reader.find(step.core, name) for name in ("logger", "read")}
    told = {name: troupe.reader.blob(id) for name, id in found.items() if id is not None}
    assert told == {"logger": b"understudy_core.m", "read": b"two"}
    verdict = verify(troupe, actor)
    assert verdict.ok, (verdict.path, verdict.recorded, verdict.replayed, verdict.reason)


def test_a_pickle_with_the_names_of_before_is_read():
    objects = Objects()
    former = f"understudy_core_{objects.core({'x': 'y'})}_636f6465".replace("bafyrei", "bafkrei")
    code = f"import pickle\ndef told(): return pickle.loads(b'\\x80\\x04c{former}.shapes\\nPlain\\n.').version(None)"
    assert logged(PythonEngine(), objects, core_of(objects, "one", code)) == ["one"]


# Names that modules of this code had when steps were `python/1`: recorded then, and not computed here.
FORMER = {
    "module": "understudy_core_bafkreieizullaac4hofzaxtmabdix7gbvoodv3bjj3qb6vkf3sbf46h2kq_636f6465.m",
    "inline": "understudy_core_bafkreihbxw4oms72ueravvdzussmmzhwnqv3h5v2fv2m6h3x55jdrn4g4u_776974",
}


@pytest.mark.parametrize("inline", [False, True])
def test_steps_of_the_first_abi_have_the_names_of_then(inline):
    code = "def wit(ctx): ctx.log(__name__)\n"
    files = {"wit": code} if inline else {"wit": "/code:m:wit", "code/m.py": code}
    expected = FORMER["inline" if inline else "module"]
    objects, engine = Objects(), PythonEngine()
    core = objects.core(files)
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    for abi, name in (("python/1", expected), ("python/2", expected.partition("_bafk")[0] + ("" if inline else ".m"))):
        result = engine.load(core, "wit", objects).run(msgspec.structs.replace(given, abi=abi))
        assert isinstance(result, StepResult) and list(result.log) == [name]


def test_a_history_of_the_first_abi_with_pickles_of_then_matches_and_is_read_by_steps_of_now():
    troupe = Troupe(engines={"python": FirstAbi()})  # type: ignore[dict-item]
    actor = troupe.create({"wit": "/code:m:wit", "code/m.py": KEEPS, "code/shapes.py": SHAPES.format(version="one")})
    kept = troupe.reader.find(troupe.step(actor).core, "kept")
    assert kept is not None and b"_636f6465.shapes" in troupe.reader.blob(kept)
    troupe.tell(actor, "x", 1)
    assert troupe.step(actor).outcome is None
    assert verify(troupe, actor).ok
    troupe.engines = {"python": PythonEngine()}
    troupe.update(actor, {"code/shapes.py": SHAPES.format(version="two").encode()})
    troupe.tell(actor, "x", 1)
    step = troupe.step(actor)
    read = troupe.reader.find(step.core, "read")
    assert step.engine == f"python/2{SETTINGS}" and read is not None and troupe.reader.blob(read) == b"two"
    assert verify(troupe, actor).ok


@pytest.mark.parametrize("how", ["import", "pickle", "text"])
def test_what_another_version_has_is_not_there(how):
    read = {
        "import": "import understudy_core.gone",
        "pickle": "import pickle; pickle.loads(b'\\x80\\x04cunderstudy_core.gone\\nX\\n.')",
        "text": "import importlib; importlib.import_module('understudy_core.gone')",
    }[how]
    code = f"def wit(ctx):\n    try: {read}\n    except Exception as e: ctx.log(f'{{type(e).__name__}}: {{e}}')\n"
    objects, engine = Objects(), PythonEngine()
    core = objects.core({"wit": "/code:m:wit", "code/m.py": code})
    alone = logged(engine, objects, core)
    assert alone == ["ModuleNotFoundError: No module named 'understudy_core.gone'"]
    other = {"wit": "/code:m:wit", "code/m.py": "import gone\ndef wit(): pass", "code/gone.py": "X = 1"}
    engine.load(objects.core(other), "wit", objects)
    assert isinstance(sys.modules["understudy_core.gone"], Alias)
    assert logged(engine, objects, core) == alone


def test_a_query_and_a_step_of_the_same_code_have_modules_of_their_own():
    objects, engine = Objects(), PythonEngine()
    code = (
        "import pickle\nfrom understudy import Wit\nwit = Wit()\nclass A: count = 0\n"
        "def look():\n    A.count += 1\n    again = pickle.loads(pickle.dumps(A()))\n"
        "    return f'{again.count} {type(again) is A}'\n"
        '@wit.message("text")'
        "\ndef x(ctx): ctx.log(look())\n@wit.query\ndef q(): return look()\n"
    )
    core = objects.core({"wit": "/code:m:wit", "code/m.py": code})
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    asked = QueryInput(
        actor=given.actor,
        step_id=StepId(core),
        step=None,  # type: ignore[arg-type]
        name="q",
        context=Blob(b"{}"),
        store=objects,
        calls=given.calls,
    )
    told = []
    for _ in range(2):
        told += logged(engine, objects, core)
        answer = engine.load_query(core, objects).run(asked)
        assert isinstance(answer, Blob)
        told.append(answer.data.decode())
    assert told == ["1 True", '"1 True"', "2 True", '"2 True"']


def test_many_versions_at_once_in_threads_and_tasks_never_see_each_other():
    objects, engine = Objects(), PythonEngine()
    waits = (
        "import asyncio, pickle, shapes\nasync def wit(ctx):\n    for _ in range(20):\n        await asyncio.sleep(0)\n"
        "        again = pickle.loads(pickle.dumps(shapes.Plain()))\n"
        "        assert type(again) is shapes.Plain and again.version() == {version!r}\n    ctx.log({version!r})\n"
    )
    cores = {}
    for version in map(str, range(6)):
        files = {path: text.format(version=version) for path, text in OTHERS.items()}
        cores[version] = objects.core({**files, "wit": "/code:m:wit", "code/m.py": waits.format(version=version)})

    async def all_of_them():
        givens = {
            version: step_input(objects, core, [delivery(objects, str(core), "x")]) for version, core in cores.items()
        }
        ran = [engine.load(cores[version], "wit", objects).run(given) for version, given in givens.items()]
        return await asyncio.gather(*(each for each in ran if not isinstance(each, StepResult)))

    start = threading.Barrier(3)

    def work(_):
        start.wait(60)
        return asyncio.run(all_of_them())

    with ThreadPoolExecutor(3) as pool:
        for results in pool.map(work, range(3)):
            assert all(isinstance(result, StepResult) and result.outcome is None for result in results)
            assert [result.log[0] for result in results] == list(cores)


def test_nobody_outside_of_a_core_gets_at_its_modules():
    objects, engine = Objects(), PythonEngine()
    engine.load(core_of(objects, "one", WAYS["pickle"]), "wit", objects)
    alias = sys.modules["understudy_core.shapes"]
    with pytest.raises(AttributeError, match="no code of that core is running here"):
        alias.Plain  # noqa: B018
    theirs = [name for name in sys.modules if name.startswith("understudy_core")]
    for name in (name for name in theirs if name.endswith(".shapes")):
        with pytest.raises(WitError, match="is a library"):
            engine.load(objects.core({"wit": f"external:{name}:Plain"}), "wit", objects)


def test_the_names_go_with_the_last_version_that_has_them():
    objects, engine = Objects(), PythonEngine()
    names = {"understudy_core.first_of_all", "understudy_core.of_both"}
    files = {"wit": "/code:of_both:wit", "code/of_both.py": "def wit(): pass"}
    program = engine.load(objects.core({**files, "code/first_of_all.py": ""}), "wit", objects)
    other = PythonEngine()
    other.load(objects.core(files), "wit", objects)
    assert names <= set(sys.modules)
    del program, engine
    gc.collect()
    assert names & set(sys.modules) == {"understudy_core.of_both"}
    del other
    gc.collect()
    assert not names & set(sys.modules)


def test_a_failure_names_the_file_of_the_core_and_no_name_of_ours():
    objects = Objects()
    files = {"wit": "/code:m:wit", "code/m.py": "import h\ndef wit():\n    h.nothing()\n", "code/h.py": ""}
    core = objects.core(files)
    result = run(PythonEngine(), step_input(objects, core, [delivery(objects, str(core), "x")]))
    assert result.outcome is not None
    assert result.outcome.text.startswith("module 'h' has no attribute 'nothing'\nat code/m.py:3 in wit")
