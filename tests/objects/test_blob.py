"""Blobs of every size, whole and in pieces."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.objects import blob as blob_module
from understudy.objects import ids
from understudy.objects.blob import CHUNK, BigBlob, blob_blocks, blob_id, blob_node, read_blob_node, stream_blocks
from understudy.objects.codec import decode
from understudy.objects.errors import TooLarge, WrongKind
from understudy.objects.ids import raw_id
from understudy.testing import strategies as some

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7]


@pytest.mark.parametrize("size", SIZES)
def test_the_chunks_of_a_blob_are_its_bytes(size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    *chunks, last = blob_blocks(data)
    if size <= CHUNK:
        assert chunks == []
        assert last.data == data
        return
    assert b"".join(chunk.data for chunk in chunks) == data
    assert {len(chunk.data) for chunk in chunks[:-1]} <= {CHUNK}
    described = read_blob_node(decode(last.data))
    assert described == BigBlob(size, sha256(data).hexdigest(), tuple(chunk.id for chunk in chunks))


@settings(max_examples=20)
@given(st.sampled_from(SIZES), st.lists(st.integers(0, 2 * CHUNK), max_size=6))
def test_a_blob_has_the_same_blocks_in_whatever_pieces_it_comes(size, cuts):
    data = bytes(size)
    places = [0, *sorted(min(cut, size) for cut in cuts), size]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert list(stream_blocks(pieces)) == blob_blocks(data)


def test_no_pieces_at_all_are_the_empty_blob():
    assert [block.id for block in stream_blocks([])] == [blob_id(b"")] == [raw_id(b"")]


def test_a_blob_has_a_bound(monkeypatch):
    monkeypatch.setattr(blob_module, "MAX_CHUNKS", 2)
    assert len(blob_blocks(bytes(2 * CHUNK))) == 3
    with pytest.raises(TooLarge):
        blob_blocks(bytes(2 * CHUNK + 1))


@given(some.big_blobs, st.sampled_from([-CHUNK, -1, 1, CHUNK]))
def test_a_size_that_does_not_fit_the_chunks_is_refused(blob, wrong):
    last = blob.size - (len(blob.chunks) - 1) * CHUNK
    if 1 <= last + wrong <= CHUNK:
        return
    node = blob_node(BigBlob(blob.size + wrong, blob.sha256, blob.chunks))
    with pytest.raises(WrongKind):
        read_blob_node(node)


def test_a_chunk_that_is_a_node_is_refused():
    node = blob_node(BigBlob(CHUNK + 1, "0" * 64, (raw_id(b"a"), ids.node_id(b"b"))))
    with pytest.raises(WrongKind):
        read_blob_node(node)
