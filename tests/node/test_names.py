"""Names of actors: whatever order they are given, taken and moved in, both ways agree with the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from tests.node.stage import PATIENCE, WIT
from understudy.node.errors import Conflict, Rejected
from understudy.node.looking.names import Names
from understudy.objects.errors import BadName
from understudy.objects.ids import ActorId, TreeId, node_id, short
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


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("greeter\u200b", "U\\+200B ZERO WIDTH SPACE"),
        ("gree\u200dter", "U\\+200D ZERO WIDTH JOINER"),
        ("\u202egreeter", "U\\+202E RIGHT-TO-LEFT OVERRIDE"),
        ("greeter\u2066", "U\\+2066"),
        ("gree\u00adter", "U\\+00AD SOFT HYPHEN"),
        ("greeter\ufe0f", "U\\+FE0F"),
        ("greeter\u3164", "U\\+3164 HANGUL FILLER"),
        ("greeter\u2800", "U\\+2800 BRAILLE PATTERN BLANK"),
        ("greeter\U000e0041", "U\\+E0041"),
        ("gree\u2028ter", "U\\+2028"),
        ("gree\ue000ter", "U\\+E000"),
        ("gre\u0435ter", "mixes letters of CYRILLIC and LATIN"),
        ("gr\u03b5eter", "mixes letters of GREEK and LATIN"),
        ("\uff47reeter", "write 'greeter'"),
        ("cafe\u0301", "write 'caf\\\\xe9'"),
        ("gree\u00a0ter", "write 'gree ter'"),
        (" greeter", "begins or ends with a space"),
        ("gree  ter", "two in a row"),
        ("\u0301greeter", "belongs to a letter before it"),
    ],
)
def test_a_name_that_looks_like_another_one_is_refused_and_says_why(living: Living, name: str, why: str) -> None:
    with pytest.raises(BadName, match=why):
        create(living, 0, name)
    assert living.node.lookup.names.all() == {}


@pytest.mark.parametrize(
    "name",
    ["ada", "Ada Lovelace", "café", "заказы", "shop-заказы", "注文2", "ご注文", "حساب", "हिन्दी", "☕", "a_b.c+d"],
)
def test_names_of_any_one_language_are_names(living: Living, name: str) -> None:
    actor = create(living, 0, name)
    assert living.node.resolve(name) == actor


def test_a_name_of_an_old_store_is_found_kept_and_removed(living: Living) -> None:
    old, actor = "gre\u0435ter\u200b", create(living, 0, None)
    living.backend.commit([Unit(moves=[Move(name_ref(old), None, actor)])])
    assert living.node.resolve(old) == actor
    assert create(living, 0, old) == actor
    living.run(living.node.set_name(old, None, expected=actor))
    assert living.node.lookup.names.all() == {}


def test_a_name_that_is_the_beginning_of_another_actors_id_is_refused(living: Living) -> None:
    victim = create(living, 0, None)
    with pytest.raises(Rejected, match="is the beginning of the id of an actor"):
        create(living, 1, short(victim))
    assert living.node.resolve(short(victim)) == victim


def test_one_core_that_is_created_under_one_name_by_several_at_once_is_one_actor(living: Living) -> None:
    """As a client does that tries again before its first attempt is answered."""
    files = {"wit": WIT.encode()}
    begun = [living.begin(living.node.create(files, nonce="1", name="ann")) for _ in range(4)]
    made = {each.result(PATIENCE).id for each in begun}
    assert made == {living.node.resolve("ann")}
    with pytest.raises(Conflict, match="taken by another actor"):
        create(living, 2, "ann")
