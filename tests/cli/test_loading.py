"""What a command loads: looking needs no living node, no web server and no engine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer.main

from tests.cli.conftest import Shell, environment
from understudy.cli.main import COMMANDS, app

HEAVY = ("wasmtime", "starlette", "uvicorn", "httpx", "understudy.node.node", "understudy.node.running.scheduler")
LOADED = """
import json, sys
from understudy.cli.main import main
try:
    main()
except SystemExit as end:
    print(json.dumps({"code": end.code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@pytest.fixture
def pushed(project: Shell) -> Shell:
    project.run("push")
    return project


def test_commands_that_look_load_neither_an_engine_nor_a_scheduler_nor_a_web_server(pushed: Shell) -> None:
    for command in (
        ("log", "greeter"),
        ("actors",),
        ("show", "greeter"),
        ("chain", "greeter"),
        ("diff", "greeter", "greeter"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, *command], cwd=pushed.folder, env=environment({}), capture_output=True
        )
        loaded = json.loads(done.stderr.splitlines()[-1])
        assert loaded["code"] == 0
        assert not set(HEAVY) & set(loaded["modules"]), command


def test_every_command_of_the_table_is_there_under_its_name() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert list(commands) == list(COMMANDS)
    assert {name: commands[name].name for name in commands} == {name: name for name in COMMANDS}
