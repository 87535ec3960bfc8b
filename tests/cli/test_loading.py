"""What a command loads: looking needs no living node, no web server and no engine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def test_until_ctrl_c_is_heeded_nothing_is_loaded_that_takes_time(shell: Shell) -> None:
    code = (
        "import sys; before = set(sys.modules); import understudy.cli.start; print(*sorted(set(sys.modules) - before))"
    )
    # Without `site`, which loads what it likes; the package is found all the same.
    path = ":".join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment({"PYTHONPATH": path}), capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("understudy")}
    assert ours == {"understudy", "understudy.cli", "understudy.cli.start"}, done.stderr
    assert {name.partition(".")[0] for name in loaded - ours} <= {
        "__future__",
        "_signal",
        "importlib",
        "_imp",
        "warnings",
        "_warnings",
    }


def test_ctrl_c_while_a_command_loads_is_no_traceback(shell: Shell) -> None:
    code = "import sys; from understudy.cli.start import start; sys.argv = ['understudy', 'actors']; print('.', flush=True); start()"
    for wait in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=shell.folder,
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait * 0.05 + 0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert b"Traceback" not in said
        assert process.returncode in (-signal.SIGINT, 130, 1)


def test_a_command_that_is_told_to_end_leaves_no_temporary_folder(project: Shell, tmp_path: Path) -> None:
    project.run("push")
    project.run("export", "greeter", "-o", "greeter.car")
    places = tmp_path / "places"
    places.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", "from understudy.cli.start import start; start()", "verify", "greeter.car"],
        cwd=project.folder,
        env=environment({"TMPDIR": str(places)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not any(places.iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert b"Traceback" not in said
    assert not any(places.iterdir())


def test_every_command_of_the_table_is_there_under_its_name() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert list(commands) == list(COMMANDS)
    assert {name: commands[name].name for name in commands} == {name: name for name in COMMANDS}
