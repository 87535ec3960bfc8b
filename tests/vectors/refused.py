"""Blocks that must be refused: by the codec, or by the rules of their kind."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from tests.vectors.sample import BIRTH, BIRTH_ID, CORE, GENESIS, GREETING, OK, REPLY, Place, blob, entries
from understudy.objects.blob import BigBlob, blob_node
from understudy.objects.codec import encode
from understudy.objects.hamt import BigMap, big_map_node
from understudy.objects.message import Message, message_node
from understudy.objects.step import Step, step_node
from understudy.store import hamt

_MIB: Final = 1024 * 1024

_BAD_ENGINES: Final = [
    *(
        "python",
        "python/",
        "/1",
        "python/01",
        "python/-1",
        "python/1.0",
        "python/x",
        "Python/1",
        "python /1",
        "python/1 ",
    ),
    *(
        "python/1;",
        "python/1;source",
        "python/1;source=",
        "python/1;=none",
        "python/1;Source=none",
        "python/1;source=a b",
    ),
    *("python/1;source=none;source=none", "python/1;b=1;a=1", "python/1\n", "python/1;source=ü", "x" * 254 + "/1"),
]

Vector = dict[str, Any]


def refused_vectors() -> list[Vector]:
    """Blocks that must be refused: by the codec, or by the rules of their kind."""
    return [*_refused_by_the_standard(), *_refused_by_the_subset(), *_refused_by_their_kind()]


def _refused_by_the_standard() -> list[Vector]:
    link = CORE
    tagged = "d82a582500" + link.hex()
    blocks = {
        "an integer that is not the shortest": "a1647472656518" + "01",
        "a long integer that is not the shortest": "1a00000001",
        "a text whose length is not the shortest": "a1780474726565a0",
        "a map whose length is not the shortest": "a16474726565b800",
        "a list whose length is not the shortest": "a1676a6f75726e616c9800",
        "a link whose length is not the shortest": "a16474726565a16161d82a59002500" + link.hex(),
        "a tag that is not the shortest": "a16474726565a16161d9002a582500" + link.hex(),
        "an indefinite map": "a16474726565bfff",
        "an indefinite list": "a1676a6f75726e616c9fff",
        "an indefinite text": "a17f6474726565ffa0",
        "an indefinite byte string": "5f4161ff",
        "keys that are not sorted": "a16474726565a2" + "6162" + tagged + "6161" + tagged,
        "keys sorted bytewise and not by length": "a16474726565a2" + "626161" + tagged + "6162" + tagged,
        "a duplicate key": "a16474726565a2" + "6161" + tagged + "6161" + tagged,
        "a key that is an integer": "a101a0",
        "a key that is a byte string": "a14474726565a0",
        "a key that is a link": "a1" + tagged + "01",
        "a link without the leading zero": "a16474726565a16161d82a5824" + link.hex(),
        "a link that is text": "a16474726565a16161d82a6161",
        "an empty link": "a16474726565a16161d82a4100",
        "another tag": "a16474726565a16161c101",
        "undefined": "a16474726565f7",
        "a simple value": "a16474726565e0",
        "a short float": "a16474726565f93c00",
        "a single float": "a16474726565fa3f800000",
        "not a number": "a16474726565fb7ff8000000000000",
        "infinity": "a16474726565fb7ff0000000000000",
        "bytes after the node": "a16474726565a000",
        "two nodes": "a16474726565a0a16474726565a0",
        "nothing": "",
        "a map that ends too early": "a16474726565",
        "a text that ends too early": "a16474",
        "a list longer than the block": "9bffffffffffffffff",
        "a text that is not UTF-8": "61ff",
        "a text with a surrogate": "63eda080",
        "a break without a beginning": "ff",
        "a reserved length": "1c",
    }
    return [refused(name, bytes.fromhex(block), "NotCanonical", standard=False) for name, block in blocks.items()]


def _refused_by_the_subset() -> list[Vector]:
    deep: Any = []
    for _ in range(64):
        deep = [deep]
    nodes: dict[str, Any] = {
        "true": {"tree": True},
        "false": {"tree": False},
        "a float": {"tree": 1.5},
        "a float that is whole": {"tree": 1.0},
        "minus zero": {"tree": -0.0},
        "an integer above 63 bits": {"tree": 2**63},
        "an integer below 63 bits": {"tree": -(2**63) - 1},
        "nested 65 deep": deep,
    }
    found = [refused(name, encode(node), "NotCanonical", standard=True) for name, node in nodes.items()]
    unlinked = bytes.fromhex("a16474726565a161615824") + CORE
    return [*found, refused("an id as a plain byte string", unlinked, "NotCanonical", standard=True)]


def refused(name: str, block: bytes, error: str, *, standard: bool) -> Vector:
    """A block to refuse; `standard` says whether it is good DAG-CBOR all the same."""
    return {"name": name, "block": block.hex(), "error": error, "standard": standard}


def _refused_by_their_kind() -> list[Vector]:
    cases = [*_bad_nodes(), *_bad_blobs(), *_bad_trees(), *_bad_messages(), *_bad_journals(), *_bad_steps()]
    return [refused(name, encode(node), "WrongKind", standard=True) for name, node in cases]


def _bad_nodes() -> list[tuple[str, Any]]:
    return [
        ("a bare integer", 1),
        ("a bare text", "tree"),
        ("null", None),
        ("a bare link", CORE),
        ("an empty map", {}),
        ("an empty list", []),
        ("an unknown kind", {"wood": {}}),
        ("two kinds in one", {"blob": {}, "tree": {}}),
        ("a step with a third key", step_node(BIRTH) | {"note": "x"}),
        ("a patch without a path", {"patch": {}}),
        ("a patch with a path below another", {"patch": {"a": None, "a/b": None}}),
        ("a patch with a leading slash", {"patch": {"/a": None}}),
        ("a patch with an empty name", {"patch": {"a//b": None}}),
        ("a patch with two dots", {"patch": {"a/../b": None}}),
        ("a patch with a text for a link", {"patch": {"a": str(CORE)}}),
    ]


def _bad_blobs() -> list[tuple[str, Any]]:
    chunk, hash = blob("chunk"), sha256(b"").hexdigest()
    good = BigBlob(_MIB + 1, hash, (chunk, chunk))
    return [
        ("a blob of one chunk", blob_node(BigBlob(5, hash, (chunk,)))),
        ("a blob of no chunks", blob_node(BigBlob(0, hash, ()))),
        ("a blob with a chunk too many", blob_node(BigBlob(_MIB, hash, (chunk, chunk)))),
        ("a blob with a chunk too few", blob_node(BigBlob(2 * _MIB + 1, hash, (chunk, chunk)))),
        ("a blob with a chunk that is a node", blob_node(BigBlob(_MIB + 1, hash, (chunk, CORE)))),
        ("a blob with a digest in capitals", blob_node(BigBlob(_MIB + 1, hash.upper(), (chunk, chunk)))),
        ("a blob with a short digest", blob_node(BigBlob(_MIB + 1, hash[1:], (chunk, chunk)))),
        ("a blob with an unknown field", {"blob": {**blob_node(good)["blob"], "type": "text/plain"}}),
        ("a blob without a digest", {"blob": {"size": _MIB + 1, "chunks": [chunk, chunk]}}),
    ]


def _bad_trees() -> list[tuple[str, Any]]:
    link, foreign = blob("x"), b"\x01\x70\x12\x20" + bytes(32)
    names = ["", ".", "..", "a/b", "a\0", "a\n", "\x7f", "\x85", "x" * 256]
    root = hamt.build(Place(), ((name.encode(), id) for name, id in entries(65).items()))
    good: dict[str, Any] = big_map_node(BigMap(65, root))[1]
    bitmap, elements = root
    return [
        *((f"a tree with the name {name[:5]!a}", {"tree": {name: link}}) for name in names),
        ("a tree with a name that begins with U+FEFF", {"tree": {"\ufeffa": link}}),
        ("a patch with a name that begins with U+FEFF", {"patch": {"a/\ufeffb": None}}),
        ("a tree with an integer for a link", {"tree": {"a": 1}}),
        ("a tree with null for a link", {"tree": {"a": None}}),
        ("a tree with a byte string", {"tree": {"a": b"bytes"}}),
        ("a tree with an empty byte string", {"tree": {"a": b""}}),
        ("a tree with an id as text", {"tree": {"a": str(link)}}),
        ("a tree with a link of another codec", {"tree": {"a": foreign}}),
        ("a tree with a link of another hash", {"tree": {"a": b"\x01\x71\x00\x20" + bytes(32)}}),
        ("a tree with a link of version 0", {"tree": {"a": b"\x12\x20" + bytes(32)}}),
        ("a tree that is a list", {"tree": []}),
        ("a flat tree of 65 entries", {"tree": entries(65)}),
        ("a large tree that says it has 64 entries", {"bigtree": [64, good]}),
        ("a large tree without a count", {"bigtree": [good]}),
        ("a large tree that is a map", {"bigtree": {"count": 65, "root": good}}),
        ("a large tree of another hash", {"bigtree": [65, {**good, "hashAlg": 0x22}]}),
        ("a large tree of another bucket size", {"bigtree": [65, {**good, "bucketSize": 2}]}),
        ("a large tree with an unknown field", {"bigtree": [65, {**good, "bitWidth": 4}]}),
        ("a large tree of another bit width", {"bigtree": [65, {**good, "hamt": [bitmap + b"\0\0", elements]}]}),
        ("a large tree with an element too many", {"bigtree": [65, {**good, "hamt": [b"\xff\x7f", elements]}]}),
        ("a large mailbox that says it has 64 entries", {"bigmailbox": [64, good]}),
        ("an inner node of three entries", [b"\x07\x00", [[[b"a", link]], [[b"b", link]], [[b"c", link]]]]),
        ("an inner node of none", [b"\x00\x00", []]),
        ("an inner node with an empty bucket", [b"\x03\x00", [CORE, []]]),
        ("an inner node with a bucket of four", [b"\x01\x00", [[[key, link] for key in (b"a", b"b", b"c", b"d")]]]),
        ("an inner node with a bucket out of order", [b"\x03\x00", [CORE, [[b"b", link], [b"a", link]]]]),
        ("an inner node with a key twice", [b"\x03\x00", [CORE, [[b"a", link], [b"a", link]]]]),
        ("an inner node with a text for a key", [b"\x03\x00", [CORE, [["a", link]]]]),
        ("an inner node with a link for a key", [b"\x03\x00", [CORE, [[link, link]]]]),
        ("an inner node with an empty key", [b"\x03\x00", [CORE, [[b"", link]]]]),
        ("an inner node with a blob for a child", [b"\x03\x00", [CORE, link]]),
    ]


def _bad_messages() -> list[tuple[str, Any]]:
    def changed(message: Message, **fields: Any) -> dict[str, Any]:
        return {"message": {**message_node(message)["message"], **fields}}

    def without(message: Message, field: str) -> dict[str, Any]:
        return {"message": {name: value for name, value in message_node(message)["message"].items() if name != field}}

    return [
        *(
            (f"a message without {field}", without(GREETING, field))
            for field in ("to", "from", "seq", "type", "content")
        ),
        ("a message with seq 1 and a previous", changed(GREETING, seq=1)),
        ("a message with seq 2 and no previous", without(GREETING, "previous")),
        ("a message with seq 0", changed(GENESIS, seq=0)),
        ("a message with a text for seq", changed(GENESIS, seq="1")),
        ("a message that names the queue lane", changed(GENESIS, lane="queue")),
        ("a message in an unknown lane", changed(GENESIS, lane="express")),
        ("a message with null for an optional field", changed(GENESIS, previous=None)),
        ("a message with an empty previous", changed(GREETING, previous="")),
        ("a message with empty headers", changed(GENESIS, headers={})),
        ("a message with null for headers", changed(GENESIS, headers=None)),
        ("a message with a number in its headers", changed(GENESIS, headers={"a": 1})),
        ("a message with an empty header name", changed(GENESIS, headers={"": "a"})),
        ("a message with 65 headers", changed(GENESIS, headers={f"h{number}": "" for number in range(65)})),
        ("a message with a header too long", changed(GENESIS, headers={"a": "x" * 8193})),
        ("a message with an unknown field", changed(GENESIS, priority=1)),
        ("a message with a link for an id as text", changed(REPLY, re=CORE)),
        ("a message with a blob's id in previous", changed(GREETING, previous=str(blob("x")))),
        ("a message with an id in capitals", changed(GREETING, previous=str(CORE).upper())),
        ("a message with an id whose spare bits are set", changed(GREETING, previous=str(CORE)[:-1] + "b")),
        ("a message from outside with after", changed(GENESIS, after=str(BIRTH_ID))),
        ("a message to a blob", changed(GENESIS, to=str(blob("x")))),
        ("a message to nobody", changed(GENESIS, to="")),
        ("a message from a sender with a space", changed(GENESIS, **{"from": "out/node/a b"})),
        ("a message without a type", changed(GENESIS, type="")),
        ("a message with a line break in its type", changed(GENESIS, type="a\nb")),
        ("a message with a type too long", changed(GENESIS, type="x" * 256)),
        ("a message with its content as text", changed(GENESIS, content=str(CORE))),
        ("a message that is a list", {"message": [message_node(GENESIS)["message"]]}),
    ]


def _bad_journals() -> list[tuple[str, Any]]:
    asked: dict[str, Any] = {"path": "query/0", "request": sha256(b"").hexdigest()}
    error = {"code": "Late", "text": ""}
    return [
        ("an empty journal", {"journal": []}),
        ("a journal entry without an answer", {"journal": [asked]}),
        ("a journal entry with two answers", {"journal": [{**asked, "reply": CORE, "error": error}]}),
        ("a journal entry with null for an error", {"journal": [{**asked, "reply": CORE, "error": None}]}),
        ("a journal entry with an unknown field", {"journal": [{**asked, "reply": CORE, "time": 1}]}),
        ("a journal entry without a path", {"journal": [{**asked, "path": "", "reply": CORE}]}),
        ("a journal entry with a short digest", {"journal": [{**asked, "request": "00", "reply": CORE}]}),
        ("a journal error without a code", {"journal": [{**asked, "error": {"code": "", "text": "x"}}]}),
        ("a journal error with a number for a code", {"journal": [{**asked, "error": {"code": 1, "text": "x"}}]}),
        ("a journal error with an unknown field", {"journal": [{**asked, "error": {**error, "at": 1}}]}),
        ("a journal entry with an empty step", {"journal": [{**asked, "reply": CORE, "step": ""}]}),
        ("a journal entry with a link for a step", {"journal": [{**asked, "reply": CORE, "step": BIRTH_ID}]}),
        ("a query's reply without its step", {"journal": [{**asked, "reply": CORE}]}),
    ]


def _bad_steps() -> list[tuple[str, Any]]:
    def changed(step: Step, **fields: Any) -> dict[str, Any]:
        node = step_node(step)
        return {**node, "data": {**node["data"], **fields}}

    cursor = [1, BIRTH_ID]
    outcome = {"kind": "failed", "code": "ValueError", "text": ""}
    birth = step_node(BIRTH)["data"]
    incomplete = {gone: {name: birth[name] for name in birth if name != gone} for gone in birth}
    return [
        *((f"a step without {gone}", {"parent": None, "data": data}) for gone, data in incomplete.items()),
        ("a step of another version", changed(BIRTH, v=2)),
        ("a step of version null", changed(BIRTH, v=None)),
        ("a genesis step with a parent", {**step_node(BIRTH), "parent": BIRTH_ID}),
        ("a later step without a parent", {**step_node(OK), "parent": None}),
        ("a step with a blob for a parent", {**step_node(OK), "parent": blob("x")}),
        ("a step with a text for a parent", {**step_node(OK), "parent": str(BIRTH_ID)}),
        ("a step of negative height", changed(OK, height=-1)),
        ("a step before 1970", changed(OK, time=-1)),
        ("a step with a text for its time", changed(OK, time="now")),
        ("a step with a seed too large", changed(OK, seed=2**53)),
        ("a step with a negative seed", changed(OK, seed=-1)),
        ("a step without an engine's name", changed(OK, engine="")),
        *((f"a step of the engine {text[:40]}", changed(OK, engine=text)) for text in _BAD_ENGINES),
        ("a step that consumed nothing", changed(OK, consumed=[])),
        ("a step that consumed 513 messages", changed(OK, consumed=[BIRTH_ID] * 513)),
        ("a step that consumed a blob", changed(OK, consumed=[blob("x")])),
        ("a step with its core as text", changed(OK, core=str(CORE))),
        ("a step with a blob for a core", changed(OK, core=blob("x"))),
        ("a step with a blob for a journal", changed(OK, journal=blob("x"))),
        ("a step with an inbox of 65 entries", changed(OK, inbox={f"out/a/{number}": cursor for number in range(65)})),
        ("a step with a blob for an inbox", changed(OK, inbox=blob("x"))),
        ("a step with an unknown lane in its inbox", changed(OK, inbox={"express/out/a/b": cursor})),
        ("a step with the queue lane named in its inbox", changed(OK, inbox={"queue/out/a/b": cursor})),
        ("a step with a cursor at 0", changed(OK, inbox={"out/a/b": [0, BIRTH_ID]})),
        ("a step with a cursor of three", changed(OK, inbox={"out/a/b": [1, BIRTH_ID, 1]})),
        ("a step with a cursor to a blob", changed(OK, inbox={"out/a/b": [1, blob("x")]})),
        ("a step with the outcome ok", changed(OK, outcome={"kind": "ok", "code": "x", "text": ""})),
        ("a step with null for an outcome", changed(OK, outcome=None)),
        ("a step with an empty outcome", changed(OK, outcome={})),
        ("a step with an outcome without a code", changed(OK, outcome={**outcome, "code": ""})),
        ("a step with an outcome text too long", changed(OK, outcome={**outcome, "text": "x" * 8193})),
        ("a step with an unknown field in its outcome", changed(OK, outcome={**outcome, "at": 1})),
        ("a step with null for a log", changed(OK, log=None)),
        ("a step with an empty component-hash", changed(OK, **{"component-hash": ""})),
        ("a step with an unknown field", changed(OK, attempts=1)),
    ]
