"""Wits behind `external:`: registered ones, loaded modules, then sys.path; and what a step says of their source."""

from __future__ import annotations

import importlib
import sys
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from understudy.actors.errors import WitError
from understudy.engines.python import resolver
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.resolver import Resolver
from understudy.engines.python.settings import SETTINGS
from understudy.testing.engine_suite import Objects, delivery, run, step_input


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for modules; sys.path and sys.modules are as before afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def step(engine, files):
    objects = Objects()
    core = objects.core(files)
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    return given, run(engine, given)


def logged(engine, pointer):
    result = step(engine, {"wit": pointer})[1]
    assert result.outcome is None, result.outcome.text
    return list(result.log)


def test_the_whole_pointer_is_tried_in_the_table_first():
    table = Resolver()
    table.register_wit("greeter", lambda ctx: ctx.log("by name"))
    table.register_wit("external:json:dumps", lambda ctx: ctx.log("not json"))
    assert logged(PythonEngine(table), "external:greeter") == ["by name"]
    assert logged(PythonEngine(table), " \n external:json:dumps\n") == ["not json"]


def test_a_function_registered_anew_runs_at_the_next_step_and_one_taken_away_is_gone():
    table = Resolver()
    engine = PythonEngine(table)
    for text in ("first", "second"):
        table.register_wit("greeter", lambda ctx, text=text: ctx.log(text))
        assert logged(engine, "external:greeter") == [text]
    table.unregister_wit("greeter")
    with pytest.raises(WitError, match="no wit is registered"):
        logged(engine, "external:greeter")


@pytest.mark.parametrize(("ref", "function", "code"), [("a b", print, "BadPointer"), ("a", None, "NotCallable")])
def test_what_no_pointer_could_name_and_what_is_no_function_is_not_registered(ref, function, code):
    table = Resolver()
    with pytest.raises(WitError) as caught:
        table.register_wit(ref, function)
    assert (caught.value.code, table.registered()) == (code, {})


def test_two_engines_with_tables_of_their_own_do_not_see_each_other():
    one, two = Resolver(), Resolver()
    one.register_wit("greeter", lambda: None)
    with pytest.raises(WitError):
        logged(PythonEngine(two), "external:greeter")


def test_the_table_of_the_process_is_what_an_engine_uses_by_default():
    resolver.register_wit("test-of-the-default", lambda ctx: ctx.log("here"))
    try:
        assert logged(PythonEngine(), "external:test-of-the-default") == ["here"]
    finally:
        resolver.unregister_wit("test-of-the-default")


def test_a_module_is_found_on_an_added_path(folder):
    (folder / "outside_one.py").write_text("def wit(ctx): ctx.log('outside')")
    engine = PythonEngine(Resolver())
    with pytest.raises(WitError, match="add_wit_path"):
        logged(engine, "external:outside_one:wit")
    Resolver().add_wit_path(folder)
    Resolver().add_wit_path(folder)
    assert sys.path.count(str(folder.resolve())) == 1
    assert logged(engine, "external:outside_one:wit") == ["outside"]


def test_a_loaded_module_is_used_as_it_is(folder):
    module: Any = type(sys)("made_by_hand")
    module.wit = lambda ctx: ctx.log("by hand")
    sys.modules["made_by_hand"] = module
    engine = PythonEngine(Resolver())
    assert logged(engine, "external:made_by_hand:wit") == ["by hand"]
    module.wit = lambda ctx: ctx.log("changed")
    assert logged(engine, "external:made_by_hand:wit") == ["changed"]


def test_a_reloaded_module_runs_at_the_next_step_and_the_engine_text_tells(folder):
    file = folder / "outside_two.py"
    Resolver().add_wit_path(folder)
    engine, texts = PythonEngine(Resolver()), []
    for number in range(2):
        file.write_text(f"def wit(ctx): ctx.log('{'same length'[number:]}')")
        importlib.invalidate_caches()
        if number:
            importlib.reload(sys.modules["outside_two"])
        assert logged(engine, "external:outside_two:wit") == ["same length"[number:]]
        texts.append(step(engine, {"wit": "external:outside_two:wit"})[1].engine)
        assert texts[-1] == source_of(outside_two=file)
    assert texts[0] != texts[1]


def source_of(**files):
    """The engine text of code in these files, as docs/FORMAT.md says."""
    lines = (f"{name} {sha256(file.read_bytes()).hexdigest()}\n" for name, file in sorted(files.items()))
    return f"python/2{SETTINGS};source={sha256(''.join(lines).encode()).hexdigest()}"


def test_the_source_is_that_of_the_modules_that_name_and_define_the_function(folder):
    (folder / "outside_three.py").write_text("from outside_four import wit, handlers")
    (folder / "outside_four.py").write_text(
        "from understudy import Wit\ndef wit(): pass\nhandlers = Wit()\n@handlers.message('text')\ndef f(): pass\n"
    )
    Resolver().add_wit_path(folder)
    one, other = folder / "outside_three.py", folder / "outside_four.py"
    for function in ("wit", "handlers"):
        core = {"wit": f"external:outside_three:{function}"}
        result = step(PythonEngine(Resolver()), core)[1]
        assert (result.outcome, result.engine) == (None, source_of(outside_three=one, outside_four=other))
        given = msgspec.structs.replace(step(PythonEngine(Resolver()), core)[0], abi="python/1")
        digest = sha256(other.read_bytes()).hexdigest()
        assert run(PythonEngine(Resolver()), given).engine == f"python/1;source={digest}"


