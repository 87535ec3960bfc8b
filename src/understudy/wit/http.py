"""`ctx.http`: an ordinary client of httpx whose transport is the capability `http`.

The law: everything but the exchange itself (cookies, redirects, authentication, decoding) is the client's, and so happens
again in a replay, where the journal answers. Nothing here knows the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from understudy.actors.calls import Calls
from understudy.actors.errors import CallFailed, WitError
from understudy.actors.exchange import (
    HTTP,
    IDEMPOTENCY_KEY,
    Aside,
    ExchangeRequest,
    SharedKey,
    Spent,
    has_meaning,
    is_invented_key,
    read_reply,
    request_bytes,
)
from understudy.objects.duration import shown
from understudy.objects.errors import BadTimer
from understudy.wit.asking import may_await
from understudy.wit.running import RUNNING, Run

HTTPX: Final = "httpx"
HTTPX_2: Final = "httpx2"  # its successor, which some libraries want a client of
# As clients draw them by lot. One that an author chose stays: it may well be a word that stands in the content, too.
_BOUNDARY: Final = re.compile(r"multipart/[^;]+;.*?\bboundary=\"?([0-9a-f]{32})\"?\s*(?:;|\Z)", re.IGNORECASE)


class Network:
    """The clients of one step, and what their calls have in common."""

    def __init__(self, run: Run, secrets: Mapping[str, str]) -> None:
        """`secrets` are the names of the secrets by their markers; it may grow."""
        self._run = run
        self._secrets = secrets
        self._spent = Spent()
        self._shared: dict[str, SharedKey] = {}
        self._clients: dict[tuple[str, bool], Any] = {}

    def client(self, library: str) -> Any:
        """A client of this library, as the caller wants it: asynchronous in an `async def`. The same one for a whole step."""
        key = (library, may_await(self._run))
        client = self._clients.get(key)
        if client is None or client.is_closed:
            client = self._clients[key] = self._make(*key)
        return client

    def now(self) -> tuple[Network, Calls]:
        """What a client goes by at this moment. One that was kept, in a global say, belongs to the step that uses it.

        Raises WitError in a query, and in a function that `ctx.effect` runs.
        """
        # A thread that a wit starts knows no step: there it is the step that made the client.
        run = RUNNING.get(self._run)
        return run.network, run.calls

    def ask(self, request: Any) -> tuple[bytes, Aside]:
        """The request of a call and what goes along with it. The request of httpx is read already."""
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw]
        headers, body = _steady_boundary(headers, request.content)
        shared = None
        kept: list[tuple[str, str]] = []
        beside: list[tuple[str, str]] = []
        for name, value in headers:
            if name == IDEMPOTENCY_KEY and is_invented_key(value):
                shared = self._shared.setdefault(value, SharedKey())
            else:
                (kept if has_meaning(name) else beside).append((name, value))
        wanted = ExchangeRequest(method=request.method, url=_plain_url(request.url), headers=kept, body=body)
        timeout = _checked(request.extensions.get("timeout", {}))
        aside = Aside(headers=beside, timeout=timeout, shared_key=shared, spent=self._spent, secrets=self._secrets)
        return request_bytes(wanted), aside

    def _make(self, library: str, is_async: bool) -> Any:
        try:
            module = import_module(library)
        except ImportError as error:
            raise WitError(
                "MissingModule", f"ctx.{library} needs the package {library}: pip install {library}"
            ) from error
        blocking, awaiting = _transports(module)
        # Proxies and passwords of the environment are the node's, and no replay has them.
        if is_async:
            return module.AsyncClient(transport=awaiting(self), trust_env=False)
        return module.Client(transport=blocking(self), trust_env=False)


@lru_cache(maxsize=8)
def _transports(module: ModuleType) -> tuple[type[Any], type[Any]]:
    """The transports for the clients of a library that has httpx's interface."""
    base: Any = module

    class Blocking(base.BaseTransport):  # type: ignore[misc]
        """Waits for the answer."""

        def __init__(self, network: Network) -> None:
            self._network = network

        def handle_request(self, request: Any) -> Any:
            """See httpx."""
            request.read()
            network, calls = self._network.now()
            wanted, aside = network.ask(request)
            try:
                reply = calls.call_and_wait(HTTP, wanted, beside=aside)
            except CallFailed as error:
                _raise_as_the_library_does(base, error, request)
                raise
            return _response(base, reply)

    class Awaiting(base.AsyncBaseTransport):  # type: ignore[misc]
        """Awaits the answer."""

        def __init__(self, network: Network) -> None:
            self._network = network

        async def handle_async_request(self, request: Any) -> Any:
            """See httpx."""
            await request.aread()
            network, calls = self._network.now()
            wanted, aside = network.ask(request)
            try:
                reply = await calls.call(HTTP, wanted, beside=aside)
            except CallFailed as error:
                _raise_as_the_library_does(base, error, request)
                raise
            return _response(base, reply)

    return Blocking, Awaiting


def _response(library: Any, reply: bytes) -> Any:
    read = read_reply(reply)
    return library.Response(read.status, headers=list(read.headers), stream=library.ByteStream(read.body))


def _raise_as_the_library_does(library: Any, error: CallFailed, request: Any) -> None:
    """Raise the exception that a client of the library would have raised; nothing where it knows no such failure."""
    kind = getattr(library, error.code, None)
    if isinstance(kind, type) and issubclass(kind, library.TransportError):
        raise kind(error.text, request=request) from None


def _plain_url(url: Any) -> str:
    """The URL as it is asked for: without a fragment, and without a password, which stands in a header."""
    host = url.raw_host.decode("ascii")
    shown = f"[{host}]" if ":" in host else host
    port = "" if url.port is None else f":{url.port}"
    return f"{url.scheme}://{shown}{port}{url.raw_path.decode('ascii')}"


def _checked(timeout: Mapping[str, Any]) -> Mapping[str, float | None]:
    """The time-outs of a request, of which httpx checks nothing. Raises BadTimer."""
    for name, seconds in timeout.items():
        if seconds is not None and (not isinstance(seconds, int | float) or not seconds >= 0):
            text = "httpx takes a number of seconds, 0 or more, or None for as long as the operator allows"
            raise BadTimer(f"the timeout ({name}) is {shown(seconds)}: {text}")
    return timeout


def _steady_boundary(headers: list[tuple[str, str]], body: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """The same form with a boundary that depends on nothing but the form: clients draw one by lot."""
    for index, (name, value) in enumerate(headers):
        found = _BOUNDARY.match(value) if name == "content-type" else None
        if found is None:
            continue
        old = found[1]
        new = sha256(body.replace(old.encode("latin-1"), b"")).hexdigest()[:32]
        headers = [*headers[:index], (name, value.replace(old, new)), *headers[index + 1 :]]
        return headers, body.replace(old.encode("latin-1"), new.encode())
    return headers, body
