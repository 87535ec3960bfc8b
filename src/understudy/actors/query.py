"""Queries: what is asked of an actor at one of its steps, and what comes back. Nothing of it is stored.

The law: what a query is given cannot write.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from understudy.actors.calls import Calls
from understudy.objects import ids
from understudy.objects.codec import decode, node_block
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.names import check_name
from understudy.objects.step import Step
from understudy.objects.wording import type_with_article
from understudy.store.reader import Reader

WUT: Final = "wut"  # the query that describes an actor
# The words in which a query fails that never began, or that the runtime refused.
NO_QUERIES: Final = "NoQueries"
UNKNOWN_QUERY: Final = "UnknownQuery"
BAD_ARGUMENTS: Final = "BadArguments"
BAD_RESULT: Final = "BadResult"
QUERY_TIMEOUT: Final = "QueryTimeout"

BYTES: Final = "application/octet-stream"
JSON: Final = "application/json"
DAG_CBOR: Final = "application/vnd.ipld.dag-cbor"
# A JSON object of texts, as the parameters of a URL and of a command line are: a comfortable query reads each of them as
# what its argument is, where plain JSON must have the right types.
TEXTS: Final = "application/json; values=text"

_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MEDIA_TYPE: Final = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[^"\\\x00-\x1f\x7f-\uffff]*"))*'
)
_MAX_MEDIA_TYPE: Final = 255


class Blob(Struct, frozen=True):
    """Bytes and what they are: a query's context, and its answer where it is novel data."""

    data: bytes
    media_type: str = BYTES

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes) or isinstance(self.data, Id):
            raise TypeError(f"a Blob holds bytes, not {_described(self.data)}")
        if len(self.media_type) > _MAX_MEDIA_TYPE or not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError(f"{self.media_type!r} is no media type, e.g. text/html; charset=utf-8")

    @classmethod
    def html(cls, text: str) -> Blob:
        """A web page."""
        return cls(text.encode(), "text/html; charset=utf-8")

    def text(self) -> str:
        """The bytes as UTF-8 text. Raises UnicodeDecodeError."""
        return self.data.decode()

    def json(self, kind: Any = Any) -> Any:
        """The JSON, as a type if one is given. Raises msgspec.DecodeError, ValidationError."""
        return msgspec.json.decode(self.data, type=kind)


class Tree(Struct, frozen=True):
    """Names of objects that exist already, e.g. in the core of the step that was asked."""

    entries: Mapping[str, Id]

    def __post_init__(self) -> None:
        for name, id in self.entries.items():
            check_name(name, what="name in a query's tree")
            ids.from_bytes(id)


class Error(Struct, frozen=True):
    """What a query answers when it has no answer: a word for programs and a sentence for people."""

    code: str
    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or not isinstance(self.text, str) or not self.code:
            raise TypeError("an Error has a code, which is not empty, and a text")


Result = Blob | Tree | Error

NO_CONTEXT: Final = Blob(b"{}", JSON)


class QueryInput(Struct, frozen=True, kw_only=True):
    """Everything that a query may depend on. `calls` is how it asks other actors."""

    actor: ActorId
    step_id: StepId
    step: Step
    name: str
    context: Blob
    store: Reader
    calls: Calls


class QueryProgram(Protocol):
    """The queries of one version of a core, ready to run."""

    @property
    def is_external(self) -> bool:
        """True if the code is not in the core: the same step may answer otherwise tomorrow."""

    def run(self, given: QueryInput) -> Result | Awaitable[Result]:
        """Run one query; an Error is what the query itself answers.

        Raises WitError: UNKNOWN_QUERY, BAD_ARGUMENTS, or the word and the text of how the code failed, with its place.
        Returns an awaitable, to be awaited on an event loop, only when the query is asynchronous.
        """


class QueryRequest(Struct, frozen=True, kw_only=True):
    """What a wit asks of another actor, which `actor` says by its id or its name."""

    actor: str
    name: str
    context: Blob


def request_bytes(request: QueryRequest) -> bytes:
    """The request of the call `query`: a line of JSON that says what is asked, then the context's bytes."""
    head = {"actor": request.actor, "media_type": request.context.media_type, "name": request.name}
    return msgspec.json.encode(head) + b"\n" + request.context.data


def read_request(data: bytes) -> QueryRequest:
    """The request that some bytes are. Raises WrongKind."""
    head, _, context = data.partition(b"\n")
    try:
        fields = _read_head(head)
        return QueryRequest(actor=fields.actor, name=fields.name, context=Blob(context, fields.media_type))
    except (ValueError, msgspec.MsgspecError) as error:
        raise WrongKind(f"not a query: {error}") from error


def result_bytes(result: Blob | Tree) -> bytes:
    """The reply of the call `query`: a line that says what it is, then the bytes of a blob or the DAG-CBOR of a tree."""
    if isinstance(result, Blob):
        return f"blob {result.media_type}\n".encode() + result.data
    return b"tree\n" + encoded(result)


def read_result(data: bytes) -> Blob | Tree:
    """The result that a reply holds. Raises WrongKind."""
    head, _, rest = data.partition(b"\n")
    kind, _, media_type = head.partition(b" ")
    try:
        if kind == b"blob":
            return Blob(rest, media_type.decode())
        if head == b"tree":
            return Tree({name: ids.from_bytes(id) for name, id in decode(rest)["tree"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, ObjectError) as error:
        raise WrongKind(f"not the answer to a query: {error}") from error
    raise WrongKind("not the answer to a query")


def encoded(result: Result) -> bytes:
    """A result in the object store's own serialisation: a blob's bytes, else the DAG-CBOR of `{tree}` or `{error}`."""
    match result:
        case Blob():
            return result.data
        case Tree():
            return node_block({"tree": dict(result.entries)}).data
        case Error():
            return node_block({"error": {"code": result.code, "text": result.text}}).data


class _Head(Struct, forbid_unknown_fields=True):
    actor: str
    media_type: str
    name: str


_read_head = msgspec.json.Decoder(_Head).decode


def _described(value: object) -> str:
    return "a str: encode it, or see Blob.html" if isinstance(value, str) else type_with_article(value)
