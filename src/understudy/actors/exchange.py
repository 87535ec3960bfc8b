"""An HTTP exchange as the call `http` records it: the request whose digest the journal holds, and the reply.

The law: the digest covers what the author's code decides, the method, the URL, the body, and every header but those that
a client library makes up or that follow from the rest. So a newer library does not turn an old history into a MISMATCH.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct, field

from understudy.objects.errors import WrongKind

HTTP: Final = "http"  # the capability
NOT_GRANTED: Final = "NotGranted"
FORM: Final = 1

Headers = Sequence[tuple[str, str]]

# How they are made is the library's matter, or the machine's; they are sent all the same. Never taken from: FORMAT.md.
_NO_MEANING: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "date", "host", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "user-agent", "via"),
        *("baggage", "traceparent", "tracestate", "x-amzn-trace-id", "x-cloud-trace-context", "x-goog-api-client"),
        *("x-client-request-id", "x-correlation-id", "x-request-id"),
    }
)
_NO_MEANING_PREFIXES: Final = ("amz-sdk-", "x-b3-", "x-stainless-")
IDEMPOTENCY_KEY: Final = "idempotency-key"
# The marker of a secret, with the secret's name.
MARKER: Final = re.compile(r"secret-([A-Za-z_][A-Za-z0-9_]{0,99})-[0-9a-f]{40}")
_INVENTED_KEY: Final = (
    "stainless-python-retry-"  # how the keys begin that SDKs make up for the case that they try again
)


class ExchangeRequest(Struct, frozen=True, kw_only=True):
    """What the code asks for. Header names are lower-case and sorted."""

    method: str
    url: str
    headers: Headers
    body: bytes = b""


class ExchangeReply(Struct, frozen=True, kw_only=True):
    """What came back: the whole body, unpacked. `method` and `url` are those of the request."""

    method: str
    url: str
    status: int
    headers: Headers
    body: bytes = b""


class SharedKey(Struct):
    """The idempotency key of calls that a library knows to be one: that of the first of them."""

    text: str | None = None


class Spent(Struct):
    """What a step has asked for so far, and how many bytes came back."""

    calls: int = 0
    bytes: int = 0


class Aside(Struct, frozen=True, kw_only=True):
    """What goes along with a request and is no part of its digest. A replay never looks at it.

    `headers` are those without meaning, `timeout` how many seconds connect, read and write may take.
    `secrets` are the names of the secrets by their markers.
    """

    headers: Headers = ()
    timeout: Mapping[str, float | None] = field(default_factory=dict)
    shared_key: SharedKey | None = None
    spent: Spent = field(default_factory=Spent)
    secrets: Mapping[str, str] = field(default_factory=dict)


def has_meaning(name: str) -> bool:
    """True if a header, whose name is in lower case, belongs to what is asked for."""
    return name not in _NO_MEANING and not name.startswith(_NO_MEANING_PREFIXES)


def is_invented_key(value: str) -> bool:
    """True for an idempotency key that a client library made up."""
    return value.startswith(_INVENTED_KEY)


def request_bytes(request: ExchangeRequest) -> bytes:
    """The request of the call `http`: a line of JSON, then the body."""
    head = _RequestHead(v=FORM, method=request.method, url=request.url, headers=_by_name(request.headers))
    return msgspec.json.encode(head) + b"\n" + request.body


def read_request(data: bytes) -> ExchangeRequest:
    """The request that some bytes are. Raises WrongKind."""
    line, _, body = data.partition(b"\n")
    try:
        head = _read_request_head(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongKind(f"not an HTTP request: {error}") from error
    return ExchangeRequest(method=head.method, url=head.url, headers=head.headers, body=body)


def reply_bytes(reply: ExchangeReply) -> bytes:
    """The reply of the call `http`: a line of JSON, then the body."""
    head = _ReplyHead(v=FORM, method=reply.method, url=reply.url, status=reply.status, headers=tuple(reply.headers))
    return msgspec.json.encode(head) + b"\n" + reply.body


def read_reply(data: bytes) -> ExchangeReply:
    """The reply that some bytes are. Raises WrongKind."""
    line, _, body = data.partition(b"\n")
    try:
        head = _read_reply_head(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongKind(f"not an HTTP response: {error}") from error
    return ExchangeReply(method=head.method, url=head.url, status=head.status, headers=head.headers, body=body)


def _by_name(headers: Headers) -> tuple[tuple[str, str], ...]:
    # Those of one name stay in their order, which means something.
    return tuple(sorted(headers, key=lambda header: header[0]))


class _RequestHead(Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]


class _ReplyHead(Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    method: str
    url: str
    status: int
    headers: tuple[tuple[str, str], ...]


_read_request_head = msgspec.json.Decoder(_RequestHead).decode
_read_reply_head = msgspec.json.Decoder(_ReplyHead).decode
