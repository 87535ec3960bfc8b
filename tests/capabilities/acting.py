"""An actor with code that asks the network, in a living node, and the verdict on it with nobody there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from tests.node.living import Living
from tests.node.stage import everything
from understudy.capabilities.effect import EffectPart
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import Verdict
from understudy.node.intake.answers import Answer
from understudy.node.running.impurity import Impure
from understudy.objects.ids import ActorId
from understudy.objects.journal import Entry, read_journal

HEAD = """
from understudy import CallFailed, Retry, Wit
import httpx

wit = Wit()
"""


class Acting:
    """One actor in a living node."""

    def __init__(self, living: Living, code: str, policy: str | None = None) -> None:
        self.living = living
        files = {"wit": "/code:it:wit", "code/it.py": HEAD + code, **({} if policy is None else {"policy": policy})}
        encoded = {path: text.encode() for path, text in files.items()}
        made = living.run(living.node.create(encoded, name="clerk"))
        assert made.answer is None or made.answer.outcome is None, made.answer
        self.id: ActorId = made.id

    def ask(self, type: str, content: Any = None) -> Answer:
        """Send a message; what became of it."""
        return self.living.ask(self.id, type, content)

    def tell(self, type: str, content: Any = None) -> Any:
        """The reply's content; the step must be ok."""
        return self.living.tell(self.id, type, content)

    def fails(self, type: str, content: Any = None) -> str:
        """The code and text of the outcome of a step that fails."""
        outcome = self.ask(type, content).outcome
        assert outcome is not None
        return f"{outcome.code}: {outcome.text}"

    def journal(self, height: int = -1) -> list[Entry]:
        """The journal of a step."""
        step = self.living.chain(self.id)[height]
        return [] if step.journal is None else list(read_journal(self.living.node.reader.node(step.journal)))

    def kept(self) -> bytes:
        """Every byte in the store."""
        return b"\n".join(part for row in everything(self.living.backend) for part in row if part is not None)

    def reply(self, number: int = 0, height: int = -1) -> dict[str, Any]:
        """The head of a journalled reply, with its body."""
        entry = self.journal(height)[number]
        assert entry.reply is not None, entry.error
        line, _, body = self.living.node.reader.blob(entry.reply).partition(b"\n")
        return {**json.loads(line), "body": body}

    def verdict(self) -> Verdict:
        """What a judge says of the whole history."""
        head = self.living.node.lookup.newest(self.id)
        return verify_targets(self.living.backend, [Target(self.id, head)], processes=1)[0]


@contextmanager
def acting(
    code: str,
    *,
    policy: str | None = None,
    store_url: str = "memory:",
    impure: Impure = Impure.WARN,
    effects: EffectPart | None = None,
    **granted: Any,
) -> Iterator[Acting]:
    """An actor called `clerk` with this code, under these grants."""
    part = msgspec.convert({**granted}, HttpPart)
    with Living(http=Grants(part), store_url=store_url, impure=impure, effects=effects) as living:
        yield Acting(living, code, policy)
