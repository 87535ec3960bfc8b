"""A small HTTP server on this machine: it speaks the protocols of two model services, echoes, redirects, and misbehaves."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

PATIENCE = 30.0
BOMB = gzip.compress(b"\0" * 5_000_000)


class Seen(NamedTuple):
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class StubServer:
    """Serves until the end of the block. `seen` are the requests, in the order in which they came."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.came = threading.Event()
        self.go_on = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.place}"

    def __enter__(self) -> StubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone."""
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    stub: StubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.stub.seen.append(Seen(self.command, self.path, headers, body))
        self.stub.came.set()
        parts = urlsplit(self.path)
        wanted = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/v1/chat/completions":
                self._chat(json.loads(body))
            case "/v1/messages":
                self._messages(json.loads(body))
            case "/echo":
                said = {"method": self.command, "path": self.path, "headers": headers, "body": body.decode("latin-1")}
                self._answer(200, json.dumps(said).encode(), {"x-echo": headers.get("authorization", "")})
            case "/cases":
                key = headers["x-key"]
                forms = [key.lower(), key.upper(), key.encode().hex(), key.encode().hex().upper()]
                self._answer(200, " ".join(forms).encode(), {f"X-{key}": "1"})
            case "/redirect":
                self._answer(int(wanted.get("status", 302)), b"", {"location": wanted["to"]})
            case "/set-cookie":
                self._answer(200, b"baked", {"set-cookie": f"taste={wanted['taste']}; Path=/"})
            case "/cookies":
                self._answer(200, headers.get("cookie", "none").encode())
            case "/gzip":
                self._answer(200, gzip.compress(b"hello " * 100), {"content-encoding": "gzip"})
            case "/bomb":
                self._answer(200, BOMB, {"content-encoding": "gzip"})
            case "/cut":
                self._answer(200, gzip.compress(b"hello " * 100)[:-20], {"content-encoding": "gzip"})
            case "/endless":
                self._endless()
            case "/hold":
                self.stub.go_on.wait(PATIENCE)
                self._answer(200, b"held")
            case "/drop":
                self.close_connection = True
                self.connection.close()
            case "/nonsense":
                self.wfile.write(b"this is no HTTP\r\n\r\n")
                self.close_connection = True
            case "/bytes":
                self._answer(200, bytes(range(256)) * int(wanted.get("times", 1)))
            case "/status":
                self._answer(int(wanted["is"]), b"as you wish")
            case _:
                self._answer(200, b'{"ok": true}', {"content-type": "application/json"})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"content-type": "application/json"})

    def _stream(self, events: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _endless(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        piece = b"x" * 65536
        try:
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        except OSError:
            pass

    def _chat(self, asked: dict[str, Any]) -> None:
        """OpenAI's chat completions."""
        said = f"You said: {asked['messages'][-1]['content']}"
        common = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": said}
            choices = [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}]
            self._json({**common, "object": "chat.completion", "choices": choices})
            return
        deltas = [{"role": "assistant", "content": ""}, *({"content": f"{word} "} for word in said.split()), {}]
        chunks = (
            {
                **common,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}],
            }
            for delta in deltas
        )
        self._stream(iter([*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]))

    def _messages(self, asked: dict[str, Any]) -> None:
        """Anthropic's messages."""
        said = f"You said: {asked['messages'][-1]['content']}"
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": [{"type": "text", "text": said}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        if not asked.get("stream"):
            self._json(message)
            return
        start = {**message, "content": [], "stop_reason": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"{word} "}}
                for word in said.split()
            ),
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 1},
            },
            {"type": "message_stop"},
        ]
        self._stream(iter(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events))
