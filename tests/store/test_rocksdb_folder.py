"""Whose folder a store is in.

Tests of store/rocksdb/folder.py.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from understudy.store.errors import StoreError
from understudy.store.open import open_store
from understudy.store.rocksdb.folder import keep_private

NOBODY = 65534
SOMEBODY = 65533


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may reach."""
    with tempfile.TemporaryDirectory() as found:
        os.chmod(found, 0o755)
        yield Path(found)


def as_nobody(work: Callable[[], None]) -> str:
    """What a function says in a process of another user: nothing, or the StoreError that it ended in."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            # It keeps root's group, which owns some of the folders.
            os.setgroups([])
            os.setuid(NOBODY)
            work()
        except StoreError as error:
            os.write(writer, str(error).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as said:
        return said.read().decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize(
    ("owner", "mode", "said"),
    [
        (NOBODY, 0o700, ""),
        (NOBODY, 0o777, ""),
        (0, 0o770, ""),
        (SOMEBODY, 0o777, "belongs to another user"),
        (SOMEBODY, 0o770, "belongs to another user"),
        (0, 0o777, "is open to everybody"),
    ],
)
def test_a_store_is_kept_in_no_folder_that_another_user_rules(folder: Path, owner: int, mode: int, said: str) -> None:
    store = folder / "store"
    store.mkdir()
    os.chown(store, owner, 0)
    store.chmod(mode)
    told = as_nobody(lambda: keep_private(store))
    assert said in told
    assert bool(said) == bool(told), told


def test_what_a_link_in_the_folder_leads_to_keeps_its_mode(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("x")
    elsewhere.chmod(0o644)
    url = f"rocksdb:{tmp_path / 'store'}"
    open_store(url).close()
    (tmp_path / "store" / "token").symlink_to(elsewhere)
    open_store(url).close()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


def test_a_link_to_a_folder_is_a_store_and_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    open_store(f"rocksdb:{tmp_path / 'link'}").close()
    assert (tmp_path / "there" / "CURRENT").exists()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is a link to nothing"):
        open_store(f"rocksdb:{tmp_path / 'dangling'}")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is no directory"):
        open_store(f"rocksdb:{tmp_path / 'file'}")


def modes(store: Path) -> set[int]:
    return {stat.S_IMODE(each.stat().st_mode) & 0o077 for each in (store, *store.iterdir())}


def test_a_store_that_others_may_read_is_theirs_no_more_once_it_is_opened_and_looking_changes_nothing(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    open_store(f"rocksdb:{store}").close()
    for each in (store, *store.iterdir()):
        each.chmod(0o755 if each.is_dir() else 0o644)
    open_store(f"rocksdb:{store}", read_only=True).close()
    assert modes(store) != {0}
    open_store(f"rocksdb:{store}").close()
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
