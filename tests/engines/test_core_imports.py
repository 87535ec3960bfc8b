"""What Python code expects of its modules also holds for modules of a core: import by text, patches, data beside them."""

from __future__ import annotations

import importlib
import sys
import threading

import pytest

from tests.node.test_verification import verify
from tests.node.troupe import Troupe
from understudy.engines.python.aliases import Alias
from understudy.engines.python.engine import PythonEngine
from understudy.testing.engine_suite import Objects, delivery, run, step_input

MODULES = {
    "code/n.py": "x = 'version {version}'\ndef tell(): return x\n",
    "code/pkg/__init__.py": "",
    "code/pkg/deep.py": "from . import other\ny = other.z + '{version}'\n",
    "code/pkg/other.py": "z = 'deep '\n",
    "code/pkg/data/words.txt": "words {version}",
    "code/json.py": "mine = True\n",
}
WAYS = {
    "import_module": "from importlib import import_module\ndef told(): return import_module('n').x",
    "import_module of a part": "import importlib\ndef told(): return importlib.import_module('pkg.deep').y",
    "both": "import importlib, pkg.deep\n"
    "def told():\n"
    "    other = importlib.import_module('pkg.deep')\n"
    "    return [other.y == pkg.deep.y, vars(other) is vars(pkg.deep), type(pkg.deep).__name__, pkg.deep.y]",
    "mock.patch": "from unittest import mock\nimport n\n"
    "def told():\n    with mock.patch('n.x', 'patched'):\n        first = n.tell()\n    return [first, n.tell()]",
    "mock.patch, decorating": "from unittest import mock\nimport n\n"
    "@mock.patch('n.tell', lambda: 'patched')\ndef told(): return n.tell()",
    "a thread": "import importlib, threading\ndef told():\n    got = []\n"
    "    def work(): got.append(importlib.import_module('n').x)\n"
    "    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()\n    return got",
    "get_data": "import pkgutil\ndef told(): return pkgutil.get_data('pkg', 'data/words.txt').decode()",
    "get_data by name": "import pkgutil, pkg\ndef told(): return pkgutil.get_data(pkg.__name__, 'data/words.txt').decode()",
    "resources": "from importlib import resources\n"
    "def told(): return (resources.files('pkg') / 'data' / 'words.txt').read_text()",
    "resources, listed": "import pkg\nfrom importlib import resources\n"
    "def told(): return sorted(each.name + str(each.is_dir()) for each in resources.files(pkg).iterdir())",
    "find_spec": "import importlib.util\ndef told(): return importlib.util.find_spec('n') is not None",
    "nothing": "import importlib\ndef told():\n    try:\n        importlib.import_module('nowhere')\n"
    "    except ModuleNotFoundError as error: return str(error)",
    "no file": "import pkgutil\ndef told():\n    try:\n        pkgutil.get_data('pkg', 'none.txt')\n"
    "    except FileNotFoundError as error: return str(error)",
    "what is installed goes before": "import importlib\ndef told(): return hasattr(importlib.import_module('json'), 'dumps')",
}
EXPECTED = {
    "import_module": "version {version}",
    "import_module of a part": "deep {version}",
    "both": "[True, True, 'module', 'deep {version}']",
    "mock.patch": "['patched', 'version {version}']",
    "mock.patch, decorating": "patched",
    "a thread": "['version {version}']",
    "get_data": "words {version}",
    "get_data by name": "words {version}",
    "resources": "words {version}",
    "resources, listed": "['__init__.pyFalse', 'dataTrue', 'deep.pyFalse', 'other.pyFalse']",
    "find_spec": "True",
    "nothing": "No module named 'nowhere'",
    "no file": "the core has no file /code/pkg/none.txt",
    "what is installed goes before": "True",
}


def core_of(objects, way, version, *, inline=False):
    files = {path: text.replace("{version}", version) for path, text in MODULES.items()}
    code = WAYS[way] + "\ndef wit(ctx): ctx.log(told())\n"
    files |= {"wit": code} if inline else {"wit": "/code:m:wit", "code/m.py": code}
    return objects.core(files)


