"""fsck: a store in order has no findings, and each kind of damage is named with its place.

Tests of store/lost_messages.py too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pytest

from tests.node.troupe import Troupe, chain
from tests.store.forged_maps import FORGED, good_map, owner
from understudy.kernel.seal import waiting_row_for
from understudy.node.importing import import_car
from understudy.node.intake.composing import SendOptions
from understudy.node.node import Node
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, Id, StepId, node_id
from understudy.store.car import write_car
from understudy.store.errors import Corrupt
from understudy.store.fsck import FsckReport, _Check, fsck
from understudy.store.keys import feed_row, head_ref, height_row, name_ref, waiting_row
from understudy.store.maps import build_tree, edit_tree
from understudy.store.memory import MemoryBackend
from understudy.store.port import Backend, Move, Row, Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit
from understudy.store.walk import walk

WIT = """
from understudy import Core, Wit

wit = Wit()


@wit.message("set")
def set(core: Core, data: bytes) -> bytes:
    core["data"] = data
    return data
"""


class Damaged(MemoryBackend):
    """A backend whose blocks may be gone, changed or unreadable."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: dict[bytes, bytes | Corrupt | None] = {}

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        found = super().get(ids)
        for number, id in enumerate(ids):
            wrong = self.wrong.get(id, found[number])
            if isinstance(wrong, Corrupt):
                raise wrong
            found[number] = wrong
        return found


@pytest.fixture
def backend() -> Damaged:
    """A store with one actor of three steps, named "ada"."""
    backend = Damaged()

    async def live() -> None:
        node = Node(backend)
        await node.start()
        made = await node.create({"wit": WIT.encode()}, name="ada")
        for data in (b"one", b"two"):
            await node.answer(
                made.id, await node.send(made.id, data, type="set", options=SendOptions(idempotency_key=data.decode()))
            )
        await asyncio.to_thread(node._runner.stop)

    asyncio.run(live())
    return backend


def _findings(backend: Backend) -> str:
    report = fsck(backend)
    assert not report.ok
    return "\n".join(f"{finding.where}: {finding.what}" for finding in report.findings)


def _head(backend: MemoryBackend) -> tuple[bytes, StepId]:
    [(ref, head)] = backend.refs(b"head/")
    return ref, StepId(Id(head))


def test_a_store_in_order_has_no_findings(backend: Damaged) -> None:
    report = fsck(backend)
    assert report.findings == []
    assert report.ok
    assert report.actors == 1
    assert report.blocks == len(list(backend.ids()))


def test_an_empty_store_is_in_order() -> None:
    assert fsck(MemoryBackend()) == FsckReport(blocks=0, actors=0, rows=3, count=0, findings=[])


def test_a_flipped_bit_in_any_block_is_found_and_named(backend: Damaged) -> None:
    for id in list(backend.ids()):
        data = bytearray(backend.get([id])[0] or b"")
        if not data:
            continue
        data[-1] ^= 1
        backend.wrong = {id: bytes(data)}
        assert f"block {id}: its" in _findings(backend)


def test_a_block_that_can_not_be_read_is_named_and_the_others_are_still_read(backend: Damaged) -> None:
    id = next(iter(backend.ids()))
    backend.wrong = {id: Corrupt("checksum", id)}
    assert str(id) in _findings(backend)
    assert fsck(backend).blocks == len(list(backend.ids()))


def test_a_block_that_is_gone_is_named_with_who_links_to_it(backend: Damaged) -> None:
    _, head = _head(backend)
    core = Node(backend).reader.step(head).core
    backend.wrong = {core: None}
    assert f"block {head}: it links to {core}" in _findings(backend)


def test_a_block_of_no_known_kind_is_named(backend: Damaged) -> None:
    data = b"\xa1\x61a\x01"
    id = node_id(data)
    backend.commit([Unit(blocks=[Block(id, data)])])
    assert f"block {id}" in _findings(backend)


def test_a_head_that_is_behind_the_index_is_named(backend: Damaged) -> None:
    ref, head = _head(backend)
    reader = Node(backend).reader
    parent = reader.step(head).parent
    backend.commit([Unit(moves=[Move(ref, head, parent)])])
    assert "the last step in the index" in _findings(backend)


