"""Actors whose wits do what their messages tell them, for tests: in the comfortable form, in the low-level one, updated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from understudy.objects.ids import ActorId, TreeId
from understudy.store.maps import build_tree, patch_tree
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit

ATTEMPTS: Final = 3  # what the policy of the model's actors allows
WORLD: Final = "world"  # the capability that the wits call

_SHARED: Final = """
import json

def note(state, message, number):
    state.setdefault("seen", {}).setdefault(f"{message.lane}/{message.sender}", []).append(number)

def relay(ctx, order):
    for number in order["numbers"]:
        ctx.send(order["to"], number, type="add", lane=order["lane"])

def spawn(ctx, order):
    child = ctx.spawn("prototypes/" + order["kind"], nonce=order["name"])
    for number in order["numbers"]:
        ctx.send(child, number, type="add")

async def be_patient(ctx, order):
    asked = {"key": order["key"], "times": order["times"], "parent": str(ctx.step_id)}
    await ctx.given.calls.call("world", json.dumps(asked).encode())
"""

_HANDLERS: Final = (
    _SHARED
    + """
from understudy import Context, Core, Message, Refusal, Retry, Wit

wit = Wit()

@wit.message("add")
def _add(number: int, state: dict, message: Message) -> None:
    note(state, message, number)

@wit.message("reply")
def _reply(number: int, state: dict, message: Message) -> None:
    note(state, message, number)

@wit.message("ask")
def _ask(number: int) -> int:
    return number

@wit.message("fail")
def _fail(number: int, state: dict, core: Core, message: Message, ctx: Context) -> None:
    note(state, message, number)
    core["data/failed"] = str(number)
    ctx.send(message.sender, number, type="add")
    raise ValueError("as it was told")

@wit.message("refuse")
def _refuse(number: int, state: dict, message: Message) -> None:
    note(state, message, number)
    raise Refusal("No", "as it was told")

@wit.message("never")
def _never(number: int) -> None:
    raise Retry("the world is not there")

@wit.message("patient")
async def _patient(order: dict, state: dict, message: Message, ctx: Context) -> None:
    await be_patient(ctx, order)
    note(state, message, order["number"])

@wit.message("relay")
def _relay(order: dict, ctx: Context) -> None:
    relay(ctx, order)

@wit.message("spawn")
def _spawn(order: dict, ctx: Context) -> None:
    spawn(ctx, order)

@wit.message("renew")
def _renew(order: dict, ctx: Context) -> None:
    ctx.update(order["to"], order["files"])

@wit.message("put")
def _put(order: dict, core: Core) -> None:
    core[order["path"]] = order["text"]

@wit.message("error")
def _error(trouble: dict, state: dict) -> None:
    state.setdefault("errors", []).append(trouble["code"])
"""
)

_UPDATED: Final = (
    _HANDLERS
    + """
@wit.update
def _update(state: dict) -> None:
    state["updates"] = state.get("updates", 0) + 1
"""
)

_LOW: Final = (
    _SHARED
    + """
from understudy import Draft, Refusal, Retry

async def wit(ctx, inbox, core):
    state = core.json("state") if "state" in core else {}
    before = json.dumps(state)
    for message in inbox:
        if message.type == "genesis":
            continue
        content = message.json()
        match message.type:
            case "add" | "reply":
                note(state, message, content)
            case "ask":
                ctx.reply(content, to=message)
            case "fail":
                core["data/failed"] = str(content)
                ctx.send(message.sender, content, type="add")
                raise ValueError("as it was told")
            case "refuse":
                raise Refusal("No", "as it was told")
            case "never":
                raise Retry("the world is not there")
            case "patient":
                await be_patient(ctx, content)
                note(state, message, content["number"])
            case "relay":
                relay(ctx, content)
            case "spawn":
                spawn(ctx, content)
            case "renew":
                ctx.update(content["to"], content["files"])
            case "put":
                core[content["path"]] = content["text"]
            case "error":
                state.setdefault("errors", []).append(content["code"])
    if json.dumps(state) != before:
        core.set_json("state", state)
    return Draft(core=core)
"""
)

BROKEN: Final = "broken"  # as the text of a wit, a name that nobody defined
KINDS: Final = ("comfortable", "low", "updated")

Files = dict[str, str]


def prototype(kind: str, *, may_update: Sequence[str] = ()) -> Files:
    """The core of an actor of a kind; beside its owner, `may_update` are allowed to change it."""
    policy = {"update": list(may_update), "batch": 3, "retry": {"attempts": ATTEMPTS, "first_ms": 1}}
    files = {
        "wit": _LOW if kind == "low" else _UPDATED if kind == "updated" else _HANDLERS,
        "policy": json.dumps(policy),
    }
    return {**files, "wit_update": _UPDATED} if kind == "updated" else files


def root_files(kind: str, *, nonce: str, may_update: Sequence[str] = ()) -> Files:
    """The core of an actor that can make others of every kind."""
    files = {**prototype(kind, may_update=may_update), "nonce": nonce}
    for each in KINDS:
        files.update({f"prototypes/{each}/{path}": text for path, text in prototype(each).items()})
    return files


def child_of(kind: str, name: str) -> ActorId:
    """The actor that "spawn" makes, whoever is told to."""
    staging = Staging(Grit(MemoryBackend()))
    files = {**prototype(kind), "nonce": name}
    return ActorId(stage_files(staging, files))


def stage_files(staging: Staging, files: Mapping[str, str]) -> TreeId:
    """The tree of these files."""
    return patch_tree(
        staging, build_tree(staging, {}), {path: staging.put_blob(text.encode()) for path, text in files.items()}
    )
