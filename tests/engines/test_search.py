"""The search for code in a whole core: it sees every change of the code, and nothing else."""

from __future__ import annotations

from random import Random

import pytest

from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.modules import Search
from understudy.objects.errors import WrongKind
from understudy.objects.ids import TreeId
from understudy.store.maps import patch_tree
from understudy.store.reader import Staging
from understudy.testing.engine_suite import Objects

NAMES = [f"{folder}{name}" for folder in ("", "a/", "a/b/") for name in ("x.py", "y.py", "notes", "x.txt")]


class CountingObjects(Objects):
    """Counts the nodes that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def block(self, id: bytes) -> bytes:
        self.read += 1
        return super().block(id)


def code_in(files: dict[str, str]) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.endswith(".py")}


@pytest.mark.parametrize("fill", [0, 70, 600])
def test_the_digest_changes_with_the_code_and_with_nothing_else(seed: int, fill: int) -> None:
    random, objects, search = Random(seed), Objects(), Search()
    files = {"wit": "/:x:f"} | {f"fill{number}": "" for number in range(fill)}
    seen: dict[bytes, dict[str, str]] = {}
    for _ in range(150):
        name = random.choice([*NAMES, "fill3", "fill300"])
        if random.random() < 0.3:
            files.pop(name, None)
        else:
            files[name] = random.choice("abc")
        core = objects.core(files)
        summary = search.summary(objects, core)
        assert seen.setdefault(summary.digest, code_in(files)) == code_in(files)
        assert summary == Search().summary(objects, core)
        assert summary.modules == len(code_in(files))
        assert set(search.below(objects, core).by_path) == set(code_in(files))
    assert len(seen) == len({str(sorted(code.items())) for code in seen.values()})


def test_a_changed_entry_of_a_large_core_costs_the_nodes_above_it_and_no_more() -> None:
    objects, engine = CountingObjects(), PythonEngine()
    files = {"wit": "/:m:f", "lib/m.py": "def f(): pass"} | {f"data{number}": "x" for number in range(4_000)}
    core = objects.core(files)
    program = engine.load(core, "wit", objects)
    staging = Staging(objects)
    core = patch_tree(staging, core, {"state": staging.put_blob(b"new")})
    objects.keep(staging)
    objects.read = 0
    assert engine.load(core, "wit", objects) is program
    # The way to /wit, the way to /state, and the code's folder.
    assert objects.read < 12


@pytest.mark.parametrize("node", [{"tree": 3}, {"tree": {}, "x": 1}, {"bigtree": [100, {}]}, [1, 2], {"blob": {}}])
def test_what_is_no_tree_is_not_searched(node: object) -> None:
    objects = Objects()
    staging = Staging(objects)
    tree = TreeId(staging.put_node(node))
    with pytest.raises(WrongKind):
        Search().summary(staging, tree)
