"""The conformance suite of engines: what the kernel relies on, whatever language the wit is written in.

An engine's tests inherit `EngineSuite`, give an engine and, for each behaviour of `BEHAVIOURS`, a core that behaves so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from understudy.actors.calls import Calls
from understudy.actors.contract import Delivery, Engine, StepInput, StepResult
from understudy.actors.errors import CallFailed, WitError
from understudy.objects.clock import Ring, clock_of, ring_headers
from understudy.objects.codec import Block, raw_block
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId, node_id, raw_id
from understudy.objects.journal import Entry
from understudy.objects.mailbox import QUEUE
from understudy.objects.message import Message, message_block
from understudy.objects.step import FAILED
from understudy.store.errors import Missing
from understudy.store.maps import build_tree, patch_tree
from understudy.store.reader import Reader, Staging

BEHAVIOURS: Final = {
    "keep": "appends the content of each message, in order, to the blob at /kept; does nothing at genesis",
    "echo": "sends the content of each message back to its sender, with the type `echo`",
    "log": "logs the content of each message as text",
    "flood": "logs 4 MiB of text in lines of 1 KiB",
    "world": "writes the step's time and a random number as text to /kept",
    "fail": "writes `lost` to /kept, sends and logs `before`, and then fails",
    "broken": "can't be loaded",
}
CALLER: Final = "out/test/caller"
TIME_US: Final = 1_700_000_000_000_000
MAX_LOG: Final = 1024 * 1024
PARENT: Final = StepId(raw_id(b"the step before"))


class Objects(Reader):
    """Objects in memory: the smallest reader there is."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def block(self, id: bytes) -> bytes:
        """The bytes of one block."""
        if id not in self.held:
            raise Missing(Id(id))
        return self.held[id]

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        """Many blocks at once."""
        return [self.held.get(id) for id in ids]

    def keep(self, staging: Staging) -> None:
        """Take in what was staged, as a commit does."""
        self.held.update({id: block.data for id, block in staging.new.items()})

    def core(self, files: Mapping[str, str | bytes | Id]) -> TreeId:
        """A tree of these files."""
        staging = Staging(self)
        made = {
            path: value if isinstance(value, Id) else staging.put_blob(_bytes(value)) for path, value in files.items()
        }
        root = build_tree(staging, {})
        root = patch_tree(staging, root, made) if made else root
        self.keep(staging)
        return root


class WorldCalls:
    """Capabilities with prepared replies; a capability without one fails."""

    def __init__(self, replies: Mapping[str, bytes] = {}) -> None:
        self.entries: Sequence[Entry] = ()
        self.blocks: Sequence[Block] = ()
        self.unanswered: Exception | None = None
        self.requests: list[tuple[str, bytes]] = []
        self._replies = replies

    def close(self) -> None:
        """Nothing is recorded here."""

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The prepared reply."""
        return self.call_and_wait(capability, request)

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The prepared reply."""
        self.requests.append((capability, request))
        if capability not in self._replies:
            raise CallFailed("NoSuchCapability", f"there is no {capability}")
        return self._replies[capability]


def delivery(
    objects: Objects,
    to: str,
    content: str | bytes | Id,
    *,
    type: str = "text",
    seq: int = 1,
    sender: str = CALLER,
    lane: str = QUEUE,
    headers: Mapping[str, str] = {},
    re: str | None = None,
) -> Delivery:
    """A message whose content is in the objects."""
    if not isinstance(content, Id):
        block = raw_block(_bytes(content))
        objects.held[block.id] = block.data
        content = block.id
    previous = None if seq == 1 else str(raw_id(f"{sender} {seq - 1}".encode()))
    message = Message(
        to=to, sender=sender, seq=seq, type=type, content=content, lane=lane, previous=previous, re=re, headers=headers
    )
    block = message_block(message)
    objects.held[block.id] = block.data
    return Delivery(MessageId(block.id), message)


