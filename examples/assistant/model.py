"""A stand-in for a model: it speaks OpenAI's protocol of chat completions, and follows a few rules instead of thinking.

    python model.py [PORT]

- "remember that …", "what is on 2026-11-21?" and "remind me in 3 seconds to …" make it ask for a tool.
- "think hard …" makes it take its time: five seconds, so that there is time to end the node in the middle.
- Whatever else is said comes back.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8955
KEY = "not-a-real-key"
SECONDS = 5.0  # that it thinks hard
PATH = "/v1/chat/completions"


class Model(ThreadingHTTPServer):
    """Serves with `serve_forever`. `asked` are the headers of the requests; `thought` ends all hard thinking."""

    daemon_threads = True

    def __init__(self, port: int = PORT, seconds: float = SECONDS) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.asked: list[dict[str, str]] = []
        self.seconds = seconds
        self.thinks = threading.Event()
        self.thought = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Model
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._answer(401, {"error": {"message": f"the key is wrong: understudy secret set MODEL_KEY; it is {KEY}"}})
        elif self.path != PATH:
            self._answer(404, {"error": {"message": f"only {PATH} is here"}})
        else:
            self._complete(asked)

    def log_message(self, *_: object) -> None:
        pass

    def _complete(self, asked: dict[str, Any]) -> None:
        last = asked["messages"][-1]
        if last["role"] == "user" and last["content"].startswith("think hard"):
            self.server.thinks.set()
            self.server.thought.wait(self.server.seconds)
        message = _says(last, len(asked["messages"]))
        choice = {"index": 0, "finish_reason": "tool_calls" if "tool_calls" in message else "stop", "message": message}
        common = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"]}
        self._answer(200, {**common, "choices": [choice]})

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _says(last: dict[str, Any], number: int) -> dict[str, Any]:
    """The next message."""
    if last["role"] == "tool":
        return {"role": "assistant", "content": f"I looked: {last['content']}"}
    text = last["content"]
    if found := re.match(r"remember that (.+)", text):
        return _wants("remember", number, fact=found[1])
    if found := re.match(r"remind me in (.+) to (.+)", text):
        return _wants("remind", number, after=found[1], text=found[2])
    if found := re.match(r"what is on (\S+)\?", text):
        return _wants("calendar_on", number, day=found[1])
    return {"role": "assistant", "content": f"You said: {text}"}


def _wants(name: str, number: int, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [call]}


if __name__ == "__main__":
    with Model(int(sys.argv[1]) if len(sys.argv) > 1 else PORT) as model:
        model.serve_forever()
