"""Every backend, held to the same suite; and what a store's URL may be."""

from __future__ import annotations

import pytest

from understudy.store.errors import StoreError
from understudy.store.memory import MemoryBackend
from understudy.store.open import open_store
from understudy.store.rocksdb import RocksBackend
from understudy.testing.backend_suite import BackendSuite, Place


class TestBackends(BackendSuite):
    @pytest.fixture(params=["memory", "rocksdb"])
    def place(self, request, tmp_path):
        if request.param == "memory":
            return Place(lambda name: MemoryBackend(), lasting=False)
        return Place(lambda name: RocksBackend(tmp_path / name))


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
