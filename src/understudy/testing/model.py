"""A model of actors in plain Python, and wits to hold it against: what a step must give, told without any of our machinery.

The law: whatever order the messages came in, each step of a history is what the model makes of the step before and of
the messages that it consumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.judging.replayer import Replayer
from understudy.judging.stage import LocalStage
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verify import check_record
from understudy.objects.ids import ActorId, StepId, TreeId, is_raw
from understudy.objects.mailbox import QUEUE, UPDATE, mailbox_key
from understudy.objects.message import ERROR, Message, is_genesis
from understudy.objects.names import is_outside
from understudy.objects.step import FAILED, NOOP, REFUSED
from understudy.objects.tree import is_tree_node
from understudy.store.closure import Closure
from understudy.store.maps import build_tree, patch_tree
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Reader, Staging
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


class Expected(Struct):
    """What the model says about one message: the outcome (kind and code, None for ok) and what is sent.

    `perhaps` says that the world decides whether it is that outcome or ok.
    """

    outcome: tuple[str, str] | None = None
    sent: list[tuple[str, str, str, Any]] = []
    perhaps: bool = False


class Player:
    """The model of one actor: its files, and what it saw."""

    def __init__(self, actor: str, owner: str) -> None:
        self.actor = actor
        self.owner = owner
        self.files: Files = {}
        self.state: dict[str, Any] = {}

    def take(self, message: Message, content: Any) -> Expected:
        """Handle a message, of which `content` is the decoded content."""
        if message.lane == UPDATE:
            return self._update(message, content)
        match message.type:
            case "add" | "reply":
                self._note(message, content)
                return Expected()
            case "ask":
                return Expected(sent=[(message.sender, QUEUE, "reply", content)])
            case "fail":
                return Expected(outcome=(FAILED, "ValueError"))
            case "refuse":
                return Expected(outcome=(REFUSED, "No"))
            case "never":
                return Expected(outcome=(FAILED, "RetriesExhausted"))
            case "patient":
                self._note(message, content["number"])
                return Expected(
                    outcome=(FAILED, "RetriesExhausted") if content["times"] >= ATTEMPTS else None, perhaps=True
                )
            case "relay":
                return Expected(sent=[(content["to"], content["lane"], "add", number) for number in content["numbers"]])
            case "spawn":
                return self._spawn(content)
            case "renew":
                return Expected(sent=[(content["to"], UPDATE, "update", content["files"])])
            case "put":
                changed = patched(self.files, {content["path"]: content["text"]})
                if changed is None:
                    return Expected(outcome=(FAILED, "WrongKind"))
                self.files = changed
                return Expected()
            case "error":
                self.state.setdefault("errors", []).append(content["code"])
                return Expected()
        raise AssertionError(f"the model knows no {message.type!r}")

    def _note(self, message: Message, number: int) -> None:
        self.state.setdefault("seen", {}).setdefault(f"{message.lane}/{message.sender}", []).append(number)

    def _spawn(self, order: Any) -> Expected:
        if not any(path.startswith(f"prototypes/{order['kind']}/") for path in self.files):
            return Expected(outcome=(FAILED, "KeyError"))
        child = str(child_of(order["kind"], order["name"]))
        sent: list[tuple[str, str, str, Any]] = [(child, QUEUE, "genesis", None)]
        return Expected(sent=sent + [(child, QUEUE, "add", number) for number in order["numbers"]])

    def _update(self, message: Message, patch: Mapping[str, str | None]) -> Expected:
        allowed = json.loads(self.files["policy"])["update"]
        mine = message.sender == self.actor and "self" in allowed
        if message.sender != self.owner and message.sender not in allowed and not mine:
            return Expected(outcome=(REFUSED, "NotPermitted"))
        changed = patched(self.files, patch)
        if changed is None:
            return Expected(outcome=(REFUSED, "BadPatch"))
        if "wit" not in changed:
            return Expected(outcome=(REFUSED, "NoWit"))
        if changed.get("wit_update") == BROKEN:
            return Expected(outcome=(FAILED, "ImportFailed"))
        self.files = changed
        if "wit_update" in changed:
            self.state["updates"] = self.state.get("updates", 0) + 1
        return Expected()


def patched(files: Files, patch: Mapping[str, str | None]) -> Files | None:
    """The files after a patch, None if it needs a folder where a file is."""
    after = dict(files)
    for path, text in patch.items():
        above = path.split("/")
        if text is not None and any("/".join(above[:depth]) in files for depth in range(1, len(above))):
            return None
        after = {each: kept for each, kept in after.items() if each != path and not each.startswith(f"{path}/")}
        if text is not None:
            after[path] = text
    return after


class History(Struct):
    """What a history says when it is read: its records from the first step on, and the model after the last."""

    records: list[Record]
    player: Player


def read_history(reader: Reader, head: StepId) -> History:
    """Read a history and hold each of its steps against the model. Raises AssertionError."""
    records: list[Record] = []
    at: StepId | None = head
    while at is not None:
        records.append(read_record(reader, at))
        at = records[-1].step.parent
    records.reverse()
    first = records[0].consumed[0].message
    player = Player(records[0].before.text, first.sender)
    player.files, _ = _files_and_state(reader, first.content)
    for height, record in enumerate(records):
        assert record.step.height == height
        _check_step(reader, record, player)
    return History(records, player)


def _check_step(reader: Reader, record: Record, player: Player) -> None:
    """One step, which takes the model along."""
    before = deepcopy((player.files, player.state))
    expected = [_expect(reader, record, player, delivery.message) for delivery in record.consumed]
    outcome = None if record.step.outcome is None else (record.step.outcome.kind, record.step.outcome.code)
    sent = [message for each in expected for message in each.sent]
    if outcome is None:
        assert all(each.outcome is None or each.perhaps for each in expected), (expected, record)
    else:
        assert len(expected) == 1, "a step of several messages is ok"
        assert expected[0].outcome == outcome, (expected, record.step.outcome)
        player.files, player.state = before
        sent = _word(record, outcome)
    nobody = {int(entry.path.removeprefix("send/")) for entry in record.journal if entry.path.startswith("send/")}
    sent = [message for number, message in enumerate(sent) if number not in nobody]
    assert [_told(reader, delivery.message) for delivery in record.sent] == sent
    files, state = _files_and_state(reader, record.step.core)
    assert (files, state) == (player.files, player.state)


def _expect(reader: Reader, record: Record, player: Player, message: Message) -> Expected:
    if is_genesis(message):
        return Expected() if record.step.height == 0 else Expected(outcome=(NOOP, "AlreadyAlive"))
    assert record.step.height > 0, "an actor's first message is its genesis"
    return player.take(message, _content(reader, message))


def _word(record: Record, outcome: tuple[str, str]) -> list[tuple[str, str, str, Any]]:
    message = record.consumed[0].message
    if outcome[0] == NOOP or message.type == ERROR or is_outside(message.sender):
        return []
    return [(message.sender, QUEUE, ERROR, outcome)]


def _told(reader: Reader, message: Message) -> tuple[str, str, str, Any]:
    content = _content(reader, message)
    if message.type == ERROR:
        content = (content["kind"], content["code"])
    return message.to, message.lane, message.type, content


def _content(reader: Reader, message: Message) -> Any:
    if is_genesis(message):
        return None
    if message.lane == UPDATE:
        patch = reader.patch(message.content)
        return {path: None if id is None else reader.blob(id).decode() for path, id in patch.items()}
    return msgspec.json.decode(reader.blob(message.content))


def _files_and_state(reader: Reader, core: bytes) -> tuple[Files, dict[str, Any]]:
    files = dict(_leaves(reader, core, ""))
    state = files.pop("state", None)
    return files, {} if state is None else json.loads(state)


def _leaves(reader: Reader, tree: bytes, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, id in reader.tree(tree).items():
        if is_raw(id):
            found.append((prefix + name, reader.blob(id).decode()))
        elif is_tree_node(reader.node(id)):
            found += _leaves(reader, id, f"{prefix}{name}/")
    return found


def consumed_by_key(history: History) -> dict[str, list[int]]:
    """The numbers of the messages that a history consumed, in order, for each inbox key."""
    found: dict[str, list[int]] = {}
    for record in history.records:
        for _, message, _ in record.consumed:
            found.setdefault(mailbox_key(message.sender, message.lane), []).append(message.seq)
    return found


def check_replay(reader: Reader, records: Sequence[Record], owner: str) -> None:
    """Hold steps of one actor, whose genesis `owner` sent, against what their records make of them. Raises AssertionError."""
    closure, replayer = Closure(reader), Replayer(reader, LocalStage())
    for record in records:
        assert check_record(reader, record, closure) is None
        assert replayer.judge(record, lambda: owner) is None
