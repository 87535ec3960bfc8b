"""init, serve, push and send, with a node and without."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import GREETER, Shell

ADA = '{"name": "Ada"}'


def test_a_new_project_has_an_actor_whose_test_passes_and_nothing_is_overwritten(shell: Shell) -> None:
    shell.run("init", "hello")
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=shell.folder / "hello")
    assert tests.returncode == 0
    (shell.folder / "hello" / "greeter" / "wit").write_text("mine")
    assert "stays as it is" in shell.run("init", "hello", code=1)
    assert (shell.folder / "hello" / "greeter" / "wit").read_text() == "mine"


def test_from_nothing_to_a_reply_in_three_commands(shell: Shell) -> None:
    shell.run("init")
    assert "greeter  created" in shell.run("push")
    assert "Hello Ada, you are number 1." in shell.run("send", "greeter", ADA, "--type", "greet")


def test_a_push_sends_only_what_changed_and_leaves_the_state_alone(project: Shell) -> None:
    project.write({"greeter/data/a": "1\n", "greeter/data/b": "2\n", "greeter/.hidden": "", "greeter/code/x.pyc": ""})
    created = project.json("push")["actors"][0]
    assert [change["path"] for change in created["changes"]] == ["code/greeter.py", "data/a", "data/b", "wit"]
    assert project.json("push")["actors"][0]["what"] == "unchanged"
    project.run("send", "greeter", ADA, "--type", "greet")
    project.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Hi"), "greeter/data/c": "3\n"})
    (project.folder / "greeter" / "data" / "a").unlink()
    said = project.run("push")
    assert "  ~ code/greeter.py  (+1 -1)\n    @@" in said
    assert '\n    -    return f"Hello {hello.name}, number {state.greeted}"\n    +' in said
    assert "  - data/a  (-1)" in said
    assert "  + data/c  (+1)" in said
    assert "data/b" not in said
    assert "Hi Ada, number 2" in project.run("send", "greeter", ADA, "--type", "greet")
    assert project.raw("show", "greeter/core/data/b") == b"2\n"
    assert project.json("push")["actors"][0]["what"] == "unchanged"


def test_a_push_never_takes_back_what_the_wit_changed(project: Shell) -> None:
    project.write({"greeter/state": '{"greeted": 41}'})
    project.run("push")
    project.run("send", "greeter", ADA, "--type", "greet")
    assert project.json("push")["actors"][0]["what"] == "unchanged"
    assert "number 43" in project.run("send", "greeter", ADA, "--type", "greet")


def test_a_file_may_become_a_folder_and_a_folder_a_file(project: Shell) -> None:
    project.write({"greeter/a": "file", "greeter/b/c": "folder"})
    project.run("push")
    (project.folder / "greeter" / "a").unlink()
    (project.folder / "greeter" / "b" / "c").unlink()
    (project.folder / "greeter" / "b").rmdir()
    project.write({"greeter/a/c": "folder", "greeter/b": "file"})
    project.run("push")
    assert project.run("show", "greeter/core/a/c").startswith("folder")
    assert project.run("show", "greeter/core/b").startswith("file")
    assert project.json("push")["actors"][0]["what"] == "unchanged"


def test_a_push_that_is_refused_says_why_and_leaves_the_actor_as_it_was(project: Shell) -> None:
    project.run("push")
    (project.folder / "greeter" / "wit").unlink()
    assert "nothing was sent" in project.run("push", code=1)
    said = project.run("push", "--force", code=1)
    assert "wit" in said
    assert "understudy show" in said
    assert "Hello Ada" in project.run("send", "greeter", ADA, "--type", "greet")


def test_a_core_that_can_not_be_stops_only_its_own_actor(project: Shell) -> None:
    project.write({"understudy.toml": '[actors.bad]\npath="bad"\n[actors.greeter]\npath="greeter"\n', "bad/x": ""})
    said = project.run("push", code=1)
    assert "/wit" in said
    assert "greeter  created" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[actors.greeter]\npath = 7", "actors"),
        ("[nodes]\n", "nodes"),
        ("not toml", "understudy.toml"),
        ('[actors."a/b"]\npath = "greeter"', "slash"),
        ('[actors.greeter]\npath = "gone"', "no folder"),
        ('[python]\npaths = ["gone"]', "no folder"),
    ],
)
def test_a_project_file_that_is_wrong_says_where(project: Shell, text: str, said: str) -> None:
    project.write({"understudy.toml": text})
    assert said in project.run("push", code=2)


def test_a_module_of_the_project_that_exits_says_where(project: Shell) -> None:
    project.write(
        {"understudy.toml": '[python]\nmodules = ["office"]\npaths = ["lib"]', "lib/office.py": "\nexit(3)\n"}
    )
    said = project.run("push", code=1)
    assert "python.modules: office can't be imported: SystemExit: 3\nat office.py:2 in <module>\n    exit(3)" in said


def test_a_folder_without_a_project_is_wrong_use(shell: Shell) -> None:
    assert "understudy init" in shell.run("push", code=2)


def test_external_code_is_found_on_the_paths_of_the_project(shell: Shell) -> None:
    shell.write(
        {
            "understudy.toml": '[python]\nmodules = ["outside"]\npaths = ["lib"]\n[actors.greeter]\npath = "core"\n',
            "core/wit": "external:outside:wit",
            "lib/outside.py": GREETER,
        }
    )
    shell.run("push")
    assert "Hello Ada, number 1" in shell.run("send", "greeter", ADA, "--type", "greet")


def test_a_failed_message_exits_1_and_names_the_step_to_look_at(project: Shell) -> None:
    project.run("push")
    said = project.run("send", "greeter", "{}", "--type", "fail", code=1)
    assert "the wit is broken" in said
    step = said.rsplit("understudy show ", 1)[1].split()[0]
    assert '"kind": "failed"' in project.run("show", step)


def test_a_message_comes_from_the_command_line_from_a_file_or_from_standard_input(project: Shell) -> None:
    project.run("push")
    project.write({"hello.json": ADA})
    assert project.json("send", "greeter", ADA, "--type", "greet")["replies"][0]["content"] == "Hello Ada, number 1"
    assert "number 2" in project.run("send", "greeter", "@hello.json", "--type", "greet")
    assert "number 3" in project.run("send", "greeter", "-", "--type", "greet", stdin=ADA.encode())


@pytest.mark.parametrize(
    "args",
    [
        ("send", "greeter", "hello"),
        ("send", "greeter", "@gone.json"),
        ("send", "greeter", "{}", "--lane", "update"),
        ("send",),
        ("sned", "greeter"),
        ("log", "greeter", "-n", "0"),
        ("query", "greeter", "wut", "--timeout", "nan"),
        ("serve", "--listen", "8321"),
        ("serve", "--listen", "0.0.0.0:0"),
        ("import", "gone.car"),
        ("verify",),
        ("verify", "greeter", "--all"),
    ],
)
def test_wrong_use_exits_2(project: Shell, args: tuple[str, ...]) -> None:
    project.run(*args, code=2)


def test_an_actor_that_is_not_there_exits_1_and_the_next_command_is_named(project: Shell) -> None:
    project.run("push")
    for args in (("send", "nobody", "{}"), ("log", "nobody"), ("chain", "nobody"), ("show", "nobody")):
        assert "understudy actors" in project.run(*args, code=1)


def test_commands_talk_to_the_node_that_serves_and_to_the_store_when_none_does(project: Shell) -> None:
    node = project.serve()
    assert json.loads((project.folder / ".understudy" / "node.json").read_text())["pid"] == node["pid"]
    assert "number 1" in project.run("send", "greeter", ADA, "--type", "greet")
    assert project.json("actors")["actors"][0]["height"] == 1
    project.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Hi")})
    assert "~ code/greeter.py" in project.run("push")
    assert "serves this store already" in project.run("serve", code=1)
    assert "stop it first" in project.run("import", "understudy.toml", code=1)
    assert project.end() == 0
    assert not (project.folder / ".understudy" / "node.json").exists()
    assert "Hi Ada, number 2" in project.run("send", "greeter", ADA, "--type", "greet")


def test_after_a_kill_everything_acknowledged_is_there_and_the_note_misleads_nobody(project: Shell) -> None:
    node = project.serve()
    url = f"{node['address']}/actors/greeter/messages"
    for number in range(1, 6):
        answer = httpx.post(url, content=ADA, headers={"Message-Type": "greet"}, trust_env=False)
        assert answer.json()["replies"][0]["content"] == f"Hello Ada, number {number}"
    project.end(signal.SIGKILL)
    assert (project.folder / ".understudy" / "node.json").exists()
    assert "number 6" in project.run("send", "greeter", ADA, "--type", "greet")
    project.serve()
    assert "number 7" in project.run("send", "greeter", ADA, "--type", "greet")


def test_ctrl_c_stops_a_node_also_while_somebody_follows(project: Shell) -> None:
    node = project.serve()
    with httpx.stream("GET", f"{node['address']}/events", headers={"Last-Event-ID": "0"}, trust_env=False) as events:
        lines = events.iter_lines()
        assert any(line.startswith("data: ") for line in lines)
        assert project.end(signal.SIGINT) == 0
    assert project.json("actors")["actors"][0]["name"] == "greeter"


SLEEPER = """
import time
from pathlib import Path
from msgspec import Struct
from understudy import Context, Wit

