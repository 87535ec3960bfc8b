"""Hypothesis strategies for every kind of object, for property tests of extensions and of Understudy itself.

The law: whatever they draw is allowed by docs/FORMAT.md, corner cases included.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from understudy.objects.blob import BigBlob, blob_node
from understudy.objects.codec import MAX_RAW
from understudy.objects.hamt import BUCKET_SIZE
from understudy.objects.ids import NODE, RAW, ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.journal import QUERY, CallError, Entry, journal_node
from understudy.objects.mailbox import LANES, MAX_INLINE, QUEUE, SIGNAL, UPDATE, Cursor, Mailbox, mailbox_key
from understudy.objects.message import Message, message_node
from understudy.objects.names import MAX_NAME_BYTES
from understudy.objects.patch import Patch
from understudy.objects.step import CUT, FAILED, MAX_SEED, NOOP, REFUSED, Outcome, Step, step_node
from understudy.objects.tree import FLAT

_MAX_INT: Final = 2**63 - 1
_PARTY_ALPHABET: Final = "ABCXYZabcxyz0189._~-"


def _id(prefix: bytes) -> SearchStrategy[Id]:
    # Half of them from a few seeds, so that equal ids turn up in one example.
    few = st.integers(0, 9).map(lambda number: sha256(bytes([number])).digest())
    return (few | st.binary(min_size=32, max_size=32)).map(lambda digest: Id(prefix + digest))


raw_ids: Final[SearchStrategy[Id]] = _id(RAW)
node_ids: Final[SearchStrategy[Id]] = _id(NODE)
links: Final[SearchStrategy[Id]] = raw_ids | node_ids
text_ids: Final[SearchStrategy[str]] = node_ids.map(str)

texts: Final[SearchStrategy[str]] = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_printable: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
_unusual_names: Final = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=60
).filter(lambda text: text not in (".", "..") and text[0] != "\ufeff" and len(text.encode()) <= MAX_NAME_BYTES)
_plain_names: Final = st.sampled_from(
    ["wit", "wit_query", "wit_update", "runtime", "policy", "state", "a", "b", "...", ".hidden", "é", "e\u0301", "🎭"]
)
names: Final[SearchStrategy[str]] = _plain_names | _unusual_names
paths: Final[SearchStrategy[str]] = st.lists(names, min_size=1, max_size=4).map("/".join)
types: Final[SearchStrategy[str]] = st.sampled_from(["genesis", "error", "greet"]) | _printable

_party_word: Final = st.text(_PARTY_ALPHABET, min_size=1, max_size=64)
actor_parties: Final[SearchStrategy[str]] = text_ids
outside_parties: Final[SearchStrategy[str]] = st.builds("out/{}/{}".format, _party_word, _party_word)
parties: Final[SearchStrategy[str]] = actor_parties | outside_parties
lanes: Final[SearchStrategy[str]] = st.sampled_from(LANES)

blobs: Final[SearchStrategy[bytes]] = st.binary(max_size=300)
seqs: Final[SearchStrategy[int]] = st.integers(1, 3) | st.integers(1, _MAX_INT)
times: Final[SearchStrategy[int]] = st.integers(0, _MAX_INT)
cursors: Final[SearchStrategy[Cursor]] = st.builds(Cursor, seqs, node_ids.map(MessageId))
mailbox_keys: Final[SearchStrategy[str]] = st.builds(mailbox_key, parties, lanes)

trees: Final[SearchStrategy[dict[str, Id]]] = st.dictionaries(names, links, max_size=FLAT)
inline_mailboxes: Final[SearchStrategy[dict[str, Cursor]]] = st.dictionaries(mailbox_keys, cursors, max_size=8)
mailboxes: Final[SearchStrategy[Mailbox]] = inline_mailboxes | node_ids
outcomes: Final[SearchStrategy[Outcome]] = st.builds(
    Outcome, st.sampled_from([FAILED, REFUSED, NOOP, CUT]), st.sampled_from(["Late", "ValueError", "é"]), texts
)
hex_digests: Final[SearchStrategy[str]] = st.binary(min_size=32, max_size=32).map(bytes.hex)

big_blobs: Final[SearchStrategy[BigBlob]] = st.builds(
    lambda sha, chunks, last: BigBlob((len(chunks) - 1) * MAX_RAW + last, sha, tuple(chunks)),
    hex_digests,
    st.lists(raw_ids, min_size=2, max_size=5),
    st.integers(1, MAX_RAW),
)


@composite
def messages(draw: DrawFn) -> Message:
    """A message by itself; `previous` and `seq` fit, the conversation around them is not there."""
    sender, seq = draw(parties), draw(seqs)
    return Message(
        to=draw(parties),
        sender=sender,
        seq=seq,
        type=draw(types),
        content=draw(links),
        lane=draw(st.sampled_from([QUEUE, SIGNAL, UPDATE])),
        previous=None if seq == 1 else draw(text_ids),
        after=None if sender.startswith("out/") else draw(st.none() | text_ids),
        re=draw(st.none() | text_ids),
        headers=draw(st.dictionaries(_printable, texts, max_size=3)),
    )


@composite
def steps(draw: DrawFn) -> Step:
    """A step by itself: genesis or later, with any outcome, mailboxes inline or large."""
    parent = draw(st.none() | node_ids)
    return Step(
        parent=None if parent is None else StepId(parent),
        actor=ActorId(TreeId(draw(node_ids))),
        height=0 if parent is None else draw(st.integers(1, _MAX_INT)),
        time=draw(times),
        seed=draw(st.integers(0, MAX_SEED)),
        engine=draw(st.sampled_from(["python/1", "kernel/1", "python/1;source=none"])),
        core=TreeId(draw(node_ids)),
        inbox=draw(mailboxes),
        outbox=draw(mailboxes),
        consumed=tuple(MessageId(id) for id in draw(st.lists(node_ids, min_size=1, max_size=4))),
        sent=tuple(MessageId(id) for id in draw(st.lists(node_ids, max_size=4))),
        outcome=draw(st.none() | outcomes),
        journal=draw(st.none() | node_ids),
        log=draw(st.none() | links),
        component_hash=draw(st.none() | hex_digests),
    )


@composite
def patches(draw: DrawFn) -> Patch:
    """A patch: at least one path, none below another."""
    patch: dict[str, Id | None] = {}
    for path in draw(st.lists(paths, min_size=1, max_size=6)):
        if not any(path == other or _is_below(path, other) or _is_below(other, path) for other in patch):
            patch[path] = draw(st.none() | links)
    return patch


@composite
def entries(draw: DrawFn) -> Entry:
    """One entry of a journal: a reply or an error."""
    reply = draw(st.none() | links)
    path = draw(st.builds("{}/{}".format, st.sampled_from(["send", "verify", "query"]), st.integers(0, 99)))
    answers = reply is not None and path.startswith(QUERY)
    return Entry(
        path=path,
        request=draw(hex_digests),
        reply=reply,
        error=None if reply is not None else draw(st.builds(CallError, st.just("NoSuchActor") | _printable, texts)),
        step=draw(text_ids if answers else st.none() | text_ids),
    )


journals: Final[SearchStrategy[tuple[Entry, ...]]] = st.lists(entries(), min_size=1, max_size=4).map(tuple)

# Whatever the codec itself takes, of no kind in particular.
values: Final[SearchStrategy[Any]] = st.recursive(
    st.none() | st.integers(-_MAX_INT - 1, _MAX_INT) | texts | links,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@composite
def inner_nodes(draw: DrawFn) -> list[Any]:
    """A node of a large map, of the right shape; what its keys hash to is left to chance."""
    bits = draw(st.sets(st.integers(0, 15), min_size=2))
    bucket = st.dictionaries(names.map(str.encode), links, min_size=1, max_size=BUCKET_SIZE).map(
        lambda found: [[key, found[key]] for key in sorted(found)]
    )
    elements = [draw(node_ids)] + [draw(bucket | node_ids) for _ in range(len(bits) - 1)]
    return [sum(1 << bit for bit in bits).to_bytes(2, "little"), elements]


nodes: Final[SearchStrategy[Any]] = st.one_of(
    trees.map(lambda tree: {"tree": tree}),
    big_blobs.map(blob_node),
    messages().map(message_node),
    steps().map(step_node),
    patches().map(lambda patch: {"patch": dict(patch)}),
    journals.map(journal_node),
    inner_nodes(),
)


def large_mailboxes(most: int) -> SearchStrategy[dict[str, Cursor]]:
    """The contents of a mailbox that is too large to stand in its step."""
    return st.dictionaries(mailbox_keys, cursors, min_size=MAX_INLINE + 1, max_size=most)


def _is_below(path: str, other: str) -> bool:
    return path.startswith(other + "/")
