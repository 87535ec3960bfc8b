"""A living node with its event loop in a thread of its own, asked from ordinary code."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, TypeVar

from tests.node.stage import PATIENCE, WIT, ClogStore
from understudy.node.intake.answers import Answer
from understudy.node.intake.composing import SendOptions
from understudy.node.intake.creation import Created
from understudy.node.node import Node
from understudy.node.running.runner import Runner
from understudy.objects.ids import ActorId, MessageId, StepId
from understudy.objects.mailbox import QUEUE
from understudy.objects.step import Outcome, Step
from understudy.store.port import Backend

Value = TypeVar("Value")


class Living:
    """A node on a backend that outlives it; `again` stops it and gives the next one."""

    def __init__(self, backend: Backend | None = None, *, start: bool = True, **options: Any) -> None:
        self.backend = backend if backend is not None else ClogStore()
        self.options = options
        self.node = Node(self.backend, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="living", daemon=True)
        self._thread.start()
        if start:
            self.run(self.node.start())

    def __enter__(self) -> Living:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def begin(self, work: Coroutine[Any, Any, Value]) -> Future[Value]:
        """Start something on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Do something on the node's loop."""
        return self.begin(work).result(PATIENCE)

    def stop(self) -> None:
        """Stop the node and its loop. Harmless when that was done."""
        if not self._loop.is_closed():
            self.run(self.node.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    def again(self) -> Living:
        """Stop, and start another node on the same store."""
        self.stop()
        return Living(self.backend, **self.options)

    def create(self, *, nonce: str = "", **files: str) -> ActorId:
        """An actor with the stage's wit, or another one. Two underscores in a name stand for a slash."""
        return self.made(nonce=nonce, **files).id

    def made(self, *, nonce: str = "", **files: str) -> Created:
        """The same, with how its genesis ended."""
        core = {"wit": WIT, **files}
        return self.run(self.node.create({_path(name): text.encode() for name, text in core.items()}, nonce=nonce))

    def begin_send(self, actor: ActorId, type: str, content: Any = None, **more: Any) -> Future[MessageId]:
        """Start to send a message."""
        return self.begin(self.node.send(actor, json.dumps(content).encode(), type=type, options=SendOptions(**more)))

    def send(self, actor: ActorId, type: str, content: Any = None, *, lane: str = QUEUE, **more: Any) -> MessageId:
        """Send a message, and hear that it is durable."""
        return self.begin_send(actor, type, content, lane=lane, **more).result(PATIENCE)

    def begin_answer(self, actor: ActorId, message: MessageId) -> Future[Answer]:
        """Start to wait for what becomes of a message."""
        return self.begin(self.node.answer(actor, message))

    def ask(self, actor: ActorId, type: str, content: Any = None, **more: Any) -> Answer:
        """Send a message and wait for what becomes of it."""
        return self.begin_answer(actor, self.send(actor, type, content, **more)).result(PATIENCE)

    def tell(self, actor: ActorId, type: str, content: Any = None, **more: Any) -> Any:
        """Ask, and give the only reply's content; the step must be ok."""
        answer = self.ask(actor, type, content, **more)
        assert answer.outcome is None, answer.outcome
        return json.loads(self.node.reader.blob(answer.replies[0].content)) if answer.replies else None

    def update(self, actor: ActorId, *, caller: Any = "local", **files: str | None) -> Outcome | None:
        """Send a patch; how it ended."""
        patch = {_path(name): None if text is None else text.encode() for name, text in files.items()}
        message = self.run(self.node.patch(actor, patch, caller=caller))
        return self.begin_answer(actor, message).result(PATIENCE).outcome

    def state(self, actor: ActorId) -> dict[str, Any]:
        """The durable state of an actor."""
        id = self.node.reader.find(self.chain(actor)[-1].core, "state")
        state: dict[str, Any] = {} if id is None else json.loads(self.node.reader.blob(id))
        return state

    def chain(self, actor: ActorId) -> list[Step]:
        """The durable steps of an actor, the first one first."""
        head: StepId | None = self.node.lookup.head(actor)
        steps: list[Step] = []
        while head is not None:
            steps.append(self.node.reader.step(head))
            head = steps[-1].parent
        return steps[::-1]

    def outcomes(self, actor: ActorId) -> list[str]:
        """The codes of the durable steps' outcomes, "ok" for those that are."""
        return ["ok" if step.outcome is None else step.outcome.code for step in self.chain(actor)]

    def log(self, step: Step) -> str:
        """The log of a step."""
        return "" if step.log is None else self.node.reader.blob(step.log).decode()

    def come_to_rest(self) -> None:
        """Wait until no message waits in the store."""
        self.run(self._come_to_rest())

    async def _come_to_rest(self) -> None:
        number = self.node.lookup.newest_feed_number()
        async with aclosing(self.node.events(after=max(0, number - 1))) as events:  # type: ignore[type-var]
            async for _ in events:
                if not self.node.lookup.pending(limit=1):
                    return

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the scheduler go on until something holds, which is looked at between two of its turns."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found: Future[bool] = Future()
            self.runner.call(lambda found=found: found.set_result(condition()))  # type: ignore[misc]
            if found.result(PATIENCE):
                return
        raise AssertionError("it never came about")

    @property
    def runner(self) -> Runner:
        """What steps the actors."""
        return self.node._runner

    def ahead(self, actor: ActorId) -> int:
        """How many steps of an actor are made and not durable. Only within `until`."""
        return next((entry.ahead for entry in self.runner.entries() if entry.actor.id == actor), 0)

    def party(self, caller: str = "local") -> str:
        """A caller as messages name it."""
        return f"out/{self.node.name}/{caller}"


def _path(name: str) -> str:
    return name.replace("__", "/")
