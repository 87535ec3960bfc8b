"""Tests stand where one guesses them: in tests/ROOM/test_FILE.py, or in a file whose docstring names the file that it tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "understudy"
ROOMS = ("kernel", "objects", "store")
NAMED = re.compile(rf"\b(?:{'|'.join(ROOMS)})/[a-z_/]+\.py\b")


def named() -> dict[str, Path]:
    """The files that docstrings of tests name, each with the test file."""
    docstrings = {
        path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in TESTS.rglob("test_*.py")
    }
    return {
        file: path for path, text in docstrings.items() if path != Path(__file__) for file in NAMED.findall(text or "")
    }


@pytest.mark.parametrize("room", ROOMS)
def test_each_file_of_the_lower_rooms_has_a_test_file_that_is_easily_found(room: str):
    files = {
        path.relative_to(SOURCE).as_posix() for path in (SOURCE / room).rglob("*.py") if path.name != "__init__.py"
    }
    assert files
    guessed = {file for file in files if (TESTS / Path(file).parent / f"test_{Path(file).name}").exists()}
    assert files - guessed - named().keys() == set()


def test_every_file_that_a_test_says_it_tests_exists():
    assert {file: str(path) for file, path in named().items() if not (SOURCE / file).exists()} == {}
