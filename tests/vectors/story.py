"""One keeper of a count, whose history the vectors tell, and forge.

All is made of a fixed clock, a fixed secret and no network. Forgeries are hashed again, all the way up to the head.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Final

from msgspec.structs import replace

from tests.engines.components import counter
from tests.node.troupe import Troupe
from understudy.actors.contract import Engine, Reply
from understudy.actors.query import Blob, read_request, result_bytes
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm.engine import WasmEngine
from understudy.objects import ids
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, MessageId, StepId, TreeId
from understudy.objects.message import message_block
from understudy.objects.step import Step, step_block
from understudy.store.car import write_car
from understudy.store.port import Unit
from understudy.store.reader import Staging
from understudy.store.walk import walk

KEEPER: Final = """
from understudy import Refusal, Wit, query_a_wit

wit = Wit()

@wit.message("add")
def add(amount: int, state: dict, ctx) -> int:
    if amount < 0:
        raise Refusal("Negative", "an amount is not negative")
    state["count"] = state.get("count", 0) + amount
    ctx.log(f"added {amount}")
    return state["count"]

@wit.message("fail")
def fail() -> None:
    raise ValueError("this one always fails")

@wit.message("fill")
def fill(entries: list, core) -> None:
    for name in entries:
        core[f"data/{name}"] = str(name)

@wit.message("drop")
def drop(entries: list, core) -> None:
    for name in entries:
        del core[f"data/{name}"]

@wit.message("roll")
def roll(state: dict, ctx) -> int:
    state["rolled"] = ctx.random.randrange(10**9)
    return state["rolled"]

@wit.message("tell")
def tell(to: str, ctx) -> None:
    ctx.send(to, 2, type="add")

@wit.message("reply")
def reply(number: int, state: dict) -> None:
    state["told"] = number

@wit.message("ask")
def ask(of: str, state: dict) -> None:
    found = query_a_wit(of, "count")
    state["heard"] = found.json() if hasattr(found, "json") else found.code

@wit.query
def count(state: dict) -> int:
    return state.get("count", 0)
"""


class Story(Troupe):
    """A synchronous node that tells one history, and lies about it afterwards."""

    def __init__(self, *, batch: int = 1) -> None:
        engines: dict[str, Engine] = {"python": PythonEngine(), "wasm": WasmEngine()}
        super().__init__(engines=engines, capabilities={"query": self}, batch=batch)
        self.keeper = self.create({"wit": "/code:keeper:wit", "code/keeper.py": KEEPER})

    name = "query"

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> Reply:
        """What another keeper says of its count."""
        asked = ActorId(TreeId(ids.parse(read_request(request).actor)))
        state = self.reader.find(self.step(asked).core, "state")
        count = b"0" if state is None else json.dumps(json.loads(self.reader.blob(state))["count"]).encode()
        return Reply(result_bytes(Blob(count, "application/json")), self.head(asked))

    def other(self) -> ActorId:
        """A second keeper."""
        return self.create({"wit": "/code:keeper:wit", "code/keeper.py": KEEPER, "nonce": "other"})

    def with_component(self) -> Story:
        """The story of a component that counts its messages, in the place of the keeper."""
        core: dict[str, str | bytes] = {
            "runtime": "wasm",
            "wit": "/code:counter:handle",
            "code/counter.wasm": counter(),
        }
        self.keeper = self.create(core)
        return self

    def counted(self, *amounts: int) -> Story:
        """The keeper after some messages."""
        for amount in amounts or (1, 2, 3):
            self.did("add", amount)
        return self

    def with_timers(self) -> ActorId:
        """A keeper that has timers."""
        timers = {
            "timers/once": '{"at":"2023-11-15T00:00:00Z","type":"add","content":5}',
            "timers/failing": '{"at":"2023-11-15T00:00:00Z","type":"fail"}',
            "timers/hourly": '{"every":"1 hour","type":"add","content":1}',
        }
        self.keeper = self.create({"wit": "/code:keeper:wit", "code/keeper.py": KEEPER, **timers})
        return self.keeper

    def did(self, type: str, content: Any, actor: ActorId | None = None) -> None:
        """Send a message that is taken."""
        who = actor or self.keeper
        self.tell(who, type, content)
        assert self.step(who).outcome is None, self.step(who).outcome

    def failed_and_retried(self) -> Story:
        """The keeper after a message that failed, its cure, and a retry of it, which is the step of height 4."""
        self.counted(1)
        failed = self.tell(self.keeper, "fail")
        self.update(
            self.keeper, {"code/keeper.py": KEEPER.replace('raise ValueError("this one always fails")', "pass")}
        )
        self.retry(self.keeper, failed)
        assert self.step(self.keeper).outcome is None
        return self

    def steps(self, actor: ActorId | None = None) -> list[StepId]:
        """The ids of a history, the genesis first."""
        found: list[StepId] = []
        at: StepId | None = self.head(actor or self.keeper)
        while at is not None:
            found.append(at)
            at = self.reader.step(at).parent
        return found[::-1]

    def staged(self) -> Staging:
        """A place for new objects; `keep` puts them into the store."""
        return Staging(self.reader)

    def keep(self, staging: Staging) -> None:
        self.backend.commit([Unit(blocks=list(staging.new.values()))])

    def forged(self, height: int, change: Callable[[Step, Staging], Step]) -> StepId:
        """The head of a history in which one step is another, and all above it are hashed again."""
        staging = self.staged()
        head: StepId | None = None
        for number, id in enumerate(self.steps()):
            step = self.reader.step(id)
            if number > 0 and head is not None:
                step = replace(step, parent=head)
            if number == height:
                step = change(step, staging)
            head = StepId(staging.put(step_block(step)))
        self.keep(staging)
        assert head is not None
        return head

    def message(self, staging: Staging, number: int, **changes: Any) -> MessageId:
        """The message that a step consumed, with other fields."""
        first = self.reader.message(self.reader.step(self.steps()[number]).consumed[0])
        return MessageId(staging.put(message_block(replace(first, **changes))))

    def car(
        self, *heads: bytes, without: Sequence[bytes] = (), backwards: bool = False, more: Sequence[Block] = ()
    ) -> bytes:
        """A file with everything that these heads lead to."""
        seen: set[bytes] = set()
        blocks = [block for head in heads for block in walk(self.reader, head, seen=seen) if block.id not in without]
        if backwards:
            blocks.reverse()
        return car(heads, [*blocks, *more])


def car(roots: Sequence[bytes], blocks: Sequence[Block]) -> bytes:
    """A CAR file."""
    file = BytesIO()
    write_car(file, roots, blocks)
    return file.getvalue()
