"""What an author sees of an exception: everything that Python knows of it, bounded, and nothing of the machine."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from understudy.engines.python import failure
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.failure import in_core, outcome_of
from understudy.engines.python.names import clean
from understudy.testing.engine_suite import Objects, delivery, run, step_input

CODE = """
import json
class Odd(Exception):
    def __str__(self):
        raise ValueError
def read(text):
    return json.loads(text)
def caused():
    try:
        read("{")
    except ValueError as error:
        error.add_note("in the order of Ann")
        raise RuntimeError("no order") from error
def handling():
    try:
        {}["a"]
    except KeyError:
        raise RuntimeError("no entry")
def hidden():
    try:
        {}["a"]
    except KeyError:
        raise RuntimeError("no entry") from None
def group():
    found = []
    for make in (caused, handling):
        try:
            make()
        except RuntimeError as error:
            found.append(error)
    raise ExceptionGroup("two of them", [found[0], ExceptionGroup("inner", [found[1], Odd()])])
def circle():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    raise one
def endless():
    raise ExceptionGroup("many", [ValueError(str(number)) for number in range(5000)])
def notes():
    error = ValueError("x")
    error.__notes__ = ["\\ud800", Odd(), *range(1000)]
    raise error
def mapped():
    return list(map(read, ["1", "{"]))
def library():
    import asyncio
    asyncio.run(None)
"""


def text_of(name: str) -> str:
    objects = Objects()
    core = objects.core({"wit": f"/code:m:wit_{name}", "code/m.py": CODE + f"def wit_{name}(): {name}()\n"})
    result = run(PythonEngine(), step_input(objects, core, [delivery(objects, str(core), "x")]))
    assert result.outcome is not None
    for part in (sys.prefix, sys.base_prefix, "site-packages", "understudy_core", "understudy/", "0x"):
        assert part not in result.outcome.text
    return str(result.outcome.text)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "caused",
            [
                "no order",
                "at code/m.py:13 in caused",
                '    raise RuntimeError("no order") from error',
                "caused by JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
                "in the order of Ann",
                "at code/m.py:7 in read",
                "    return json.loads(text)",
                "    through json/__init__.py:",
                "called from code/m.py:10 in caused",
            ],
        ),
        (
            "handling",
            ["no entry", "at code/m.py:18 in handling", "while handling KeyError: 'a'", "at code/m.py:16 in handling"],
        ),
        (
            "group",
            [
                "two of them (2 sub-exceptions)",
                "1. RuntimeError: no order",
                "   at code/m.py:13 in caused",
                "   caused by JSONDecodeError: Expecting",
                "   in the order of Ann",
                "2. ExceptionGroup: inner (2 sub-exceptions)",
                "   1. RuntimeError: no entry",
                "      at code/m.py:18 in handling",
                "      while handling KeyError: 'a'",
                "   2. Odd: (the exception has no readable message)",
            ],
        ),
        ("notes", ["x", "?", "(the exception has no readable message)", "0"]),
        ("mapped", ["at code/m.py:7 in read", "called from code/m.py:"]),
        ("library", ["a coroutine was expected, got None", "at code/m.py:", "    through asyncio/runners.py:"]),
        ("circle", ["one", "at code/m.py:", "caused by ValueError: other"]),
    ],
)
def test_an_author_sees_all_that_python_knows(name: str, lines: list[str]) -> None:
    found = iter(text_of(name).splitlines())
    for line in lines:
        assert any(each.startswith(line) for each in found), (line, text_of(name))


def test_what_is_hidden_on_purpose_stays_hidden() -> None:
    assert "KeyError" not in text_of("hidden")


@pytest.mark.parametrize("name", ["circle", "endless", "notes", "group"])
def test_however_many_there_are_the_text_is_bounded(name: str) -> None:
    assert len(text_of(name)) < 3000


@pytest.mark.parametrize(
    "make",
    [lambda size: ValueError("x" * size), lambda size: type("E" * size, (ValueError,), {})(), lambda size: noted(size)],
)
def test_of_the_text_of_an_exception_no_more_is_looked_at_than_an_outcome_can_need(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[int], Exception]
) -> None:
    looked_at: list[int] = []

    def look(text: str) -> str:
        looked_at.append(len(text))
        return clean(text)

    monkeypatch.setattr(failure, "clean", look)
    some, much = (outcome_of(make(size), in_core) for size in (9_000, 9_000_000))
    assert (some.text, some.code) == (much.text, much.code)
    assert max(looked_at) < 100_000


def noted(size: int) -> Exception:
    error = ValueError("short")
    error.add_note("x" * size)
    return error
