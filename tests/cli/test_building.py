"""`understudy new` and `build`: from an empty folder to a component that runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.components.actor_process import COUNTER, ROOT, ActorProcess, understudy
from understudy.cli import build as building
from understudy.cli import toolchains
from understudy.cli.build import build
from understudy.cli.errors import CommandError
from understudy.cli.new import TEMPLATES
from understudy.cli.sample import SAMPLE

TOOLS = str(ROOT / ".build/tools")  # those that `make test` has installed already


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A component in C."""
    monkeypatch.setattr(building, "TOOLS", TOOLS)
    understudy(tmp_path, "new", "counter", "--template", "component-c")
    return tmp_path / "counter"


def test_a_component_in_c_is_built_and_runs(project: Path, capfd: pytest.CaptureFixture[str]):
    build(project)
    assert "understudy run" in capfd.readouterr().out
    # The same as the one that the repository has: the compiler is pinned.
    assert (project / "counter.wasm").read_bytes() == COUNTER.read_bytes()
    process = ActorProcess(project, project / "counter.wasm")
    try:
        assert process.post({"add": 2}).json()["state"] == {"count": 2}
    finally:
        process.stop()


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_a_project_whose_source_is_there(template: str, tmp_path: Path):
    said = json.loads(understudy(tmp_path, "new", "here", "-t", template, "--json"))
    project = tomllib.loads((tmp_path / "here/understudy.toml").read_text())
    assert all((tmp_path / "here" / name).is_file() for name in said["files"])
    assert all((tmp_path / "here" / part["source"]).is_file() for part in project.get("components", {}).values())
    if template == "python":
        assert set(said["files"]) == set(SAMPLE)


def test_nothing_that_is_there_is_overwritten_and_an_unknown_template_is_named(tmp_path: Path):
    (tmp_path / "counter.c").write_text("mine")
    assert "counter.c is there already" in understudy(tmp_path, "new", ".", "-t", "component-c", code=1)
    assert (tmp_path / "counter.c").read_text() == "mine"
    assert not (tmp_path / "understudy.toml").exists()
    assert "there are python, component-c" in understudy(tmp_path, "new", "x", "-t", "cobol", code=2)
    assert not (tmp_path / "x").exists()


def test_what_the_compiler_says_is_shown_and_nothing_looks_built(project: Path):
    (project / "counter.c").write_text("int wrong")
    with pytest.raises(CommandError, match=r"expected ';'"):
        build(project)
    (project / "counter.c").write_text("int nothing;")
    with pytest.raises(CommandError, match="does not export"):
        build(project)
    assert not list(project.glob("*.wasm*")) and not list(project.glob(".*.wasm*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('source = "counter.rb"', "there are tools for .c, .js, .py"),
        ('source = "nowhere.c"', "nowhere.c is not there"),
        ('source = "counter.c"\nworld = "asked-actor"', "fits the world first-actor"),
        ('source = "counter.c"\nworld = "asked"', "no world 'asked', but asked-actor, first-actor"),
        ("", "components"),
        ('source = "counter.c"\nlanguage = "c"', "language"),
    ],
)
def test_what_is_wrong_in_the_project_is_named(project: Path, change: str, said: str):
    file = project / "understudy.toml"
    file.write_text(file.read_text().replace('source = "counter.c"', change))
    with pytest.raises(CommandError, match=said):
        build(project)


def test_a_project_without_components_says_how_to_name_one(tmp_path: Path):
    (tmp_path / "understudy.toml").write_text("")
    assert "[components.NAME]" in understudy(tmp_path, "build", code=2)
    assert "understudy init" in understudy(tmp_path, "build", "nowhere", code=2)


def test_a_tool_that_can_not_be_installed_is_named_with_the_command(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(building, "TOOLS", str(tmp_path / "tools"))
    monkeypatch.setattr(toolchains, "ZIG", "./no-such-package")
    with pytest.raises(CommandError, match=r"by hand too: .*pip install .*no-such-package"):
        build(project)


def test_without_node_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    understudy(tmp_path, "new", ".", "-t", "component-js")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"node and npm can't be found: install Node\.js"):
        build(tmp_path)
