"""The conformance suite of engines, for what not every one has: wits that ask the world, that want to be tried again, flows.

An engine's tests inherit beside `EngineSuite` what its wits can do, and give a core for each behaviour of these, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from understudy.actors.contract import StepInput, StepResult
from understudy.actors.errors import NEEDS_WORLD, CallFailed
from understudy.actors.exchange import HTTP, ExchangeReply, reply_bytes
from understudy.judging.replay_calls import ReplayCalls
from understudy.objects.codec import raw_block
from understudy.objects.ids import Id, node_id
from understudy.objects.journal import CallError, Entry
from understudy.objects.step import FAILED
from understudy.testing.engine_suite import CALLER, EngineSuite, Objects, WorldCalls, delivery, run, step_input

OTHER: Final = str(node_id(b"the one that a flow asks"))
WORLD_BEHAVIOURS: Final = {
    "ask": "gets the URL that the content of a message is, and puts the body into /kept, or the code of the failure",
}
RETRY_BEHAVIOURS: Final = {
    "again": "writes `lost` to /kept, sends and logs `before`, and wants its messages again later"
}
FLOW_BEHAVIOURS: Final = {
    "flow": "`text` begins a flow: it sends its content to OTHER with the type `ask`, and its result is what that answers",
}
_URL: Final = "http://example.com/a"


class Journalling(WorldCalls):
    """Prepared replies, and the journal of what was asked."""

    def __init__(self, objects: Objects, body: bytes | None) -> None:
        """Without a body, the call fails."""
        reply = ExchangeReply(method="GET", url=_URL, status=200, headers=(), body=body or b"")
        super().__init__({} if body is None else {HTTP: reply_bytes(reply)})
        self._objects = objects
        self.journal: list[Entry] = []

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The prepared reply, which is journalled."""
        path, digest = f"{capability}/{len(self.journal)}", sha256(request).hexdigest()
        try:
            reply = super().call_and_wait(capability, request)
        except CallFailed as error:
            self.journal.append(Entry(path=path, request=digest, error=CallError(error.code, error.text)))
            raise
        block = raw_block(reply)
        self._objects.held[block.id] = block.data
        self.journal.append(Entry(path=path, request=digest, reply=Id(block.id)))
        return reply


class WorldSuite(EngineSuite):
    """For engines whose wits ask the network: what was answered once is what a replay gets."""

    def test_an_answer_of_the_world_is_used_again_and_nobody_is_asked(self) -> None:
        for body, kept in ((b"the answer", b"the answer"), (None, b"NoSuchCapability")):
            objects = Objects()
            asked = Journalling(objects, body)
            live = self._ask(objects, asked)
            assert self._kept((objects, live)) == kept
            assert [entry.path for entry in asked.journal] == [f"{HTTP}/0"]
            replay = ReplayCalls(asked.journal, objects)
            given, result = self._ask(objects, replay)
            assert result == live[1] and replay.entries == asked.journal
            assert self._kept((objects, (given, result))) == kept

    def test_what_no_record_holds_ends_the_replay_and_names_the_call(self) -> None:
        objects = Objects()
        asked = Journalling(objects, b"the answer")
        self._ask(objects, asked)
        other = Entry(path=f"{HTTP}/0", request=sha256(b"another").hexdigest(), reply=asked.journal[0].reply)
        for answers in ((), (other,)):
            replay = ReplayCalls(answers, objects)
            given, result = self._ask(objects, replay)
            assert result.outcome is not None and (result.outcome.kind, result.outcome.code) == (FAILED, NEEDS_WORLD)
            assert result.core == given.core and replay.problem is not None and replay.problem[0] == f"{HTTP}/0"

    def _ask(self, objects: Objects, calls: WorldCalls | ReplayCalls) -> tuple[StepInput, StepResult]:
        core = objects.core(self.files("ask"))
        given = step_input(objects, core, [delivery(objects, str(core), _URL)], calls=calls)
        return given, run(self.make_engine(), given)


class RetrySuite(EngineSuite):
    """For engines whose wits may want their messages again."""

    def test_who_wants_to_be_tried_again_consumes_nothing_and_leaves_nothing_behind(self) -> None:
        _, (given, result) = self._step("again", ["x"])
        assert result.retry and result.outcome is None
        assert (result.core, list(result.sent)) == (given.core, [])


class FlowSuite(EngineSuite):
    """For engines with flows: an answer goes on where the flow waits, whoever runs it."""

    def test_a_flow_goes_on_in_a_new_engine_with_the_answer_and_ends_with_its_result(self) -> None:
        objects = Objects()
        core = objects.core(self.files("flow"))
        begin = delivery(objects, str(core), '"for tea"')
        given = step_input(objects, core, [begin])
        result = run(self.make_engine(), given)
        objects.keep(given.store)
        assert result.outcome is None and self._sent(objects, result) == [(OTHER, "ask", b'"for tea"', None)]
        (request,) = objects.tree(_found(objects, result.core, "requests"))
        # From whom it was not asked, it is no answer.
        for sender, ends in ((str(node_id(b"a stranger")), False), (OTHER, True)):
            answer = delivery(objects, str(core), '"milk"', type="reply", sender=sender, re=request)
            given = step_input(objects, result.core, [answer], actor=given.actor)
            after = run(self.make_engine(), given)
            objects.keep(given.store)
            expected = [(CALLER, "reply", b'"milk"', str(begin.id))] if ends else []
            assert after.outcome is None and self._sent(objects, after) == expected
            assert bool(objects.tree(_found(objects, after.core, "flows"))) is not ends
            again = step_input(objects, result.core, [answer], actor=given.actor)
            assert run(self.make_engine(), again) == after

    def _sent(self, objects: Objects, result: StepResult) -> Sequence[tuple[str, str, bytes, str | None]]:
        return [(sent.to, sent.type, objects.blob(sent.content), sent.re) for sent in result.sent]


def _found(objects: Objects, core: Id, path: str) -> Id:
    found = objects.find(core, path)
    assert found is not None, path
    return found
