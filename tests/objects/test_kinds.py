"""Reading what was written gives the value back, and nothing else can be read.

Tests of objects/errors.py, objects/hamt.py, objects/journal.py, objects/mailbox.py, objects/message.py, objects/patch.py,
objects/step.py and objects/tree.py.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from understudy.objects.blob import CHUNK, MAX_CHUNKS, BigBlob, blob_node, read_blob_node
from understudy.objects.codec import decode, encode
from understudy.objects.errors import BadName, NotCanonical, TooLarge, WrongKind
from understudy.objects.ids import MessageId, node_id, raw_id
from understudy.objects.journal import (
    MAX_ENTRIES,
    UNASKED,
    CallError,
    Entry,
    journal_block,
    journal_node,
    lacks_step,
    read_journal,
)
from understudy.objects.kinds import read_any
from understudy.objects.mailbox import LANES, mailbox_key, mailbox_node, read_mailbox, split_key
from understudy.objects.message import Message, check_headers, is_genesis, message_node, read_message
from understudy.objects.patch import patch_block, read_patch
from understudy.objects.step import MAX_SENT, read_step, step_node
from understudy.objects.tree import flat_tree_node, is_tree_node, read_tree_node
from understudy.testing import strategies as some


@given(some.trees)
def test_a_flat_tree_comes_back(tree):
    node = decode(encode(flat_tree_node(tree)))
    assert is_tree_node(node)
    assert read_tree_node(node) == tree


@given(some.big_blobs)
def test_the_node_of_a_large_blob_comes_back(blob):
    assert read_blob_node(decode(encode(blob_node(blob)))) == blob


@given(some.mailboxes)
def test_a_mailbox_comes_back(mailbox):
    assert read_mailbox(decode(encode(mailbox_node(mailbox)))) == mailbox


@given(some.messages())
def test_a_message_comes_back(message):
    assert read_message(decode(encode(message_node(message)))) == message


@given(some.steps())
def test_a_step_comes_back(step):
    assert read_step(decode(encode(step_node(step)))) == step


@given(some.patches())
def test_a_patch_comes_back(patch):
    assert read_patch(decode(patch_block(patch).data)) == patch


@given(some.journals)
def test_a_journal_comes_back(journal):
    assert read_journal(decode(encode(journal_node(journal)))) == journal


@given(some.nodes)
def test_every_node_says_what_it_is(node):
    read_any(decode(encode(node)))


@given(some.parties, st.sampled_from(LANES))
def test_party_and_lane_of_a_mailbox_key_come_back(party, lane):
    assert split_key(mailbox_key(party, lane)) == (party, lane)


@given(some.nodes.filter(lambda node: isinstance(node, dict)), st.data())
def test_a_node_with_one_thing_more_is_refused(node, data):
    """Every map with fixed fields refuses a field that nobody knows, wherever it stands."""
    record = data.draw(st.sampled_from(records(node)))
    record["unknown"] = 1
    with pytest.raises(WrongKind):
        read_any(node)


@given(some.values | some.nodes, st.data())
def test_whatever_stands_anywhere_in_a_node_reading_it_fails_only_with_our_errors(value, data):
    block = bytearray(encode(value))
    for _ in range(data.draw(st.integers(0, 3))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NotCanonical, WrongKind):
        read_any(decode(bytes(block)))


@given(some.nodes, some.values, st.data())
def test_a_value_of_another_type_in_a_nodes_place_fails_only_with_our_errors(node, value, data):
    holders = [holder for holder in containers(node) if holder]
    holder = data.draw(st.sampled_from(holders))
    place = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[place] = value
    with suppress(WrongKind):
        read_any(node)


def test_a_message_to_the_actor_whose_core_it_carries_is_genesis_and_nothing_else_is():
    core = node_id(b"a core")
    message = Message(to=str(core), sender="out/node/me", seq=1, type="anything", content=core)
    assert is_genesis(message)
    assert not is_genesis(structs.replace(message, content=node_id(b"another core")))
    assert not is_genesis(structs.replace(message, to="out/node/me"))


def test_an_empty_patch_is_refused():
    with pytest.raises(BadName, match="empty"):
        patch_block({})


@pytest.mark.parametrize(("above", "below"), [("a", "a/b"), ("a/b", "a/b/c/d"), ("é", "é/é")])
def test_a_patch_that_names_a_path_and_one_below_it_is_refused(above, below):
    with pytest.raises(BadName, match="below it"):
        patch_block({below: None, above: raw_id(b"")})


def test_paths_that_only_begin_alike_may_stand_in_one_patch():
    assert read_patch(decode(patch_block({"a": None, "ab": None, "a.b/c": None}).data))


def test_a_journal_has_at_most_ten_thousand_entries():
    entry = Entry(path="send/0", request="0" * 64, reply=raw_id(b""))
    assert len(read_journal(decode(journal_block([entry] * MAX_ENTRIES).data))) == MAX_ENTRIES
    with pytest.raises(TooLarge):
        journal_block([entry] * (MAX_ENTRIES + 1))


def test_a_querys_answer_names_its_step_unless_it_failed_before_any_was_asked():
    entry = Entry(path="query/0", request="0" * 64, reply=raw_id(b""))
    at = str(node_id(b"step"))
    failures = {code: structs.replace(entry, reply=None, error=CallError(code, "")) for code in (*UNASKED, "NotToday")}
    assert lacks_step(entry)
    assert {code for code, failed in failures.items() if lacks_step(failed)} == {"NotToday"}
    assert not any(lacks_step(structs.replace(each, step=at)) for each in (entry, *failures.values()))
    assert not lacks_step(structs.replace(entry, path="verify/0"))


def test_a_querys_reply_without_its_step_is_refused_and_that_of_another_call_is_not():
    entry = Entry(path="query/0", request="0" * 64, reply=raw_id(b""))
    with pytest.raises(WrongKind, match="query/0 has a reply, but not the step"):
        read_journal(journal_node([entry]))
    for good in (structs.replace(entry, step=str(node_id(b"step"))), structs.replace(entry, path="verify/0")):
        assert read_journal(journal_node([good])) == (good,)


def test_a_blob_of_too_many_chunks_is_refused():
    chunk = raw_id(b"")
    for count, good in ((MAX_CHUNKS, True), (MAX_CHUNKS + 1, False)):
        node = decode(encode(blob_node(BigBlob(count * CHUNK, "0" * 64, (chunk,) * count))))
        with nullcontext() if good else pytest.raises(WrongKind):
            read_blob_node(node)


@settings(max_examples=5)
@given(some.steps())
def test_a_step_that_sent_too_many_messages_is_refused(step):
    message = MessageId(node_id(b"message"))
    for count, good in ((MAX_SENT, True), (MAX_SENT + 1, False)):
        node = step_node(structs.replace(step, sent=[message] * count))
        with nullcontext() if good else pytest.raises(WrongKind):
            read_step(node)


@pytest.mark.parametrize("value", ["\ud800", "x" * 8193, 5, None])
def test_a_header_value_that_no_message_can_hold_is_refused_by_name(value):
    with pytest.raises(BadName, match="header 'a'"):
        check_headers({"a": value})


def containers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in containers(item))]
    return [value, *(found for item in value for found in containers(item))] if isinstance(value, list) else []


def records(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The maps of a node whose keys are fields, not names that somebody chose."""
    kind = next(iter(node))
    if kind == "journal":
        return [node, *node["journal"], *(entry["error"] for entry in node["journal"] if "error" in entry)]
    if kind in ("message", "blob"):
        return [node, node[kind]]
    if "data" in node:
        return [node, node["data"], *([node["data"]["outcome"]] if "outcome" in node["data"] else [])]
    return [node]
