"""Seed 000, "How Wits are Loaded", sentence by sentence: what is quoted above a test is what it shows."""

from __future__ import annotations

import importlib
import sys

import pytest

from understudy.actors.errors import WitError
from understudy.engines.python import resolver
from understudy.engines.python.engine import PythonEngine
from understudy.kernel.core import check_core, runtime_of
from understudy.testing.engine_suite import PARENT, Objects, delivery, run, step_input

GREETER = "def greet(ctx): ctx.log('hello from the core')\n"


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith("understudy"):
            del sys.modules[name]


def step(files, *, engine=None, genesis=False):
    """Run one step of a core, and give back what it logged."""
    objects = Objects()
    core = objects.core(files)
    content = core if genesis else "hello"
    parent = None if genesis else PARENT
    given = step_input(objects, core, [delivery(objects, str(core), content)], parent=parent)
    result = run(engine or PythonEngine(), given)
    assert result.outcome is None, result.outcome.text
    return list(result.log)


def refuse(files):
    """The error of a core that can't be loaded."""
    objects = Objects()
    with pytest.raises(WitError) as caught:
        PythonEngine().load(objects.core(files), "wit", objects)
    return caught.value


# "If there is no runtime, then assumption is the current runtime is desired (basically local execution mode)."
def test_a_core_without_a_runtime_node_runs_here():
    objects = Objects()
    assert runtime_of(objects, objects.core({"wit": "x"})) == "python"


# "The core may have a `runtime` node in the root of the core that gives information about which runtime to use."
def test_a_runtime_node_names_the_runtime():
    objects = Objects()
    assert runtime_of(objects, objects.core({"wit": "x", "runtime": "python\n"})) == "python"
    assert runtime_of(objects, objects.core({"wit": "x", "runtime": "wasm"})) == "wasm"


# "The resolver requires a node called `wit` at the root of the core. If it doesn't exist, the core is not valid."
def test_a_core_without_a_wit_node_is_not_valid():
    objects = Objects()
    assert refuse({"code/greeter.py": GREETER}).code == "NoWit"
    assert refuse({"code/wit": "/code:greeter:greet", "code/greeter.py": GREETER}).code == "NoWit"
    with pytest.raises(WitError):
        check_core(objects, objects.core({"code/greeter.py": GREETER}))


# "The `wit` node must be a blob contianing text."
def test_the_wit_node_must_be_a_blob_of_text():
    assert refuse({"wit/greeter.py": GREETER}).code == "WitNotBlob"
    assert refuse({"wit": b"\x00\xff"}).code == "WitNotText"


# "external:wit_ref"
# "it will first look in the local resolver table if there is a manually registered wit that matches `wit_ref`"
def test_an_external_reference_names_a_registered_wit():
    def wit_function(ctx):
        ctx.log("registered")

    resolver.register_wit("wit_ref", wit_function)
    try:
        assert step({"wit": "external:wit_ref"}) == ["registered"]
    finally:
        resolver.unregister_wit("wit_ref")
    assert refuse({"wit": "external:wit_ref"}).code == "UnknownReference"


# "external:module_name[.sub_module_name]:wit_function_name"
# "If it points to a `module:function`, it will look in the currently loaded python modules."
def test_an_external_pointer_names_a_function_of_a_loaded_module():
    for name in ("module_name", "module_name.sub_module_name"):
        sys.modules[name] = type(sys)(name)
        exec(f"def wit_function_name(ctx): ctx.log({name!r})", vars(sys.modules[name]))
        assert step({"wit": f"external:{name}:wit_function_name"}) == [name]


# "It is the developer's responsibility to make sure that the module path is in `sys.path`."
def test_an_external_module_is_imported_from_sys_path(tmp_path):
    (tmp_path / "seed_module.py").write_text("def wit(ctx): ctx.log('from sys.path')")
    sys.path.append(str(tmp_path))
    assert step({"wit": "external:seed_module:wit"}) == ["from sys.path"]


# "These paths can also be added to the resolver, with the `add_wit_path` function."
def test_a_path_can_be_added_to_the_resolver(tmp_path):
    (tmp_path / "seed_package").mkdir()
    (tmp_path / "seed_package" / "greeter.py").write_text("def wit(ctx): ctx.log('from an added path')")
    resolver.add_wit_path(tmp_path)
    assert step({"wit": "external:seed_package.greeter:wit"}) == ["from an added path"]


# "/code:module_name[.sub_module_name]:wit_function_name"
def test_a_core_pointer_names_a_function_of_a_module_in_the_core():
    module = "def wit_function_name(ctx): ctx.log(__name__.split('.', 1)[1])"
    assert step({"wit": "/code:module_name:wit_function_name", "code/module_name.py": module}) == ["module_name"]
    files = {
        "wit": "/code:module_name.sub_module_name:wit_function_name",
        "code/module_name/sub_module_name.py": module,
    }
    assert step(files) == ["module_name.sub_module_name"]
    assert step({**files, "code/module_name/__init__.py": ""}) == ["module_name.sub_module_name"]


# "And if the `wit` node contains a function directly, it can look like the following, which will be exec'ed:
#  def wit_code():
#      ..."
def test_the_wit_node_may_contain_a_function_directly():
    assert step({"wit": "def wit_code():\n    ...\n"}) == []
    assert step({"wit": "\n\ndef wit_code(ctx):\n    ctx.log('inline')\n\n"}) == ["inline"]


