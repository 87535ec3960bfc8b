"""A source that imports more than its world has, built by the real tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.wasm.build import COMPONENTS, TOOLS
from understudy.cli.errors import CommandError
from understudy.cli.toolchains import build_component

JAVASCRIPT = 'import { fetch } from "ntwk:simple-actor/http";\nexport const actor = { init: () => fetch };\n'
PYTHON = "from wit_world.imports import http\n\nWitWorld = http.fetch\n"


@pytest.mark.parametrize(("file", "source"), [("javascript.js", JAVASCRIPT), ("python.py", PYTHON)])
def test_an_interface_that_the_world_lacks_is_told_with_the_way_to_another_world(
    tmp_path: Path, file: str, source: str
):
    if not (COMPONENTS / file).with_suffix(".wasm").exists():
        pytest.skip(f"{file}: make components installs the tools")
    (tmp_path / file).write_text(source)
    with pytest.raises(
        CommandError, match=r"built for the world first-actor.* set `world` in its \[components\.NAME\]"
    ):
        build_component(
            tmp_path / file, tmp_path / "counter.wasm", world="first-actor", tools=TOOLS, say=lambda text: None
        )
    assert not list(tmp_path.glob("*.wasm*")) and not list(tmp_path.glob(".*.wasm*"))