OUTSIDE = {
    "outside_wit.py": "import json, os.path, msgspec, outside_pkg.deep.end\nfrom outside_plain import *\n"
    "def wit(ctx):\n    from outside_lazy import text\n    ctx.log(text)\n",
    "outside_plain.py": "import outside_wit, outside_lazy",
    "outside_lazy.py": "text = 'one'",
    "outside_pkg/__init__.py": "from . import side",
    "outside_pkg/side.py": "from .deep import inner",
    "outside_pkg/deep/__init__.py": "",
    "outside_pkg/deep/end.py": "from ..side import inner\nfrom .. import unnamed",
    "outside_pkg/deep/inner.py": "",
    "outside_pkg/unnamed.py": "",
    "outside_pkg/stranger.py": "",
    "outside_other.py": "",
}


@pytest.mark.parametrize("edited", sorted(OUTSIDE))
def test_the_digest_of_the_source_follows_every_module_that_the_code_imports(folder, edited):
    for name, text in OUTSIDE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    Resolver().add_wit_path(folder)
    core = {"wit": "external:outside_wit:wit"}
    before = step(PythonEngine(Resolver()), core)[1].engine
    # What else was imported makes no difference.
    importlib.import_module("outside_other")
    importlib.import_module("outside_pkg.stranger")
    assert step(PythonEngine(Resolver()), core)[1].engine == before
    (folder / edited).write_text(OUTSIDE[edited] + "\n# edited")
    after = step(PythonEngine(Resolver()), core)[1].engine
    assert (after == before) is (edited in ("outside_other.py", "outside_pkg/stranger.py"))


def test_a_function_without_source_says_so():
    table = Resolver()
    made: dict[str, Any] = {"__name__": "nowhere"}
    exec("def wit(): pass", made)
    table.register_wit("x", made["wit"])
    assert step(PythonEngine(table), {"wit": "external:x"})[1].engine == f"python/2{SETTINGS};source=none"


def test_a_failure_outside_shows_the_wits_own_lines_without_the_machines_paths(folder):
    (folder / "outside_five").mkdir()
    (folder / "outside_five" / "__init__.py").write_text("")
    (folder / "outside_five" / "deep.py").write_text("import json\ndef go():\n    json.loads('{')\n")
    (folder / "outside_five" / "top.py").write_text("from . import deep\ndef wit():\n    deep.go()\n")
    Resolver().add_wit_path(folder)
    result = step(PythonEngine(Resolver()), {"wit": "external:outside_five.top:wit"})[1]
    assert result.outcome.code == "JSONDecodeError"
    assert result.outcome.text.splitlines()[1:] == [
        "at outside_five/deep.py:3 in go",
        "    json.loads('{')",
        *[line for line in result.outcome.text.splitlines() if line.startswith("    through json/__init__.py:")],
        "called from outside_five/top.py:3 in wit",
        "    deep.go()",
    ]
    assert str(folder) not in result.outcome.text


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("def wit(:", "SyntaxError", "outside_bad.py:1"),
        (
            "import no_such_module",
            "ImportFailed",
            "No module named 'no_such_module'\nat outside_bad.py:1 in <module>\n    import no_such_module",
        ),
        ("\n1/0", "ImportFailed", "ZeroDivisionError: division by zero\nat outside_bad.py:2 in <module>\n    1/0"),
        ("import sys; sys.exit(3)", "ImportFailed", "SystemExit: 3\nat outside_bad.py:1"),
        ("def wit(colour): pass", "WrongSignature", "outside_bad.py:1 in wit: parameter 'colour'"),
    ],
)
def test_a_broken_module_outside_is_a_named_error(folder, source, code, text):
    (folder / "outside_bad.py").write_text(source)
    Resolver().add_wit_path(folder)
    with pytest.raises(WitError) as caught:
        logged(PythonEngine(Resolver()), "external:outside_bad:wit")
    assert caught.value.code == code
    assert text in caught.value.text
    assert str(folder) not in caught.value.text


@pytest.mark.parametrize(
    "module", ["os", "subprocess", "this", "msgspec.json", "pytest", "understudy.cli.main", "wsgiref.simple_server"]
)
def test_a_pointer_to_a_library_is_refused_and_nothing_is_imported(module):
    sys.modules.pop("this", None)
    before = set(sys.modules)
    with pytest.raises(WitError) as caught:
        logged(PythonEngine(Resolver()), f"external:{module}:system")
    assert caught.value.code == "NotListed"
    assert set(sys.modules) == before


def test_a_refusal_imports_no_package_above_what_it_looks_for(folder):
    (folder / "outside_six").mkdir()
    (folder / "outside_six" / "__init__.py").write_text("raise SystemExit")
    Resolver().add_wit_path(folder)
    with pytest.raises(WitError) as caught:
        logged(PythonEngine(Resolver()), "external:outside_none.deep:wit")
    assert caught.value.code == "MissingModule"


def test_a_library_that_the_project_lists_may_be_named():
    table = Resolver()
    table.list_modules(["wsgiref"])
    with pytest.raises(WitError) as caught:
        logged(PythonEngine(table), "external:wsgiref.util:nothing_of_that_name")
    assert caught.value.code == "MissingFunction"
