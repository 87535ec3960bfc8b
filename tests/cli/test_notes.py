"""The note by which commands find a node: a store may come from elsewhere, and with it a note that lies."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from understudy.cli.running import find_running

TOKEN = "ust_of_another_node"


class Eavesdropper:
    """A server that somebody else runs on this machine, and what it was shown. It sends everybody on to `to`."""

    def __init__(self, to: str) -> None:
        self.shown: list[str] = []
        shown = self.shown

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown.append(f"{self.path} {self.headers.get('Authorization')}")
                self.send_response(302)
                self.send_header("Location", to)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Eavesdropper]:
    listener = Eavesdropper("http://127.0.0.1:9/")
    yield listener
    listener.stop()


def leave(folder: Path, address: str, pid: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "node.json").write_text(json.dumps({"address": address, "pid": pid or os.getpid(), "node": "x"}))


@pytest.mark.parametrize(
    "address",
    [
        "http://192.0.2.1:{port}",
        "http://localhost:{port}",
        "http://127.0.0.1.nip.io:{port}",
        "http://user@127.0.0.1:{port}",
        "http://127.0.0.1:{port}/elsewhere",
        "http://127.0.0.1:{port}@192.0.2.1:80",
        "http://127.0.0.1:{port}\n",
        "https://127.0.0.1:{port}",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_note_that_names_more_than_an_address_of_this_machine_is_no_note(
    listener: Eavesdropper, tmp_path: Path, address: str
) -> None:
    leave(tmp_path, address.format(port=listener.port))
    assert find_running(f"rocksdb:{tmp_path}", token=TOKEN) is None
    assert listener.shown == []


def test_nobody_is_sent_on_with_the_token(tmp_path: Path) -> None:
    further = Eavesdropper("http://127.0.0.1:9/")
    sender = Eavesdropper(f"http://127.0.0.1:{further.port}/")
    leave(tmp_path, f"http://127.0.0.1:{sender.port}")
    assert find_running(f"rocksdb:{tmp_path}", token=TOKEN) is None
    assert (len(sender.shown), further.shown) == (1, [])
    sender.stop()
    further.stop()


def test_a_note_with_a_process_that_can_not_be_hides_no_store(project: Shell) -> None:
    project.run("push")
    leave(project.folder / ".understudy", "http://127.0.0.1:1", pid=2**62)
    assert [actor["name"] for actor in project.json("actors")["actors"]] == ["greeter"]
