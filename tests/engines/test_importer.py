"""The importer: modules of a core as an author expects them, versions apart from each other, nothing left behind."""

from __future__ import annotations

import gc
import linecache
import pickle
import sys
import threading
import types
import weakref

import pytest

from understudy.actors.contract import StepResult
from understudy.engines.python.engine import IDLE_SECONDS, KEPT, PythonEngine
from understudy.testing.engine_suite import Objects, delivery, run, step_input

KEEP = "def wit(core): core['kept'] = str({})\n"


def kept(files, engine=None, objects=None):
    """What the wit of a core writes to /kept."""
    objects = objects or Objects()
    core = objects.core(files)
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    result = run(engine or PythonEngine(), given)
    assert result.outcome is None, result.outcome.text
    return read(given, result).decode()


def read(given, result):
    found = given.store.find(result.core, "kept")
    assert found is not None
    return given.store.blob(found)


@pytest.mark.parametrize(
    "imports",
    [
        "import helper\nvalue = helper.VALUE",
        "import helper as h\nvalue = h.VALUE",
        "from helper import VALUE as value",
        "from helper import *\nvalue = VALUE",
        "from . import helper\nvalue = helper.VALUE",
        "from .helper import VALUE as value",
        "import importlib\nvalue = importlib.import_module('.helper', __package__).VALUE",
        "import pkg.deep.leaf\nvalue = pkg.deep.leaf.VALUE",
        "import pkg.deep.leaf as leaf\nvalue = leaf.VALUE",
        "from pkg.deep import leaf\nvalue = leaf.VALUE",
        "from pkg.deep.leaf import VALUE as value",
        "from .pkg.deep.leaf import VALUE as value",
        "from pkg import UP as value",
        "import pkg\nvalue = pkg.UP",
        "from folder.inner.mod import VALUE as value",
        "from folder.inner import mod\nvalue = mod.VALUE",
        "import folder.inner.mod\nvalue = folder.inner.mod.VALUE",
    ],
)
def test_modules_import_each_other_in_every_way(imports):
    files = {
        "wit": "/code:m:wit",
        "code/m.py": imports + "\n" + KEEP.format("value"),
        "code/helper.py": "VALUE = 42",
        "code/pkg/__init__.py": "from .deep.leaf import VALUE as UP",
        "code/pkg/deep/__init__.py": "",
        "code/pkg/deep/leaf.py": "from helper import VALUE\nfrom ... import helper\nfrom ..deep import leaf",
        "code/folder/inner/mod.py": "from ...helper import VALUE",
    }
    assert kept(files) == "42"


def test_an_import_inside_a_function_finds_the_module_of_its_own_version():
    wit = (
        "def wit(core):\n    from helper import VALUE\n    import helper as again\n"
        "    core['kept'] = VALUE + again.VALUE\n"
    )
    engine, objects = PythonEngine(), Objects()
    for value in ("one ", "two "):
        files = {"wit": "/code:m:wit", "code/m.py": wit, "code/helper.py": f"VALUE = {value!r}"}
        assert kept(files, engine, objects) == value * 2


def test_the_wit_may_be_in_a_package_or_a_submodule():
    assert kept({"wit": "/code:p:wit", "code/p/__init__.py": KEEP.format("__name__[-1]")}) == "p"
    assert kept({"wit": "/code:p.q.r:wit", "code/p/q/r.py": KEEP.format("__name__[-5:]")}) == "p.q.r"
    assert kept({"wit": "/a/b:m:wit", "a/b/m.py": KEEP.format("1")}) == "1"
    assert kept({"wit": "/code:m:wit", "code/m.py": KEEP.format("1"), "code/__init__.py": "x = 1"}) == "1"


def test_a_package_goes_before_a_module_of_the_same_name():
    files = {"wit": "/code:p:wit", "code/p.py": KEEP.format("'module'"), "code/p/__init__.py": KEEP.format("'package'")}
    assert kept(files) == "package"


def test_a_module_in_the_core_goes_before_one_of_python_only_for_the_core():
    files = {"wit": "/code:m:wit", "code/m.py": "import json\n" + KEEP.format("json.X"), "code/json.py": "X = 'ours'"}
    assert kept(files) == "ours"
    assert not hasattr(sys.modules["json"], "X")