@pytest.fixture(autouse=True)
def no_aliases():
    """Nothing was imported by text before: what is in `sys.modules` already must make no difference."""
    yield
    for name in [name for name, module in sys.modules.items() if type(module) is Alias]:
        del sys.modules[name]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_two_versions_side_by_side_import_their_own_modules_by_text(way, inline, fresh):
    objects, engine = Objects(), PythonEngine(fresh=fresh)
    cores = {version: core_of(objects, way, version, inline=inline) for version in ("one", "two")}
    for version in ("one", "two", "one", "two"):
        core = cores[version]
        result = run(engine, step_input(objects, core, [delivery(objects, str(core), "x")]))
        assert result.outcome is None, result.outcome.text
        assert list(result.log) == [EXPECTED[way].replace("{version}", version)]


@pytest.mark.parametrize(
    "imports",
    [
        "import n",
        "from n import tell",
        "import pkg.deep, n",
        "from pkg import deep\nimport n",
        "from pkg.deep import y\nimport n",
    ],
)
def test_code_as_text_imports_the_modules_of_its_core(imports):
    objects, engine = Objects(), PythonEngine()
    logs: list[str] = []
    for version in ("one", "two"):
        files = {path: text.replace("{version}", version) for path, text in MODULES.items()}
        core = objects.core({**files, "wit": f"{imports}\nimport n\ndef wit(ctx): ctx.log(n.tell())"})
        result = run(engine, step_input(objects, core, [delivery(objects, str(core), "x")]))
        assert result.outcome is None, result.outcome.text
        logs += result.log
    assert logs == ["version one", "version two"]


def test_outside_of_a_core_an_alias_is_nothing_and_makes_way_for_what_is_installed(tmp_path, monkeypatch):
    objects, engine = Objects(), PythonEngine()
    core = core_of(objects, "import_module", "one")
    run(engine, step_input(objects, core, [delivery(objects, str(core), "x")]))
    alias = importlib.import_module("n")
    with pytest.raises(AttributeError, match="no code of that core is running here"):
        alias.x  # noqa: B018
    assert "n" in repr(alias)
    (tmp_path / "n.py").write_text("x = 'installed'")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert alias.x == "installed"
        assert sys.modules["n"].__file__ == str(tmp_path / "n.py")
    finally:
        sys.modules.pop("n", None)


def test_a_file_of_the_core_is_not_read_while_a_module_loads():
    objects, engine = Objects(), PythonEngine()
    code = "import pkgutil\ntry:\n    pkgutil.get_data('pkg', 'data/words.txt')\nexcept OSError as error:\n    said = str(error)\n"
    core = objects.core({**MODULES, "wit": "/code:m:wit", "code/m.py": code + "def wit(ctx): ctx.log(said)"})
    loaded = []
    thread = threading.Thread(target=lambda: loaded.append(engine.load(core, "wit", objects)))
    thread.start()
    thread.join()
    result = run(engine, step_input(objects, core, [delivery(objects, str(core), "x")]))
    assert "can only be used while a step or a query runs" in result.log[0]


@pytest.mark.parametrize("inline", [False, True])
def test_a_history_of_code_that_imports_by_text_matches(inline):
    troupe = Troupe()
    for way in ("import_module of a part", "mock.patch", "get_data", "resources, listed"):
        code = "\n".join([WAYS[way], "def wit(ctx): ctx.log(told())\n"])
        modules = {path: text.replace("{version}", "one") for path, text in MODULES.items()}
        own = {"wit": code} if inline else {"wit": "/code:m:wit", "code/m.py": code}
        actor = troupe.create({**modules, **own})
        troupe.tell(actor, "x", 1)
        assert troupe.step(actor).outcome is None
        verdict = verify(troupe, actor)
        assert verdict.ok, (way, verdict.path, verdict.recorded, verdict.replayed, verdict.reason)


def test_a_type_that_is_text_within_another_is_that_of_its_own_version():
    # `typing` has one `List["Item"]` for the whole process, which remembers what it once was.
    objects, engine = Objects(), PythonEngine()
    code = (
        "from typing import List\nfrom msgspec import Struct\nfrom understudy import Wit\nwit = Wit()\n"
        "class Item(Struct):\n    version: str = {version!r}\n"
        "@wit.message('text')\ndef x(items: List['Item'], ctx): ctx.log([item.version for item in items])\n"
    )
    for version in ("one", "two", "one"):
        core = objects.core({"wit": "/code:m:wit", "code/m.py": code.format(version=version)})
        given = step_input(objects, core, [delivery(objects, str(core), "[{}]")])
        result = run(engine, given)
        assert result.outcome is None, result.outcome.text
        assert list(result.log) == [f"['{version}']"]
