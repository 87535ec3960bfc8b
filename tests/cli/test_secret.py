"""`understudy secret`: what is kept beside the store, for which hosts, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

VALUE = b"long-enough-value\n"


@pytest.fixture
def pushed(project: Shell) -> Shell:
    project.run("push")
    return project


def test_a_secret_is_kept_listed_without_its_value_and_forgotten(pushed: Shell) -> None:
    said = pushed.run("secret", "set", "KEY", "--to", "api.example.com", stdin=VALUE)
    assert said == "KEY  kept, for api.example.com\n"
    (listed,) = pushed.json("secret", "list")["secrets"]
    assert listed == {"name": "KEY", "to": ["api.example.com"], "actors": None, "source": "a file"}
    assert "long-enough" not in pushed.run("secret", "list")
    assert _modes(pushed.folder / ".understudy" / "secrets") == {0o600}
    assert pushed.json("secret", "remove", "KEY") == {"removed": "KEY"}
    assert pushed.json("secret", "list") == {"secrets": []}


@pytest.mark.parametrize(
    "args, stdin, says",
    [
        (("KEY", "--to", "api.example.com"), b"v\n", "has 1 character:"),
        (("KEY", "--to", "api.example.com"), b"", "has 0 characters:"),
        (("KEY", "--to", "api.example.com"), b"\xff" * 20, "no header can have"),
        (("KEY", "--to", "http://api.example.com/x"), VALUE, "api.example.com"),
        (("a b", "--to", "api.example.com"), VALUE, "a b"),
        (("KEY", "--to", "api.example.com", "--command", "say 'it"), None, "--command"),
        (("KEY",), VALUE, "--to"),
    ],
)
def test_what_can_be_no_secret_is_refused_and_changes_nothing(
    pushed: Shell, args: tuple[str, ...], stdin: bytes | None, says: str
) -> None:
    said = pushed.run("secret", "set", *args, code=2, stdin=stdin)
    assert says in said
    assert "fault of Understudy" not in said
    assert pushed.json("secret", "list") == {"secrets": []}


def test_a_secret_that_is_not_there_can_not_be_removed(pushed: Shell) -> None:
    assert "there is no secret 'KEY'; `understudy secret list`" in pushed.run("secret", "remove", "KEY", code=1)


def test_without_a_store_there_is_nothing_to_keep_a_secret_in(project: Shell) -> None:
    assert "understudy serve" in project.run("secret", "set", "KEY", "--to", "api.example.com", stdin=VALUE, code=1)
    assert not (project.folder / ".understudy").exists()


def _modes(path: Path) -> set[int]:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {os.stat(each).st_mode & 0o777 for each in files}
