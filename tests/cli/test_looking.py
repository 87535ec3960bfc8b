"""actors, log, show, chain, pending, export and import."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from typing import Any

import pytest

from tests.cli.conftest import GREETER, Shell
from understudy.cli.pages import join_pages, read_pages
from understudy.objects.ids import digest, parse

ADA = '{"name": "Ada"}'

STEERING = """
from understudy import Error, Refusal, Wit

wit = Wit()
SHOUT = ":b: [red]x[/red] \\x1b[31m\\x9b2J \\u202e\\u2066"


@wit.message("shout")
def shout() -> None:
    raise Refusal("Loud", SHOUT)


@wit.query("shout")
def shouted() -> Error:
    return Error("Loud", SHOUT)
"""


@pytest.fixture
def greeted(project: Shell) -> Shell:
    """A greeter that greeted once and failed once."""
    project.run("push")
    project.run("send", "greeter", ADA, "--type", "greet")
    project.run("send", "greeter", "{}", "--type", "fail", code=1)
    return project


def test_without_a_store_the_next_command_is_named(shell: Shell) -> None:
    looks = (("actors",), ("pending",), ("log", "greeter"), ("export", "greeter", "-o", "x.car"))
    for said in shell.run_together(*looks, code=1):
        assert "understudy serve" in said
    assert list(shell.folder.iterdir()) == []


def test_a_store_that_no_backend_knows_is_named(shell: Shell) -> None:
    assert "mongodb" in shell.run("actors", "--store", "mongodb:x", code=1)


def test_a_log_reads_like_a_diary(greeted: Shell) -> None:
    said = greeted.run("log", "greeter")
    first, second, third = said.index("#2"), said.index("#1"), said.index("#0")
    assert first < second < third
    assert "failed" in said[first:second]
    assert "the wit is broken" in said[first:second]
    assert "-> greet from out/" in said[second:third]
    assert "<- reply to out/" in said[second:third]
    assert "-> genesis" in said[third:]
    assert "2 earlier steps" in greeted.run("log", "greeter", "-n", "1")


def test_what_an_actor_says_is_shown_letter_for_letter_and_steers_no_terminal(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": STEERING})
    project.run("push")
    shown = r":b: [red]x[/red] \x1b[31m\x9b2J \u202e\u2066"
    assert shown in project.run("send", "greeter", "null", "--type", "shout", code=1)
    assert shown in project.run("log", "greeter")
    assert shown in project.run("query", "greeter", "shout", code=1)
    project.write({"greeter/code/greeter.py": STEERING + "# \u202e"})
    assert r"+# \u202e" in project.run("push")


def test_no_colours_and_no_broken_lines_where_it_is_no_terminal(greeted: Shell) -> None:
    id = greeted.json("actors")["actors"][0]["id"]
    for args in (("actors",), ("log", "greeter"), ("chain", "greeter")):
        said = greeted.run(*args)
        assert "\x1b" not in said
        assert id in said or greeted.json("actors")["actors"][0]["head"] in said


def test_the_digest_of_a_raw_block_is_in_its_id(greeted: Shell) -> None:
    for entry in greeted.json("chain", "greeter")["entries"]:
        block = greeted.raw("show", entry["id"], "--raw")
        assert hashlib.sha256(block).digest() == digest(parse(entry["id"]))


def test_a_path_goes_through_steps_trees_and_messages(greeted: Shell) -> None:
    assert greeted.json("show", "greeter/core/state")["text"] == '{"greeted":1}'
    assert greeted.json("show", "greeter")["kind"] == "step"
    assert greeted.json("show", "greeter/consumed.0/content")["text"] == "{}"
    assert greeted.json("show", "greeter/parent/parent/core")["kind"] == "tree"
    assert "it has code, state, wit" in greeted.run("show", "greeter/core/gone", code=1)


def test_what_can_not_be_shown_as_text_is_described(greeted: Shell) -> None:
    (greeted.folder / "greeter" / "logo").write_bytes(b"\xff\x00")
    greeted.run("push")
    assert "no text" in greeted.run("show", "greeter/core/logo")
    assert greeted.json("show", "greeter/core/logo")["base64"] == "/wA="
    assert greeted.raw("show", "greeter/core/logo", "--raw") == b"\xff\x00"


def test_a_chain_in_json_is_that_of_the_web(greeted: Shell) -> None:
    chain = greeted.json("chain", "greeter", "--limit", "2")
    assert set(chain) == {"actor", "head", "entries", "next"}
    assert set(chain["entries"][0]) == {"id", "parent", "data"}
    rest = greeted.json("chain", "greeter", "--before", chain["next"])
    assert rest["entries"][0]["id"] == chain["entries"][-1]["parent"]


@pytest.mark.parametrize("command", ["log", "chain"])
def test_a_list_of_no_steps_says_why_it_is_empty(greeted: Shell, command: str) -> None:
    assert "there are no steps below height 0; the first step has height 0" in greeted.run(
        command, "greeter", "--before", "0"
    )


def test_nothing_waits_after_everything_was_answered(greeted: Shell) -> None:
    assert "Nothing waits" in greeted.run("pending")
    assert not any(greeted.json("pending", "greeter").values())


def test_an_export_is_imported_elsewhere_and_goes_on_there(greeted: Shell) -> None:
    head = greeted.json("actors")["actors"][0]["head"]
    id = greeted.json("export", "greeter", "-o", "g.car")["actor"]
    elsewhere = ("--store", "rocksdb:elsewhere")
    [imported] = greeted.json("import", "g.car", *elsewhere)["imported"]
    assert (imported["what"], imported["sleeps"]) == ("new", False)
    assert greeted.json("import", "g.car", *elsewhere)["imported"][0]["what"] == "known"
    assert greeted.json("actors", *elsewhere)["actors"][0]["head"] == head
    assert "number 2" in greeted.run("send", id, ADA, "--type", "greet", *elsewhere)


def test_a_longer_history_moves_a_head_forward_and_another_history_does_not(greeted: Shell) -> None:
    elsewhere = ("--store", "rocksdb:elsewhere")
    id = greeted.json("export", "greeter", "-o", "short.car")["actor"]
    greeted.run("import", "short.car", *elsewhere)
    greeted.run("send", "greeter", ADA, "--type", "greet")
    greeted.run("export", "greeter", "-o", "long.car")
    assert greeted.json("import", "long.car", *elsewhere)["imported"][0]["what"] == "forward"
    assert greeted.json("import", "short.car", *elsewhere)["imported"][0]["what"] == "known"
    assert greeted.json("actors", *elsewhere)["actors"][0]["height"] == 3
    assert len(greeted.json("chain", id, *elsewhere)["entries"]) == 4
    greeted.run("send", id, '{"name": "there"}', "--type", "greet", *elsewhere)
    greeted.run("send", "greeter", '{"name": "here"}', "--type", "greet")
    greeted.run("export", "greeter", "-o", "other.car")
    assert "not the continuation" in greeted.run("import", "other.car", *elsewhere, code=1)
    assert greeted.json("actors", *elsewhere)["actors"][0]["height"] == 4


def test_our_own_callers_go_on_after_an_import_into_a_copy_of_the_store(greeted: Shell) -> None:
    greeted.run("send", "greeter", ADA, "--type", "greet")
    greeted.run("export", "greeter", "-o", "g.car")
    import_ = greeted.json("import", "g.car")
    assert import_["imported"][0]["what"] == "known"
    assert "number 3" in greeted.run("send", "greeter", ADA, "--type", "greet")


def test_our_own_callers_go_on_in_an_older_copy_of_the_store_that_gets_the_rest_of_the_history(greeted: Shell) -> None:
    shutil.copytree(greeted.folder / ".understudy", greeted.folder / "copy")
    greeted.run("send", "greeter", ADA, "--type", "greet")
    greeted.run("send", "greeter", ADA, "--type", "greet")
    greeted.run("export", "greeter", "-o", "g.car")
    copy = ("--store", "rocksdb:copy")
    assert greeted.json("import", "g.car", *copy)["imported"][0]["what"] == "forward"
    before = greeted.json("actors", *copy)["actors"][0]["height"]
    greeted.run("send", "greeter", ADA, "--type", "greet", *copy)
    assert greeted.json("actors", *copy)["actors"][0]["height"] == before + 1
    greeted.run("fsck", *copy)


def test_a_damaged_file_leaves_nothing_behind(greeted: Shell) -> None:
    greeted.run("export", "greeter", "-o", "g.car")
    data = bytearray((greeted.folder / "g.car").read_bytes())
    data[len(data) // 2] ^= 1
    (greeted.folder / "flipped.car").write_bytes(data)
    (greeted.folder / "cut.car").write_bytes(data[:-10])
    for name in ("flipped.car", "cut.car", "understudy.toml"):
        greeted.run("import", name, "--store", "rocksdb:elsewhere", code=1)
    assert greeted.json("actors", "--store", "rocksdb:elsewhere")["actors"] == []


def test_an_export_that_can_not_be_written_leaves_no_file(greeted: Shell) -> None:
    assert "can't be written" in greeted.run("export", "greeter", "-o", "gone/g.car", code=1)
    assert not list(greeted.folder.glob("**/*.tmp"))


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="root may write anywhere")
def test_a_directory_that_can_not_be_written_is_named(shell: Shell) -> None:
    shell.folder.chmod(0o500)
    try:
        assert ".understudy" in shell.run("serve", "--listen", "127.0.0.1:0", code=1)
    finally:
        shell.folder.chmod(0o700)


WORDY = """
from understudy import Context, Wit

