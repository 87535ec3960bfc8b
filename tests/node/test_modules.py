"""Code behind `external:` in the processes that verify: what a node is told of it, they are told too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.living import Living
from understudy.engines.python import resolver

MODULE = """
from understudy import Wit
from understudy.engines.python.resolver import register_wit

wit = Wit()

@wit.message("ask")
def ask(number: int) -> int:
    return number + 1

register_wit("adder", wit)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module that registers a wit, imported here and on no path that others inherit."""
    (tmp_path / "registering.py").write_text(MODULE)
    monkeypatch.setattr(resolver.default_resolver(), "_registered", {})
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        importlib.import_module("registering")
    yield tmp_path
    del sys.modules["registering"]


def test_a_registered_wit_is_verified_by_a_node_that_knows_its_module(folder: Path) -> None:
    with Living(modules=["registering"], paths=[str(folder)]) as living:
        actor = living.create(wit="external:adder")
        assert living.tell(actor, "ask", 1) == 2
        assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH"]


def test_without_its_module_the_verdict_is_unverifiable_and_never_a_match(folder: Path) -> None:
    with Living() as living:
        actor = living.create(wit="external:adder")
        assert living.tell(actor, "ask", 1) == 2
        assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["UNVERIFIABLE"]
