"""The vectors of whole histories, judged by the real `verify`; what it says of each is a promise."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from tests.vectors import histories
from understudy.node.importing import import_car
from understudy.node.node import Node
from understudy.objects.errors import NotCanonical
from understudy.store.errors import BadCar, Corrupt
from understudy.store.fsck import fsck
from understudy.store.memory import MemoryBackend

VECTORS = histories.index()


def named(*kinds: str) -> Any:
    return pytest.mark.parametrize(
        "vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS if vector["kind"] in kinds]
    )


def file(vector: dict[str, Any]) -> bytes:
    return (histories.HERE / str(vector["file"])).read_bytes()


@named("honest", "forged", "unreadable")
def test_each_history_has_its_verdict(vector: dict[str, Any]) -> None:
    assert histories.judged(file(vector)) == vector["verdicts"]


@named("unreadable")
def test_a_file_that_can_not_be_read_brings_nothing_in(vector: dict[str, Any]) -> None:
    store = MemoryBackend()
    with pytest.raises((BadCar, Corrupt, NotCanonical)):
        import_car(Node(store), BytesIO(file(vector)))
    assert list(store.ids()) == []
    assert fsck(store).ok


def test_every_file_has_its_vector_and_every_vector_its_recipe() -> None:
    assert {vector["file"] for vector in VECTORS} == {path.name for path in histories.HERE.glob("*.car")}
    assert {vector["name"] for vector in VECTORS} <= set(histories.VECTORS)
    assert all(len(file(vector)) < 40_000 for vector in VECTORS)
