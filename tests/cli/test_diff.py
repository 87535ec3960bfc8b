"""diff: what differs between two steps, for people and for programs."""

from __future__ import annotations

import pytest

from tests.cli.conftest import GREETER, Shell
from understudy.node.errors import TooLarge
from understudy.node.looking.differences import differences
from understudy.store.maps import build_tree
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit

ADA = '{"name": "Ada"}'


@pytest.fixture
def changed(project: Shell) -> Shell:
    """A greeter that greeted (#1), was updated (#2), and greeted again (#3)."""
    project.write({"greeter/data/old": "gone soon\n", "greeter/data/list.json": '{"a": [1, 2], "b": {"c": true}}'})
    project.run("push")
    project.run("send", "greeter", ADA, "--type", "greet")
    (project.folder / "greeter" / "data" / "old").unlink()
    project.write(
        {
            "greeter/code/greeter.py": GREETER.replace("Hello", "Hi"),
            "greeter/data/new": "new\n",
            "greeter/more/deep/file": "x\n",
            "greeter/data/list.json": '{"a": [1], "b": {"c": 1}, "d": null}',
        }
    )
    (project.folder / "greeter" / "data" / "logo").write_bytes(b"\0\1\2")
    project.run("push")
    project.run("send", "greeter", ADA, "--type", "greet")
    return project


def test_a_diff_shows_what_came_went_and_changed(changed: Shell) -> None:
    said = changed.run("diff", "greeter@1", "greeter@2")
    assert '-    return f"Hello {hello.name}, number {state.greeted}"' in said
    assert '+    return f"Hi {hello.name}, number {state.greeted}"' in said
    assert "+ data/new  (4 bytes)\n" in said
    assert "- data/old  (10 bytes)\n    @@" in said
    assert "+ data/logo  (3 bytes)\n" in said
    assert "+ more/deep/file  (2 bytes)\n    @@ -0,0 +1 @@\n    +x\n" in said
    assert "~ state" not in said


def test_json_that_goes_too_deep_is_compared_as_text(project: Shell) -> None:
    deep = "[" * 9_999 + "]" * 9_999
    project.write({"greeter/data": deep})
    project.run("push")
    project.write({"greeter/data": f"[{deep}]"})
    project.run("push")
    assert f"    +[{deep}]" in project.run("diff", "greeter@0", "greeter")


def test_json_is_compared_by_its_values(changed: Shell) -> None:
    assert "    ~ greeted: 1 -> 2\n" in changed.run("diff", "greeter@1", "greeter")
    said = changed.run("diff", "greeter@1", "greeter@2")
    lines = said.split("~ data/list.json")[1].split("data/")[0]
    assert "- a[1]: 2\n" in lines and "~ b.c: true -> 1\n" in lines and "+ d: null\n" in lines


def test_steps_are_named_by_id_actor_and_height(changed: Shell) -> None:
    entries = changed.json("chain", "greeter")["entries"]
    found = changed.json("diff", entries[-1]["id"], entries[0]["id"])
    assert (found["before"]["height"], found["after"]["height"]) == (0, 3)
    signs = {difference["path"]: difference["sign"] for difference in found["differences"]}
    assert signs == {
        "code/greeter.py": "~",
        "data/list.json": "~",
        "data/logo": "+",
        "data/new": "+",
        "data/old": "-",
        "more/deep/file": "+",
        "state": "+",
    }
    assert changed.json("diff", "greeter@0", "greeter") == found
    actor = changed.json("actors")["actors"][0]["id"]
    assert changed.json("diff", f"{actor}@0", actor) == found


def test_a_step_and_itself_are_the_same(changed: Shell) -> None:
    assert "The cores are the same." in changed.run("diff", "greeter", "greeter@3")


def test_what_is_no_step_is_named(changed: Shell) -> None:
    assert "newest is #3" in changed.run("diff", "greeter@0", "greeter@9", code=1)
    core = changed.json("diff", "greeter", "greeter")["before"]["core"]
    assert "is a tree, not a step" in changed.run("diff", core, "greeter", code=2)
    assert "understudy actors" in changed.run("diff", "nobody", "greeter", code=1)


def test_trees_with_more_paths_than_can_be_listed_are_refused() -> None:
    staging = Staging(Grit(MemoryBackend()))
    empty = build_tree(staging, {})
    before, after = empty, build_tree(staging, {"file": staging.put_blob(b"x")})
    for _ in range(60):
        before, after = (build_tree(staging, {"a": tree, "b": tree}) for tree in (before, after))
    for pair in ((before, after), (after, before), (empty, after), (empty, build_tree(staging, {"a": before}))):
        with pytest.raises(TooLarge, match="paths differ: look at parts"):
            for _ in differences(staging, *pair):
                pass
