"""What a function asks for is found out the quick way where that is safe, with the same result as the thorough way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from understudy import Context, Message
from understudy.wit.parameters import is_async, parameters_of


class Greet:
    """A payload."""


def bare(a, b=1):
    return a, b


def typed(a: Greet, b: str = "x", *rest: int, c: Context, d: bool = False, **more: Any) -> None: ...


def first(a: Message, b: None, /, c: dict, *, d) -> Greet:
    return Greet()


def generic(a: list[Greet], b: int | None = None) -> dict[str, int]:
    return {}


def quoted(a: "Greet", b: "list[Greet]") -> "Greet":  # noqa: UP037
    return a


def unresolved(a: Nowhere, b: Greet): ...  # type: ignore[name-defined]  # noqa: F821


async def asynchronous(a: Greet, *, b: int = 2) -> None: ...


def nothing(): ...


@pytest.mark.parametrize(
    "function", [bare, typed, first, generic, quoted, unresolved, asynchronous, nothing, lambda x, y=2: x]
)
def test_a_plain_function_asks_for_the_same_as_a_decorated_one(function: Callable[..., Any]):
    quick = parameters_of(function), is_async(function)
    function.marked = True  # type: ignore[attr-defined]
    assert (parameters_of(function), is_async(function)) == quick