def test_there_is_one_copy_of_each_module():
    files = {
        "wit": "/code:a:wit",
        "code/a.py": "import b\nfrom . import b as c\nimport p.d\n" + KEEP.format("b is c and p.d.b is b and b.count"),
        "code/b.py": "import builtins\ncount = 'once' if 'b_ran' not in globals() else 'again'\nb_ran = True",
        "code/p/d.py": "import b",
    }
    assert kept(files) == "once"


def test_modules_may_import_each_other_in_a_circle():
    files = {
        "wit": "/code:a:wit",
        "code/a.py": "import b\n" + KEEP.format("b.name()") + "NAME = 'a'\n",
        "code/b.py": "import a\ndef name(): return a.NAME",
    }
    assert kept(files) == "a"


def test_annotations_as_text_are_found_in_their_module():
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import get_type_hints\n"
        "from msgspec import Struct, json\n"
        "class Inner(Struct):\n    n: int\n@dataclass\nclass Outer:\n    inner: Inner\n"
    )
    body = KEEP.format(
        "(json.decode(b'{\"inner\": {\"n\": 3}}', type=Outer).inner.n, get_type_hints(Outer)['inner'] is Inner)"
    )
    assert kept({"wit": "/code:m:wit", "code/m.py": code + body}) == "(3, True)"
    assert kept({"wit": code + body}) == "(3, True)"


def test_an_instance_of_a_class_in_the_core_can_be_pickled_within_its_version():
    code = "import pickle\nclass A: pass\n" + KEEP.format("type(pickle.loads(pickle.dumps(A()))) is A")
    assert kept({"wit": "/code:m:wit", "code/m.py": code}) == "True"


def test_two_versions_live_side_by_side():
    engine, objects = PythonEngine(), Objects()
    files = {
        "wit": "/code:m:wit",
        "code/m.py": "import h\nlast = []\n" + KEEP.format("(h.V, last.append(1), len(last))"),
    }
    one, two = {**files, "code/h.py": "V = 1"}, {**files, "code/h.py": "V = 2"}
    assert [kept(each, engine, objects) for each in (one, two, one, two, one)] == [
        "(1, None, 1)",
        "(2, None, 1)",
        "(1, None, 2)",
        "(2, None, 2)",
        "(1, None, 3)",
    ]


def test_actors_with_the_same_code_share_it_wherever_their_data_differs():
    engine, objects = PythonEngine(), Objects()
    files = {"wit": "/code:m:wit", "code/m.py": KEEP.format("1")}
    first = engine.load(objects.core({**files, "data/x": "1"}), "wit", objects)
    assert engine.load(objects.core({**files, "data/x": "2", "state": "{}"}), "wit", objects) is first


def test_when_the_whole_core_is_searched_the_code_is_the_same_as_long_as_its_nodes_are():
    engine, objects = PythonEngine(), Objects()
    files = {"wit": "/:m:wit", "m.py": "from lib import V\n" + KEEP.format("V"), "lib.py": "V = 1", "data/x.txt": "1"}
    first = engine.load(objects.core(files), "wit", objects)
    assert engine.load(objects.core({**files, "data/x.txt": "2", "state": "1"}), "wit", objects) is first
    assert kept(files, engine, objects) == "1"
    assert kept({**files, "lib.py": "V = 2"}, engine, objects) == "2"
    assert kept({**files, "sub/other.py": "1/0"}, engine, objects) == "1"


def test_when_the_whole_core_is_searched_the_root_goes_before_the_folders():
    files = {"wit": "/:m:wit", "m.py": KEEP.format("'root'"), "a/m.py": KEEP.format("'a'"), "b/m.py": ""}
    assert kept(files) == "root"
    del files["m.py"], files["b/m.py"]
    assert kept({**files, "a/near.py": "", "a/m.py": "import near\n" + KEEP.format("'a'")}) == "a"
    assert kept({"wit": "/:p.m:wit", "deep/down/p/m.py": KEEP.format("'p'")}) == "p"


