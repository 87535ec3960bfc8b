"""A store with rows that can't be read: the node starts, the actor whose rows they are stands still, the others are served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.living import Living
from tests.node.stage import ClogStore
from understudy.node.holds import HELD, PAUSED, Holds, Kind, read_holds
from understudy.node.looking.lookup import ActorInfo
from understudy.node.running.marks import Flag, Mark, Marks, What
from understudy.objects.ids import ActorId
from understudy.store.errors import Corrupt
from understudy.store.fsck import fsck
from understudy.store.keys import HOLDS, WAITING, head_ref, hold_row, waiting_of
from understudy.store.port import Row, Unit


class Damaged(ClogStore):
    """A store in which what begins with `damage` can't be read, as a block of a file whose checksum is wrong."""

    damage: bytes | None = None

    def ref(self, name: bytes) -> bytes | None:
        if self.damage is not None and name == self.damage:
            raise Corrupt("a block of the heads is damaged")
        return super().ref(name)

    def row(self, key: bytes) -> bytes | None:
        if self.damage is not None and key.startswith(self.damage):
            raise Corrupt("a block of the rows is damaged")
        return super().row(key)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        damage = self.damage
        if damage is not None and damage.startswith(prefix) and start <= damage + b"\xff":
            raise Corrupt("a block of the rows is damaged")
        if damage is not None and prefix.startswith(damage):
            raise Corrupt("a block of the rows is damaged")
        return super().rows(prefix, start, reverse=reverse)


def info(living: Living, actor: ActorId) -> ActorInfo:
    return living.node.lookup.actor(actor)


def put(store: ClogStore, *rows: Row) -> None:
    store.inner.commit([Unit(rows=rows)])


@pytest.mark.parametrize(
    "rows",
    [
        lambda actor: Row(hold_row(actor, Kind.STEPS), b"{"),
        lambda actor: Row(hold_row(actor, Kind.STEPS), b'{"state":1}'),
        lambda actor: Row(hold_row(actor, Kind.PAUSE), b""),
    ],
)
def test_a_hold_that_cannot_be_understood_holds_its_actor_and_no_other(rows) -> None:
    with Living() as living:
        actor, other = living.create(nonce="1"), living.create(nonce="2")
    store = living.backend
    assert isinstance(store, ClogStore)
    put(store, rows(actor), Row(HOLDS + b"short", b"{}"), Row(hold_row(other, 200), b"of a later version"))
    assert any("row x" in finding.where for finding in fsck(store).findings)
    with Living(store) as living:
        assert living.tell(other, "ask", 1) == 1
        assert info(living, actor).status == HELD and info(living, other).status == "ready"
        living.run(living.node.resume(actor))
        assert living.tell(actor, "ask", 2) == 2


def test_holds_that_cannot_be_read_hold_those_whose_they_may_be_and_no_other() -> None:
    store = Damaged()
    with Living(store) as living:
        actor, paused, other = (living.create(nonce=nonce) for nonce in "123")
        living.run(living.node.pause(actor))
        living.run(living.node.pause(paused))
        for each in (actor, paused, other):
            living.send(each, "ask", 1)
    store.damage = HOLDS + actor[4:]
    holds = Holds(store)
    holds.load()
    found = holds.get(actor, Kind.STEPS), holds.get(paused, Kind.PAUSE), holds.get(other, Kind.STEPS)
    assert [None if hold is None else hold.state for hold in found] == [HELD, PAUSED, None]
    with Living(store) as living:
        assert living.tell(other, "ask", 2) == 2
        living.send(actor, "ask", 2)
        assert living.tell(other, "ask", 3) == 3
        assert len(living.chain(actor)) == len(living.chain(paused)) == 1


def test_mail_that_cannot_be_read_stops_its_actor_and_not_the_others() -> None:
    store = Damaged()
    with Living(store) as living:
        actor, other = living.create(nonce="1"), living.create(nonce="2")
        for each in (actor, other):
            living.run(living.node.pause(each))
            living.send(each, "ask", 1)
    put(store, *[Row(hold_row(each, Kind.PAUSE), None) for each in (actor, other)])
    store.damage = waiting_of(actor)
    with Living(store) as living:
        living.until(lambda: len(living.chain(other)) == 2)
        living.until(lambda: list(living.runner.delays().stuck) == [str(actor)])
        assert living.tell(other, "ask", 2) == 2
    store.damage = None
    with Living(store) as living:
        living.come_to_rest()
        assert len(living.chain(actor)) == 2


def test_a_row_of_mail_without_a_key_of_ours_is_left_alone() -> None:
    with Living() as living:
        actor = living.create()
        living.run(living.node.pause(actor))
        living.send(actor, "ask", 1)
    store = living.backend
    assert isinstance(store, ClogStore)
    strange = [Row(WAITING + b"\0", b""), Row(WAITING + actor[4:] + b"\xee", b"?")]
    put(store, Row(hold_row(actor, Kind.PAUSE), None), *strange)
    with Living(store) as living:
        living.until(lambda: len(living.chain(actor)) == 2)
        assert living.tell(actor, "ask", 2) == 2
    assert [store.row(row.key) for row in strange] == [row.value for row in strange]


def test_who_may_have_ended_the_process_is_suspected_even_if_its_head_cannot_be_read(tmp_path) -> None:
    store = Damaged()
    with Living(store) as living:
        actor, other = living.create(nonce="1"), living.create(nonce="2")
    marks = Marks()
    marks.keep_in(tmp_path)
    marks.enter(Mark(actor, What.STEP, Flag.RUNNING, "", 1))
    store.damage = bytes(head_ref(actor))
    with Living(store, store_url=f"rocksdb:{tmp_path}") as living:
        assert living.tell(other, "ask", 1) == 1
    assert read_holds(store, actor)
