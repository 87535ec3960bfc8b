"""`understudy run` as a user has it: a process of its own on a store of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Final

import httpx

from tests.loaded_command import LOADED
from understudy.web.first_token import find_first_token

ROOT: Final = Path(__file__).parents[2]
COUNTER: Final = ROOT / "examples/wasm/counter.wasm"
BUILT: Final = ROOT / ".build/components"


class ActorProcess:
    """A running component; its store is in `folder`."""

    def __init__(self, folder: Path, component: Path, *args: str, **env: str) -> None:
        self.folder, self.component = folder, component
        command = ["run", str(component), "--json", *args]
        if "--listen" not in args:
            command += ["--listen", "127.0.0.1:0"]
        self._errors = folder / "run.err"
        with self._errors.open("wb") as errors:
            self.process = LOADED.start(command, folder, environment(**env), errors)
        self.said: dict[str, Any] = self._read()
        self.actor: dict[str, Any] = self.said["actor"]
        self.client = httpx.Client(base_url=self.said["address"], timeout=60, trust_env=False)
        token = self.said.get("token") or env.get("UNDERSTUDY_TOKEN") or find_first_token(folder / ".understudy")
        # What brings code needs it; the rest is asked as everybody may.
        self.token = {"Authorization": f"Bearer {token}"}

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """POST / with these bytes, or with this value in JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/", content=content, headers={key.replace("_", "-"): v for key, v in headers.items()})

    def state(self) -> Any:
        return self.client.get("/").raise_for_status().json()["state"]

    def chain(self) -> list[dict[str, Any]]:
        """The whole chain, oldest first."""
        entries: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            before = {"before": page["next"]} if page["next"] != "" else {}
            page = self.client.get("/chain", params={"limit": 100, **before}).raise_for_status().json()
            entries += page["entries"]
        return entries[::-1]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self.client.close()
        self.process.send_signal(how)
        self.process.communicate(timeout=60)
        return self.process.wait()

    def stop(self) -> None:
        """End it if it lives."""
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def _read(self) -> dict[str, Any]:
        text = b""
        while not _is_whole(text):
            line = self.process.stdout.readline()
            assert line, self._errors.read_text()
            text += line
        said: dict[str, Any] = json.loads(text)
        return said


def understudy(folder: Path, *args: str, code: int = 0, **env: str) -> str:
    """What a command prints; it must end with this exit code and show no traceback."""
    done = LOADED.run(args, folder, environment(**env))
    said = (done.stdout + done.stderr).decode()
    assert "Traceback" not in said, said
    assert done.returncode == code, said
    return said


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: nothing that the tests' own caller set, and compiled components below .build."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("UNDERSTUDY_")}
    return {**kept, "TERMINAL_WIDTH": "200", "XDG_CACHE_HOME": str(ROOT / ".build/cache"), **more}


def _is_whole(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
