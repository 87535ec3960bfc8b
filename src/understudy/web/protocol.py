"""HTTP on one connection: uvicorn's protocol, with bounds on memory and time that one client may use.

The law: a request is parsed only when it can be answered. Pipelined requests stay unparsed, in the socket. A client that
does not send the rest of a request within the times below is disconnected.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from understudy.web.connections import Connections
from understudy.web.errors import problem
from understudy.web.security_headers import with_security_headers
from understudy.web.unsent import NOTHING, Unsent, unsent_of

# The request line and all headers. No token was checked yet, so memory is bounded; no honest client needs more.
MAX_HEAD_BYTES: Final = 128 * 1024
HEAD_SECONDS: Final = 20.0  # from the connection, or the first byte of a request, to the end of its headers
# At least BODY_BYTES of a body arrive in this time, unless we paused reading. A modem is fast enough.
BODY_SECONDS: Final = 30.0
BODY_BYTES: Final = 4 * 1024
WRITE_SECONDS: Final = 120.0  # for a client to read the 48 KiB after which writing resumes
# Parsed at a time: a small request has 18 bytes, and takes 5 KiB of memory once it is parsed.
_PIECE_BYTES: Final = 4 * 1024
_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class Protocol(HttpToolsProtocol):
    """One connection. Bytes that are not HTTP get a 400, headers above the bound a 431; then it is closed."""

    def __init__(self, *args: Any, connections: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self._all = connections
        self._head_bytes = 0  # since the last piece of a body or the end of a request: headers, or trailers
        self._body_bytes = 0  # of the request that is being read, since the timer was set
        self._unparsed = b""  # received behind a request that has no answer yet; at most the bytes of one read
        self._reads_trailers = False
        self._ended = False  # further bytes are dropped
        self._running: RequestResponseCycle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a new client, in the place of an idle one if all places are taken. If none is idle: 503."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.flow = _Flow(self.transport)
        if self._all.admit(self):
            self._watch()
        else:
            self._refuse(503, "all connections of this node are in use; try again later", {"Retry-After": "1"})

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: tell the handler that runs, also if further requests are queued behind it."""
        self._all.gone(self)
        self._unwatch()
        self._unstick()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        self._unparsed = b""
        super().connection_lost(exc)

    def give_way(self) -> None:
        """Close this idle connection, because another client needs its place."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    @property
    def unread_bytes(self) -> int:
        """What the client is answered and has not taken yet."""
        return self.transport.get_write_buffer_size() + self._unsent().left

    @property
    def held_bytes(self) -> int:
        """What is in memory for the client."""
        return self.transport.get_write_buffer_size() + self._unsent().held

    def cut_off(self) -> None:
        """Close with what the client has not read."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._unset_keepalive_if_required()
        if not self._ended:
            self._unparsed += data
            self._parse()

    def on_message_begin(self) -> None:
        """The first line of a request."""
        self._reads_trailers = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. A trailer is none (RFC 9110, 6.5.1): whoever checked the headers has not seen it."""
        if not self._reads_trailers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers of a request are complete."""
        self._reads_trailers = True
        self._head_bytes = 0
        self._unwatch()
        self._all.busy(self)
        if not self.url.startswith(b"/"):
            self._take_host()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body arrived."""
        self._head_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._head_bytes = 0
        self._unwatch()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A response is complete."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_flush()
        elif not self.pipeline and self._running is self.cycle:
            if not self.flow.write_paused:
                self._all.read(self)
            self._all.idle(self)
            if self._unparsed:
                self._unset_keepalive_if_required()
            self._parse()

    def timeout_keep_alive_handler(self) -> None:
        """The connection was idle for too long."""
        super().timeout_keep_alive_handler()
        self._expect_flush()

    def pause_writing(self) -> None:
        """The client does not read its response: start the timer."""
        super().pause_writing()
        self._expect_reading()
        self._all.unread(self, self.loop.time())

    def resume_writing(self) -> None:
        """The client reads again."""
        self._unstick()
        # Between two pieces of an answer it goes on to be a reader of this answer, of whom it is known since when.
        if not self._unsent().left:
            self._all.read(self)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """The answer to bytes that are not HTTP."""
        self._refuse(400, "this is not an HTTP request (RFC 9112)")

    def _take_host(self) -> None:
        """In a target with a host, that host counts and not the header `Host` (RFC 9112, 3.2.2): show it to the guard."""
        _, scheme, rest = self.url.partition(b"://")
        if scheme:
            authority = rest.replace(b"?", b"/").replace(b"#", b"/").partition(b"/")[0]
            # In place: the scope refers to this list.
            self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"] + [(b"host", authority)]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self) -> None:
        """Parse what was received, up to a request that has to wait for the answer to the one before it."""
        while self._unparsed and not self.pipeline and not self.transport.is_closing() and not self._ended:
            piece, self._unparsed = self._unparsed[:_PIECE_BYTES], self._unparsed[_PIECE_BYTES:]
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"the headers have more than {MAX_HEAD_BYTES:,} bytes; send what is large as a body")
        cast(_Flow, self.flow).hold(bool(self._unparsed or self.pipeline or self._ended))
        self._watch()

    def _watch(self) -> None:
        """Start the timer while the client has to send something; stop it otherwise."""
        if self.transport.is_closing() or not (self._reads_head() or self._reads_body()):
            self._unwatch()
        elif self._late is None:
            self._body_bytes = 0
            self._late = self.loop.call_later(BODY_SECONDS if self._reads_body() else HEAD_SECONDS, self._look)

    def _unwatch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _reads_head(self) -> bool:
        return not self._works() and (self._running is None or self._head_bytes > 0)

    def _reads_body(self) -> bool:
        return self._works() and self._running is self.cycle and self.cycle.more_body

    def _unsent(self) -> Unsent:
        return NOTHING if self._running is None else unsent_of(cast(Scope, self._running.scope))

    def _works(self) -> bool:
        running = self._running
        return running is not None and not running.response_complete and not running.disconnected

    def _look(self) -> None:
        self._late = None
        if self._reads_head():
            self._refuse(408, "a request with all its headers did not come in time")
        elif self._reads_body() and self._body_bytes < BODY_BYTES and not self.flow.read_paused:
            self._refuse(408, "the rest of the body did not come in time")
        else:
            self._watch()

    def _refuse(self, status: int, detail: str, more: dict[str, str] | None = None) -> None:
        """Answer with an error and close. While a handler runs, the connection is closed after its answer instead."""
        if self.transport.is_closing() or self._ended:
            return
        self._ended, self._unparsed = True, b""
        if self._works() and not self._reads_body() and self._running is not None:
            self._running.keep_alive = False
            return
        if self._running is None or self._running.response_complete or not self._running.response_started:
            answer = problem(status, detail, headers={"Connection": "close", **(more or {})})
            headers = with_security_headers(list(answer.raw_headers), status)
            lines = [b"HTTP/1.1 %d %s" % (status, _REASONS[status]), *(b"%s: %s" % pair for pair in headers)]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()
        self._expect_flush()

    def _expect_flush(self) -> None:
        """Bound how long a closing connection waits for the client to read what was written."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._expect_reading()

    def _expect_reading(self) -> None:
        self._unstick()
        self._stuck = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class _Flow(FlowControl):
    """Resumes reading only when no received bytes wait. uvicorn resumes after each answer, and would keep all that arrives."""

    _held = False

    def hold(self, held: bool) -> None:
        """Pause reading, or resume it if nothing else wants it paused."""
        self._held, was = held, self._held
        if held:
            self.pause_reading()
        elif was:
            super().resume_reading()

    def resume_reading(self) -> None:
        if not self._held:
            super().resume_reading()
