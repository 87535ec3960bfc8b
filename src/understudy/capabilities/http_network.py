"""The network as the capability `http` uses it: connections only to addresses that were checked, on a thread of its own.

The law: the address that was checked is the one that is connected to. A name is looked up once for each connection, so a
server of names that answers otherwise the second time changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Final, TypeVar

import httpcore

from understudy.capabilities.http_grants import Grant, not_granted, place_text
from understudy.capabilities.http_places import LOCALHOST, Address, address_of, is_public, unwrapped

THREAD: Final = "understudy-http"
IDLE_SECONDS: Final = 15.0  # how long a connection is kept for the next call
MAX_IDLE: Final = 32
STOP_SECONDS: Final = 5.0
THREADS: Final = (
    64  # for names that are looked up and bodies that are searched: a name that nobody answers takes one for long
)

Value = TypeVar("Value")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system knows of a name, in its order. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class HttpThread:
    """One event loop in a thread of its own. Connections belong to a loop, and each wit has another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """What a coroutine returns that runs there. Nothing of the caller's context goes along: what is done there is ours."""
        begun = Context().run(asyncio.run_coroutine_threadsafe, work, self._running())
        return await asyncio.wrap_future(begun)

    def stop(self) -> None:
        """End the thread; what still runs there is cancelled."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(_cancel_all, loop)
        thread.join(STOP_SECONDS)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_run, args=(loop,), name=THREAD, daemon=True)
                thread.start()
                self._loop, self._thread = loop, thread
                _keep_out_of_logs()
            return self._loop


class Network:
    """Connections under one grant. Used on the thread of `HttpThread` alone."""

    def __init__(self, grant: Grant, resolve: Resolve = resolve) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None,  # the capability bounds its calls
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=_Checked(grant, resolve),
        )

    @asynccontextmanager
    async def exchange(self, request: httpcore.Request) -> AsyncIterator[httpcore.Response]:
        """The response whose body is still to be read. Raises CallFailed(NotGranted), and what httpcore raises."""
        response = await self._pool.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()


class _Checked(httpcore.AsyncNetworkBackend):
    """Looks names up, and connects to an address that may be reached."""

    def __init__(self, grant: Grant, resolve: Resolve) -> None:
        self._grant = grant
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        failure: Exception | None = None
        for address in await self._addresses(host, port, timeout):
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
        assert failure is not None
        raise failure

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[Address]:
        try:
            async with asyncio.timeout(timeout):
                found = [each for text in await self._resolve(host, port) if (each := address_of(text)) is not None]
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no address of {host} within {timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from None
        good = [address for address in found if self._may_reach(host, address, port)]
        if found and not good:
            raise not_granted(
                f"{host} leads to {found[0]}, which is not public. To grant it, name the address, too, in understudy.toml: "
                f'[capabilities.http] allow = ["{place_text(str(found[0]), port)}"]'
            )
        if not good:
            raise httpcore.ConnectError(f"{host} has no address")
        return good

    def _may_reach(self, host: str, address: Address, port: int) -> bool:
        if is_public(address):
            return True
        plain = unwrapped(address)
        return any(
            # By its name with this port: a `*` beside it opens no other ports of this machine.
            (place.name == LOCALHOST == host and plain.is_loopback and place.covers(host, port))
            or place.names(plain, port)
            for place in self._grant.allow
        )


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix=f"{THREAD}-beside"))
    try:
        loop.run_forever()
    finally:
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    # After the tasks have heard of it.
    loop.call_soon(lambda: loop.call_soon(loop.stop))


def _keep_out_of_logs() -> None:
    """What httpcore tells of headers, where somebody wants to debug, would hold secrets."""
    for name in ("connection", "http11", "http2", "proxy", "socks"):
        logger = logging.getLogger(f"httpcore.{name}")
        if _is_elsewhere not in logger.filters:
            logger.addFilter(_is_elsewhere)


def _is_elsewhere(record: logging.LogRecord) -> bool:
    return record.threadName != THREAD
