"""What a component may read: objects by their ids, the sender of its message, answers of other actors, verdicts on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudy.actors.errors import CallFailed
from understudy.actors.query import BYTES, Blob, QueryRequest, Tree, read_result, request_bytes
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.shapes import Case
from understudy.objects import ids
from understudy.objects.errors import ObjectError, TooLarge
from understudy.store.errors import Missing
from understudy.wit.content import encode_json

MAX_READ: Final = 2 * 1024 * 1024  # bytes of an object: what fits through a list of bytes
_QUERY: Final = "query"  # the capabilities
_VERIFY: Final = "verify"


def find(instance: str, name: str) -> Callable[..., Case] | None:
    """The function of one of our interfaces."""
    return _FUNCTIONS.get((instance, name))


def answer_case(answer: Blob | Tree) -> Case:
    """An answer as the interface has it."""
    if isinstance(answer, Blob):
        return Case("blob", (answer.media_type, answer.data))
    return Case("tree", [(name, str(id)) for name, id in answer.entries.items()])


def answer_of(case: Case) -> Blob | Tree:
    """The answer that a component gave. Raises ObjectError, ValueError for what can be none."""
    if case.name == "blob":
        media_type, content = case.value
        return Blob(content, media_type)
    return Tree({name: ids.parse(id) for name, id in case.value})


def _read(host: Host, text: str) -> Case:
    try:
        return Case("ok", _object(host, text))
    except (ObjectError, Missing) as error:
        return Case("err", str(error))


def _object(host: Host, text: str) -> Case:
    id = ids.parse(text)
    kind = host.objects.kind(id)
    if kind == "a tree":
        tree = host.objects.tree(id)
        host.charge(len(tree) * 100)
        return Case("tree", [(name, str(each)) for name, each in tree.items()])
    if kind != "a blob":
        block = host.objects.block(id)
        host.charge(len(block))
        return Case("node", block)
    info = host.objects.blob_info(id)
    if info is not None and info.size > MAX_READ:
        raise TooLarge(f"{id} has {info.size:,} bytes; a component can read {MAX_READ:,}")
    content = host.objects.blob(id)
    host.charge(len(content))
    return Case("blob", content)


def _ask(host: Host, actor: str, name: str, context: bytes) -> Case:
    host.charge(len(context))
    request = request_bytes(QueryRequest(actor=actor, name=name, context=Blob(context, BYTES)))
    try:
        answer = read_result(host.calls.call_and_wait(_QUERY, request))
    except CallFailed as error:
        return Case("err", str(error))
    if isinstance(answer, Blob):
        host.charge(len(answer.data))
    return Case("ok", answer_case(answer))


def _current(host: Host) -> tuple[str, str, str] | None:
    if host.about is None:
        return None
    id, message, _ = host.about
    return str(id), message.sender, message.type


def _verify(host: Host, actor: str) -> Case:
    host.charge(len(actor))
    try:
        return Case("ok", host.calls.call_and_wait(_VERIFY, encode_json({"actor": actor})).decode())
    except CallFailed as error:
        return Case("err", str(error))


_FUNCTIONS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("ntwk:simple-actor/grit", "read"): _read,
    ("ntwk:simple-actor/neighbours", "ask"): _ask,
    ("ntwk:simple-actor/conversation", "current"): _current,
    ("ntwk:simple-actor/judgement", "verify"): _verify,
}
