"""A backend against three dictionaries that are told the same."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from understudy.objects.codec import raw_block
from understudy.store.keys import META, feed_row
from understudy.store.port import Move, Row, Unit
from understudy.testing.place import Place, named_step

_KEYS = st.binary(min_size=0, max_size=3).map(lambda tail: b"i" + tail)
_NAMES = st.sampled_from([b"name/a", b"name/b", b"head/\xff\xff"])
_VALUES = st.sampled_from([b"1", b"2"])
_UNITS = st.builds(
    lambda blocks, moves, rows, feed: Unit(
        blocks=[raw_block(data) for data in blocks], moves=moves, rows=rows, feed=[named_step(text) for text in feed]
    ),
    st.lists(st.binary(max_size=2), max_size=2),
    st.lists(st.builds(Move, _NAMES, st.none() | _VALUES, st.none() | _VALUES), max_size=2),
    st.lists(st.builds(Row, _KEYS, st.none() | _VALUES), max_size=3),
    st.lists(st.text("ab", max_size=1), max_size=2),
)


class BackendModel(RuleBasedStateMachine):
    """A backend and three dictionaries that are told the same."""

    place_of_all: Place
    count = 0

    def __init__(self) -> None:
        super().__init__()
        self._place = place = self.place_of_all
        type(self).count += 1
        self._name = f"model-{self.count}"
        self._store = place.open(self._name)
        self._blocks: dict[bytes, bytes] = {}
        self._refs: dict[bytes, bytes] = {}
        self._rows: dict[bytes, bytes] = dict(self._store.rows(META))
        self._feed = 0

    @rule(units=st.lists(_UNITS, max_size=4))
    def commit(self, units: list[Unit]) -> None:
        receipts = self._store.commit(units)
        assert len(receipts) == len(units)
        for unit, receipt in zip(units, receipts, strict=True):
            refs = dict(self._refs)
            for move in unit.moves:
                if refs.get(move.ref) != move.expected:
                    assert (receipt.conflict, receipt.found) == (move, refs.get(move.ref))
                    break
                _put(refs, move.ref, move.new)
            else:
                assert receipt.conflict is None
                assert receipt.feed == (self._feed + 1 if unit.feed else 0)
                self._refs = refs
                self._blocks.update((block.id, block.data) for block in unit.blocks)
                for row in unit.rows:
                    _put(self._rows, row.key, row.value)
                for step in unit.feed:
                    self._feed += 1
                    self._rows[feed_row(self._feed)] = step

    @precondition(lambda self: self._place.lasting)
    @rule()
    def open_again(self) -> None:
        self._store.close()
        self._store = self._place.open(self._name)

    @rule(prefix=_KEYS, start=st.just(b"") | _KEYS, reverse=st.booleans())
    def scan(self, prefix: bytes, start: bytes, reverse: bool) -> None:
        expected = sorted(
            (
                (key, value)
                for key, value in self._rows.items()
                if key.startswith(prefix) and (not start or (key <= start if reverse else key >= start))
            ),
            reverse=reverse,
        )
        assert list(self._store.rows(prefix, start, reverse=reverse)) == expected

    @invariant()
    def they_agree(self) -> None:
        assert list(self._store.ids()) == sorted(self._blocks)
        assert self._store.get(list(self._blocks)) == list(self._blocks.values())
        assert list(self._store.rows(b"")) == sorted(self._rows.items())
        assert list(self._store.refs(b"")) == sorted(self._refs.items())
        assert {ref: self._store.ref(ref) for ref in self._refs} == self._refs

    def teardown(self) -> None:
        self._store.close()


def _put(table: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