def test_a_broken_module_that_the_wit_does_not_need_is_reported_and_not_fatal(caplog):
    objects = Objects()
    files = {
        "wit": "/code:m:wit",
        "code/m.py": KEEP.format("1"),
        "code/broken.py": "x = (",
        "code/fails.py": "\n1/0",
        "code/not-a-name.py": "",
        "code/exits.py": "raise SystemExit",
    }
    program = PythonEngine().load(objects.core(files), "wit", objects)
    text = "\n".join(program.problems)
    for part in ("broken.py:1", "ZeroDivisionError", "code/fails.py:2", "not-a-name.py", "SystemExit"):
        assert part in text
    assert "code/fails.py:2" in caplog.text
    assert kept(files) == "1"


def test_a_module_that_is_no_blob_or_not_python_is_left_alone():
    files = {"wit": "/code:m:wit", "code/m.py": KEEP.format("1"), "code/x.py/y.txt": "", "code/readme.md": "# ("}
    assert kept(files) == "1"


def test_a_module_above_one_mebibyte_is_loaded():
    assert kept({"wit": "/code:m:wit", "code/m.py": KEEP.format("1") + "#" * (2 * 1024 * 1024)}) == "1"


def test_a_traceback_shows_the_file_and_the_line_of_the_version_that_ran():
    engine, objects = PythonEngine(), Objects()
    texts = []
    for line in ("raise ValueError('first')", "raise ValueError('second')"):
        core = objects.core(
            {
                "wit": "/code:m:wit",
                "code/m.py": "import h\ndef wit():\n    h.go()\n",
                "code/h.py": f"def go():\n    {line}\n",
            }
        )
        given = step_input(objects, core, [delivery(objects, str(core), "x")])
        outcome = run(engine, given).outcome
        assert outcome is not None
        texts.append(outcome.text)
    assert texts == [
        "first\nat code/h.py:2 in go\n    raise ValueError('first')\ncalled from code/m.py:3 in wit\n    h.go()",
        "second\nat code/h.py:2 in go\n    raise ValueError('second')\ncalled from code/m.py:3 in wit\n    h.go()",
    ]


def test_versions_no_longer_used_leave_memory():
    engine, objects = PythonEngine(max_programs=3), Objects()
    before = {name for name in sys.modules if name.startswith("understudy_core")}
    watched, files = [], []
    for number in range(12):
        core = objects.core(
            {"wit": "/code:m:wit", "code/m.py": "import h\ndef wit(): h.go()", "code/h.py": f"def go(): 1/0 # {number}"}
        )
        program = engine.load(core, "wit", objects)
        given = step_input(objects, core, [delivery(objects, str(core), "x")])
        result = program.run(given)
        assert isinstance(result, StepResult) and result.outcome is not None
        assert result.outcome.code == "ZeroDivisionError"
        watched.append(weakref.ref(program.function))
        files.append(program.function.__code__.co_filename)
    del program, given, result
    gc.collect()
    assert [ref() is not None for ref in watched] == [False] * 9 + [True] * 3
    left = {name for name in sys.modules if name.startswith("understudy_core")} - before
    # The modules of three versions; the names that they have in common may have been there before.
    assert len({name for name in left if name.startswith("understudy_core_")}) == 3 * 3
    assert not [file for file in files[:9] if file in linecache.cache]
    del engine
    gc.collect()
    assert not ({name for name in sys.modules if name.startswith("understudy_core")} - before)


def test_versions_that_nobody_uses_for_a_while_go_whatever_they_hold_though_the_collector_is_not_called():
    now = 0.0
    engine, objects = PythonEngine(monotonic=lambda: now), Objects()
    busy = objects.core({"wit": "def wit(): pass"})
    watched = []
    for number in range(40):
        program = engine.load(objects.core({"wit": f"big = [{number}] * 1000\ndef wit(): return big"}), "wit", objects)
        watched.append(weakref.ref(program.function))
        del program
        kept = engine.load(busy, "wit", objects)
        now += IDLE_SECONDS / 2
    assert sum(ref() is not None for ref in watched) <= KEPT
    # What is used all the time stays.
    assert engine.load(busy, "wit", objects) is kept


def test_the_version_that_was_used_last_stays():
    engine, objects = PythonEngine(max_programs=2), Objects()
    cores = [objects.core({"wit": f"def wit(): return {number}"}) for number in range(3)]
    first = engine.load(cores[0], "wit", objects)
    engine.load(cores[1], "wit", objects)
    engine.load(cores[0], "wit", objects)
    engine.load(cores[2], "wit", objects)
    assert engine.load(cores[0], "wit", objects) is first


