"""The node's table of engines: how code runs, by the name that a core's /runtime gives."""

from __future__ import annotations

from understudy.actors.contract import LiveEngine
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.folder import default_folder
from understudy.engines.wasm.machine import default_machine
from understudy.node.errors import BadRequest


def default_engines() -> dict[str, LiveEngine]:
    """The engines that every node has. Raises BadRequest for settings of the environment that can't be."""
    try:
        machine = default_machine()
    except ValueError as error:
        raise BadRequest(str(error)) from error
    return {"python": PythonEngine(), "wasm": WasmEngine(default_folder(), machine=machine)}