def step_input(
    objects: Objects,
    core: TreeId,
    messages: Sequence[Delivery],
    *,
    actor: ActorId | None = None,
    parent: StepId | None = PARENT,
    seed: int = 7,
    time: int = TIME_US,
    calls: Calls | None = None,
) -> StepInput:
    """The input of one step; genesis with parent=None."""
    return StepInput(
        actor=ActorId(core) if actor is None else actor,
        parent=parent,
        height=0 if parent is None else 5,
        time=time,
        seed=seed,
        core=core,
        inbox={},
        outbox={},
        messages=messages,
        store=Staging(objects),
        calls=WorldCalls() if calls is None else calls,
    )


def run(engine: Engine, given: StepInput, entry: str = "wit") -> StepResult:
    """Load and run one step, to its end if it waits."""
    result = engine.load(given.core, entry, given.store).run(given)
    if isinstance(result, StepResult):
        return result

    async def finish() -> StepResult:
        return await result

    return asyncio.run(finish())


class EngineSuite:
    """Inherit this, name the class Test…, and say what is tested in the two methods.

    An engine whose wits can't choose says where it keeps what the behaviours put into /kept, and the type of an echo.
    """

    kept = "kept"
    echo_type = "echo"

    def make_engine(self) -> Engine:
        """A new engine that has loaded nothing yet."""
        raise NotImplementedError

    def files(self, behaviour: str) -> Mapping[str, str | bytes]:
        """The files of a core with one of the BEHAVIOURS."""
        raise NotImplementedError

    def test_the_engine_text_begins_with_the_name_and_the_version_of_the_abi(self) -> None:
        engine, objects = self.make_engine(), Objects()
        text = engine.load(objects.core(self.files("keep")), "wit", objects).engine
        assert text.split(";")[0].split("/")[0] == engine.name
        assert text.split(";")[0].split("/")[1].isdecimal()

    def test_messages_are_handled_in_order(self) -> None:
        assert self._kept(self._step("keep", ["one ", "two ", "three"])) == b"one two three"

    def test_an_empty_content_is_a_content(self) -> None:
        assert self._kept(self._step("keep", ["", "x", ""])) == b"x"

    def test_a_step_goes_on_from_the_core_that_the_last_one_left(self) -> None:
        objects, first = self._step("keep", ["one "])
        objects.keep(first[0].store)
        given = step_input(objects, first[1].core, [delivery(objects, CALLER_ACTOR, "two", seq=2)])
        assert self._kept((objects, (given, run(self.make_engine(), given)))) == b"one two"

    def test_genesis_has_no_last_step_and_may_leave_the_core_as_it_is(self) -> None:
        objects = Objects()
        core = objects.core(self.files("keep"))
        given = step_input(objects, core, [delivery(objects, str(core), core, type="genesis")], parent=None)
        result = run(self.make_engine(), given)
        assert (result.outcome, result.core, list(result.sent)) == (None, core, [])

    def test_a_message_from_the_clock_is_handled_like_any_other_and_timers_are_left_alone(self) -> None:
        objects = Objects()
        core = objects.core({**self.files("keep"), "timers/once": '{"at":"2030-01-01T00:00Z","type":"text"}'})
        timers = objects.find(core, "timers")
        assert timers is not None
        rang = ring_headers(Ring("once", timers, TIME_US))
        given = step_input(objects, core, [delivery(objects, str(core), "x", sender=clock_of("node"), headers=rang)])
        result = run(self.make_engine(), given)
        assert self._kept((objects, (given, result))) == b"x"
        # What becomes of the timer is the kernel's matter.
        assert given.store.find(result.core, "timers") == timers

    def test_what_is_sent_comes_out_in_order_with_its_content_staged(self) -> None:
        _, (given, result) = self._step("echo", ["one", "two"])
        assert [(sent.to, sent.type, given.store.blob(sent.content)) for sent in result.sent] == [
            (CALLER, self.echo_type, b"one"),
            (CALLER, self.echo_type, b"two"),
        ]

    def test_the_log_comes_out_in_order(self) -> None:
        assert list(self._step("log", ["one", "two"])[1][1].log) == ["one", "two"]

    def test_a_flood_of_log_lines_is_held_within_bounds_and_shows_that_it_was_cut(self) -> None:
        result = self._step("flood", ["x"])[1][1]
        size = sum(len(line.encode()) for line in result.log)
        assert MAX_LOG < size + len(result.log) * 2 < 2 * MAX_LOG

    def test_the_same_input_gives_the_same_result_in_a_new_engine(self) -> None:
        for behaviour in ("keep", "echo", "log", "world", "fail"):
            first, second = self._step(behaviour, ["one", "two"])[1][1], self._step(behaviour, ["one", "two"])[1][1]
            assert first == second, behaviour

    def test_time_and_random_numbers_are_those_of_the_step(self) -> None:
        results = [
            self._step("world", ["x"], seed=seed, time=time)[1][1].core
            for seed, time in ((1, TIME_US), (1, TIME_US), (2, TIME_US), (1, TIME_US + 1))
        ]
        assert results[0] == results[1]
        assert len(set(results)) == 3

    def test_a_failure_leaves_the_core_as_it_was_and_sends_nothing(self) -> None:
        _, (given, result) = self._step("fail", ["x"])
        assert (result.core, list(result.sent), result.retry) == (given.core, [], None)
        assert result.outcome is not None
        assert result.outcome.kind == FAILED
        assert result.outcome.code and result.outcome.text
        assert list(result.log) == ["before"]

    def test_a_failure_does_not_stop_the_program_from_running_the_next_step(self) -> None:
        engine, objects = self.make_engine(), Objects()
        core = objects.core(self.files("fail"))
        given = step_input(objects, core, [delivery(objects, str(core), "x")])
        assert run(engine, given) == run(engine, step_input(objects, core, given.messages))

    def test_the_messages_of_a_failed_step_can_be_run_again_with_other_code(self) -> None:
        engine, objects = self.make_engine(), Objects()
        files = self.files("fail")
        core = objects.core(files)
        given = step_input(
            objects, core, [delivery(objects, str(core), "one"), delivery(objects, str(core), "two", seq=2)]
        )
        assert run(engine, given).outcome is not None
        mended = objects.core({**files, **self.files("keep")})
        again = step_input(objects, mended, given.messages, actor=given.actor)
        assert self._kept((objects, (again, run(engine, again)))) == b"onetwo"

    def test_a_core_is_loaded_once_while_its_code_stays_the_same(self) -> None:
        engine, objects = self.make_engine(), Objects()
        files = self.files("keep")
        first = engine.load(objects.core(files), "wit", objects)
        assert engine.load(objects.core({**files, self.kept: "more", "data/x": "y"}), "wit", objects) is first

    def test_a_core_whose_code_is_broken_is_a_named_error(self) -> None:
        self._expect_wit_error(self.files("broken"), "wit")

    def test_an_entry_that_is_not_there_is_a_named_error(self) -> None:
        files = self.files("keep")
        self._expect_wit_error({path: data for path, data in files.items() if path != "wit"}, "wit")
        self._expect_wit_error(files, "wit_update")

    def test_loading_and_running_write_nothing_but_what_is_staged(self) -> None:
        engine, objects = self.make_engine(), Objects()
        core = objects.core(self.files("keep"))
        given = step_input(objects, core, [delivery(objects, str(core), "x")])
        before = dict(objects.held)
        run(engine, given)
        assert objects.held == before

    def _step(
        self, behaviour: str, contents: Sequence[str], **changes: Any
    ) -> tuple[Objects, tuple[StepInput, StepResult]]:
        objects = Objects()
        core = objects.core(self.files(behaviour))
        messages = [delivery(objects, str(core), content, seq=seq) for seq, content in enumerate(contents, 1)]
        given = step_input(objects, core, messages, **changes)
        return objects, (given, run(self.make_engine(), given))

    def _kept(self, step: tuple[Objects, tuple[StepInput, StepResult]]) -> bytes:
        given, result = step[1]
        assert result.outcome is None, result.outcome
        found = given.store.find(result.core, self.kept)
        assert found is not None
        return given.store.blob(found)

    def _expect_wit_error(self, files: Mapping[str, str | bytes], entry: str) -> None:
        objects = Objects()
        try:
            self.make_engine().load(objects.core(files), entry, objects)
        except WitError as error:
            assert error.code and error.text
        else:
            raise AssertionError("it was loaded")


CALLER_ACTOR: Final = str(node_id(b"the caller"))


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
