"""What a packed body is, whatever its parts, and what nobody unpacks."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from understudy.actors.errors import CallFailed
from understudy.capabilities.http_body import MAX_MEMBERS, unpack

MOST = 1_000_000
NOISE = random.Random(1).randbytes(50_000)


@pytest.mark.parametrize("data", [b"x", NOISE, b"\0" * MOST, *(NOISE[:size] for size in range(4060, 4110))])
def test_a_body_is_what_was_packed_in_one_member_or_in_several(data: bytes):
    assert unpack(gzip.compress(data), "gzip", most=MOST) == data
    assert unpack(zlib.compress(data), "deflate", most=MOST) == data
    assert unpack(zlib.compress(data)[2:-4], "deflate", most=MOST) == data
    several = gzip.compress(b"a") + gzip.compress(data[:-1]) + gzip.compress(b"") + gzip.compress(b"z")
    assert unpack(several, "gzip", most=MOST + 1) == b"a" + data[:-1] + b"z"


@pytest.mark.parametrize("size", [0, 1, 10, 4095, 4096, 4097, 8192])
def test_a_body_that_ends_in_the_middle_is_none(size: int):
    with pytest.raises(CallFailed, match="no gzip"):
        unpack(gzip.compress(b"whole") + gzip.compress(NOISE)[: size + 1], "gzip", most=MOST)


def test_members_without_end_are_refused():
    empty = gzip.compress(b"")
    assert unpack(empty * MAX_MEMBERS, "gzip", most=MOST) == b""
    with pytest.raises(CallFailed, match="members"):
        unpack(empty * (MAX_MEMBERS + 1), "gzip", most=MOST)
