"""Write the golden vectors: `python -m tests.vectors.make`. A test fails when they are not what this would write.

They are a promise: a vector that exists never changes; new ones are added.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import structs

from tests.vectors.refused import refused_vectors
from tests.vectors.sample import (
    ALARM,
    BIRTH,
    CHANGE,
    EMPTY_TREE,
    FAILED,
    GENESIS,
    GREETING,
    JOURNAL,
    OK,
    PATCH,
    REPLY,
    WIT,
    Place,
    blob,
    entries,
)
from understudy.actors.exchange import ExchangeReply, ExchangeRequest, reply_bytes, request_bytes
from understudy.objects.blob import blob_blocks, blob_id
from understudy.objects.codec import Block, decode, node_block, raw_block
from understudy.objects.hamt import BigMap, big_map_node
from understudy.objects.ids import Id, MessageId, node_id
from understudy.objects.journal import journal_node
from understudy.objects.mailbox import Cursor, mailbox_key
from understudy.objects.message import message_node
from understudy.objects.schedule import next_due
from understudy.objects.step import step_node
from understudy.objects.timer import instant_text, instant_us, read_timer
from understudy.store import hamt
from understudy.store.maps import build_tree, mailbox_set, patch_tree

HERE: Final = Path(__file__).parent
_MIB: Final = 1024 * 1024

Vector = dict[str, Any]


def described(value: Any) -> Any:
    """A node as DAG-JSON writes it: a link as {"/": text}, bytes as {"/": {"bytes": base64}}; large numbers as text."""
    if isinstance(value, bytes):
        if len(value) == 36:
            return {"/": str(Id(value))}
        return {"/": {"bytes": b64encode(value).decode().rstrip("=")}}
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, int) and abs(value) >= 2**53:
        # A JSON reader in JavaScript would round them.
        return str(value)
    return [described(item) for item in value] if isinstance(value, list) else value


def tree_node(count: int) -> Vector:
    """A tree of so many entries, with the inner nodes that it needs."""
    return collected(f"a tree of {count} entries", lambda place: build_tree(place, entries(count)))


def mailbox_node(count: int) -> Vector:
    """A large mailbox, with the inner nodes that it needs."""
    cursors = {
        mailbox_key(f"out/node/caller-{number}", ("queue", "signal", "update")[number % 3]): Cursor(
            number + 1, MessageId(node_id(b"%d" % number))
        )
        for number in range(count)
    }
    return collected(f"a mailbox of {count} entries", lambda place: mailbox_set(place, {}, cursors))


def collected(name: str, make: Any) -> Vector:
    """A vector of the object that is made, and of what it is made of."""
    place = Place()
    id = make(place)
    inner = {str(block.id): block.data.hex() for block in place.blocks.values() if block.id != id}
    found = vector(name, place.blocks[id])
    return found | {"inner": dict(sorted(inner.items()))} if inner else found


def vector(name: str, block: Block) -> Vector:
    """The vector of a node."""
    return {
        "name": name,
        "node": described(decode(block.data)),
        "block": block.data.hex(),
        "id": str(block.id),
    }


def object_vectors() -> list[Vector]:
    """One or more of each kind of node."""
    sentence = {"tree": {"é": blob("2"), "e\u0301": blob("1"), "🎭": blob("3"), "aa": blob("4"), "b": EMPTY_TREE}}
    nodes: list[tuple[str, Any]] = [
        ("a tree whose names are sorted by length and then bytewise, not normalised", sentence),
        ("the smallest core", {"tree": {"wit": raw_block(WIT).id}}),
        ("a patch with a link and a deletion", {"patch": PATCH}),
        ("a journal with a reply, an error and a message to nobody", journal_node(JOURNAL)),
        ("a genesis message", message_node(GENESIS)),
        ("a message in the queue lane", message_node(GREETING)),
        ("a reply with after, re and headers, one of them empty", message_node(REPLY)),
        ("a message in the signal lane", message_node(ALARM)),
        ("a message in the update lane", message_node(CHANGE)),
        ("a genesis step", step_node(BIRTH)),
        ("a step that is ok, with journal and log", step_node(OK)),
        ("a step that failed", step_node(FAILED)),
        ("a step of a component", step_node(structs.replace(OK, component_hash=sha256(b"wasm").hexdigest()))),
        ("a step with large mailboxes", step_node(structs.replace(OK, inbox=node_id(b"in"), outbox=node_id(b"out")))),
        ("the latest and farthest numbers", step_node(structs.replace(OK, time=2**63 - 1, height=2**63 - 1))),
    ]
    return [
        *(tree_node(count) for count in (0, 1, 64, 65, 200)),
        mailbox_node(70),
        *(vector(name, node_block(node)) for name, node in nodes),
    ]


def blob_vectors() -> list[Vector]:
    """Blobs whose byte i is i mod 251: what their blocks are."""
    return [blob_vector(size) for size in (0, 1, 300, _MIB, _MIB + 1, 3 * _MIB)]


def blob_vector(size: int) -> Vector:
    """The blob of so many bytes."""
    data = bytes(number % 251 for number in range(251)) * (size // 251 + 1)
    *chunks, last = blob_blocks(data[:size])
    found = {"size": size, "sha256": sha256(data[:size]).hexdigest(), "id": str(last.id)}
    if not chunks:
        return found
    return found | {"block": last.data.hex(), "chunks": [str(chunk.id) for chunk in chunks]}


# Ten keys whose digests begin alike, the first six and the last four with the same six nibbles.
DEEP: Final = [
    *("k1016443", "k1225321", "k1286096", "k2029443", "k2047153", "k2436636"),
    *("k999450", "k1669960", "k1697499", "k2551954"),
]


def hamt_vectors() -> list[Vector]:
    """Maps, each after a list of operations, with the root as a block of its own."""
    some = [f"key-{number}" for number in range(40)]
    return [
        hamt_vector("an empty map", []),
        hamt_vector("a map of one", [("set", "one")]),
        hamt_vector("a map of forty", [("set", key) for key in some]),
        hamt_vector("keys that collide six levels deep", [("set", key) for key in DEEP]),
        hamt_vector(
            "deletions that make nodes buckets again",
            [*(("set", key) for key in [*DEEP, *some]), *(("delete", key) for key in [*DEEP[2:], *some[5:]])],
        ),
        hamt_vector(
            "deletions that leave a deep node",
            [*(("set", key) for key in DEEP), *(("delete", key) for key in DEEP[4:])],
        ),
        hamt_vector(
            "a deletion that brings a bucket up six levels",
            [*(("set", key) for key in [*some, *DEEP[6:]]), ("delete", DEEP[7])],
        ),
        hamt_vector(
            "deletions that bring buckets up and leave others alone",
            [*(("set", key) for key in [*some, *DEEP]), ("delete", DEEP[6]), *(("set", key) for key in some[:3])],
        ),
        hamt_vector("a map that was emptied", [*(("set", key) for key in DEEP), *(("delete", key) for key in DEEP)]),
        hamt_vector(
            "names beyond ASCII", [("set", name) for name in ("é", "e\u0301", "🎭", "z", "Ω", "a b", "signal/x")]
        ),
    ]


def hamt_vector(name: str, operations: Sequence[tuple[str, str]]) -> Vector:
    """Do the operations one after the other; the value of a key is the link to the blob of its name."""
    place, root, left = Place(), hamt.EMPTY, dict[str, Id]()
    for verb, key in operations:
        root, _ = hamt.update(place, root, {key.encode(): blob(key) if verb == "set" else None})
        left = {**left, key: blob(key)} if verb == "set" else {each: id for each, id in left.items() if each != key}
    block = node_block(big_map_node(BigMap(len(left), root))[1])
    return {
        "name": name,
        "operations": [list(operation) for operation in operations],
        "entries": {key: str(id) for key, id in sorted(left.items())},
        "root": block.data.hex(),
        "id": str(block.id),
        "inner": {str(Id(id)): place.blocks[id].data.hex() for id in sorted(_inner(place, root))},
    }


def _inner(place: Place, node: list[Any]) -> set[bytes]:
    children = {element for element in node[1] if isinstance(element, bytes)}
    return children.union(*(_inner(place, place.node(child)) for child in children))


def patch_vectors() -> list[Vector]:
    """A tree, a patch and the tree after it."""
    place = Place()
    empty = build_tree(place, {})
    before = patch_tree(place, empty, {"a/b": blob("a/b"), "c": blob("c"), "d/e/f": blob("d/e/f")})
    patches: list[tuple[str, Mapping[str, Id | None]]] = [
        ("a link makes the trees on its way", {"x/y/z": blob("new")}),
        ("a link replaces what is there", {"c": blob("new"), "a": blob("now a blob")}),
        ("a removal leaves the empty tree", {"a/b": None}),
        ("a removal takes a tree with all that is in it", {"d": None}),
        ("removing what is not there changes nothing", {"nothing": None, "n/o": None, "c/below/a/blob": None}),
    ]
    return [
        {
            "name": name,
            "before": str(before),
            "patch": described(patch),
            "after": str(after),
            "inner": {
                str(block.id): block.data.hex() for block in sorted(place.blocks.values(), key=lambda block: block.id)
            },
        }
        for name, patch in patches
        for after in [patch_tree(place, before, patch)]
    ]


def exchange_vectors() -> list[Vector]:
    """Requests and replies of the call `http`, and the digest of each request."""
    url = "https://api.example.com/v1/things?a=b%20c"
    typed = ("content-type", "application/json")
    requests = [
        ("a request without a body", ExchangeRequest(method="GET", url=url, headers=[("accept", "*/*")])),
        ("no headers", ExchangeRequest(method="HEAD", url="http://127.0.0.1:8900/", headers=[])),
        (
            "a body, and headers that are given in another order",
            ExchangeRequest(method="POST", url=url, headers=[("x-b", "2"), typed, ("x-b", "1")], body=b'{"n":1}'),
        ),
        (
            "a body that is no text, and a value that has to be escaped",
            ExchangeRequest(method="PUT", url=url, headers=[("x-a", 'say "hi" \\ \xe9')], body=b"\x00\n\xff"),
        ),
    ]
    replies = [
        ("a response", ExchangeReply(method="GET", url=url, status=200, headers=[typed], body=b'{"n":1}')),
        ("no body", ExchangeReply(method="DELETE", url=url, status=204, headers=[])),
        (
            "headers that come twice",
            ExchangeReply(
                method="GET", url=url, status=302, headers=[("set-cookie", "b=2"), ("set-cookie", "a=1")], body=b"\n"
            ),
        ),
    ]
    return [
        *(
            {"name": name, "request": _exchange(each), "bytes": data.hex(), "digest": sha256(data).hexdigest()}
            for name, each in requests
            for data in [request_bytes(each)]
        ),
        *(
            {
                "name": name,
                "reply": _exchange(each),
                "bytes": reply_bytes(each).hex(),
                "id": str(blob_id(reply_bytes(each))),
            }
            for name, each in replies
        ),
    ]


def _exchange(each: ExchangeRequest | ExchangeReply) -> dict[str, Any]:
    return {**structs.asdict(each), "headers": [list(header) for header in each.headers], "body": each.body.hex()}


def timer_vectors() -> list[Vector]:
    """Files of timers, with the times at which they are due after an instant, or why they are none."""
    berlin = '"zone":"Europe/Berlin","type":"tick"'
    spring, autumn = "2026-03-28T12:00:00Z", "2026-10-24T22:15:00Z"
    good = [
        ("once, in UTC", '{"at":"2026-11-23T09:00:00Z","type":"due","content":{"order": 7}}', spring),
        ("once, with an offset and a fraction", '{"at":"2026-11-23 09:00:00.25+01:00","type":"due"}', spring),
        ("once, in a place", f'{{"at":"2026-11-23T09:00",{berlin}}}', spring),
        ("once, at a time that is skipped", f'{{"at":"2026-03-29T02:30",{berlin}}}', spring),
        ("once, at a time that comes twice", f'{{"at":"2026-10-25T02:30",{berlin}}}', spring),
        ("once, in the past", '{"at":"1970-01-01T00:00:00Z","type":"due","bytes":"AAH/"}', spring),
        ("every so many seconds", '{"every":0.5,"type":"tick"}', spring),
        (
            "every so many hours from a time on",
            '{"every":"1 hour 30min","from":"2026-03-29T00:00Z","type":"tick"}',
            spring,
        ),
        ("a cron line", '{"cron":"30 9 * * MON-FRI","type":"tick"}', spring),
        ("a cron line with seconds", '{"cron":"15 30 9 * * *","type":"tick"}', spring),
        ("a cron line at a time that is skipped", f'{{"cron":"30 2 * * *",{berlin}}}', spring),
        ("a cron line at a time that comes twice", f'{{"cron":"30 2 * * *",{berlin}}}', autumn),
        ("a cron line with stars over a gap", f'{{"cron":"*/30 2 * * *",{berlin}}}', spring),
        ("a cron line with stars over an hour that comes twice", f'{{"cron":"30 * * * *",{berlin}}}', autumn),
        ("the last weekday of a month", '{"cron":"0 18 LW * *","type":"tick"}', spring),
    ]
    bad = [
        ("nothing", ""),
        ("a field that is unknown", '{"at":"2026-11-23T09:00:00Z","type":"due","payload":1}'),
        ("no time", '{"type":"due"}'),
        ("two times", '{"at":"2026-11-23T09:00:00Z","every":5,"type":"due"}'),
        ("no type", '{"every":5}'),
        ("a date without a place", '{"at":"2026-11-23T09:00:00","type":"due"}'),
        ("a date with two places", '{"at":"2026-11-23T09:00:00Z","zone":"UTC","type":"due"}'),
        ("a day that there is not", '{"at":"2026-02-30T09:00:00Z","type":"due"}'),
        ("a zone that there is not", '{"cron":"0 9 * * *","zone":"Mars/Olympus","type":"due"}'),
        ("a cron line that fits no day", '{"cron":"0 0 31 2 *","type":"due"}'),
        ("too often", '{"every":0.01,"type":"due"}'),
        ("a month, which is no duration", '{"every":"1 month","type":"due"}'),
    ]
    return [
        *({"name": name, "file": file, "after": after, "due": _due(file, after)} for name, file, after in good),
        *({"name": name, "file": file, "due": None} for name, file in bad),
    ]


def _due(file: str, after: str) -> list[str]:
    timer, at = read_timer(file.encode()), instant_us(after, what="after")
    found: list[str] = []
    while len(found) < (1 if timer.is_once else 4):
        due = next_due(timer, at, ZoneInfo)
        assert due is not None
        found.append(instant_text(due))
        at = due
    return found


FILES: Final = {
    "objects.json": object_vectors,
    "blobs.json": blob_vectors,
    "hamts.json": hamt_vectors,
    "patches.json": patch_vectors,
    "refused.json": refused_vectors,
    "exchanges.json": exchange_vectors,
    "timers.json": timer_vectors,
}


def text_of(file: str) -> str:
    """What a file of vectors holds."""
    return json.dumps(FILES[file](), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files."""
    for file in FILES:
        (HERE / file).write_text(text_of(file), encoding="utf-8")


if __name__ == "__main__":
    main()