wit = Wit()


@wit.message("say")
def say(words: str, context: Context) -> None:
    context.log("first\\n    further in\\n        deepest")


@wit.message("also")
def also() -> str:
    return "x" * 500
"""


def test_a_log_shows_what_was_said_and_keeps_the_shape_of_what_was_logged(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": WORDY})
    project.run("push")
    project.run("send", "greeter", '"well"', "--type", "say")
    said = project.run("log", "greeter", "-n", "1")
    assert "-> say from out/" in said
    assert '/local  "well"\n' in said
    assert "    log: first\n             further in\n                 deepest\n" in said
    project.run("send", "greeter", "--type", "also")
    said = project.run("log", "greeter", "-n", "1")
    assert f'<- reply to out/{said.split("out/")[1].split("/")[0]}/local  "{"x" * 119}…\n' in said
    project.write({"greeter/data/a": "1"})
    project.run("push")
    assert "-> update (update) from" in (said := project.run("log", "greeter", "-n", "1"))
    assert said.splitlines()[1].endswith("/local  data/a")


def test_a_log_goes_back_as_far_as_there_are_steps(project: Shell) -> None:
    project.run("push")
    for _ in range(3):
        project.run("send", "greeter", '{"name": "Ada"}', "--type", "greet")
    said = project.run("log", "greeter", "-n", "1")
    assert "3 earlier steps: understudy log greeter --before 3" in said
    for command, items in (("log", "steps"), ("chain", "entries")):
        below = project.json(command, "greeter", "--before", "2", "-n", "5000")
        assert len(below[items]) == 2
        assert below["next"] is None


def test_pages_are_joined_and_no_more_is_read_than_was_asked_for() -> None:
    asked = []

    def read(before: int | None, limit: int) -> dict[str, Any]:
        top = 2500 if before is None else before
        asked.append((before, limit))
        found = list(range(top - 1, max(top - limit, 0) - 1, -1))
        return {"items": found, "next": str(found[-1]) if found[-1] else None}

    whole = join_pages(read_pages(read, before=None, limit=10**9), "items")
    assert whole == {"items": list(range(2499, -1, -1)), "next": None}
    assert join_pages(read_pages(read, before=None, limit=1500), "items")["next"] == "1000"
    assert asked[-2:] == [(None, 1000), (1500, 500)]


WRONG = [
    (("send", "greeter", "x"), 2, "WrongUse"),
    (("sned",), 2, "WrongUse"),
    (("log", "greeter", "-n", "0"), 2, "WrongUse"),
    (("log", "nobody"), 1, "NotFound"),
    (("send", "nobody", "{}"), 1, "NotFound"),
    (("show", "greeter@7"), 1, "NotThatStep"),
    (("query", "greeter", "wut", "--at", "7"), 1, "NotThatStep"),
    (("query", "greeter", "wut", "--at", "yesterday"), 2, "WrongUse"),
    (("verify", "understudy.toml"), 2, "WrongUse"),
    (("send", "greeter", "{}", "--type", "fail"), 1, "ValueError"),
    (("send", "greeter", "{}"), 2, "WrongUse"),
    (("push", "nowhere"), 2, "WrongUse"),
    (("export", "greeter", "-o", "gone/g.car"), 1, "Error"),
]


def test_under_json_every_error_is_one_line_of_json_on_standard_error(project: Shell) -> None:
    project.run("push")
    for args, exit_code, code in WRONG:
        done = project.done(*args, "--json")
        (line,) = done.stderr.decode().splitlines()
        error = json.loads(line)["error"]
        assert (done.returncode, error["exit_code"], error["code"]) == (exit_code, exit_code, code), args
        assert error["detail"]
        if done.stdout:
            json.loads(done.stdout)


def test_a_message_without_a_type_has_the_only_one_that_the_actor_takes(project: Shell) -> None:
    project.run("push")
    assert "say one of them: --type fail | greet" in project.run("send", "greeter", '{"name": "Ada"}', code=2)
    project.write({"greeter/code/greeter.py": GREETER.replace('@wit.message("fail")', '@wit.message("error")')})
    project.run("push")
    assert "Hello Ada" in project.run("send", "greeter", '{"name": "Ada"}')


def test_a_message_that_was_sent_without_its_content_says_so(project: Shell) -> None:
    project.run("push")
    assert "the message had no content" in project.run("send", "greeter", "--type", "greet", code=1)
    assert "the message had no content" not in project.run("send", "greeter", "{}", "--type", "greet", code=1)


def test_every_command_has_help_with_an_example(shell: Shell) -> None:
    names = [
        "init",
        "serve",
        "push",
        "send",
        "actors",
        "log",
        "show",
        "chain",
        "pending",
        "verify",
        "fsck",
        "export",
        "import",
    ]
    for name in names:
        said = shell.run(name, "--help")
        assert f"understudy {name}" in said.replace("\n", " ")
        assert "Example" in said
        assert "--json" in said


def test_commands_that_only_look_run_no_code_of_the_project(project: Shell) -> None:
    """Who looks at a project that came from elsewhere has not decided to trust it."""
    project.run("push")
    ran = project.folder / "ran"
    project.write({"tell.py": f"open({str(ran)!r}, 'w').close()"})
    with (project.folder / "understudy.toml").open("a") as file:
        file.write('[python]\nmodules = ["tell"]\npaths = ["."]\n')
    for command in (
        "actors",
        "log greeter",
        "timers",
        "fsck",
        "export greeter -o greeter.car",
        "verify --all --integrity-only",
        "verify greeter.car --integrity-only",
    ):
        project.run(*command.split())
        assert not ran.exists(), command
    # What judges by running code says so, and does.
    project.run("verify", "--all")
    assert ran.exists()
