"""Seed 002, "Wit Queries", sentence by sentence: what is quoted above a test is what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest

from tests.node.living import Living
from understudy import Blob
from understudy.objects.ids import ActorId

WIT = """
def wit(core, messages):
    for message in messages:
        if message.type == "write":
            core["note"] = message.bytes()
"""


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def make(living: Living, query: str, **files: str) -> ActorId:
    """An actor that keeps the last note it was sent, with a `/wit_query`."""
    return living.create(wit=WIT, wit_query=dedent(query), **files)


def ask(living: Living, actor: ActorId, name: str = "any", context: Blob | None = None, **more: Any) -> Any:
    """The answer to a query."""
    given = [] if context is None else [context]
    return living.run(living.node.query(actor, name, *given, **more)).result


# "def wit_query(step) -> any:"
def test_the_most_simple_query_answers_anything(living: Living) -> None:
    query = """
        from understudy import object_store

        def wit_query(step) -> any:
            return {"height": object_store.step(step).height}
        """
    actor = make(living, query)
    assert ask(living, actor) == Blob(b'{"height":0}', "application/json")
    living.ask(actor, "write", "x")
    assert ask(living, actor).json() == {"height": 1}
