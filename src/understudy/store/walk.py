"""Walking objects: what a node links to, and everything that can be reached from one object.

The law: a walk gives each block once, in an order that depends on the content alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from understudy.objects import ids
from understudy.objects.codec import Block, decode
from understudy.objects.errors import BadId, ObjectError, WrongKind
from understudy.objects.ids import Id
from understudy.objects.kinds import ANY, BLOB, INNER, JOURNAL, MAILBOX, MESSAGE, STEP, TREE
from understudy.objects.tree import describe_kind
from understudy.store.errors import Missing
from understudy.store.reader import Reader

_STEP_SINGLE: Final = {"journal": JOURNAL, "log": BLOB}
_STEP_CORES: Final = frozenset({"actor", "core"})
_STEP_LISTS: Final = frozenset({"consumed", "sent"})
_STEP_MAILBOXES: Final = frozenset({"inbox", "outbox"})

Link = tuple[Id, str]  # an id, and the kind (a constant of objects/kinds.py) that the format wants there


def links(node: Any) -> Iterator[Id]:
    """The ids that a decoded node links to, in the order in which its block holds them.

    Not every byte string is a link: bitmap and keys of a large map are none, whatever they look like. Says nothing
    about the rest of the node; the readers in `objects/` check that. Raises WrongKind for a node of no known kind,
    because its links are not known and would be lost.
    """
    return (id for id, _ in typed_links(node))


def typed_links(node: Any) -> Iterator[Link]:
    """Like `links`, each with the kind of object that it must lead to."""
    try:
        yield from _links(node)
    except (BadId, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise WrongKind(f"{describe_kind(node)} with something else where its links should be: {error}") from error


def walk(
    reader: Reader,
    root: bytes,
    *,
    seen: set[bytes] | None = None,
    stop: Callable[[Id], bool] | None = None,
) -> Iterator[Block]:
    """The block of `root`, then of everything it links to, depth first in link order, each block once.

    `seen` holds the ids that are left out, and grows by those given: hand the same set to several walks to get their
    union. An id for which `stop` says true is left out with all that only it leads to. Takes memory for one id per
    block and, as a step holds its parent last, for little more however long a chain is.
    Raises Missing, which says who linked to the block that is not there; Corrupt, NotCanonical and WrongKind, which
    name the block.
    """
    done: set[bytes] = set() if seen is None else seen
    waiting: list[tuple[Id, Id | None]] = [(Id(root), None)]
    while waiting:
        id, owner = waiting.pop()
        if id in done or (stop is not None and stop(id)):
            continue
        # The whole id, not the digest alone: a blob may hold the bytes of a node, and only the node has links.
        done.add(id)
        try:
            data = reader.block(id)
        except Missing as error:
            raise Missing(id, owner) from error
        yield Block(id, data)
        if not ids.is_raw(id):
            below = [(link, id) for link in _links_in(id, data)]
            below.reverse()
            waiting += below


def _links_in(id: Id, data: bytes) -> list[Id]:
    try:
        return list(links(decode(data)))
    except ObjectError as error:
        raise type(error)(f"{id}: {error}") from error


def _links(node: Any) -> Iterator[Link]:
    match node:
        case {"parent": parent, "data": dict(data)} if len(node) == 2:
            yield from _step_links(parent, data)
        case {"message": fields} if len(node) == 1:
            yield ids.from_bytes(fields["content"]), ANY
        case {"tree": dict(entries)} if len(node) == 1:
            yield from _all(entries.values(), ANY)
        case {"blob": fields} if len(node) == 1:
            yield from _all(fields["chunks"], BLOB)
        case {"bigtree": [_, root]} | {"bigmailbox": [_, root]} if len(node) == 1:
            yield from _hamt_links(root["hamt"])
        case {"patch": dict(paths)} if len(node) == 1:
            yield from _all((id for id in paths.values() if id is not None), ANY)
        case {"journal": list(entries)} if len(node) == 1:
            yield from _all((entry["reply"] for entry in entries if "reply" in entry), ANY)
        case [bytes(), list()]:
            yield from _hamt_links(node)
        case _:
            raise WrongKind(f"{describe_kind(node)} is of no known kind")


def _all(links: Iterable[bytes], kind: str) -> Iterator[Link]:
    return ((ids.from_bytes(link), kind) for link in links)


def _step_links(parent: Any, data: dict[str, Any]) -> Iterator[Link]:
    # Who was born of something else than a tree never lives: all steps of such an actor are refused.
    core = TREE if data.get("outcome") is None else ANY
    for field, value in data.items():
        if field in _STEP_CORES:
            yield ids.from_bytes(value), core
        elif field in _STEP_SINGLE:
            yield ids.from_bytes(value), _STEP_SINGLE[field]
        elif field in _STEP_LISTS:
            yield from _all(value, MESSAGE)
        elif field in _STEP_MAILBOXES:
            yield from _mailbox_links(value)
    # Last, as in the block: a walk along a chain has then nothing left to do at the steps behind it.
    if parent is not None:
        yield ids.from_bytes(parent), STEP


def _mailbox_links(mailbox: Any) -> Iterator[Link]:
    if isinstance(mailbox, bytes):
        yield ids.from_bytes(mailbox), MAILBOX
    else:
        yield from _all((message for _, message in mailbox.values()), MESSAGE)


def _hamt_links(node: Any) -> Iterator[Link]:
    _, elements = node
    for element in elements:
        if isinstance(element, bytes):
            yield ids.from_bytes(element), INNER
        else:
            for _, value in element:
                # A tree keeps the link itself, a mailbox [seq, link].
                yield (
                    (ids.from_bytes(value), ANY) if isinstance(value, bytes) else (ids.from_bytes(value[1]), MESSAGE)
                )
