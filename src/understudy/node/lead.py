"""The lead: the one actor of a store that is run for a single component. Started again, the same actor goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from msgspec import Struct

from understudy.node.errors import Conflict, Rejected
from understudy.node.node import Node
from understudy.objects.blob import blob_id
from understudy.objects.errors import BadName
from understudy.objects.ids import ActorId, Id, StepId, TreeId
from understudy.objects.names import check_name
from understudy.objects.step import Outcome
from understudy.store.keys import meta_row
from understudy.store.port import Row, Unit

OTHERWISE: Final = "actor"  # where the file's name can't be that of an actor and of its code
_LEAD_ROW: Final = meta_row("lead")


class Lead(Struct, frozen=True, kw_only=True):
    """The lead of a node. `failure` is how its first step ended, if not well; such an actor has no state.

    `replaced`: an update gave it another component than the one it was started with now.
    """

    id: ActorId
    name: str | None
    head: StepId
    height: int
    resumed: bool
    replaced: bool
    failure: Outcome | None


class Part(Struct, frozen=True, kw_only=True):
    """What a lead is made of: its component, what that is called, its `/policy`, a nonce where another actor is meant."""

    name: str
    component: bytes
    nonce: str | None = None
    policy: bytes | None = None

    @property
    def path(self) -> str:
        """Where the component is in the core."""
        return f"code/{self.name}.wasm"

    @property
    def files(self) -> Mapping[str, bytes]:
        """The core."""
        wit = f"/code:{self.name}:handle\n"
        files = {"runtime": b"wasm\n", "wit": wit.encode(), self.path: self.component}
        return files if self.policy is None else {**files, "policy": self.policy}


def name_for(stem: str) -> str:
    """What the component in a file of this name is called."""
    try:
        check_name(stem)
    except BadName:
        return OTHERWISE
    # A colon ends the path in the pointer of /wit, and white space around a pointer is not part of it.
    return OTHERWISE if ":" in stem or stem != stem.strip() else stem


async def start_lead(node: Node, part: Part) -> Lead:
    """The store's lead, made if there is none yet. Raises Conflict if another actor is, Rejected if it can't be."""
    before = _recorded_lead(node)
    if before is not None and _failure(node, before) is None:
        if not _is_made_of(node, before, part):
            about = node.actor(before)
            raise Conflict(
                f"this store belongs to the actor {about.name or before}, which has another component, another policy or "
                "another nonce: name another --store. To replace its component or its policy, send it an update"
            )
        return _lead(node, before, part, resumed=True)
    created = await node.create(part.files, nonce=part.nonce)
    await asyncio.to_thread(node.backend.commit, [Unit(rows=[Row(_LEAD_ROW, created.id)])])
    await _give_name(node, part.name, created.id, instead_of=before)
    return _lead(node, created.id, part, resumed=created.answer is None)


def _recorded_lead(node: Node) -> ActorId | None:
    row = node.backend.row(_LEAD_ROW)
    return None if row is None else ActorId(TreeId(Id(row)))


def _is_made_of(node: Node, actor: ActorId, part: Part) -> bool:
    """True if the actor was born with this component, or has it now; without a nonce any actor of it is meant."""
    first, now = node.reader.step(_birth(node, actor)), _core(node, actor)
    nonce = node.reader.find(now, "nonce")
    if part.nonce is not None and nonce != blob_id(part.nonce.encode()):
        return False
    if part.policy is not None and node.reader.find(now, "policy") != blob_id(part.policy):
        return False
    born_with = first.component_hash == sha256(part.component).hexdigest()
    return born_with or node.reader.find(now, part.path) == blob_id(part.component)


def _lead(node: Node, actor: ActorId, part: Part, *, resumed: bool) -> Lead:
    about = node.actor(actor)
    return Lead(
        id=actor,
        name=about.name,
        head=about.head,
        height=about.height,
        resumed=resumed,
        replaced=node.reader.find(_core(node, actor), part.path) != blob_id(part.component),
        failure=_failure(node, actor),
    )


def _failure(node: Node, actor: ActorId) -> Outcome | None:
    """How the first step went wrong, for an actor that never came further."""
    about = node.actor(actor)
    return node.reader.step(about.head).outcome if about.height == 0 else None


async def _give_name(node: Node, name: str, actor: ActorId, *, instead_of: ActorId | None) -> None:
    """The component's name, if nobody has it but a lead that never lived. Without a name an actor works as well."""
    holder = node.lookup.names.actor_of(name)
    if holder is None or (holder == instead_of and holder != actor):
        with contextlib.suppress(BadName, Rejected):
            await node.set_name(name, actor, expected=holder)


def _birth(node: Node, actor: ActorId) -> StepId:
    first = node.step_at(actor, 0)
    assert first is not None, "an actor that has a head has a first step"
    return first


def _core(node: Node, actor: ActorId) -> TreeId:
    return node.reader.step(node.actor(actor).head).core
