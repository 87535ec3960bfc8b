"""Every backend, held to the same suite; and what a store's URL may be.

Tests of store/port.py, store/memory.py, store/moves.py, store/meta.py, store/open.py, store/rocksdb/backend.py,
store/rocksdb/kind.py and store/rocksdb/scan.py.
"""

from __future__ import annotations

import json

import pytest

from tests.store.places import place_of
from understudy.cli.running import Running, leave_note
from understudy.store import open as open_module
from understudy.store.errors import StoreError
from understudy.store.memory import MemoryBackend
from understudy.store.open import KINDS, is_made, open_store, store_seen_from
from understudy.store.rocksdb.kind import RocksKind
from understudy.testing.backend_suite import BackendSuite


class TestBackends(BackendSuite):
    @pytest.fixture(params=KINDS, ids=lambda kind: kind.scheme)
    def place(self, request, tmp_path, monkeypatch):
        return place_of(request, tmp_path, monkeypatch)


class AnotherKind(RocksKind):
    scheme = "another"


def test_a_new_backend_is_one_line_and_every_command_finds_the_node_that_serves_its_store(tmp_path, monkeypatch):
    monkeypatch.setattr(open_module, "KINDS", (*KINDS, AnotherKind()))
    url = f"another:{tmp_path / 'store'}"
    assert not is_made(url)
    open_store(url).close()
    assert is_made(url)
    leave_note(url, Running(address="http://127.0.0.1:1", pid=1, node="x"))
    assert json.loads((tmp_path / "store" / "node.json").read_text())["node"] == "x"
    assert store_seen_from(tmp_path, "another:store") == url


def test_a_url_opens_the_backend_that_it_names(tmp_path):
    open_store("memory:").close()
    open_store(f"rocksdb:{tmp_path / 'deep' / 'store'}").close()
    open_store(f"rocksdb:{tmp_path / 'deep' / 'store'}", read_only=True).close()
    assert (tmp_path / "deep" / "store" / "CURRENT").exists()


@pytest.mark.parametrize("url", ["", "store", "redis:x", "some/directory", ":", "rocksdb", "rocksdb:", "memory:x"])
def test_a_url_that_names_no_store_is_refused_with_a_hint(url):
    with pytest.raises(StoreError, match=r"rocksdb:|memory:"):
        open_store(url)


def test_given_the_same_entropy_a_memory_store_is_the_same():
    rows = [list(MemoryBackend(entropy=lambda size: b"\x07" * size).rows(b"m")) for _ in range(2)]
    assert rows[0] == rows[1]
