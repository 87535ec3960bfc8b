"""Views: objects as JSON for people."""

from __future__ import annotations

import json

from understudy.objects.codec import raw_block
from understudy.objects.ids import StepId, TreeId
from understudy.objects.views import node_view
from understudy.store.maps import build_tree
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit

LINK = raw_block(b"").id


def test_links_are_ids_as_text_wherever_they_stand() -> None:
    node = {"parent": None, "data": {"core": StepId(LINK), "inbox": {"a": [1, TreeId(LINK)]}, "height": 0}}
    text = str(LINK)
    assert node_view(node) == {"parent": None, "data": {"core": text, "inbox": {"a": [1, text]}, "height": 0}}


def test_a_large_map_shows_its_names_as_text_and_its_bitmap_in_hexadecimal() -> None:
    staging = Staging(Grit(MemoryBackend()))
    tree = build_tree(staging, {f"naïve {number}": LINK for number in range(65)})
    view = node_view(staging.node(tree))
    count, root = view["bigtree"]
    assert count == 65
    assert len(root["hamt"][0]) == 4
    text = json.dumps([node_view(staging.node(block.id)) for block in staging.new.values()], ensure_ascii=False)
    assert all(f'"naïve {number}"' in text for number in range(65))
