"""What is compiled is kept in a folder, and loaded again only if it is what was written there."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from tests.engines.components import counter
from understudy.engines.wasm import cache
from understudy.engines.wasm.cache import CompiledCache
from understudy.engines.wasm.compiling import Tell, compile_beside

DATA = counter()
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often something was compiled."""
    found: list[int] = []

    def counting(data: bytes, tell: Tell) -> bytes:
        found.append(1)
        return compile_beside(data, tell)

    monkeypatch.setattr(cache, "compile_beside", counting)
    return found


def load(folder: Path) -> None:
    CompiledCache(folder).component(DATA, DIGEST)


def test_a_component_is_compiled_once_and_again_when_the_folder_is_gone(tmp_path: Path, compilations: list[int]):
    folder = tmp_path / "cache"
    load(folder)
    load(folder)
    assert len(compilations) == 1
    for path in folder.iterdir():
        path.unlink()
    load(folder)
    assert len(compilations) == 2


@pytest.mark.parametrize("suffix", [".cwasm", ".sha256"])
def test_what_was_changed_is_never_loaded(tmp_path: Path, compilations: list[int], suffix: str):
    folder = tmp_path / "cache"
    load(folder)
    (path,) = folder.glob(f"*{suffix}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    load(folder)
    assert len(compilations) == 2
    load(folder)
    assert len(compilations) == 2


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, compilations: list[int], caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    load(folder)
    assert list(folder.iterdir()) == []
    assert "chmod 700" in caplog.text


@pytest.mark.parametrize("suffix", [".cwasm", ".sha256"])
@pytest.mark.parametrize("how", ["writable", "link", "pipe", "folder"])
def test_what_others_may_have_put_there_before_it_was_private_is_never_loaded(
    tmp_path: Path, compilations: list[int], suffix: str, how: str
):
    folder = tmp_path / "cache"
    load(folder)
    (path,) = folder.glob(f"*{suffix}")
    if how == "writable":
        path.chmod(0o666)
    else:
        path.rename(tmp_path / "elsewhere")
    if how == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    load(folder)
    assert len(compilations) == 2


def test_a_folder_that_is_opened_to_others_while_it_is_used_is_not_used_any_more(
    tmp_path: Path, compilations: list[int]
):
    kept = CompiledCache(tmp_path / "cache")
    kept.component(DATA, DIGEST)
    (tmp_path / "cache").chmod(0o777)
    kept.component(DATA, DIGEST)
    assert len(compilations) == 2
    # One that is gone is made again, and used.
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    (tmp_path / "cache").rmdir()
    kept.component(DATA, DIGEST)
    kept.component(DATA, DIGEST)
    assert len(compilations) == 3


def test_the_folder_is_made_for_its_user_alone_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "MAX_FILES", 2)
    store = CompiledCache(folder)
    for number in range(4):
        store.component(DATA, f"{number:064}")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.glob("*.cwasm"))) == len(list(folder.glob("*.sha256"))) == 2
    assert not [path for path in folder.iterdir() if path.suffix not in (".cwasm", ".sha256")]


def test_a_folder_that_can_not_be_made_does_no_harm(tmp_path: Path, compilations: list[int]):
    (tmp_path / "file").write_text("")
    load(tmp_path / "file" / "cache")
    assert len(compilations) == 1
    assert os.listdir(tmp_path) == ["file"]