def test_a_gap_in_the_heights_or_in_the_feed_is_named(backend: Damaged) -> None:
    actor = Node(backend).resolve("ada")
    backend.commit([Unit(rows=[Row(height_row(actor, 1), None), Row(feed_row(2), None)])])
    found = _findings(backend)
    assert f"height 2 of {actor}: the height before it is 0" in found
    assert "feed 3: the number before it is 1" in found


def test_a_head_that_is_no_step_and_a_name_of_nobody_are_named(backend: Damaged) -> None:
    actor = Node(backend).resolve("ada")
    _, head = _head(backend)
    nobody = Id(bytes(actor[:-1]) + bytes([actor[-1] ^ 1]))
    moves = [Move(head_ref(actor), head, actor), Move(name_ref("eve"), None, nobody)]
    backend.commit([Unit(moves=moves)])
    found = _findings(backend)
    assert f"head of {actor}: not a step" in found
    assert f"name 'eve': there is no actor {nobody}" in found


def test_a_message_that_waits_in_the_wrong_place_is_named(backend: Damaged) -> None:
    actor = Node(backend).resolve("ada")
    _, head = _head(backend)
    message = Node(backend).reader.step(head).consumed[0]
    backend.commit([Unit(rows=[Row(waiting_row(actor, "queue", "out/other/one", 7), message)])])
    assert "belongs to another place" in _findings(backend)


def test_a_row_that_nobody_knows_is_named(backend: Damaged) -> None:
    backend.commit([Unit(rows=[Row(b"zebra", b"1"), Row(b"ishort", b"1")])])
    found = _findings(backend)
    assert "no row begins so" in found
    assert "it can't be read" in found


def test_a_head_without_an_index_of_its_heights_is_named(backend: Damaged) -> None:
    actor = Node(backend).resolve("ada")
    backend.commit([Unit(rows=[Row(height_row(actor, height), None) for height in range(3)])])
    assert f"head of {actor}: there is no index of its heights" in _findings(backend)


def test_a_message_that_waits_though_it_was_consumed_is_named(backend: Damaged) -> None:
    reader = Node(backend).reader
    message = reader.step(_head(backend)[1]).consumed[0]
    backend.commit([Unit(rows=[Row(waiting_row_for(reader.message(message)), message)])])
    assert "was consumed: its inbox is at 3" in _findings(backend)


def test_a_large_blob_whose_chunks_are_another_blobs_is_named(backend: Damaged) -> None:
    staging = Staging(Node(backend).reader)
    good = staging.blob_info(staging.put_blob(b"x" * (1024 * 1024 + 5)))
    assert good is not None
    node = {"blob": {"size": good.size, "sha256": "0" * 64, "chunks": list(good.chunks)}}
    forged = staging.put_node(node)
    backend.commit([Unit(blocks=list(staging.new.values()))])
    assert f"block {forged}: not a blob: the chunks" in _findings(backend)


@pytest.mark.parametrize("kind", ["bigtree", "bigmailbox"])
@pytest.mark.parametrize("name", FORGED)
def test_a_large_map_that_is_not_what_it_says_is_named(name: str, kind: str) -> None:
    backend = MemoryBackend()
    staging = Staging(Grit(backend))
    root, count = good_map(staging, kind)
    owner(staging, kind, root, count)
    backend.commit([Unit(blocks=list(staging.new.values()))])
    assert fsck(backend).ok
    forged = FORGED[name](staging, kind, root, count)
    backend.commit([Unit(blocks=list(staging.new.values()))])
    assert f"block {forged}: " in _findings(backend)


def test_a_link_to_an_object_of_another_kind_is_named(backend: Damaged) -> None:
    staging = Staging(Grit(backend))
    _, head = _head(backend)
    node = staging.node(head)
    wrong = staging.put_node({**node, "data": {**node["data"], "core": staging.put_node({"patch": {"a": None}})}})
    backend.commit([Unit(blocks=list(staging.new.values()))])
    assert f"block {wrong}: it links to" in (found := _findings(backend))
    assert "a patch where a tree belongs" in found


