"""A file that is written aside: it is there as a whole or not at all, and nothing of it stays behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from understudy.capabilities.secrets import BadSecret, Secret, Secrets
from understudy.store.whole_files import write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("synced", [False, True])
def test_a_file_takes_the_place_of_the_one_before_for_its_owner_alone(tmp_path: Path, synced: bool) -> None:
    for data in (b"one", b""):
        write_whole(tmp_path / "file", data, synced=synced)
        assert (tmp_path / "file").read_bytes() == data
    assert names(tmp_path) == ["file"] and stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_can_not_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_whole(tmp_path / "file", b"one")

    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_whole(tmp_path / "file", b"two", synced=True)
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"one"


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path: Path) -> None:
    for name, age in ((".part-old", 7200), (".part-new", 60), ("other", 7200)):
        (tmp_path / name).write_text("half")
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    write_whole(tmp_path / "file", b"one")
    assert names(tmp_path) == [".part-new", "file", "other"]


def test_a_secret_that_can_not_be_kept_is_nowhere_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(BadSecret, match="No space left"):
        Secrets(tmp_path).set(Secret(name="KEY", to=("api.example.com",), value="the value"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
