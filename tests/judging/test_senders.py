"""Whether a message was sent is looked up once for a whole queue: what is left out must never hide a lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest

from tests.node.troupe import Troupe, chain
from understudy.judging import case
from understudy.judging.chains import StoredChains
from understudy.judging.verification import verify_targets
from understudy.kernel.replay import Record
from understudy.objects.ids import ActorId, MessageId, StepId
from understudy.objects.mailbox import QUEUE, SIGNAL
from understudy.objects.message import Message, message_block
from understudy.store.port import Unit
from understudy.store.reader import Staging

TALK = """
from understudy import Wit

wit = Wit()

@wit.message("tell")
def tell(order: dict, ctx) -> None:
    ctx.send(order["to"], order["number"], type="hear", lane=order["lane"])

@wit.message("hear")
def hear(number: int, state: dict) -> None:
    state["heard"] = state.get("heard", 0) + number
"""
TOLD = 6
LIE = 1_000


class World:
    """An actor that heard `TOLD` messages of another one, each in a step of its own."""

    def __init__(self, lane: str = QUEUE) -> None:
        self.troupe = Troupe()
        core = {"wit": "/code:talk:wit", "code/talk.py": TALK}
        self.speaker, self.hearer = (self.troupe.create({**core, "nonce": name}) for name in ("speaker", "hearer"))
        for number in range(1, TOLD + 1):
            self.troupe.tell(self.speaker, "tell", {"to": str(self.hearer), "number": number, "lane": lane})
        self.honest: list[Record] = chain(self.troupe, self.hearer)

    @property
    def said(self) -> list[MessageId]:
        """What was heard, by the height of the step."""
        return [record.consumed[0].id for record in self.honest]

    def lie(self, number: int, previous: MessageId | None = None) -> MessageId:
        """Another message in the place of one that was sent."""
        staging = Staging(self.troupe.reader)
        honest = self.honest[number].consumed[0].message
        content = staging.put_blob(str(LIE + number).encode())
        named = honest.previous if previous is None else str(previous)
        block = message_block(msgspec.structs.replace(honest, content=content, previous=named))
        self.troupe.backend.commit([Unit(blocks=[*staging.new.values(), block])])
        return MessageId(block.id)

    def hear(self, messages: Sequence[MessageId]) -> None:
        """Have the hearer's history, above its genesis, be that it heard these messages."""
        self.troupe._put_head(self.hearer, self.honest[0].id, [], height=0)
        for message in messages:
            self.troupe.play_these(self.hearer, [message])

    def found(self, *, integrity_only: bool = False) -> tuple[str, str | None, int | None]:
        target = self.troupe.target(self.hearer)
        verdict = verify_targets(self.troupe.backend, [target], processes=1, integrity_only=integrity_only)[0]
        return verdict.verdict, verdict.cause, verdict.at_height


@pytest.fixture(params=[1, 2, 512])
def spans(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Histories of a few steps are cut into several spans."""
    monkeypatch.setattr(case, "SPAN", request.param)
    return int(request.param)


def test_honest_messages_match_in_however_many_spans(spans: int):
    assert World().found() == ("MATCH", None, None)


@pytest.mark.parametrize("number", [1, 3, TOLD])
def test_a_message_that_was_not_sent_is_found_below_honest_ones(spans: int, number: int):
    world = World()
    world.hear([world.lie(at) if at == number else world.said[at] for at in range(1, TOLD + 1)])
    # The one after it does not follow it, which is found where it was consumed: the lie is one step below.
    assert world.found(integrity_only=True) == ("MISMATCH", "unsent", number)


def test_messages_that_were_not_sent_are_found_at_the_first_of_them(spans: int):
    world = World()
    heard = world.said[1:3]
    for number in range(3, TOLD + 1):
        heard.append(world.lie(number, previous=heard[-1]))
    world.hear(heard)
    assert world.found(integrity_only=True) == ("MISMATCH", "unsent", 3)


def test_a_lie_is_found_below_a_step_that_can_not_be_read(spans: int):
    world = World()
    lost = world.troupe.send(world.hearer, "hear", 1)
    world.hear([world.said[1], world.lie(2)])
    world.troupe.play_these(world.hearer, [world.said[3], lost])
    world.troupe.play_these(world.hearer, [world.said[4]])
    # Of what can't be read nobody can tell whether it follows the lie.
    world.troupe.lose(lost)
    assert world.found(integrity_only=True) == ("MISMATCH", "unsent", 2)


def test_a_lie_is_found_above_a_step_that_can_not_be_made_again(spans: int, monkeypatch: pytest.MonkeyPatch):
    world = World()
    heard = world.said[1:]
    heard[4] = world.lie(5)
    world.hear(heard[:1])
    world.troupe.forge(world.hearer, engine="python/9")
    for message in heard[1:]:
        world.troupe.play_these(world.hearer, [message])
    assert world.found() == ("MISMATCH", "unsent", 5)


def test_a_signal_that_was_not_sent_is_found_between_honest_ones(spans: int):
    world = World(SIGNAL)
    # Signals may be left out, so the next one need not name it.
    world.hear([world.said[1], world.lie(3), world.said[5]])
    assert world.found(integrity_only=True) == ("MISMATCH", "unsent", 2)


class Counting(StoredChains):
    """Counts the messages that are read on the way down."""

    read = 0

    def _previous(self, id: MessageId, number: int) -> MessageId | None:
        self.read += 1
        return super()._previous(id, number)


class Heads:
    """The store of a troupe, without its index."""

    def __init__(self, troupe: Troupe) -> None:
        self._troupe = troupe

    def head(self, actor: ActorId) -> StepId | None:
        return self._troupe.head(actor)

    def named(self, name: str) -> ActorId | None:
        return None

    def steps(self, actor: ActorId, *, low: int, high: int) -> list[StepId]:
        return []

    def fetch(self, ids: Iterable[bytes]) -> None: ...


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_whoever_begins_in_the_middle_of_a_history_reads_no_message_above(world: World):
    chains = Counting(Heads(world.troupe), world.troupe.reader)
    chains.follow(world.honest[-1].step)
    for record in world.honest[3:0:-1]:
        (id, message, _) = record.consumed[0]
        assert not chains.denies(world.speaker, id, message)
    assert chains.read == 0


@pytest.mark.parametrize("height", range(1, TOLD + 1))
def test_without_its_head_or_at_its_last_message_a_history_is_believed_nothing(world: World, height: int):
    chains = StoredChains(Heads(world.troupe), world.troupe.reader)
    honest: Message = world.honest[height].consumed[0].message
    lie = world.lie(height)
    for head in (None, world.honest[height].step, world.honest[height - 1].step):
        chains.follow(head)
        assert chains.denies(world.speaker, lie, honest)
        assert not chains.denies(world.speaker, world.said[height], honest)
    other = World().honest[-1].step
    chains.follow(msgspec.structs.replace(other, actor=world.speaker))
    assert chains.denies(world.speaker, lie, honest)
