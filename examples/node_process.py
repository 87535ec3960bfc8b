"""A node in a process of its own, for the examples."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

UNDERSTUDY = [sys.executable, "-m", "understudy"]
START_SECONDS = 30.0


class NodeProcess:
    """`understudy serve`, or another command, in a process of its own, on a free port of loopback."""

    def __init__(self, project: Path, *command: str) -> None:
        self._project = project
        self._process = subprocess.Popen(
            [*UNDERSTUDY, *(command or ("serve",)), "--listen", "127.0.0.1:0"], cwd=project, stdout=subprocess.DEVNULL
        )
        self.client = httpx.Client(base_url=self._address(), timeout=30)
        # To create an actor is to bring code, which needs the token of the store.
        token = (project / ".understudy" / "token").read_text().strip()
        self.client.headers["Authorization"] = f"Bearer {token}"

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """The polite way."""
        self._process.terminate()
        self._process.wait()

    def _address(self) -> str:
        note = self._project / ".understudy" / "node.json"
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise SystemExit(f"the node ended with exit code {self._process.returncode}")
            about = json.loads(note.read_text()) if note.exists() else {}
            if about.get("pid") == self._process.pid:
                return str(about["address"])
            time.sleep(0.05)
        raise SystemExit("the node did not start")
