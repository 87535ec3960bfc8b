"""A model of the actors in model_actors.py, in plain Python: what a step must give, told without any of our machinery.

The law: whatever order the messages came in, each step of a history is what the model makes of the step before and of
the messages that it consumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import msgspec
from msgspec import Struct

from understudy.judging.replayer import Replayer
from understudy.judging.stage import LocalStage
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verify import check_record
from understudy.objects.ids import StepId, is_raw
from understudy.objects.mailbox import QUEUE, UPDATE, mailbox_key
from understudy.objects.message import ERROR, Message, is_genesis
from understudy.objects.names import is_outside
from understudy.objects.step import FAILED, NOOP, REFUSED
from understudy.objects.tree import is_tree_node
from understudy.store.closure import Closure
from understudy.store.reader import Reader
from understudy.testing.model_actors import (
    ATTEMPTS,
    BROKEN,
    Files,
    child_of,
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
