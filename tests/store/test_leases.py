"""Leases on every backend: the suite of testing/lease_suite.py.

Tests of store/leases.py and store/clock.py.
"""

from __future__ import annotations

import time

import pytest

from tests.store.places import place_of
from understudy.store.clock import system_time_us
from understudy.store.errors import Corrupt
from understudy.store.leases import LEASES, SHARDS, acquire, holdings, shard_of
from understudy.store.memory import MemoryBackend
from understudy.store.open import KINDS
from understudy.store.port import Move, Unit
from understudy.testing.lease_suite import LeaseSuite
from understudy.testing.place import named_step


class TestLeases(LeaseSuite):
    @pytest.fixture(params=KINDS, ids=lambda kind: kind.scheme)
    def place(self, request, tmp_path, monkeypatch):
        return place_of(request, tmp_path, monkeypatch)


def test_a_shard_is_taken_when_its_time_is_over_and_not_before():
    time_us = 1_000_000
    store = MemoryBackend(clock=lambda: time_us)
    acquire(store, "a", [7], seconds=10)
    for now, taken in ((10_999_999, []), (11_000_000, [7])):
        time_us = now
        assert [lease.shard for lease in acquire(store, "b", [7], seconds=10)] == taken
    assert holdings(store)[0].seconds == 10


def test_actors_are_spread_over_the_shards():
    found = [shard_of(named_step(str(number))) for number in range(20_000)]
    assert set(found) == set(range(SHARDS))
    assert max(found.count(shard) for shard in range(0, SHARDS, 16)) < 2 * 20_000 / SHARDS


def test_a_ref_that_is_no_lease_is_named():
    store = MemoryBackend()
    store.commit([Unit(moves=[Move(LEASES + b"xy", None, b"short")])])
    with pytest.raises(Corrupt, match="no lease"):
        holdings(store)


def test_the_clock_of_the_system_counts_microseconds():
    before = time.time()
    assert before - 1 <= system_time_us() / 1e6 <= time.time() + 1
