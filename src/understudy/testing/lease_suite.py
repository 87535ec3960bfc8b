"""What leases must do on every backend, as tests that a new backend inherits; as in backend_suite.py, a subclass has `place`."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest

from understudy.objects.codec import raw_block
from understudy.store.keys import FEED
from understudy.store.leases import SHARDS, Lease, acquire, holdings, release, renew
from understudy.store.port import Backend, Move, Row, Unit
from understudy.testing.faults import MOMENTS, Crash, CrashingStore, Moment
from understudy.testing.place import Place, named_step

_LONG = 3600.0


class LeaseSuite:
    """The tests."""

    @pytest.fixture
    def store(self, place: Place) -> Iterator[Backend]:
        yield place.open()
        place.close()

    def test_a_new_store_has_no_holders_and_the_first_to_come_takes_all(self, store: Backend) -> None:
        assert holdings(store) == []
        leases = acquire(store, "a", range(SHARDS), seconds=_LONG)
        assert [(lease.shard, lease.epoch, lease.holder) for lease in leases] == [(n, 1, "a") for n in range(SHARDS)]
        held = holdings(store)
        assert [holding.lease for holding in held] == leases
        assert all(_LONG - 600 < holding.seconds <= _LONG for holding in held)
        assert acquire(store, "b", range(SHARDS), seconds=_LONG) == []
        assert acquire(store, "b", [], seconds=_LONG) == []

    def test_a_unit_of_who_holds_the_shard_is_committed_and_moves_no_lease(self, store: Backend) -> None:
        (lease,) = acquire(store, "a", [7], seconds=_LONG)
        for number in (1, 2):
            assert store.commit([_step(number, lease)])[0].feed == number
        assert store.ref(b"head/x") == named_step("2")
        assert renew(store, [lease], seconds=_LONG) == [lease]
        assert store.commit([_step(3, lease), _step(4, lease)])[1].feed == 4

    def test_nothing_is_left_of_a_unit_whose_lease_is_another_ones_by_now(self, store: Backend) -> None:
        (old,) = acquire(store, "a", [7], seconds=0)
        store.commit([_step(1, old)])
        (new,) = acquire(store, "b", [7], seconds=_LONG)
        assert new.epoch == old.epoch + 1
        stale, neighbour, fresh = store.commit([_step(2, old), Unit(rows=[Row(b"i9", b"v")]), _step(2, new)])
        assert stale.conflict == old.move and neighbour.conflict is None and fresh.feed == 2
        assert store.get([raw_block(b"2 of 1").id]) == [None] and store.get([raw_block(b"2 of 2").id]) == [b"2 of 2"]
        assert [step for _, step in store.rows(FEED)] == [named_step("1"), named_step("2")]

    def test_a_lease_that_ended_is_good_until_somebody_takes_the_shard(self, store: Backend) -> None:
        (lease,) = acquire(store, "a", [7], seconds=0)
        assert holdings(store)[0].seconds <= 0
        assert store.commit([_step(1, lease)])[0].feed == 1
        assert renew(store, [lease], seconds=_LONG) == [lease]
        assert acquire(store, "b", [7], seconds=_LONG) == []

    def test_who_lost_a_lease_cannot_renew_it_and_takes_nothing_away(self, store: Backend) -> None:
        old = acquire(store, "a", [7, 8], seconds=0)
        new = acquire(store, "b", [8], seconds=_LONG)
        assert renew(store, old, seconds=_LONG) == old[:1]
        release(store, old)
        assert [holding.lease for holding in holdings(store)] == new
        assert store.commit([_step(1, new[0])])[0].feed == 1

    def test_what_is_given_back_is_free_at_once_and_its_units_fail(self, store: Backend) -> None:
        (old,) = acquire(store, "a", [7], seconds=_LONG)
        release(store, [old])
        assert holdings(store) == []
        assert store.commit([_step(1, old)])[0].conflict == old.move
        assert acquire(store, "b", [7], seconds=_LONG) == [Lease(7, 2, "b")]

    def test_who_comes_back_under_the_same_name_need_not_wait_and_shuts_out_its_earlier_life(
        self, store: Backend
    ) -> None:
        (before,) = acquire(store, "a", [7], seconds=_LONG)
        (after,) = acquire(store, "a", [7], seconds=_LONG)
        assert after.epoch == 2
        assert store.commit([_step(1, before)])[0].conflict == before.move
        assert renew(store, [before], seconds=_LONG) == []

    def test_epochs_rise_over_every_opening(self, place: Place) -> None:
        if not place.lasting:
            pytest.skip("this backend keeps nothing when it is closed")
        for life in range(1, 4):
            store = place.open()
            assert acquire(store, f"node {life}", [7], seconds=0) == [Lease(7, life, f"node {life}")]
            store.close()

    def test_of_racing_nodes_each_shard_has_one(self, store: Backend) -> None:
        got: dict[str, list[Lease]] = {}

        def race(name: str) -> None:
            got[name] = acquire(store, name, range(SHARDS), seconds=_LONG)

        threads = [Thread(target=race, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = sorted(lease.shard for leases in got.values() for lease in leases)
        assert taken == list(range(SHARDS))
        assert {holding.lease for holding in holdings(store)} == {lease for leases in got.values() for lease in leases}

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_a_crash_while_a_shard_is_taken_leaves_one_holder(self, store: Backend, moment: Moment) -> None:
        (old,) = acquire(store, "a", [7], seconds=0)
        with pytest.raises(Crash):
            acquire(CrashingStore(store, at=1, moment=moment), "b", [7], seconds=_LONG)
        (held,) = holdings(store)
        assert held.lease == (Lease(7, 2, "b") if moment is Moment.AFTER else old)
        assert (store.commit([_step(1, old)])[0].conflict is None) == (moment is not Moment.AFTER)
        assert acquire(store, "b", [7], seconds=_LONG)[0].holder == "b"


def _step(number: int, lease: Lease) -> Unit:
    before = named_step(str(number - 1)) if number > 1 else None
    return Unit(
        blocks=[raw_block(f"{number} of {lease.epoch}".encode())],
        moves=[lease.move, Move(b"head/x", before, named_step(str(number)))],
        feed=[named_step(str(number))],
    )
