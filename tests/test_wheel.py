"""What is installed from the wheel has every file that the commands need, and works where no repository is near."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
STARTED = """
import sys, understudy
from understudy.cli.start import start
assert understudy.__file__.startswith(sys.argv.pop(1)), understudy.__file__
start()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


def test_the_wheel_has_every_file_of_the_package_as_it_is(wheel: Path):
    needed = {
        path.relative_to(SOURCE).as_posix(): path.read_bytes()
        for path in (SOURCE / "understudy").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as packed:
        there = {name: packed.read(name) for name in packed.namelist() if name.startswith("understudy/")}
    assert there.keys() == needed.keys()
    assert there == needed


def test_commands_that_write_files_find_them_in_the_wheel(wheel: Path, tmp_path: Path):
    installed, home = tmp_path / "installed", tmp_path / "home"
    home.mkdir()
    with ZipFile(wheel) as packed:
        packed.extractall(installed)

    def understudy(*arguments: str) -> str:
        command = [sys.executable, "-P", "-c", STARTED, str(installed), *arguments]
        environ = {**os.environ, "PYTHONPATH": str(installed)}
        return subprocess.run(command, cwd=home, env=environ, check=True, capture_output=True, text=True).stdout

    understudy("init", "project")
    for template in ("component-c", "component-js", "component-python"):
        understudy("new", template, "--template", template)
    understudy("wit", "-o", "wit")
    made = {path.relative_to(home).as_posix() for path in home.rglob("*")}
    assert {"project/understudy.toml", "wit/actor.wit", "component-c/actor.h", "component-c/counter.c"} <= made
    assert {"component-js/counter.js", "component-python/counter.py"} <= made