def test_the_versions_of_a_large_map_are_checked_at_the_cost_of_what_changed() -> None:
    backend = MemoryBackend()
    staging = Staging(Grit(backend))
    tree = build_tree(staging, {f"entry-{number}": staging.put_blob(b"%d" % number) for number in range(2_000)})
    for number in range(200):
        tree = edit_tree(staging, tree, {f"entry-{number}": staging.put_blob(b"new")})
    backend.commit([Unit(blocks=list(staging.new.values()))])
    check = _Check(backend, None)
    reads, node = 0, check._reader.node

    def counted(id: bytes) -> Any:
        nonlocal reads
        reads += 1
        return node(id)

    check._reader.node = counted  # type: ignore[method-assign]
    assert check.run().ok
    assert reads < 4 * len(staging.new)


TALKER = """
from understudy import Wit

wit = Wit()

@wit.message("tell")
def tell(to: str, ctx) -> None:
    ctx.send(to, 1, type="hear")
    ctx.send(to, 2, type="hear")

@wit.message("hear")
def hear(number: int) -> None:
    pass
"""


@pytest.fixture
def talked() -> tuple[Troupe, ActorId, ActorId]:
    """An actor that sent another one two messages in one step, which wait."""
    troupe = Troupe()
    first, second = (troupe.create({"wit": "/code:t:wit", "code/t.py": TALKER, "nonce": name}) for name in "ab")
    troupe.send(first, "tell", str(second))
    assert troupe._play(first)
    return troupe, first, second


def test_messages_that_wait_are_in_order_and_so_is_a_store_where_they_were_consumed(talked) -> None:
    troupe, _, _ = talked
    assert fsck(troupe.backend).findings == []
    troupe.play()
    assert fsck(troupe.backend).findings == []


def test_a_message_of_an_actor_whose_waiting_row_is_gone_is_named(talked) -> None:
    troupe, first, second = talked
    [(row, message)] = troupe.backend.rows(b"i")
    troupe.backend.commit([Unit(rows=[Row(row, None)])])
    [finding] = fsck(troupe.backend).findings
    assert finding.where == f"message to {second}"
    assert f"number 2 of {first}" in finding.what and str(Id(message)) in finding.what
    # A node that did not deliver it either is no better off.
    troupe.tell(second, "hear", 5)
    assert len(fsck(troupe.backend).findings) == 1


@pytest.mark.parametrize("lane", ["queue", "signal", "update"])
def test_a_message_from_outside_that_was_accepted_and_is_gone_is_named(talked, lane: str) -> None:
    troupe, first, _ = talked
    troupe.play()
    troupe.send(first, "hear", 5, lane=lane, sender="out/test/her")
    [(row, _)] = troupe.backend.rows(b"i")
    assert fsck(troupe.backend).ok
    troupe.backend.commit([Unit(rows=[Row(row, None)])])
    assert f"number 1 of out/test/her in the lane {lane}" in _findings(troupe.backend)


def test_a_genesis_that_was_accepted_and_is_gone_is_named() -> None:
    troupe = Troupe()
    actor = troupe.create({"wit": "def wit(ctx): pass"}, play=False)
    assert fsck(troupe.backend).ok
    [(row, _)] = troupe.backend.rows(b"i")
    troupe.backend.commit([Unit(rows=[Row(row, None)])])
    assert f"message to {actor}" in _findings(troupe.backend)


def test_histories_of_different_ages_that_were_imported_owe_each_other_nothing(talked) -> None:
    troupe, first, second = talked
    troupe.play()
    heads = {actor: [record.id for record in chain(troupe, actor)] for actor in (first, second)}
    for order in ((first, second), (second, first)):
        for ages in ((-1, 0), (0, -1)):
            node = Node(MemoryBackend())
            for actor, age in zip(order, ages, strict=True):
                file = BytesIO()
                write_car(file, [heads[actor][age]], walk(troupe.reader, heads[actor][age]))
                file.seek(0)
                import_car(node, file)
            assert fsck(node.backend).findings == []
