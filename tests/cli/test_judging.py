"""verify and fsck, on good histories and on bad ones."""

from __future__ import annotations

import os

import pytest

from tests.cli.conftest import GREETER, Shell

ADA = '{"name": "Ada"}'
CLOCK = GREETER.replace("from msgspec", "import time\nfrom msgspec").replace(
    "state.greeted += 1", "state.greeted += time.time_ns()"
)


@pytest.fixture
def greeted(project: Shell) -> Shell:
    """A greeter that greeted twice."""
    project.run("push")
    project.run("send", "greeter", ADA, "--type", "greet")
    project.run("send", "greeter", ADA, "--type", "greet")
    return project


def test_a_history_that_was_left_alone_matches(greeted: Shell) -> None:
    assert "1 of 1 match" in greeted.run("verify", "greeter")
    [verdict] = greeted.json("verify", "--all")["verdicts"]
    assert (verdict["verdict"], verdict["height"], verdict["steps"]) == ("MATCH", 2, 3)
    [verdict] = greeted.json("verify", "greeter", "--integrity-only")["verdicts"]
    assert (verdict["verdict"], verdict["steps"]) == ("INTACT", 0)


def test_a_history_is_judged_while_its_node_serves_it(greeted: Shell) -> None:
    greeted.serve()
    assert "MATCH" in greeted.run("verify", "greeter")
    assert "all in order" in greeted.run("fsck")


def test_a_wit_that_reads_the_clock_does_not_match_and_the_path_is_named(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": CLOCK})
    project.run("push")
    project.run("send", "greeter", ADA, "--type", "greet")
    [verdict] = project.json("verify", "greeter", code=1)["verdicts"]
    assert verdict["verdict"] == "MISMATCH"
    assert verdict["path"].startswith("data.core/state")
    said = project.run("verify", "greeter", code=1)
    assert "recorded:" in said
    assert "replayed:" in said


def test_a_file_is_judged_on_a_machine_that_has_nothing_else(greeted: Shell) -> None:
    greeted.run("export", "greeter", "-o", "g.car")
    (greeted.folder / "far" / "away").mkdir(parents=True)
    far = Shell(greeted.folder / "far" / "away")
    assert far.json("verify", str(greeted.folder / "g.car"))["verdicts"][0]["verdict"] == "MATCH"
    assert list(far.folder.iterdir()) == []


def test_a_file_that_was_damaged_does_not_match(greeted: Shell) -> None:
    greeted.run("export", "greeter", "-o", "g.car")
    data = bytearray((greeted.folder / "g.car").read_bytes())
    data[len(data) // 2] ^= 1
    (greeted.folder / "flipped.car").write_bytes(data)
    (greeted.folder / "cut.car").write_bytes(data[:100])
    for name in ("flipped.car", "cut.car"):
        assert greeted.json("verify", name, code=1)["verdicts"][0]["verdict"] == "MISMATCH"


def test_files_that_can_not_be_judged_have_a_verdict_each_and_the_others_are_judged(greeted: Shell) -> None:
    greeted.run("export", "greeter", "-o", "g.car")
    whole = (greeted.folder / "g.car").read_bytes()
    files: dict[str, bytes] = {
        "empty.car": b"",
        "text.car": b"dear reader",
        "long.car": whole + b"\xff\xff\xff\x7f",
        "header.car": b"\xff\xff\xff\x7f" + whole,
        "twice.car": whole + whole,
    }
    for name, data in files.items():
        (greeted.folder / name).write_bytes(data)
    (greeted.folder / "folder.car").mkdir()
    os.mkfifo(greeted.folder / "pipe.car")
    names = [*files, "folder.car", "pipe.car", "absent.car", "g.car"]
    verdicts = greeted.json("verify", *names, code=1)["verdicts"]
    assert [verdict["file"] for verdict in verdicts] == names
    assert [verdict["verdict"] for verdict in verdicts] == ["MISMATCH"] * 5 + ["UNVERIFIABLE"] * 3 + ["MATCH"]
    assert "1 of 9 match" in greeted.run("verify", *names, code=1)


def test_a_history_must_go_through_the_head_that_one_holds(greeted: Shell) -> None:
    held = greeted.json("chain", "greeter")["entries"][1]["id"]
    greeted.run("export", "greeter", "-o", "g.car")
    assert "MATCH" in greeted.run("verify", "greeter", "--head", held)
    assert "MATCH" in greeted.run("verify", "g.car", "--head", held)
    # The same actor lives again elsewhere, and its history takes another turn.
    elsewhere = ("--store", "rocksdb:elsewhere")
    greeted.run("push", *elsewhere)
    greeted.run("send", "greeter", '{"name": "Eve"}', "--type", "greet", *elsewhere)
    assert "MATCH" in greeted.run("verify", "greeter", *elsewhere)
    said = greeted.run("verify", "greeter", "--head", held, *elsewhere, code=1)
    assert "the head that you hold" in said


def test_an_id_that_is_none_is_named(greeted: Shell) -> None:
    assert "garbage" in greeted.run("verify", "greeter", "--head", "garbage", code=2)


def test_a_store_in_order_is_said_to_be(greeted: Shell) -> None:
    report = greeted.json("fsck")
    assert report["ok"]
    assert report["actors"] == 1
    assert report["findings"] == []


def test_a_store_that_lost_its_end_is_not_served_until_that_is_accepted(greeted: Shell) -> None:
    assert "nothing to accept" in greeted.run("fsck", "--accept-loss")
    store = greeted.folder / ".understudy"
    # The manifest of a store that was stopped says what its tables hold: cut, it forgets the last ones.
    manifest = store / (store / "CURRENT").read_text().strip()
    with manifest.open("r+b") as file:
        file.truncate(manifest.stat().st_size - 40)
    for command in (("push",), ("send", "greeter", ADA, "--type", "greet"), ("serve", "--listen", "127.0.0.1:0")):
        assert "--accept-loss" in greeted.run(*command, code=1)
    report = greeted.json("fsck", code=1)
    assert "lost" in report["findings"][0]["what"] and not report["ok"]
    assert "careful" in greeted.run("actors")
    assert "accepted" in greeted.run("fsck", "--accept-loss", code=None)
    assert "lost steps" not in greeted.run("fsck", code=None)
    greeted.run("push")


def test_an_empty_store_has_nobody_to_judge(shell: Shell) -> None:
    shell.write({"understudy.toml": ""})
    shell.run("push")
    assert "nobody" in shell.run("verify", "--all")
    assert "all in order" in shell.run("fsck")
    assert "No actors yet" in shell.run("actors")
