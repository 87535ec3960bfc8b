"""The files of a new project: an actor to begin with, and a test of it."""

from __future__ import annotations

from typing import Final

from understudy.cli.project import PROJECT_FILE

_PROJECT: Final = """\
# A project of Understudy. `understudy serve` runs it, `understudy push` sends what changed.

[node]
store = "rocksdb:.understudy"
listen = "127.0.0.1:8321"

# The files below `path` are the actor's core: its code and its data. State appears beside them as it runs.
[actors.greeter]
path = "greeter"

# For cores whose /wit says external:MODULE:FUNCTION.
[python]
modules = []
paths = []
"""

_WIT: Final = "/code:greeter:wit\n"

_CODE: Final = '''\
"""Greets, and counts whom it greeted."""

from msgspec import Struct

from understudy import Wit


class Greet(Struct):
    name: str


class State(Struct):
    greeted: int = 0


wit = Wit()


@wit.message("greet")
def greet(hello: Greet, state: State) -> str:
    state.greeted += 1
    return f"Hello {hello.name}, you are number {state.greeted}."
'''

_TEST: Final = '''\
"""Handlers are plain functions: call them."""

from greeter import Greet, State, greet


def test_the_first_guest_is_greeted_as_number_one() -> None:
    state = State()
    assert greet(Greet(name="Ada"), state) == "Hello Ada, you are number 1."
    assert state.greeted == 1


def test_the_count_goes_on() -> None:
    assert greet(Greet(name="Grace"), State(greeted=41)) == "Hello Grace, you are number 42."
'''

_PYTEST: Final = """\
[pytest]
testpaths = tests
pythonpath = greeter/code
"""

# Where type checkers and editors find what the test imports.
_PYRIGHT: Final = """\
{
    "include": ["greeter", "tests"],
    "extraPaths": ["greeter/code"]
}
"""

SAMPLE: Final = {
    PROJECT_FILE: _PROJECT,
    "greeter/wit": _WIT,
    "greeter/code/greeter.py": _CODE,
    "tests/test_greeter.py": _TEST,
    "pytest.ini": _PYTEST,
    "pyrightconfig.json": _PYRIGHT,
    ".gitignore": ".understudy/\n.understudy.starting*\n__pycache__/\n",
}
