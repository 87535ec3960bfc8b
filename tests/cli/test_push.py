"""What push refuses to send, what it sends all the same, and what it says of each."""

from __future__ import annotations

import json
import os

import httpx
import pytest

from tests.cli.conftest import GREETER, Shell, environment
from tests.loaded_command import LOADED, Running

SEND = ("send", "greeter", '{"name": "Ada"}', "--type", "greet")
TWO = '[actors.greeter]\npath = "greeter"\n[actors.{name}]\npath = "greeter"\n{more}'
BROKEN = {
    "a missing module": ("import nowhere\n", "ImportFailed: greeter can't be imported"),
    "a syntax error": (GREETER + "\ndef broken(:\n", "code/greeter.py:28"),
    "no wit": ("x = 1\n", "wit"),
    "a handler that can't be": (GREETER + '\n@wit.message("x")\ndef x(a, b, c, d): ...\n', "code/greeter.py"),
}


@pytest.mark.parametrize("beside_a_node", [False, True])
@pytest.mark.parametrize("what", BROKEN)
def test_code_that_does_not_load_is_not_sent_to_a_living_actor(project: Shell, what: str, beside_a_node: bool) -> None:
    code, said = BROKEN[what]
    project.run("push")
    if beside_a_node:
        project.serve()
    project.write({"greeter/code/greeter.py": code})
    refused = project.run("push", code=1)
    assert "the new code does not load" in refused
    assert said in refused
    assert "nothing was sent; `understudy push --force`" in refused
    assert project.json("actors")["actors"][0]["height"] == 0
    project.run(*SEND)
    forced = project.json("push", "--force")["actors"][0]
    assert forced["what"] == "updated"
    assert said in forced["warning"]
    project.run(*SEND, code=1)
    project.write({"greeter/code/greeter.py": GREETER})
    assert project.json("push")["actors"][0]["what"] == "updated"
    project.run(*SEND)


def test_a_node_that_starts_sends_no_code_that_does_not_load_and_serves_what_there_was(project: Shell) -> None:
    project.run("push")
    project.write({"greeter/code/greeter.py": "import nowhere\n"})
    node = project.serve()
    url = f"{node['address']}/actors/greeter/messages/greet"
    assert httpx.post(url, content='{"name": "Ada"}', trust_env=False).status_code == 200
    assert "not taken: greeter; serving what is in the store" in (project.folder / "serve.err").read_text()


def test_a_wit_of_another_form_is_no_trouble(project: Shell) -> None:
    project.run("push")
    project.write({"greeter/wit": "def wit(): pass\n"})
    assert project.json("push")["actors"][0]["warning"] is None


def test_two_entries_with_equal_cores_are_named_with_the_cure_and_are_not_one_actor(project: Shell) -> None:
    project.write({"understudy.toml": TWO.format(name="second", more="")})
    said = project.run("push", code=1)
    assert "actors.greeter and actors.second of understudy.toml have equal cores" in said
    assert 'write nonce = "2" into actors.second' in said
    assert project.json("actors")["actors"] == []
    project.write({"understudy.toml": TWO.format(name="second", more='nonce = "2"\n')})
    first, second = project.json("push")["actors"]
    assert first["id"] != second["id"]
    assert [first["what"], second["what"]] == ["created", "created"]
    project.write({"understudy.toml": TWO.format(name="third", more='nonce = "2"\n')})
    assert 'write nonce = "3" into actors.third' in project.run("push", code=1)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (
            '[actors.second]\npath = "greeter"\nnonce = 2\n',
            "actors.second: Expected `str | null`, got `int` - at `$.nonce`",
        ),
        (
            "[actors.second]\nfils = {}\n",
            "actors.second: Object contains unknown field `fils`; it may have: path, files, exclude, nonce",
        ),
        ("[actors]\nsecond = 5\n", "actors.second: Expected `object`, got `int`"),
        ('[components.parrot]\nworld = "x"\n', "components.parrot: Object missing required field `source`"),
    ],
)
def test_a_mistake_in_an_entry_of_the_project_file_is_named_with_the_entry(
    project: Shell, entry: str, named: str
) -> None:
    project.write({"understudy.toml": entry})
    assert f"understudy.toml: {named}" in project.run("push", code=2)


@pytest.mark.parametrize(
    ("before", "after", "was"), [("", 'nonce = "2"\n', "there was none"), ('nonce = "2"\n', "", "it was '2'")]
)
def test_another_nonce_of_an_actor_that_is_there_is_not_sent_as_if_it_were_code(
    project: Shell, before: str, after: str, was: str
) -> None:
    entry = '[actors.greeter]\npath = "greeter"\n'
    project.write({"understudy.toml": entry + before})
    project.run("push")
    project.write({"understudy.toml": entry + after})
    said = project.run("push", code=1)
    assert f"'greeter' is an actor already, and keeps its id and its state whatever its nonce is ({was})" in said
    assert project.json("actors")["actors"][0]["height"] == 0
    project.run("push", "--force")
    assert project.json("push")["actors"][0]["what"] == "unchanged"


@pytest.mark.parametrize("more", ['files = { "nonce" = "other/nonce" }\n', ""])
def test_two_sources_of_one_path_are_named_and_none_of_them_wins(project: Shell, more: str) -> None:
    entry = '[actors.greeter]\npath = "greeter"\n'
    files = {"greeter/nonce": "file", "other/nonce": "other"}
    project.write({"understudy.toml": f'{entry}nonce = "2"\n{more}', **files})
    said = project.run("push", code=1)
    assert (
        "greeter/nonce and other/nonce would both be 'nonce'" in said if more else "greeter/nonce is the file" in said
    )
    assert project.json("actors")["actors"] == []
    project.write({"understudy.toml": f'{entry}nonce = "file"\n'})
    assert project.json("push")["actors"][0]["what"] == "created"