# "A code wit needs to define a valid wit transition function"
def test_code_that_defines_no_wit_is_an_error():
    assert refuse({"wit": "x = 1"}).code == "MissingFunction"
    assert refuse({"wit": "def wit_code(colour): ..."}).code == "WrongSignature"
    assert refuse({"wit": "just some text"}).code == "SyntaxError"


# "When exec is called on the wit code, the `global()` context is used."
def test_the_code_runs_in_one_global_context_of_its_version():
    code = (
        "count = 0\ndef _next():\n    global count\n    count += 1\n"
        "    return count\ndef wit_code(ctx): ctx.log(_next())"
    )
    engine = PythonEngine()
    assert [step({"wit": code}, engine=engine) for _ in range(2)] == [["1"], ["2"]]
    assert step({"wit": code + "  # another version"}, engine=engine) == ["1"]


# "Core references must start with a slash, `/`"
def test_a_reference_without_a_slash_is_no_core_reference():
    assert refuse({"wit": "code:greeter:greet", "code/greeter.py": GREETER}).code in ("SyntaxError", "MissingFunction")


# "and the shortest core path is just a single slash, indicating the whole core can be searched for modules."
def test_a_single_slash_searches_the_whole_core():
    assert step({"wit": "/:greeter:greet", "greeter.py": GREETER}) == ["hello from the core"]
    assert step({"wit": "/:greeter:greet", "any/where/greeter.py": GREETER}) == ["hello from the core"]
    assert refuse({"wit": "/:greeter:greet", "a/greeter.py": GREETER, "b/greeter.py": GREETER}).code == "AmbiguousWit"


# "it must contain at least one python module that contains a wit transition function."
# "If no code can be found, the resolver throws an error."
def test_a_core_pointer_without_code_is_an_error():
    assert refuse({"wit": "/code:greeter:greet"}).code == "MissingModule"
    assert refuse({"wit": "/code:greeter:greet", "code/readme.md": "no code"}).code == "MissingModule"
    assert refuse({"wit": "/code:greeter:greet", "code/greeter.py": "def other(): ..."}).code == "MissingFunction"


# "All the python modules, which are nodes ending in `.py`, are loaded by a custom loader."
def test_all_nodes_that_end_in_py_are_loaded():
    files = {
        "wit": "/code:greeter:greet",
        "code/greeter.py": (
            "import sys\n"
            "def is_loaded(name): return hasattr(sys.modules.get(f'{__package__}.{name}'), '__name__')\n"
            "def greet(ctx):\n"
            "    ctx.log(list(filter(is_loaded, ['deep', 'deep.er', 'greeter', 'nowhere', 'notes', 'other'])))\n"
        ),
        "code/other.py": "",
        "code/deep/er.py": "",
        "code/notes.txt": "",
    }
    assert step(files) == ["['deep', 'deep.er', 'greeter', 'other']"]


# "For core pointers, only the `module:function` format is supported."
@pytest.mark.parametrize(
    "pointer", ["/", "/code", "/code:", "/code:greeter", "/code:greeter:", "/code/greeter.py", "/code::greet"]
)
def test_a_core_pointer_in_any_other_format_is_an_error(pointer):
    assert refuse({"wit": pointer, "code/greeter.py": GREETER}).code == "BadPointer"


# "It uses the core of the last step (or the core of the genesis message) as a target for inspection."
def test_the_core_of_the_last_step_or_of_the_genesis_message_is_asked():
    files = {"wit": "/code:greeter:greet", "code/greeter.py": GREETER}
    assert step(files, genesis=True) == ["hello from the core"]
    assert step(files) == ["hello from the core"]


# "load all modules in the core wit path (and keep track of these modules), this then makes it easier to reload the
#  modules when the core changes."  "Hot reload: Is doable because of the strict state transition function style."
def test_when_the_core_changes_the_next_step_runs_its_code():
    engine = PythonEngine()
    files = {"wit": "/code:greeter:greet", "code/greeter.py": "from words import WORD\ndef greet(ctx): ctx.log(WORD)"}
    for word in ("hello", "hallo", "hello", "salut"):
        assert step({**files, "code/words.py": f"WORD = {word!r}"}, engine=engine) == [word]


# "importlib.reload(sys.modules[module_name])"
# "sys.modules.pop(module_name, None); return importlib.import_module(module_name)"
def test_an_external_module_that_was_reloaded_either_way_runs_at_the_next_step(tmp_path):
    engine, file = PythonEngine(), tmp_path / "seed_reload.py"
    resolver.add_wit_path(tmp_path)
    file.write_text("def wit(ctx): ctx.log('one')")
    assert step({"wit": "external:seed_reload:wit"}, engine=engine) == ["one"]
    file.write_text("def wit(ctx): ctx.log('number two')")
    importlib.reload(sys.modules["seed_reload"])
    assert step({"wit": "external:seed_reload:wit"}, engine=engine) == ["number two"]
    file.write_text("def wit(ctx): ctx.log('this is three')")
    sys.modules.pop("seed_reload", None)
    importlib.import_module("seed_reload")
    assert step({"wit": "external:seed_reload:wit"}, engine=engine) == ["this is three"]
