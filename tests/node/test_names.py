"""Names of actors: whatever order they are given, taken and moved in, both ways agree with the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from tests.node.stage import WIT
from understudy.node.errors import Conflict
from understudy.node.names import Names
from understudy.objects.ids import ActorId

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