def test_an_entry_with_the_first_core_of_another_actor_is_named_with_the_cure(project: Shell) -> None:
    project.run("push")
    project.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Hi")})
    project.run("push")
    project.write({"other/wit": "/code:greeter:wit\n", "other/code/greeter.py": GREETER})
    project.write({"understudy.toml": '[actors.greeter]\npath = "greeter"\n[actors.other]\npath = "other"\n'})
    said = project.run("push", code=1)
    assert "the core of actors.other is the first core of 'greeter'" in said
    assert "greeter  unchanged" in said
    assert [actor["name"] for actor in project.json("actors")["actors"]] == ["greeter"]


@pytest.mark.parametrize("updated", [False, True])
def test_a_renamed_entry_is_recognised_and_creates_nothing(project: Shell, updated: bool) -> None:
    project.run("push")
    if updated:
        project.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Hi")})
        project.run("push")
    project.run(*SEND)
    project.write({"understudy.toml": '[actors.host]\npath = "greeter"\n'})
    said = project.run("push", code=1)
    assert "actors.host has the files of the actor 'greeter', which understudy.toml does not name" in said
    assert "call it 'greeter' again" in said
    assert [actor["name"] for actor in project.json("actors")["actors"]] == ["greeter"]
    project.write({"understudy.toml": '[actors.host]\npath = "greeter"\nnonce = "2"\n'})
    assert project.json("push")["actors"][0]["what"] == "created"


def test_actors_with_equal_files_that_are_two_already_stay_two(project: Shell) -> None:
    project.write({"other/wit": "/code:greeter:wit\n", "other/code/greeter.py": GREETER.replace("Hello", "Hi")})
    project.write({"understudy.toml": '[actors.greeter]\npath = "greeter"\n[actors.other]\npath = "other"\n'})
    project.run("push")
    project.write({"other/code/greeter.py": GREETER})
    assert [actor["what"] for actor in project.json("push")["actors"]] == ["unchanged", "updated"]


def test_an_actor_whose_files_can_not_be_read_does_not_stop_the_others(project: Shell) -> None:
    project.write({"bad/wit": "/code:greeter:wit\n", "bad/code/greeter.py": GREETER})
    os.mkfifo(project.folder / "bad" / "pipe")
    project.write({"understudy.toml": '[actors.bad]\npath = "bad"\n[actors.greeter]\npath = "greeter"\n'})
    said = project.run("push", code=1)
    assert "pipe can't be read: it is no ordinary file" in said
    assert "greeter  created" in said
    assert "not taken: bad" in said


TYPED = """
from msgspec import Struct
from understudy import Wit

class State(Struct):
    {field}: {kind} = {first}

wit = Wit()

@wit.message("greet")
def greet(name: dict, state: State) -> None:
    state.{field} {change}
"""


@pytest.mark.parametrize(
    ("field", "kind", "first", "change", "said"),
    [
        ("guests", "int", "0", "+= 1", "would lose what the present state holds at $.greeted"),
        ("greeted", "str", "''", "+= '1'", "can't read the present state: Expected `str`, got `int` - at `$.greeted`"),
    ],
)
def test_code_that_would_lose_state_is_not_sent_and_a_message_of_it_changes_nothing(
    project: Shell, field: str, kind: str, first: str, change: str, said: str
) -> None:
    before = TYPED.format(field="greeted", kind="int", first="0", change="+= 1")
    project.write({"greeter/code/greeter.py": before})
    project.run("push")
    project.run(*SEND)
    after = TYPED.format(field=field, kind=kind, first=first, change=change)
    project.write({"greeter/code/greeter.py": after})
    refused = project.run("push", code=1)
    assert said in " ".join(refused.split())
    project.run(*SEND)
    project.json("push", "--force")
    assert "BadState" in project.run(*SEND, code=1)
    migrate = f"@wit.update\ndef mend(old: dict) -> State:\n    return State({kind}(old['greeted']))\n"
    project.write({"greeter/code/greeter.py": after + migrate, "greeter/wit_update": "/code:greeter:wit"})
    assert project.json("push")["actors"][0]["what"] == "updated"
    project.run(*SEND)


WAITED_FOR = "before"
WAITS = """
import time
from pathlib import Path
from understudy import Wit

wit = Wit()

@wit.message("wait")
def wait(file: str) -> None:
    while not Path(file).exists():
        time.sleep(0.01)
"""


def test_a_push_that_waits_says_so_and_repeating_it_sends_nothing_new(project: Shell) -> None:
    def push(text: str) -> Running:
        project.write({"greeter/code/greeter.py": WAITS, "greeter/data": text})
        pushing = LOADED.start(["push"], project.folder, environment({}))
        project.nodes.append(pushing)
        assert b"waiting for greeter, at most 60 s: it is running a step" in pushing.stderr.readline()
        return pushing

    project.write({"greeter/code/greeter.py": WAITS, "greeter/data": WAITED_FOR})
    project.serve()
    project.run("send", "greeter", json.dumps(str(project.folder / "go")), "--type", "wait", "--wait", "0")
    for text in ("one", "one", "two"):
        push(text).kill()
    # What is there before any of these takes effect is no less a change: an update that takes it away waits.
    push(WAITED_FOR).kill()
    last = push("one")
    project.write({"go": ""})
    said, _ = last.communicate(timeout=60)
    assert last.returncode == 0 and b"updated" in said
    steps = project.json("log", "greeter")["steps"]
    assert [each["type"] for step in steps[::-1] for each in step["consumed"]] == ["genesis", "wait", *["update"] * 4]
    assert project.raw("show", "greeter/core/data", "--raw") == b"one"
