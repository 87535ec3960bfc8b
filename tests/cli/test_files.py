"""Which files become a core, and that none is left out in silence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import GREETER, Shell
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.files import find_files, is_excluded
from understudy.cli.project import find_project, open_project


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_link_to_a_folder_of_the_project_is_followed(tmp_path: Path) -> None:
    _write(tmp_path, "core/wit", "shared/data/a", "shared/b")
    (tmp_path / "core" / "shared").symlink_to("../shared")
    (tmp_path / "core" / "one").symlink_to("../shared/b")
    found = find_files(tmp_path / "core", project=tmp_path)
    assert sorted(found.files) == ["one", "shared/b", "shared/data/a", "wit"]
    assert found.problems == []


def test_a_link_that_leads_back_out_or_nowhere_is_named_and_the_walk_ends(tmp_path: Path) -> None:
    project = tmp_path / "project"
    _write(project, "core/a/x", "other/y")
    _write(tmp_path, "elsewhere/z")
    (project / "core" / "a" / "back").symlink_to("..")
    (project / "core" / "a" / "round").symlink_to("../../other")
    (project / "other" / "again").symlink_to("../other")
    (project / "core" / "out").symlink_to("../../elsewhere")
    (project / "core" / "a" / "secret").symlink_to("../../../elsewhere/z")
    (project / "core" / "gone").symlink_to("../../elsewhere/gone")
    (project / "core" / "itself").symlink_to("itself")
    found = find_files(project / "core", project=project)
    assert sorted(found.files) == ["a/round/y", "a/x", "itself"]
    words = "\n".join(found.problems)
    assert "a/back is a link to a folder that it is in itself" in words
    assert "a/round/again is a link to a folder that it is in itself" in words
    for link in ("core/out", "core/a/secret", "core/gone"):
        assert f"{link} is a link out of the project" in words
    assert len(found.problems) == 5


def test_links_that_multiply_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.cli.files.MAX_FILES", 50)
    for level in range(8):
        _write(tmp_path, f"{level}/x")
        if level:
            (tmp_path / str(level) / "a").symlink_to(f"../{level - 1}")
            (tmp_path / str(level) / "b").symlink_to(f"../{level - 1}")
    with pytest.raises(CommandError, match="more than 50 files"):
        find_files(tmp_path / "7", project=tmp_path)


@pytest.mark.parametrize(
    ("path", "glob", "excluded"),
    [
        ("a.csv", "*.csv", True),
        ("data/deep/a.csv", "*.csv", True),
        ("data/a.csv", "data/*.csv", True),
        ("other/a.csv", "data/*.csv", False),
        ("node_modules", "node_modules", True),
        ("x/node_modules", "node_modules", True),
        ("data", "data/", True),
        ("x/data", "data/", False),
        ("data/x", "data/*", True),
        ("mydata", "data", False),
        ("A.csv", "*.CSV", False),
    ],
)
def test_a_glob_without_a_slash_is_a_name_at_any_depth(path: str, glob: str, excluded: bool) -> None:
    assert is_excluded(path, [glob]) is excluded


def test_what_is_excluded_is_not_even_looked_at(tmp_path: Path) -> None:
    _write(tmp_path, "core/wit", "core/big/x", "core/notes.txt", "core/deep/notes.txt")
    os.mkfifo(tmp_path / "core" / "big" / "pipe")
    (tmp_path / "core" / "out").symlink_to("/")
    found = find_files(tmp_path / "core", project=tmp_path, exclude=["big", "out", "notes.*"])
    assert (sorted(found.files), found.problems) == (["wit"], [])


def test_files_may_name_a_folder(tmp_path: Path) -> None:
    _write(tmp_path, "core/wit", "assets/a", "assets/deep/b", "assets/c.tmp", "logo")
    (tmp_path / "understudy.toml").write_text(
        '[actors.x]\npath = "core"\nexclude = ["b"]\nfiles = { "data/static/" = "assets", "logo" = "logo" }\n'
    )
    core = open_project(tmp_path).core_of("x")
    assert core == {"wit": b"core/wit", "data/static/a": b"assets/a", "logo": b"logo"}


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")
def test_all_that_can_not_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    _write(tmp_path, "core/wit", "core/b\ad")
    os.mkfifo(tmp_path / "core" / "pipe")
    (tmp_path / "core" / "nowhere").symlink_to("gone")
    (tmp_path / "understudy.toml").write_text('[actors.x]\npath = "core"\n')
    with pytest.raises(CommandError) as caught:
        open_project(tmp_path).core_of("x")
    said = str(caught.value)
    assert "pipe can't be read: it is no ordinary file" in said
    assert "nowhere can't be read: No such file" in said
    assert "control character" in said
    assert 'exclude = ["NAME"] in [actors.x]' in said


def test_a_push_names_what_can_not_be_read_and_exclude_mends_it(project: Shell) -> None:
    (project.folder / "greeter" / "data").symlink_to("/usr")
    (project.folder / "greeter" / "users").symlink_to("/etc/passwd")
    said = project.run("push", code=1)
    assert "data is a link out of the project, to /usr" in said
    assert "users is a link out of the project, to /etc/passwd" in said
    (project.folder / "greeter" / "users").unlink()
    project.write({"understudy.toml": '[actors.greeter]\npath = "greeter"\nexclude = ["data"]\n'})
    assert "greeter  created" in project.run("push")


def test_commands_that_only_look_go_on_without_a_module_that_is_broken(project: Shell) -> None:
    project.run("push")
    project.write({"understudy.toml": '[python]\nmodules = ["office"]\npaths = ["lib"]\n', "lib/office.py": "1 / 0\n"})
    for command in (("wut", "greeter"), ("query", "greeter", "wut"), ("verify", "greeter")):
        said = project.run(*command)
        assert "python.modules: office can't be imported: ZeroDivisionError" in said
        assert "this command goes on without it" in said
    assert "office" not in project.run("log", "greeter")
    assert "office can't be imported" in project.run("push", code=1)
    project.write({"understudy.toml": "[actors.greeter]\npath = 7\n"})
    for command in (("log", "greeter"), ("wut", "greeter")):
        assert "this command goes on: the store is" in project.run(*command)
    assert "path" in project.run("push", code=2)
    project.write({"understudy.toml": "[node\n"})
    assert "understudy.toml" in project.run("log", "greeter", code=2)
    project.write({"understudy.toml": '[python]\nmodules = ["office"]\npaths = ["lib"]\n'})
    project.write({"lib/office.py": GREETER})
    assert "office" not in project.run("wut", "greeter")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "large"])
def test_no_command_waits_for_a_file_that_never_ends(shell: Shell, kind: str) -> None:
    names = ("import.car", "verify.car", "run.wasm", "understudy.toml")
    for path in (shell.folder / name for name in names):
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            with path.open("wb") as file:
                file.truncate(2**40)
    project = shell.folder / "understudy.toml"
    said = [shell.run("push", code=2)]
    project.rmdir() if kind == "folder" else project.unlink()
    said.append(shell.run("run", "run.wasm", "--listen", "127.0.0.1:0", code=2))
    if kind == "large":
        # These are read piece by piece, and end at the first one that is wrong.
        said = [*said, shell.run("import", "import.car", code=1), shell.run("verify", "verify.car", code=1)]
        assert "more than 1,048,576 bytes" in said[0] and "more than 67,108,864 bytes" in said[1]
    else:
        said = [*said, shell.run("import", "import.car", code=2), shell.run("verify", "verify.car", code=1)]
        assert all("read: it is no ordinary file" in words for words in said), said


def test_links_to_folders_without_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.cli.files.MAX_FILES", 50)
    for level in range(8):
        (tmp_path / f"{level}").mkdir()
        if level:
            for name in "ab":
                (tmp_path / str(level) / name).symlink_to(f"../{level - 1}")
    with pytest.raises(CommandError, match="more than 50 files or folders"):
        find_files(tmp_path, project=tmp_path)


@pytest.mark.parametrize("toml", ["a = " + "[" * 100_000, "a = " + "{a = " * 100_000])
def test_a_project_file_that_nests_too_deep_is_wrong_use(shell: Shell, toml: str) -> None:
    shell.write({"understudy.toml": toml})
    assert "nested too deep" in shell.run("push", code=2)


@pytest.mark.parametrize("key", ["a." * 30_000 + "a=1", f"[{'a . ' * 15_000}a]", 'x = {"a"' + ".'a'" * 15_000 + "=1}"])
def test_a_key_of_very_many_parts_is_refused_and_not_followed(tmp_path: Path, key: str) -> None:
    """tomllib takes the square of the parts: half a minute for the first of these."""
    (tmp_path / "understudy.toml").write_text(f'# a.b\n[actors.x]\npath = "core"\n{key}\n')
    with pytest.raises(WrongUse, match="line 4: a key of more than 32 parts"):
        find_project(tmp_path)
    text = ".".join(["dots"] * 31) + " and " + "x" * 100_000
    (tmp_path / "understudy.toml").write_text(f'[actors.x]\npath = "core"\nexclude = ["{text}", "*.{"*." * 99}"]\n')
    assert find_project(tmp_path) is not None
