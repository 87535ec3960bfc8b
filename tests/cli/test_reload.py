"""serve --reload: what is saved runs, what is broken is reported and does not."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.cli.conftest import GREETER, Shell

PATIENCE = 20.0
HELPER = 'GREETING = "Hello"\n'
OUTSIDE = GREETER.replace("wit = Wit()", "from helper import GREETING\n\nwit = Wit()").replace(
    'f"Hello ', 'f"{GREETING} '
)


class Visitor:
    """Says hello to the greeter of a node, until it answers as expected."""

    def __init__(self, shell: Shell, address: str) -> None:
        self.shell = shell
        self.url = f"{address}/actors/greeter/messages"

    def greet(self) -> str:
        answer = httpx.post(self.url, content='{"name": "Ada"}', headers={"Message-Type": "greet"}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["replies"][0]["content"])

    def greet_until(self, word: str) -> None:
        until = time.monotonic() + PATIENCE
        while not self.greet().startswith(f"{word} Ada"):
            assert time.monotonic() < until, self.said()

    def said(self) -> str:
        return (self.shell.folder / "serve.err").read_text()

    def read_until(self, *words: str) -> None:
        """Wait until the node said all of this on its standard error; the greeter answers all the while."""
        until = time.monotonic() + PATIENCE
        while not all(word in self.said() for word in words):
            assert time.monotonic() < until, self.said()
            self.greet()


@pytest.fixture
def inside(project: Shell) -> Visitor:
    """A node that follows a project whose code is in the core."""
    return Visitor(project, project.serve("--reload")["address"])


@pytest.fixture
def outside(shell: Shell) -> Visitor:
    """A node that follows a project whose code is behind `external:`, with a module that the wit imports."""
    shell.write(
        {
            "understudy.toml": '[python]\npaths = ["lib"]\n[actors.greeter]\npath = "core"\n',
            "core/wit": "external:outside:wit",
            "lib/outside.py": OUTSIDE,
            "lib/helper.py": HELPER,
        }
    )
    return Visitor(shell, shell.serve("--reload")["address"])


def test_a_saved_file_of_a_core_becomes_an_update_of_the_living_actor(inside: Visitor) -> None:
    assert inside.greet() == "Hello Ada, number 1"
    inside.shell.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Hi")})
    inside.greet_until("Hi")
    steps = inside.shell.json("log", "greeter", "-n", "1000")["steps"]
    assert [step["consumed"][0]["lane"] for step in steps].count("update") == 1


def test_broken_code_is_reported_with_its_line_and_never_reaches_the_actor(inside: Visitor) -> None:
    inside.shell.write({"greeter/code/greeter.py": GREETER + "\ndef broken(:\n"})
    inside.read_until("greeter is not updated", "code/greeter.py:28", "def broken(:", "goes on")
    inside.shell.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Salut")})
    inside.greet_until("Salut")
    steps = inside.shell.json("log", "greeter", "-n", "1000")["steps"]
    assert {step["outcome"] for step in steps} == {"ok"}


def test_a_new_actor_and_a_broken_project_file_are_followed_too(inside: Visitor) -> None:
    inside.shell.write({"understudy.toml": "[actors.greeter]\npath = 7\n"})
    inside.read_until("not reloaded", "understudy.toml")
    both = '[actors.greeter]\npath = "greeter"\n[actors.second]\npath = "greeter"\nnonce = "2"\n'
    inside.shell.write({"understudy.toml": both})
    until = time.monotonic() + PATIENCE
    while len(inside.shell.json("actors")["actors"]) < 2:
        assert time.monotonic() < until, inside.said()


def test_a_saved_module_behind_external_runs_at_the_next_step(outside: Visitor) -> None:
    assert outside.greet() == "Hello Ada, number 1"
    outside.shell.write({"lib/outside.py": OUTSIDE.replace('f"{GREETING} ', 'f"Ahoi ')})
    outside.greet_until("Ahoi")


def test_a_module_that_the_wit_imports_is_followed_and_a_broken_one_leaves_the_old_code_in_place(
    outside: Visitor,
) -> None:
    outside.greet()
    outside.shell.write({"lib/helper.py": 'GREETING = "Never"\n1 / 0\n'})
    outside.read_until("not reloaded", "ZeroDivisionError", "goes on")
    assert outside.greet().startswith("Hello Ada")
    outside.shell.write({"lib/helper.py": 'GREETING = "Hei"\n'})
    outside.greet_until("Hei")


def test_reload_without_a_project_is_wrong_use(shell: Shell) -> None:
    assert "understudy init" in shell.run("serve", "--reload", code=2)