def test_a_program_that_still_runs_keeps_its_modules_though_the_engine_has_dropped_it():
    engine, objects = PythonEngine(max_programs=1), Objects()
    wit = "def wit(core):\n    from late import V\n    core['kept'] = V\n"
    core = objects.core({"wit": "/code:m:wit", "code/m.py": wit, "code/late.py": "V = 'here'"})
    program = engine.load(core, "wit", objects)
    engine.load(objects.core({"wit": "def other(): pass"}), "wit", objects)
    gc.collect()
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    result = program.run(given)
    assert isinstance(result, StepResult)
    assert read(given, result) == b"here"


def test_a_new_engine_has_fresh_modules_and_a_fresh_one_has_them_at_every_load():
    files = {
        "wit": "/code:m:wit",
        "code/m.py": "import h\n" + KEEP.format("h.next()"),
        "code/h.py": "n = 0\ndef next():\n    global n\n    n += 1\n    return n",
    }
    objects, engine = Objects(), PythonEngine()
    assert [kept(files, engine, objects) for _ in range(3)] == ["1", "2", "3"]
    assert kept(files, PythonEngine(), objects) == "1"
    fresh = PythonEngine(fresh=True)
    assert [kept(files, fresh, objects) for _ in range(3)] == ["1", "1", "1"]
    assert [
        kept(
            {"wit": files["code/m.py"].replace("import h", files["code/h.py"]).replace("h.next", "next")},
            fresh,
            objects,
        )
        for _ in range(2)
    ] == ["1", "1"]


def test_wit_and_wit_update_of_one_version_share_their_modules():
    engine, objects = PythonEngine(), Objects()
    core = objects.core({"wit": "/code:m:f", "wit_update": "/code:m:g", "code/m.py": "def f(): pass\ndef g(): pass"})
    first, second = engine.load(core, "wit", objects), engine.load(core, "wit_update", objects)
    assert first.function.__globals__ is second.function.__globals__


def test_a_wit_can_not_change_what_others_find_in_builtins():
    files = {"wit": "/code:m:wit", "code/m.py": "__builtins__['len'] = lambda x: 99\n" + KEEP.format("len([])")}
    assert kept(files) == "99"
    assert kept({"wit": KEEP.format("len([])")}) == "0"


def test_many_threads_that_load_the_same_core_get_the_same_program():
    engine, objects = PythonEngine(), Objects()
    core = objects.core({"wit": "/code:m:wit", "code/m.py": "import h\n" + KEEP.format("1"), "code/h.py": "x = 1"})
    start, found = threading.Barrier(8), []

    def load():
        start.wait()
        found.append(engine.load(core, "wit", objects))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_pickle_of_another_library_is_not_in_our_way():
    # The finder stands first in sys.meta_path and must not answer for names that are not ours.
    assert pickle.loads(pickle.dumps(Objects)) is Objects


def test_code_whose_import_does_not_end_holds_up_nobody_elses(monkeypatch):
    reached, opened = threading.Event(), threading.Event()
    gate = types.ModuleType("understudy_test_gate")
    vars(gate).update(reached=reached, opened=opened)
    monkeypatch.setitem(sys.modules, gate.__name__, gate)
    engine = PythonEngine()
    slow = f"import {gate.__name__} as gate\ngate.reached.set()\ngate.opened.wait(60)\n{KEEP.format('gate.opened.is_set()')}"
    found = []
    threads = [
        threading.Thread(target=lambda files=files: found.append(kept(files, engine)))
        for files in ({"wit": slow}, {"wit": "/code:main:wit", "code/main.py": slow})
    ]
    try:
        for thread in threads:
            thread.start()
            assert reached.wait(60)
            reached.clear()
        assert kept({"wit": KEEP.format("1")}, engine) == "1"
        assert kept({"wit": "/code:main:wit", "code/main.py": KEEP.format("2")}, engine) == "2"
        assert found == []
    finally:
        opened.set()
        for thread in threads:
            thread.join()
    assert found == ["True", "True"]
