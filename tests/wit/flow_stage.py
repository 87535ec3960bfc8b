"""An actor with flows that a test steps by hand: each message is a step, with the time and the engine that the test wants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from understudy.actors.addressing import place
from understudy.actors.contract import StepInput, StepResult
from understudy.engines.python.engine import PythonEngine
from understudy.objects import ids
from understudy.objects.ids import ActorId, MessageId, StepId, node_id
from understudy.objects.mailbox import Cursor, mailbox_key
from understudy.objects.message import message_block
from understudy.store.maps import patch_tree
from understudy.store.reader import Staging
from understudy.testing.engine_suite import TIME_US, Objects, WorldCalls, delivery, run

HEAD = """
from __future__ import annotations
import asyncio
from msgspec import Struct
from understudy import *
wit = Wit()
class Order(Struct):
    id: str
    items: list[str] = []
class Approved(Struct):
    order: str
    by: str = ""
class Book(Struct):
    lines: list[str] = []
def add(state: Book, line: str) -> int:
    state.lines.append(line)
    return len(state.lines)
"""
OTHER = str(node_id(b"other"))
CALLER = "out/test/caller"


class FlowActor:
    """Steps an actor whose code is HEAD and this; `engine` runs them, and `restart` gives a new one."""

    def __init__(self, code: str, *, again: bool = False) -> None:
        """With `again`, each step has an engine of its own, so that no code is kept."""
        self.objects = Objects()
        self.again = again
        self.engine = PythonEngine()
        self.core = self.objects.core({"wit": "/code:m:wit", "code/m.py": HEAD + code})
        self.id = ActorId(self.core)
        self.time, self.height = TIME_US, 1
        self.parent = StepId(node_id(b"genesis"))
        self.outbox: dict[str, Cursor] = {}
        self.seqs: dict[str, int] = {}
        self.result = StepResult(engine="", core=self.core)
        self.letters: list[tuple[str, str, Any, str]] = []  # what the last step sent: to, type, content, id

    def restart(self) -> None:
        """As a new process would."""
        self.engine = PythonEngine()

    def update(self, code: str) -> None:
        """Other code from the next step on."""
        staging = Staging(self.objects)
        block = self.objects.core({"code/m.py": HEAD + code})
        new = self.objects.find(block, "code/m.py")
        assert new is not None
        self.core = patch_tree(staging, self.core, {"code/m.py": new})
        self.objects.keep(staging)

    def send(
        self,
        type: str,
        content: Any = None,
        *,
        sender: str = CALLER,
        re: str | None = None,
        after: float = 0.001,
        calls: Any = None,
    ) -> MessageId:
        """One step with one message, some seconds after the last one; its id. See `ok` and `result`."""
        return self.step([(type, content, sender, re)], after=after, calls=calls)[0]

    def step(
        self, messages: Sequence[tuple[str, Any, str, str | None]], *, after: float = 0.001, calls: Any = None
    ) -> list[MessageId]:
        """One step with some messages: type, content, sender, re."""
        deliveries = []
        for type, content, sender, re in messages:
            self.seqs[sender] = self.seqs.get(sender, 0) + 1
            data = content if isinstance(content, bytes) else json.dumps(content)
            deliveries.append(
                delivery(self.objects, str(self.id), data, type=type, seq=self.seqs[sender], sender=sender, re=re)
            )
        self.time += round(after * 1_000_000)
        given = StepInput(
            actor=self.id,
            parent=self.parent,
            height=self.height,
            time=self.time,
            seed=self.height * 7,
            core=self.core,
            inbox={},
            outbox=dict(self.outbox),
            messages=deliveries,
            store=Staging(self.objects),
            calls=WorldCalls() if calls is None else calls,
        )
        if self.again:
            self.restart()
        self.result = run(self.engine, given)
        self.objects.keep(given.store)
        self.letters = []
        if self.result.outcome is None:
            self._take()
        return [one.id for one in deliveries]

    def _take(self) -> None:
        self.core = self.result.core
        for draft in self.result.sent:
            key = mailbox_key(draft.to, draft.lane)
            message = place(draft, sender=str(self.id), last=self.outbox.get(key), after=str(self.parent))
            id = MessageId(message_block(message).id)
            self.outbox[key] = Cursor(message.seq, id)
            data = self.objects.blob(draft.content)
            self.letters.append((draft.to, draft.type, json.loads(data) if data else None, str(id)))
        self.parent = StepId(node_id(f"{self.parent} {self.core}".encode()))
        self.height += 1

    def ok(self, type: str, content: Any = None, **more: Any) -> list[tuple[str, str, Any]]:
        """A step that must be ok; what it sent, without the ids."""
        self.send(type, content, **more)
        assert self.result.outcome is None, self.result.outcome
        return self.said

    def answer(self, content: Any, letter: int = 0, **more: Any) -> list[tuple[str, str, Any]]:
        """Answer a message that the last step sent."""
        to, _, _, id = self.letters[letter]
        return self.ok("reply", content, sender=to, re=id, **more)

    def read(self, path: str) -> Any:
        """The JSON at a path of the core."""
        found = self.objects.find(self.core, path)
        return None if found is None else json.loads(self.objects.blob(found))

    def names(self, path: str) -> list[str]:
        """What is in a folder of the core."""
        found = self.objects.find(self.core, path)
        return [] if found is None or ids.is_raw(found) else sorted(self.objects.tree(found))

    def record(self) -> str:
        """The record of the only flow, as text."""
        (flow,) = self.names("flows")
        pages = self.names(f"flows/{flow}/record")
        found = [self.objects.find(self.core, f"flows/{flow}/record/{page}") for page in pages]
        return "".join(self.objects.blob(page).decode() for page in found if page is not None)

    @property
    def said(self) -> list[tuple[str, str, Any]]:
        """What the last step sent."""
        return [letter[:3] for letter in self.letters]
