"""What a wit stages by itself: refused where it would spoil its own history, or its node's store."""

from __future__ import annotations

import pytest

from tests.node.troupe import Troupe
from tests.store.forged_maps import FORGED, good_map, owner
from tests.store.shelf import Shelf
from understudy.judging.verification import verify_targets
from understudy.kernel.verdict import MATCH
from understudy.objects.codec import Block, node_block, raw_block
from understudy.objects.errors import NotCanonical, ObjectError, WrongKind
from understudy.objects.ids import Id, node_id, raw_id
from understudy.store.errors import Missing
from understudy.store.fsck import fsck
from understudy.store.reader import Staging
from understudy.wit.staging import CheckedStaging

WIT = """
def wit(core, messages, store):
    for message in messages:
        match message.type:
            case "good":
                core["tree"] = store.put_node({"tree": {"wit": core.id("wit"), "blob": store.put_blob(b"x")}})
            case "wood":
                store.put_node({"wood": {}})
            case "name":
                core["tree"] = store.put_node({"tree": {"a/b": core.id("wit")}})
            case "float":
                store.put_node({"wood": 1.5})
            case "nowhere":
                wit = core.id("wit")
                core["tree"] = store.put_node({"tree": {"a": type(wit)(bytes(wit)[:4] + bytes(32))}})
"""


@pytest.mark.parametrize(
    ("type", "code"),
    [("good", None), ("wood", "WrongKind"), ("name", "WrongKind"), ("float", "NotCanonical"), ("nowhere", "Missing")],
)
def test_a_step_that_stages_what_no_reader_takes_fails_by_name_and_harms_nobody(type: str, code: str | None) -> None:
    troupe = Troupe()
    actor = troupe.create({"wit": "/code:w:wit", "code/w.py": WIT})
    troupe.tell(actor, type)
    outcome = troupe.step(actor).outcome
    assert (outcome and outcome.code) == code
    assert fsck(troupe.backend).findings == []
    [verdict] = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)
    assert verdict.verdict == MATCH, verdict.reason


def staging() -> CheckedStaging:
    return CheckedStaging(Staging(Shelf().base))


@pytest.mark.parametrize("kind", ["bigtree", "bigmailbox"])
@pytest.mark.parametrize("name", FORGED)
def test_a_large_map_that_a_wit_makes_by_hand_is_checked(name: str, kind: str) -> None:
    store = staging()
    plain = Staging(store.base)
    plain.new = store.new
    root, count = good_map(plain, kind)
    assert owner(store, kind, root, count) in store.new
    forged = FORGED[name](plain, kind, root, count)
    block = store.new.pop(forged)
    with pytest.raises((ObjectError, Missing)):
        store.put(block)
    assert forged not in store.new


def test_a_block_that_is_not_what_its_id_says_is_refused() -> None:
    with pytest.raises(WrongKind, match="do not hash to it"):
        staging().put(Block(raw_id(b"a"), b"b"))
    with pytest.raises(NotCanonical):
        staging().put(Block(Id(node_id(b"\xf5")), b"\xf5"))


def test_a_link_to_another_kind_is_refused() -> None:
    store = staging()
    raw, node = store.put(raw_block(b"x" * 3)), store.put(node_block({"tree": {}}))
    good = {"to": str(node), "from": "out/a/b", "seq": 1, "type": "t", "content": raw}
    message = store.put_node({"message": good})
    with pytest.raises(WrongKind, match="stands where"):
        store.put_node({"bigmailbox": [65, {"hamt": [b"\x01\x00", [node]], "hashAlg": 18, "bucketSize": 3}]})
    assert message in store.new


def test_a_tree_of_any_size_is_made_and_none_with_a_link_to_nothing() -> None:
    store = staging()
    entries = {f"n{number}": store.put_blob(b"%d" % number) for number in range(200)}
    assert len(store.tree(store.put_tree(entries))) == 200
    with pytest.raises(Missing):
        store.put_tree({**entries, "gone": raw_id(b"gone")})
