"""What we show is right to a type checker, decorators included: the tutorial's code, and what `understudy init` makes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mypy import api

from tests.docs.test_tutorial import PAGES, blocks_of
from understudy.cli.sample import SAMPLE

# Their modules import each other by names that they have in a core, or are refused on purpose.
APART = {"core", "external"}


def test_the_code_of_the_tutorial_and_of_a_new_project_has_right_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the packages begin
    count = 0
    for page in PAGES:
        for number, block in enumerate(blocks_of(page.read_text(encoding="utf-8"))):
            if block.file is not None and block.file.endswith(".py") and page.stem not in APART:
                folder = tmp_path / f"{page.stem.replace('-', '_')}_{number}"
                folder.mkdir()
                (folder / Path(block.file).name).write_text(block.text, encoding="utf-8")
                count += 1
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "greeter.py").write_text(SAMPLE["greeter/code/greeter.py"], encoding="utf-8")
    flags = ["--disallow-untyped-decorators", "--warn-return-any", "--no-incremental", "--config-file="]
    # It raises the limit for its process, where other tests look how deep code may go.
    monkeypatch.setattr(sys, "setrecursionlimit", lambda _: None)
    said, errors, code = api.run([*flags, "--namespace-packages", "--explicit-package-bases", "."])
    assert (code, errors) == (0, ""), said + errors
    assert count > 8
