"""HTTP on one connection: uvicorn's, with a bound on what comes before a body, and refusals that are problem documents."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from understudy.web.errors import problem
from understudy.web.marks import marked

# The first line with all headers. Nobody's token was looked at yet, so nobody may make us keep more; 128 KiB hold any honest one.
MAX_HEAD_BYTES: Final = 128 * 1024
_REASONS: Final = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class Protocol(HttpToolsProtocol):
    """One connection. What is no HTTP is answered with 400, a head above the bound with 431; then it is closed."""

    _head_bytes = 0  # since the last piece of a body or the end of a request: headers, or trailers

    def data_received(self, data: bytes) -> None:
        """What came from the other end."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"the headers have more than {MAX_HEAD_BYTES:,} bytes; send what is large as a body")

    def on_headers_complete(self) -> None:
        """All headers of a request are there."""
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP."""
        self._refuse(400, "this is no HTTP request as RFC 9112 has it")

    def _refuse(self, status: int, detail: str) -> None:
        if self.transport.is_closing():
            return
        answer = problem(status, detail, headers={"Connection": "close"})
        headers = marked(list(answer.raw_headers), status)
        lines = [b"HTTP/1.1 %d %s" % (status, _REASONS[status]), *(b"%s: %s" % pair for pair in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()
