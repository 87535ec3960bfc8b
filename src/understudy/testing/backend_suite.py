"""What every backend must do, as tests that a new backend inherits.

Take `BackendSuite` into a test module as a base class, and give it a fixture `place` that is parameterised over kinds:

    class TestBackends(BackendSuite):
        @pytest.fixture(params=KINDS, ids=lambda kind: kind.scheme)
        def place(self, request, tmp_path):
            return Place(request.param, tmp_path)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from understudy.objects.codec import Block, raw_block
from understudy.store.errors import StoreClosed, StoreError, StoreInUse
from understudy.store.keys import FEED, META, feed_row, head_ref
from understudy.store.meta import FORMAT, FORMAT_ROW, NODE_ROW, SECRET_ROW
from understudy.store.port import Backend, Move, Row, Unit
from understudy.testing.backend_model import BackendModel
from understudy.testing.faults import MOMENTS, Crash, CrashingStore, Moment
from understudy.testing.place import Place, named_step


class BackendSuite:
    """The tests. A subclass has a fixture `place` that returns a Place."""

    @pytest.fixture
    def store(self, place: Place) -> Iterator[Backend]:
        yield place.open()
        place.close()

    def test_an_empty_store_holds_nothing_but_its_own_description(self, store: Backend) -> None:
        assert store.get([named_step("a")]) == [None]
        assert store.get([]) == []
        assert store.ref(b"head/x") is None
        assert store.row(b"x") is None
        assert not list(store.ids()) and not list(store.refs(b""))
        assert [key for key, _ in store.rows(b"")] == [FORMAT_ROW, NODE_ROW, SECRET_ROW]

    def test_a_store_says_its_format_its_node_and_a_secret(self, store: Backend, place: Place) -> None:
        assert store.row(FORMAT_ROW) == FORMAT
        assert len(store.row(NODE_ROW) or b"") == 12 and (store.row(NODE_ROW) or b"").decode().isalnum()
        assert len(store.row(SECRET_ROW) or b"") == 32
        assert dict(place.open("another").rows(META))[SECRET_ROW] != store.row(SECRET_ROW)

    def test_blocks_come_back_in_the_order_of_the_question(self, store: Backend) -> None:
        one, two, empty, large = map(raw_block, (b"one", b"two", b"", b"x" * 1_000_000))
        store.commit([Unit(blocks=[one, two]), Unit(blocks=[empty, large])])
        asked = [two.id, named_step("absent"), one.id, large.id, empty.id, two.id]
        assert store.get(asked) == [b"two", None, b"one", large.data, b"", b"two"]
        assert list(store.ids()) == sorted(block.id for block in (one, two, empty, large))

    def test_a_block_that_is_written_twice_is_there_once(self, store: Backend) -> None:
        block = raw_block(b"same")
        store.commit([Unit(blocks=[block, block]), Unit(blocks=[block])])
        store.commit([Unit(blocks=[block])])
        assert list(store.ids()) == [block.id]

    def test_no_units_make_no_receipts_and_an_empty_unit_makes_one(self, store: Backend) -> None:
        assert store.commit([]) == []
        (receipt,) = store.commit([Unit()])
        assert (receipt.feed, receipt.conflict, receipt.found) == (0, None, None)

    def test_a_move_from_the_expected_value_moves(self, store: Backend) -> None:
        ref = head_ref(named_step("actor"))
        store.commit([Unit(moves=[Move(ref, None, named_step("1"))])])
        assert store.ref(ref) == named_step("1")
        store.commit([Unit(moves=[Move(ref, named_step("1"), named_step("2"))])])
        assert store.ref(ref) == named_step("2")
        store.commit([Unit(moves=[Move(ref, named_step("2"), None)])])
        assert store.ref(ref) is None
        assert store.commit([Unit(moves=[Move(ref, None, None)])])[0].conflict is None

    @pytest.mark.parametrize("expected", [None, b"other"])
    def test_a_move_from_another_value_leaves_nothing_of_its_unit(self, store: Backend, expected: bytes | None) -> None:
        store.commit([Unit(moves=[Move(b"name/a", None, b"now")])])
        bad = Move(b"name/a", expected, b"then")
        (receipt,) = store.commit(
            [
                Unit(
                    blocks=[raw_block(b"lost")],
                    moves=[Move(b"name/b", None, b"b"), bad],
                    rows=[Row(b"i1", b"lost")],
                    feed=[named_step("lost")],
                )
            ]
        )
        assert (receipt.feed, receipt.conflict, receipt.found) == (0, bad, b"now")
        assert store.ref(b"name/a") == b"now" and store.ref(b"name/b") is None
        assert store.get([raw_block(b"lost").id]) == [None]
        assert store.row(b"i1") is None
        assert list(store.rows(FEED)) == []

    def test_a_unit_that_fails_does_not_fail_its_neighbours(self, store: Backend) -> None:
        receipts = store.commit(
            [
                Unit(moves=[Move(b"name/a", None, b"1")], feed=[named_step("1")]),
                Unit(moves=[Move(b"name/a", None, b"2")], rows=[Row(b"i2", b"lost")], feed=[named_step("2")]),
                Unit(moves=[Move(b"name/a", b"1", b"3")], rows=[Row(b"i3", b"kept")], feed=[named_step("3")]),
            ]
        )
        assert [receipt.feed for receipt in receipts] == [1, 0, 2]
        assert receipts[1].found == b"1"
        assert store.ref(b"name/a") == b"3"
        assert list(store.rows(b"i")) == [(b"i3", b"kept")]

    def test_what_a_unit_expects_after_the_move_that_fails_binds_nobody(self, store: Backend) -> None:
        store.commit([Unit(moves=[Move(b"name/a", None, b"1"), Move(b"name/b", None, b"1")])])
        wrong = Unit(moves=[Move(b"name/a", None, b"2"), Move(b"name/b", b"other", b"2")])
        receipts = store.commit([wrong, Unit(moves=[Move(b"name/b", b"1", b"3")])])
        assert [(receipt.conflict, receipt.found) for receipt in receipts] == [(wrong.moves[0], b"1"), (None, None)]
        assert (store.ref(b"name/a"), store.ref(b"name/b")) == (b"1", b"3")

    def test_a_unit_may_move_one_ref_twice(self, store: Backend) -> None:
        moves = [Move(b"name/a", None, b"1"), Move(b"name/a", b"1", b"2")]
        assert store.commit([Unit(moves=moves)])[0].conflict is None
        assert store.ref(b"name/a") == b"2"

    def test_feed_numbers_begin_at_one_and_have_no_gaps(self, store: Backend) -> None:
        receipts = store.commit([Unit(feed=[named_step("1"), named_step("2")]), Unit(), Unit(feed=[named_step("3")])])
        assert [receipt.feed for receipt in receipts] == [1, 0, 3]
        assert store.commit([Unit(feed=[named_step("4")])])[0].feed == 4
        assert list(store.rows(FEED)) == [(feed_row(number), named_step(str(number))) for number in range(1, 5)]

    def test_the_feed_goes_on_where_it_was_after_opening_again(self, place: Place) -> None:
        _want_lasting(place)
        for number in range(1, 4):
            store = place.open()
            assert store.commit([Unit(feed=[named_step(str(number))])])[0].feed == number
            store.close()
        assert [key for key, _ in place.open().rows(FEED)] == [feed_row(number) for number in range(1, 4)]
        place.close()

    def test_everything_is_there_after_opening_again(self, place: Place) -> None:
        _want_lasting(place)
        store = place.open()
        block = raw_block(b"kept")
        store.commit([Unit(blocks=[block], moves=[Move(b"name/a", None, b"1")], rows=[Row(b"i1", b"row")])])
        meta = list(store.rows(META))
        store.close()
        store = place.open()
        assert store.get([block.id]) == [b"kept"]
        assert store.ref(b"name/a") == b"1"
        assert store.row(b"i1") == b"row"
        assert list(store.rows(META)) == meta
        assert store.commit([Unit(moves=[Move(b"name/a", b"1", b"2")])])[0].conflict is None
        place.close()

    def test_the_last_row_of_a_unit_wins_and_none_deletes(self, store: Backend) -> None:
        store.commit([Unit(rows=[Row(b"i1", b"a"), Row(b"i1", b"b"), Row(b"i2", b"x"), Row(b"i2", None)])])
        assert list(store.rows(b"i")) == [(b"i1", b"b")]
        store.commit([Unit(rows=[Row(b"i1", None), Row(b"i3", None), Row(b"i4", b"")])])
        assert list(store.rows(b"i")) == [(b"i4", b"")]
        assert store.row(b"i1") is None and store.row(b"i4") == b""

    def test_a_scan_gives_its_prefix_from_start_on_in_either_direction(self, store: Backend) -> None:
        keys = [b"h", b"ha", b"ha\x00", b"hb", b"hb\xff", b"hb\xff\xff", b"hc", b"i"]
        store.commit([Unit(rows=[Row(key, key) for key in keys])])

        def scan(prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> list[bytes]:
            return [key for key, _ in store.rows(prefix, start, reverse=reverse)]

        assert scan(b"h") == keys[:-1]
        assert scan(b"h", reverse=True) == keys[-2::-1]
        assert scan(b"hb") == keys[3:6] == scan(b"hb", b"a") == scan(b"hb", b"hb")
        assert scan(b"hb\xff") == keys[4:6] == scan(b"hb\xff", reverse=True)[::-1]
        assert scan(b"h", b"hb") == keys[3:7] == scan(b"h", b"ha\x01")
        assert scan(b"h", b"hb", reverse=True) == keys[3::-1] == scan(b"h", b"hb\x00", reverse=True)
        assert scan(b"hb", b"z", reverse=True) == keys[5:2:-1]
        assert scan(b"hb", b"z") == scan(b"hb", b"a", reverse=True) == scan(b"x") == scan(b"x", reverse=True) == []

    def test_refs_are_scanned_like_rows_and_apart_from_them(self, store: Backend) -> None:
        store.commit(
            [
                Unit(moves=[Move(name, None, b"v") for name in (b"name/a", b"name/b", b"head/a")]),
                Unit(rows=[Row(b"name/row", b"v")], blocks=[raw_block(b"name/")]),
            ]
        )
        assert [name for name, _ in store.refs(b"name/")] == [b"name/a", b"name/b"]
        assert [name for name, _ in store.refs(b"name/", b"name/b")] == [b"name/b"]
        assert [name for name, _ in store.refs(b"")] == [b"head/a", b"name/a", b"name/b"]

    def test_a_long_scan_misses_and_repeats_nothing(self, store: Backend) -> None:
        keys = [b"i" + number.to_bytes(4, "big") for number in range(5000)]
        store.commit([Unit(rows=[Row(key, b"v") for key in keys])])
        assert [key for key, _ in store.rows(b"i")] == keys
        assert [key for key, _ in store.rows(b"i", reverse=True)] == keys[::-1]

    def test_a_scan_that_nobody_finished_does_not_keep_the_store_open(self, place: Place) -> None:
        store = place.open()
        store.commit([Unit(rows=[Row(b"i" + bytes([number]), b"v") for number in range(200)])])
        scan = store.rows(b"i")
        next(scan)
        store.close()
        if place.lasting:
            assert place.open().row(b"i\x00") == b"v"
        place.close()

    def test_a_closed_store_says_so(self, place: Place) -> None:
        store = place.open()
        store.commit([Unit(moves=[Move(b"name/a", None, b"1")])])
        store.close()
        store.close()
        uses: list[Callable[[], Any]] = [
            lambda: store.get([named_step("a")]),
            lambda: store.get([named_step("a"), named_step("b")]),
            lambda: store.ref(b"name/a"),
            lambda: store.row(b"i"),
            lambda: list(store.rows(b"")),
            lambda: list(store.refs(b"")),
            lambda: list(store.ids()),
            lambda: store.commit([Unit(rows=[Row(b"i", b"v")])]),
        ]
        for use in uses:
            with pytest.raises(StoreClosed):
                use()

    def test_a_kind_has_a_name_and_a_lasting_one_has_a_folder(self, place: Place, tmp_path: Path) -> None:
        kind = place.kind
        assert kind.scheme.isalnum() and kind.scheme.islower()
        if not kind.lasting:
            assert (kind.folder(""), kind.place, kind.is_made(""), kind.shown("")) == (None, "", True, "")
            with pytest.raises(StoreError):
                kind.open("somewhere")
            return
        assert kind.place
        assert not kind.is_made(place.of())
        place.open()
        folder = kind.folder(place.of())
        assert kind.is_made(place.of()) and folder is not None and folder.is_dir()
        # From wherever a command is called.
        assert not place.relative or kind.seen_from(tmp_path, "x") != kind.seen_from(tmp_path / "y", "x")
        assert kind.seen_from(tmp_path, place.of()) == place.of() == kind.shown(place.of())
        place.close()
        assert kind.is_made(place.of())
        for wrong in (lambda: kind.open(""), lambda: kind.folder("")):
            with pytest.raises(StoreError):
                wrong()

    def test_a_second_writer_is_refused_or_sees_what_the_first_one_moves(self, place: Place) -> None:
        _want_lasting(place)
        store = place.open()
        store.commit([Unit(moves=[Move(b"name/a", None, b"1")])])
        second = "store = kind.open(place); print(store.commit([Unit(moves=[Move(b'name/a', None, b'2')])])[0].found)"
        said = place.elsewhere(second)
        if place.kind.exclusive:
            assert said == "in use\n"
            with pytest.raises(StoreInUse):
                place.open()
        else:
            assert said == "b'1'\n"
        # Whoever came second took nothing from the first, its lock neither.
        assert store.commit([Unit(moves=[Move(b"name/a", b"1", b"3")])])[0].conflict is None
        assert place.elsewhere(second) == said.replace("b'1'", "b'3'")
        place.close()
        assert place.open().ref(b"name/a") == b"3"
        place.close()

    def test_who_only_reads_sees_what_was_durable_beside_a_writer_and_can_not_write(self, place: Place) -> None:
        _want_lasting(place)
        store = place.open()
        store.commit([Unit(moves=[Move(b"name/a", None, b"1")])])
        view = place.open(read_only=True)
        assert view.ref(b"name/a") == b"1"
        with pytest.raises(StoreError):
            view.commit([Unit(rows=[Row(b"i", b"v")])])
        assert place.elsewhere("print(kind.open(place, read_only=True).ref(b'name/a'))") == "b'1'\n"
        place.close()

    def test_nothing_is_lost_by_a_process_that_is_killed_and_none_is_said_to_be(self, place: Place) -> None:
        _want_lasting(place)
        for number in range(3):
            commit = f"kind.open(place).commit([Unit(rows=[Row(b'i{number}', b'v')], feed=[b'x' * 36])])[0].feed"
            assert place.elsewhere(f"print({commit})") == f"{number + 1}\n"
            assert place.kind.find_loss(place.of()) is None
        store = place.open()
        assert place.kind.find_loss(place.of()) is None
        assert [key for key, _ in store.rows(b"i")] == [b"i0", b"i1", b"i2"]
        place.close()
        assert place.kind.find_loss(place.of()) is None

    def test_of_racing_moves_exactly_one_wins_each_round(self, store: Backend) -> None:
        rounds, won = 30, list[int]()

        def race(me: bytes) -> None:
            for number in range(rounds):
                ref = b"name/" + str(number).encode()
                (receipt,) = store.commit([Unit(moves=[Move(ref, None, me)], feed=[named_step(f"{me!r}{number}")])])
                if receipt.conflict is None:
                    won.append(number)
                    assert store.ref(ref) == me

        threads = [Thread(target=race, args=(bytes([number]),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == list(range(rounds))
        assert len(list(store.rows(FEED))) == rounds

    @pytest.mark.parametrize("moment", MOMENTS)
    @pytest.mark.parametrize("at", [1, 2, 3, 4])
    def test_a_crash_at_any_unit_leaves_each_unit_whole_or_absent(
        self, store: Backend, at: int, moment: Moment
    ) -> None:
        dying = CrashingStore(store, at=at, moment=moment)
        acknowledged = 0
        with pytest.raises(Crash):
            for commit in ((0,), (1, 2, 3)):
                dying.commit([_chained(number) for number in commit])
                acknowledged += len(commit)
        survived = [_is_whole(dying.survivor(), number) for number in range(4)]
        assert survived == sorted(survived, reverse=True)
        assert sum(survived) >= acknowledged
        assert survived[at - 1] == (moment is Moment.AFTER)
        with pytest.raises(Crash):
            dying.row(b"i")

    def test_any_sequence_of_commits_agrees_with_a_dictionary(self, place: Place) -> None:
        class Against(BackendModel):
            place_of_all = place

        run_state_machine_as_test(
            Against,
            settings=settings(
                max_examples=place.examples,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        place.close()


def _chained(number: int) -> Unit:
    return Unit(
        blocks=[_block(number, part) for part in range(3)],
        moves=[Move(b"head/x", named_step(str(number - 1)) if number else None, named_step(str(number)))],
        rows=[Row(b"i%d" % number, b"v"), Row(b"k%d" % number, b"v")],
        feed=[named_step(str(number))],
    )


def _is_whole(store: Backend, number: int) -> bool:
    """Whether the unit is there; fails if only a part of it is."""
    facts = [
        *(data is not None for data in store.get([_block(number, part).id for part in range(3)])),
        store.row(b"i%d" % number) is not None,
        store.row(b"k%d" % number) is not None,
        store.row(feed_row(number + 1)) == named_step(str(number)),
    ]
    assert all(facts) or not any(facts)
    return facts[0]


def _block(number: int, part: int) -> Block:
    return raw_block(f"{number}/{part}".encode())


def _want_lasting(place: Place) -> None:
    if not place.lasting:
        pytest.skip("this backend keeps nothing when it is closed")
