"""The core as a small file system: what is read, changed and sealed is what a plain dictionary would hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from understudy.objects.errors import BadName, WrongKind
from understudy.store.errors import Missing
from understudy.store.reader import Staging
from understudy.testing.engine_suite import Objects
from understudy.wit import Core, Id


def core_of(files):
    objects = Objects()
    return Core(Staging(objects), objects.core(files))


def files_of(core, prefix=""):
    """Every blob below a view, read through it."""
    found = {}
    for name in core:
        try:
            found[prefix + name] = core[name]
        except WrongKind:
            found.update(files_of(core.dir(name), f"{prefix}{name}/"))
    return found


def test_reading():
    core = core_of({"wit": "x", "data/a": b"1", "data/b": '{"n": 3}', "data/deep/c": "é"})
    assert core["wit"] == core["/wit"] == b"x"
    assert core["data/a"] == b"1"
    assert core.text("data/deep/c") == "é"
    assert core.json("data/b") == {"n": 3}
    assert core.json("data/b", dict[str, int]) == {"n": 3}
    assert (list(core), len(core)) == (["data", "wit"], 2)
    assert list(core.dir("data")) == ["a", "b", "deep"]
    assert core.dir("data").dir("deep").text("c") == "é"
    assert "data" in core and "data/a" in core and "data/x" not in core and "wit/x" not in core and 3 not in core
    assert core.get("nope") is None and core.get("nope", b"d") == b"d"
    assert core.id("nope") is None and isinstance(core.id("data"), Id) and core.id() == core.seal()


def test_what_is_not_there_is_a_key_error_and_a_tree_is_no_blob():
    core = core_of({"data/a": "1"})
    for path in ("x", "data/x", "data/a/x"):
        with pytest.raises(KeyError):
            core[path]
        with pytest.raises(KeyError):
            del core[path]
    with pytest.raises(WrongKind, match="/data is a tree, not a blob"):
        core["data"]


def test_a_missing_folder_is_empty_until_something_is_put_there():
    core = core_of({"wit": "x"})
    data = core.dir("data")
    assert (list(data), len(data), data.id()) == ([], 0, None)
    data["a"] = "1"
    assert (list(data), core["data/a"]) == (["a"], b"1")


def test_only_bytes_text_and_ids_of_something_can_be_put():
    core = core_of({"wit": "x"})
    with pytest.raises(TypeError, match="set_json"):
        core["x"] = {"a": 1}
    with pytest.raises(Missing):
        core["x"] = Id(b"\x01\x55\x12\x20" + bytes(32))
    core["x"] = bytearray(b"1")
    core.set_json("y", {"b": 1, "a": {2}})
    core["z"] = core.id("y")
    assert (core["x"], core["y"], core["z"]) == (b"1", b'{"a":[2],"b":1}', b'{"a":[2],"b":1}')


@pytest.mark.parametrize("path", ["", "/", "a//b", "a/", "..", "a/../b", "a\nb", "x" * 256])
def test_a_path_that_no_core_can_hold_is_refused(path):
    core = core_of({"wit": "x"})
    with pytest.raises(BadName):
        core[path] = "1"


def test_nothing_is_put_below_a_blob():
    core = core_of({"a": "1"})
    for path in ("a/b", "a/b/c"):
        with pytest.raises(WrongKind, match="/a is a blob"):
            core[path] = "2"
    core["new"] = "1"
    with pytest.raises(WrongKind, match="/new is a blob"):
        core["new/b"] = "2"


def test_a_blob_may_take_the_place_of_a_folder_and_a_folder_that_of_a_blob():
    core = core_of({"a/b": "1", "c": "2"})
    core["a/new"] = "x"
    core["a"] = "3"
    del core["c"]
    core["c/d"] = "4"
    assert files_of(core) == {"a": b"3", "c/d": b"4"}


def test_an_unchanged_core_seals_to_itself_and_stages_nothing():
    objects = Objects()
    root, staging = objects.core({"a": "1"}), Staging(objects)
    core = Core(staging, root)
    core["a"], core.dir("x"), list(core)
    assert (core.seal(), core.changed, staging.new) == (root, False, {})


def test_only_what_is_touched_is_loaded():
    objects = Objects()
    root = objects.core({"state": "1", "data/a": "2"})
    for path in ("data/a", "data"):
        found = objects.find(root, path)
        assert found is not None
        del objects.held[found]
    core = Core(Staging(objects), root)
    core["state"] = core.text("state") + "!"
    assert core.seal()


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete", "look", "list", "id"]), paths, st.binary(max_size=3)),
    max_size=25,
)


@example({"c/b": b""}, [("delete", "c/b", b""), ("put", "c/b/a", b""), ("put", "c", b"")])
@given(st.dictionaries(st.sampled_from(["a", "b/a", "b/c/a", "c/b"]), st.binary(max_size=2)), steps)
def test_a_core_is_what_a_dictionary_of_its_paths_would_be(files, steps):
    core, model = core_of(files), dict(files)
    for verb, path, data in steps:
        above = ["/".join(path.split("/")[:depth]) for depth in range(1, len(path.split("/")))]
        below = [name for name in model if name.startswith(path + "/")]
        if verb == "put":
            if any(name in model for name in above):
                with pytest.raises(WrongKind):
                    core[path] = data
            else:
                core[path] = data
                model = {name: value for name, value in model.items() if name not in below} | {path: data}
        elif verb == "delete" and (path in model or below):
            del core[path]
            model = {name: value for name, value in model.items() if name != path and name not in below}
        elif verb == "look":
            if path in model:
                assert core[path] == model[path]
            elif below:
                assert path in core
        elif verb == "list" and path in model:
            with pytest.raises(WrongKind):
                list(core.dir(path))
        elif verb == "list":
            assert files_of(core.dir(path)) == {name[len(path) + 1 :]: model[name] for name in below}
        elif verb == "id" and (path in model or below):
            assert core.id(path) is not None
    assert files_of(core) == model
    assert files_of(Core(core._changes.store, core.seal())) == model


def test_a_core_of_many_entries_changes_like_a_small_one():
    files = {f"n{number}": str(number) for number in range(60)} | {"d/x": "1"}
    core = core_of(files)
    for number in range(60, 70):
        core[f"n{number}"] = str(number)
    del core["n0"]
    core["d/y"] = "2"
    expected = {f"n{number}": str(number).encode() for number in range(1, 70)} | {"d/x": b"1", "d/y": b"2"}
    assert files_of(core) == expected
    assert core.seal() == core_of(expected).seal()


def test_ten_thousand_writes_in_one_folder_cost_the_same_each():
    core = core_of({"wit": "x"})
    for number in range(10_000):
        core[f"data/{number}"] = b"x"
    assert len(core._changes.edits) == 10_000
