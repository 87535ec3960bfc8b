"""Names of actors: whatever order they are given, taken and moved in, both ways agree with the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from tests.node.stage import WIT
from understudy.node.errors import Conflict
from understudy.node.looking.names import Names
from understudy.objects.ids import ActorId, TreeId, node_id
from understudy.store.errors import StoreError
from understudy.store.keys import name_ref
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move, Unit

ACTORS = 3
NAMES = ("ada", "bob", "☕")


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def create(living: Living, number: int, name: str | None) -> ActorId:
    return living.run(living.node.create({"wit": WIT.encode()}, nonce=str(number), name=name)).id


@settings(max_examples=30)
@given(program=st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.integers(0, ACTORS - 1)), max_size=8))
def test_names_that_move_are_known_both_ways(program: list[tuple[str, int | None]]) -> None:
    with Living() as living:
        actors = [create(living, number, None) for number in range(ACTORS)]
        names, known = living.node.lookup.names, dict[str, ActorId]()
        for name, number in program:
            after = None if number is None else actors[number]
            living.run(living.node.set_name(name, after, expected=known.get(name)))
            known = {**known, name: after} if after is not None else {k: v for k, v in known.items() if k != name}
            for actor in actors:
                expected = min((name for name, named in known.items() if named == actor), default=None)
                assert names.name_of(actor) == Names(living.backend).name_of(actor) == expected
        assert names.all() == known


def test_an_actor_has_its_name_as_soon_as_it_lives(living: Living) -> None:
    assert living.node.lookup.names.name_of(create(living, 0, None)) is None
    for number, name in enumerate(NAMES, 1):
        actor = create(living, number, name)
        assert living.node.actor(actor).name == name
        assert living.node.resolve(name) == actor


def test_a_name_that_could_not_be_moved_stays_where_it_was(living: Living) -> None:
    ada, eve = create(living, 0, "ada"), create(living, 1, None)
    assert living.node.actor(ada).name == "ada"
    with pytest.raises(Conflict, match="the name 'ada' is taken by"):
        living.run(living.node.set_name("ada", eve, expected=None))
    assert (living.node.actor(ada).name, living.node.actor(eve).name) == ("ada", None)


def test_moves_may_be_told_of_in_another_order_than_they_were_made() -> None:
    backend = MemoryBackend()
    names, first, second = Names(backend), ActorId(TreeId(node_id(b"1"))), ActorId(TreeId(node_id(b"2")))
    assert names.name_of(first) is None
    moves = [Move(name_ref("ada"), None, first), Move(name_ref("ada"), first, second)]
    for move in moves:
        backend.commit([Unit(moves=[move])])
    for move in reversed(moves):
        names.moved(move)
    assert (names.name_of(first), names.name_of(second)) == (None, "ada")


def test_a_move_that_is_told_of_when_the_store_cannot_be_read_is_known_once_it_can() -> None:
    backend = LampStore()
    names, actor = Names(backend), ActorId(TreeId(node_id(b"1")))
    assert names.name_of(actor) is None
    move = Move(name_ref("ada"), None, actor)
    backend.commit([Unit(moves=[move])])
    backend.is_dark = True
    names.moved(move)
    backend.is_dark = False
    assert names.name_of(actor) == "ada"


class LampStore(MemoryBackend):
    """One whose refs can't be read in the dark."""

    is_dark = False

    def ref(self, name: bytes) -> bytes | None:
        if self.is_dark:
            raise StoreError("it is dark")
        return super().ref(name)
