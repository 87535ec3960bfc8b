"""`understudy open`: the address of the console, of the node that serves the store."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from tests.web.conftest import GREETER
from tests.web.served import Served
from understudy.cli.errors import CommandError
from understudy.cli.open_ import open_
from understudy.cli.running import Running, leave_note
from understudy.node.node import Node


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"rocksdb:{tmp_path / 'store'}"


def test_the_address_is_printed_and_a_browser_opened_where_there_is_one(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def show(address: str) -> bool:
        seen.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    with Served(Node.open(store)) as served:
        actor = served.create({"wit": GREETER}, "ada")["id"]
        leave_note(store, Running(address=served.address, pid=1, node=served.node.name))
        monkeypatch.setenv("UNDERSTUDY_TOKEN", served.token)
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.delenv("BROWSER", raising=False)
        open_("ada", store)
        assert seen == [f"{served.address}/console/actors/{actor}"]
        assert capsys.readouterr().out.strip() == seen[0]
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        open_(None, store)
        open_(None, store, as_json=True)
        assert len(seen) == 1
        assert f'"address": "{served.address}/console"' in capsys.readouterr().out
        with pytest.raises(CommandError, match="nobody"):
            open_("nobody", store)


def test_without_a_node_it_says_what_to_start(store: str) -> None:
    Node.open(store).close()
    with pytest.raises(CommandError, match="understudy serve"):
        open_(None, store)
