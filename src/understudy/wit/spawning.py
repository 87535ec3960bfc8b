"""Making other actors: what a new one is made of, and the handle that its maker gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec import Struct

from understudy.actors.calls import Calls
from understudy.actors.contract import StepInput
from understudy.objects import ids
from understudy.objects.ids import ActorId, Id, MessageId, TreeId
from understudy.objects.wording import type_with_article
from understudy.store.maps import build_tree, patch_tree
from understudy.store.reader import Staging
from understudy.wit.content import encode_json, put_content
from understudy.wit.core import Core
from understudy.wit.outbox import Sent

PROTOTYPE: Final = "prototype"  # the capability
Prototype = Mapping[str, bytes | str | Id] | TreeId | Core | str

if TYPE_CHECKING:
    _Actor = ActorId
else:
    _Actor = Id  # What ActorId is when code runs.


class Spawned(_Actor):  # type: ignore[misc]  # mypy wants no class below a NewType; nothing else says that this is an ActorId.
    """The id of an actor that a step makes; `str()` gives the text form. `sent` is its genesis message."""

    sent: Sent

    def __new__(cls, actor: bytes, sent: Sent) -> Spawned:
        """As `ctx.spawn` makes it."""
        self: Spawned = Id.__new__(cls, actor)
        self.sent = sent
        return self

    @property
    def message(self) -> MessageId:
        """The id of its genesis message, which what it answers to that carries as `re`."""
        return self.sent.id


class _Step(Protocol):
    given: StepInput

    @property
    def core(self) -> Core: ...

    @property
    def calls(self) -> Calls: ...


class _Found(Struct, frozen=True):
    core: dict[str, str]


_read_found = msgspec.json.Decoder(_Found).decode


def core_of(step: _Step, prototype: Prototype | None, like: str | Id | None) -> TreeId:
    """The core that a prototype is, or one like that of another actor. Raises TypeError, KeyError, CallFailed("NoSuchActor")."""
    if like is None:
        return _prototype(step, prototype)
    if prototype is not None:
        raise TypeError("an actor is made of a prototype, or like=… another actor: say one of the two")
    return _core_like(step, like)


def stage(store: Staging, value: bytes | str | Id | None) -> Id | None:
    """Stage what is to stand at a path: text as UTF-8, an id as a link."""
    if value is None:
        return None
    return put_content(store, value.encode() if isinstance(value, str) else value)


def _prototype(step: _Step, prototype: Any) -> TreeId:
    store = step.given.store
    if isinstance(prototype, Mapping):
        staged = {path.removeprefix("/"): stage(store, value) for path, value in prototype.items()}
        return patch_tree(store, build_tree(store, {}), staged)
    if isinstance(prototype, Core):
        found = prototype.id()
    elif isinstance(prototype, Id):
        found = Id(put_content(store, prototype))
    elif not isinstance(prototype, str):
        raise TypeError(
            "a prototype is paths with what is there, a tree's id, a core.dir(…) or a path in the core "
            f"(or like=… an actor), not {type_with_article(prototype)}"
        )
    else:
        found = step.core.id(prototype)
    if found is None:
        raise KeyError(f"there is no prototype at {prototype!r} in the core; like={prototype!r} means an actor")
    return TreeId(found)


def _core_like(step: _Step, actor: str | Id) -> TreeId:
    answer = step.calls.call_and_wait(PROTOTYPE, encode_json({"actor": str(actor)}))
    entries = {name: ids.parse(id) for name, id in _read_found(answer).core.items()}
    return build_tree(step.given.store, entries)