class Sleep(Struct):
    mark: str

wit = Wit()

@wit.message("sleep")
def sleep(order: Sleep, ctx: Context) -> None:
    ctx.effect(begin, order.mark)

def begin(mark: str) -> None:
    Path(mark).touch()
    time.sleep(3600)
"""


def test_a_function_that_does_not_end_does_not_hold_up_the_end_of_a_node(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": SLEEPER})
    node, mark = project.serve(), project.folder / "mark"
    headers = {"Message-Type": "sleep", "Prefer": "respond-async"}
    url = f"{node['address']}/actors/greeter/messages"
    assert httpx.post(url, json={"mark": str(mark)}, headers=headers, trust_env=False).status_code == 202
    wait_for(mark)
    assert project.end() == 0  # it has a minute for that
    assert "Traceback" not in (project.folder / "serve.err").read_text()


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_node_that_wants_a_token_is_talked_to_with_the_token(project: Shell) -> None:
    node = project.serve(UNDERSTUDY_TOKEN="open sesame")
    assert httpx.get(f"{node['address']}/actors", trust_env=False).status_code == 401
    assert "UNDERSTUDY_TOKEN" in project.run("send", "greeter", ADA, "--type", "greet", code=1)
    said = project.run("send", "greeter", ADA, "--type", "greet", UNDERSTUDY_TOKEN="open sesame")
    assert "Hello Ada" in said


def test_a_body_of_a_hundred_megabytes_is_refused_and_the_node_goes_on(project: Shell) -> None:
    node = project.serve()
    url = f"{node['address']}/actors/greeter/messages"
    answer = httpx.post(url, content=b"x" * 100_000_000, timeout=60, trust_env=False)
    assert answer.status_code == 413
    assert "number 1" in project.run("send", "greeter", ADA, "--type", "greet")
