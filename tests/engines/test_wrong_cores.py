"""Every way in which a core can be wrong has a name and a text that says what to do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from understudy.actors.errors import WitError
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.resolver import Resolver
from understudy.testing.engine_suite import Objects

WIT = "from understudy import Wit, Context, Core\nfrom msgspec import Struct\nwit = Wit()\nclass Plain: pass\n"
GOOD = "def f(): pass\n"

# name of the case: (files, code of the error, what the text must say)
CASES: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "no wit": ({"x": "y"}, "NoWit", r"no /wit: put a text there"),
    "wit is a tree": ({"wit/x": "y"}, "WitNotBlob", r"/wit is a tree; it must be a blob of text"),
    "wit is not UTF-8": ({"wit": b"\xff\xfe"}, "WitNotText", r"/wit is not UTF-8"),
    "wit is too large": ({"wit": b"#" * (1024 * 1024 + 1)}, "WitTooLarge", r"1 MiB"),
    "empty wit": ({"wit": ""}, "MissingFunction", r"defines no public function"),
    "white space": ({"wit": " \n\t"}, "MissingFunction", r"defines no public function"),
    "code without a function": ({"wit": "x = 1"}, "MissingFunction", r"defines no public function"),
    "only private functions": ({"wit": "def _f(): pass"}, "MissingFunction", r"defines no public function"),
    "only imported functions": ({"wit": "from os.path import join"}, "MissingFunction", r"no public function"),
    "several functions": ({"wit": "def a(): pass\ndef b(): pass"}, "AmbiguousWit", r"\(a, b\): name the wit 'wit'"),
    "code that is no Python": ({"wit": "def f(:\n  pass"}, "SyntaxError", r"wit:1: .*\n    def f\(:"),
    "a null byte in code": ({"wit": "def f(): pass\0"}, "SyntaxError", r"wit:1: .*null bytes"),
    "code that raises": (
        {"wit": "def f(): pass\n1/0"},
        "ImportFailed",
        r"ZeroDivisionError.*\n.*wit:2 in <module>\n    1/0",
    ),
    "code that exits": ({"wit": "def f(): pass\nimport sys; sys.exit(3)"}, "ImportFailed", r"SystemExit: 3"),
    "only a slash": ({"wit": "/"}, "BadPointer", r"'/', which is no pointer: write /PATH:MODULE:FUNCTION"),
    "no function": ({"wit": "/code:m"}, "BadPointer", r"no pointer"),
    "two lines": ({"wit": "/code:m:f\nx"}, "BadPointer", r"no pointer"),
    "a path in the module": ({"wit": "/code:a/b:f"}, "BadPointer", r"no pointer"),
    "an empty name in the path": ({"wit": "/a//b:m:f"}, "BadPointer", r"empty"),
    "a dotted function": ({"wit": "/code:m:a.b"}, "BadPointer", r"no pointer"),
    "only external": ({"wit": "external:"}, "BadPointer", r"no pointer"),
    "external with spaces": ({"wit": "external: a b"}, "BadPointer", r"no pointer"),
    "external code": ({"wit": "external:\ndef f(): pass"}, "BadPointer", r"no pointer"),
    "unknown reference": ({"wit": "external:nobody"}, "UnknownReference", r"'external:nobody'.*register_wit"),
    "missing external module": ({"wit": "external:no_such_mod:f"}, "MissingModule", r"'no_such_mod'.*add_wit_path"),
    "missing external submodule": ({"wit": "external:tests.nope:f"}, "MissingModule", r"'tests.nope'"),
    "missing external function": (
        {"wit": "external:tests.node.stage:nope"},
        "MissingFunction",
        r"tests.node.stage has no 'nope'; it has .*everything",
    ),
    "a library": ({"wit": "external:json:dumps"}, "NotListed", r"'json' is a library: list it"),
    "no such folder": ({"wit": "/code:m:f"}, "MissingModule", r"/code, and the core has no such folder"),
    "the folder is a blob": ({"wit": "/code:m:f", "code": "x"}, "MissingModule", r"/code, which is a blob"),
    "no code in the folder": ({"wit": "/code:m:f", "code/x.txt": "x"}, "MissingModule", r"no node there ends in \.py"),
    "missing module": ({"wit": "/code:m:f", "code/x.py": GOOD}, "MissingModule", r"'m'; below /code there are: x"),
    "missing module anywhere": ({"wit": "/:m:f", "a/x.py": GOOD}, "MissingModule", r"'m'.*nowhere.*a/x\.py"),
    "no code anywhere": ({"wit": "/:m:f"}, "MissingModule", r"no \.py node at all"),
    "two modules": (
        {"wit": "/:m:f", "a/m.py": GOOD, "b/m.py": GOOD},
        "AmbiguousWit",
        r"in /a and in /b: say which, e\.g\. /a:m:",
    ),
    "missing function": ({"wit": "/code:m:g", "code/m.py": GOOD}, "MissingFunction", r"m has no 'g'; it has f"),
    "not callable": (
        {"wit": "/code:m:x", "code/m.py": "x = 3"},
        "NotCallable",
        r"/wit names an int: it must be a function",
    ),
    "a class": ({"wit": "/code:m:X", "code/m.py": "class X: pass"}, "NotCallable", r"names a class"),
    "a module": ({"wit": "/code:m:n", "code/m.py": "from . import n", "code/n.py": ""}, "NotCallable", r"a module"),
    "syntax error": (
        {"wit": "/code:m:f", "code/m.py": "a = 1\nb = = 2\n"},
        "SyntaxError",
        r"^code/m\.py:2: .*\n    b = = 2",
    ),
    "syntax error in an import": (
        {"wit": "/code:m:f", "code/m.py": "import n\n" + GOOD, "code/n.py": "x = ("},
        "SyntaxError",
        r"^code/n\.py:1: .*\n    x = \(\nat code/m\.py:1 in <module>\n    import n",
    ),
    "source is not UTF-8": ({"wit": "/code:m:f", "code/m.py": b"x = '\xff'"}, "SyntaxError", r"code/m\.py:1: .*utf-8"),
    "import error": (
        {"wit": "/code:m:f", "code/m.py": "\nimport no_such_thing\n"},
        "ImportFailed",
        r"m can't be imported: ModuleNotFoundError: No module named 'no_such_thing'\nat code/m\.py:2 in <module>",
    ),
    "missing name in a neighbour": (
        {"wit": "/code:m:f", "code/m.py": "from n import nope", "code/n.py": ""},
        "ImportFailed",
        r"cannot import name 'nope' from 'n' \(code/n\.py\)",
    ),
    "an unknown parameter": (
        {"wit": "def f(core, colour): pass"},
        "WrongSignature",
        r"wit:1 in f: parameter 'colour' can't be",
    ),
    "an unknown annotation": (
        {"wit": "def f(x: int): pass"},
        "WrongSignature",
        r"parameter 'x'.*possible are last_step_id",
    ),
    "an unresolvable annotation": ({"wit": "def f(x: 'Nope'): pass"}, "WrongSignature", r"parameter 'x'"),
    "handler: an unknown parameter": (
        {"wit": WIT + "@wit.message('t')\ndef f(ctx, colour): pass"},
        "WrongSignature",
        r"wit:5 in f: parameter 'colour' has no annotation and no name of ours; possible are ctx",
    ),
    "handler: two payloads": (
        {"wit": WIT + "@wit.message('t')\ndef f(a: int, b: str): pass"},
        "WrongSignature",
        r"parameter 'b' would be a second payload beside 'a'",
    ),
    "handler: a class that JSON can't become": (
        {"wit": WIT + "@wit.message('t')\ndef f(a: Plain): pass"},
        "WrongSignature",
        r"parameter 'a' can't be filled: JSON can't become a Plain; make it a msgspec.Struct",
    ),
    "handler: a state that JSON can't become": (
        {"wit": WIT + "@wit.message('t')\ndef f(state: Plain): pass"},
        "WrongSignature",
        r"parameter 'state' can't be filled: JSON can't become a Plain",
    ),
    "handler: two types of state": (
        {"wit": WIT + "@wit.message('a')\ndef f(state: int): pass\n@wit.message('b')\ndef g(state: str): pass"},
        "WrongSignature",
        r"in g: parameter 'state' is a str, but an int in .*in f: a wit has one type of state",
    ),
    "handler: our name with another type": (
        {"wit": WIT + "@wit.message('a')\ndef f(core: int): pass"},
        "WrongSignature",
        r"parameter 'core' is a Core, not an int",
    ),
    "handler: not the declared payload": (
        {"wit": WIT + "class A(Struct): pass\n@wit.message(A)\ndef f(a: int): pass"},
        "WrongSignature",
        r"parameter 'a' is an int, the message an A",
    ),
    "handler: unresolvable": (
        {"wit": WIT + "@wit.message('a')\ndef f(a: 'Nope'): pass"},
        "WrongSignature",
        r"parameter 'a' has the annotation 'Nope', which can't be resolved",
    ),
    "handler: a payload for an update": (
        {"wit": WIT + "@wit.update\ndef f(a: int): pass"},
        "WrongSignature",
        r"parameter 'a' can't be filled: an update has no payload",
    ),
    "handler: twice the same type": (
        {"wit": WIT + "@wit.message('a')\ndef f(): pass\n@wit.message('a')\ndef g(): pass"},
        "AmbiguousWit",
        r"wit:7 in g: 'a' messages have a handler already, wit:5 in f",
    ),
    "handler: no type": (
        {"wit": WIT + "@wit.message\ndef f(): pass"},
        "WrongSignature",
        r'write @wit\.message\("type"\)',
    ),
    "handler: an impossible type": (
        {"wit": WIT + "@wit.message('')\ndef f(): pass"},
        "WrongSignature",
        r"message type",
    ),
    "an annotation that exits": (
        {"wit": "from __future__ import annotations\ndef f(core: exit()): pass"},
        "ImportFailed",
        r"^wit can't be imported: SystemExit",
    ),
    "a module whose __getattr__ raises": (
        {"wit": "/code:m:f", "code/m.py": "def __getattr__(name): raise ValueError(name)"},
        "ImportFailed",
        r"^m can't be imported: ValueError: f\nat code/m\.py:1 in __getattr__",
    ),
    "a module that puts nothing in its own place": (
        {"wit": "/code:m:f", "code/m.py": "import sys\nsys.modules[__name__] = None\n" + GOOD},
        "ImportFailed",
        r"^m can't be imported",
    ),
    "a Wit that is no complete one": (
        {"wit": "from understudy import Wit\nclass Mine(Wit):\n    def __init__(self): pass\nwit = Mine()"},
        "ImportFailed",
        r"AttributeError: 'Mine' object",
    ),
    "an exception that can't say what it is": (
        {"wit": "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E"},
        "ImportFailed",
        r"^wit can't be imported: E: \(the exception has no readable message\)\nat wit:3",
    ),
    "a syntax error that the code made up": (
        {"wit": "error = SyntaxError('x')\nerror.filename, error.text = 'y', 3\nraise error"},
        "SyntaxError",
        r"no readable message\)\nat wit:3",
    ),
    "an error of ours that the code made up": (
        {"wit": "from understudy import WitError\nraise WitError(3, 'x\\udcff' * 10_000)"},
        "3",
        r"^(x\?){4094}x…\Z",
    ),
    "a function whose name is no Unicode": (
        {"wit": "/code:m:f", "code/m.py": "globals()['\\udcff'] = print"},
        "MissingFunction",
        r"it has \?",
    ),
    "a generator": (
        {"wit": "def f(core): yield 1"},
        "WrongSignature",
        r"^wit:1 in f has a `yield`.* return the answer",
    ),
    "a pointer after a byte order mark": ({"wit": "\ufeff/code:m"}, "BadPointer", r"'/code:m', which is no pointer"),
    "handler: an asynchronous generator": (
        {"wit": WIT + "@wit.message('t')\nasync def f(): yield 1"},
        "WrongSignature",
        r"^wit:5 in f has a `yield`",
    ),
    "query: a generator": (
        {"wit": WIT + "@wit.query\ndef f(): yield 1"},
        "WrongSignature",
        r"^wit:5 in f has a `yield`",
    ),
    "handler: a class": (
        {"wit": WIT + "@wit.message('t')\nclass Handle: pass"},
        "WrongSignature",
        r"^Handle is a class: what handles must be a function",
    ),
    "handler: two types at once": (
        {"wit": WIT + "class A(Struct): pass\n@wit.message(A | Plain)\ndef f(): pass"},
        "WrongSignature",
        r"@wit\.message got A \| Plain: write @wit\.message\(\"type\"\), or the class of a payload",
    ),
    "handler: a union of structs that can't be told apart": (
        {"wit": WIT + "class A(Struct): pass\nclass B(Struct): pass\n@wit.message('t')\ndef f(a: A | B): pass"},
        "WrongSignature",
        r"parameter 'a' can't be filled: .*must be tagged.*`A \| B`",
    ),
    "handler: a class that JSON can't become, further in": (
        {"wit": WIT + "@wit.message('t')\ndef f(a: dict[str, list[Plain | None]]): pass"},
        "WrongSignature",
        r"parameter 'a' can't be filled: JSON can't become a Plain",
    ),
    "handler: a payload of which a field is unresolvable": (
        {"wit": WIT + "class A(Struct):\n    x: 'Nope'\n@wit.message(A)\ndef f(a: A): pass"},
        "WrongSignature",
        r"wit:7 in f: parameter 'a' can't be filled: NameError: name 'Nope' is not defined",
    ),
    "handler: a state of which a field is unresolvable": (
        {"wit": WIT + "class A(Struct):\n    x: 'Nope'\n@wit.message('t')\ndef f(state: A): pass"},
        "WrongSignature",
        r"wit:7 in f: parameter 'state' can't be filled: NameError: name 'Nope' is not defined",
    ),
    "the core is a blob's neighbour": ({"wit": "/code/deep:m:f", "code": "x"}, "MissingModule", r"no such folder"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_core_is_a_named_error_that_says_what_to_do(case):
    files, code, text = CASES[case]
    objects = Objects()
    with pytest.raises(WitError) as caught:
        PythonEngine(Resolver()).load(objects.core(files), "wit", objects)
    assert caught.value.code == code, caught.value.text
    assert re.search(text, caught.value.text, re.DOTALL), caught.value.text
    assert "understudy_core_" not in caught.value.text
    assert str(Path(__file__).parent) not in caught.value.text


def test_an_update_entry_that_points_to_a_wit_without_an_update_handler_says_so():
    objects = Objects()
    core = objects.core({"wit": WIT, "wit_update": "/code:m:wit", "code/m.py": WIT})
    with pytest.raises(WitError, match=r"/wit_update points to a Wit that has no @wit\.update handler"):
        PythonEngine().load(core, "wit_update", objects)


def test_a_core_that_failed_to_load_loads_once_what_was_missing_is_there():
    resolver, objects = Resolver(), Objects()
    engine, core = PythonEngine(resolver), objects.core({"wit": "external:late"})
    with pytest.raises(WitError):
        engine.load(core, "wit", objects)
    resolver.register_wit("late", lambda: None)
    engine.load(core, "wit", objects)


def test_what_failed_to_load_leaves_no_module_behind():
    objects = Objects()
    before = set(sys.modules)
    core = objects.core({"wit": "/code:m:f", "code/m.py": "import good\n1/0", "code/good.py": "import json"})
    with pytest.raises(WitError):
        PythonEngine().load(core, "wit", objects)
    assert set(sys.modules) == before


def test_a_tree_that_holds_itself_a_thousand_million_times_is_searched_in_no_time():
    objects = Objects()
    tree = objects.core({"m.py": GOOD, "x": "y"})
    for _ in range(30):
        tree = objects.core({"a": tree, "b": tree})
    with pytest.raises(WitError) as caught:
        PythonEngine().load(objects.core({"wit": "/code:m:f", "code": tree}), "wit", objects)
    assert caught.value.code == "TooMuchCode"


def test_a_folder_that_goes_down_without_end_is_refused():
    objects = Objects()
    tree = objects.core({"m.py": GOOD})
    for _ in range(100):
        tree = objects.core({"a": tree})
    with pytest.raises(WitError) as caught:
        PythonEngine().load(objects.core({"wit": "/code:m:f", "code": tree}), "wit", objects)
    assert caught.value.code == "TooMuchCode"


def test_a_core_that_is_refused_for_its_size_is_refused_however_often_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("understudy.engines.python.modules.MAX_ENTRIES", 200)
    objects, engine = Objects(), PythonEngine()
    small, more = {"wit": "/:m:f", "m.py": GOOD, "data/x": "y"}, {f"data/{number}": "x" for number in range(250)}
    engine.load(objects.core(small), "wit", objects)
    for _ in range(2):
        with pytest.raises(WitError) as caught:
            engine.load(objects.core({**small, **more}), "wit", objects)
        assert caught.value.code == "TooMuchCode"
