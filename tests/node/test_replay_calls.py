"""Calls in a replay and the virtual loop they run on: nothing waits in real time, and the journal's order holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from understudy.actors.errors import CallFailed, CallNeedsWorld, Retry
from understudy.capabilities.verify import VerifyCapability
from understudy.judging import virtual_loop
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.virtual_loop import Stuck, run_virtually
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId, Id, TreeId, raw_id
from understudy.objects.journal import CallError, Entry
from understudy.store.errors import StoreFull
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit

ACTOR = ActorId(TreeId(Id(raw_id(b"actor"))))


@pytest.fixture
def store() -> Staging:
    return Staging(Grit(MemoryBackend()))


def entry(store: Staging, path: str, request: bytes, reply: bytes | None) -> Entry:
    digest = sha256(request).hexdigest()
    if reply is None:
        return Entry(path=path, request=digest, error=CallError("NotFound", "gone"))
    return Entry(path=path, request=digest, reply=store.put_blob(reply))


def run(calls: ReplayCalls, work: Callable[[], Awaitable[Any]]) -> Any:
    return run_virtually(work(), on_idle=calls.complete_next, on_stuck=calls.fail_one)


def test_calls_complete_in_the_order_of_the_journal_whatever_the_order_of_their_start(store: Staging):
    calls = ReplayCalls(
        [entry(store, "a/1", b"two", b"2"), entry(store, "b/2", b"three", None), entry(store, "a/0", b"one", b"1")],
        store,
    )
    seen: list[object] = []

    async def one(capability: str, request: bytes) -> None:
        try:
            seen.append(await calls.call(capability, request))
        except CallFailed as error:
            seen.append(error.code)

    async def work() -> None:
        await asyncio.gather(one("a", b"one"), one("a", b"two"), one("b", b"three"))

    run(calls, work)
    assert seen == [b"2", "NotFound", b"1"]
    assert [each.path for each in calls.entries] == ["a/1", "b/2", "a/0"]


def test_a_call_with_another_request_is_refused_and_noted(store: Staging):
    calls = ReplayCalls([entry(store, "a/0", b"one", b"1")], store)
    with pytest.raises(CallNeedsWorld):
        run(calls, lambda: calls.call("a", b"other"))
    assert calls.problem == ("a/0", sha256(b"one").hexdigest(), sha256(b"other").hexdigest())


def test_a_call_that_the_journal_lacks_is_refused_only_when_nothing_else_can_happen(store: Staging):
    calls = ReplayCalls([], store)

    async def patient() -> str:
        try:
            await asyncio.wait_for(calls.call("a", b"one"), timeout=1e6)
        except TimeoutError:
            return "too late"
        return "answered"

    assert run(calls, patient) == "too late"
    assert calls.problem is None
    with pytest.raises(CallNeedsWorld):
        run(calls, lambda: calls.call("a", b"two"))
    assert calls.problem == ("a/1", None, sha256(b"two").hexdigest())


def test_in_a_step_that_ran_out_of_retries_the_missing_call_is_the_one_that_failed(store: Staging):
    calls = ReplayCalls([], store, exhausted="the world is away")
    with pytest.raises(Retry, match="the world is away"):
        run(calls, lambda: calls.call("a", b"one"))


def test_a_loop_of_the_wits_own_gets_its_answers_too(store: Staging):
    calls = ReplayCalls([entry(store, "a/0", b"one", b"1")], store)
    assert asyncio.run(calls.call("a", b"one")) == b"1"


def test_a_year_of_sleep_passes_at_once_and_timers_keep_their_order(store: Staging):
    calls = ReplayCalls([], store)
    seen: list[int] = []

    async def sleeper(days: int) -> None:
        await asyncio.sleep(days * 86_400)
        seen.append(days)

    async def work() -> None:
        await asyncio.gather(*map(sleeper, (365, 2, 30)))

    run(calls, work)
    assert seen == [2, 30, 365]


def test_a_long_sleep_waits_once_for_other_threads(store: Staging, monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []

    def wait(_: object, seconds: float) -> list[object]:
        waits.append(seconds)
        return []

    monkeypatch.setattr(virtual_loop, "others_run", lambda: True)
    monkeypatch.setattr(virtual_loop._VirtualSelector, "_wait", wait)
    run(ReplayCalls([], store), lambda: asyncio.sleep(365 * 86_400))
    assert 1 <= len(waits) < 10


def test_work_in_a_thread_is_waited_for(store: Staging):
    calls = ReplayCalls([], store)
    assert run(calls, lambda: asyncio.to_thread(sum, [1, 2])) == 3


def test_waiting_for_what_never_comes_is_an_error_and_no_hang(store: Staging):
    calls = ReplayCalls([], store)
    with pytest.raises(Stuck):
        run(calls, lambda: asyncio.Event().wait())


def test_what_a_wit_leaves_running_is_cancelled(store: Staging):
    calls = ReplayCalls([], store)
    ended: list[str] = []

    async def left() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            ended.append("cancelled")

    async def work() -> None:
        task = asyncio.ensure_future(left())
        await asyncio.sleep(1)
        assert not task.done()

    run(calls, work)
    assert ended == ["cancelled"]


# The capability behind it.


def ask(verify: Callable[[str], Awaitable[Any]], request: bytes) -> Any:
    capability = VerifyCapability(verify)
    assert capability.name == "verify"
    return msgspec.json.decode(asyncio.run(capability.call(request, caller=ACTOR, key="k")))


def test_the_capability_answers_with_the_verdict():
    async def verify(actor: str) -> Verdict:
        return Verdict(verdict="MATCH", actor=actor, head="h", height=3, steps=4)

    answer = ask(verify, b'{"actor":"somebody"}')
    assert (answer["verdict"], answer["actor"], answer["steps"]) == ("MATCH", "somebody", 4)


@pytest.mark.parametrize("request_", [b"", b"{}", b'{"actor":5}', b'{"actor":"a","more":1}'])
def test_a_request_that_makes_no_sense_is_a_failed_call(request_: bytes):
    async def verify(actor: str) -> Verdict:
        raise AssertionError("not reached")

    with pytest.raises(CallFailed) as caught:
        ask(verify, request_)
    assert caught.value.code == "BadRequest"


def test_an_actor_that_is_not_there_is_a_failed_call_and_a_full_disk_is_not():
    async def nobody(actor: str) -> Verdict:
        raise LookupError("no such actor")

    async def full(actor: str) -> Verdict:
        raise StoreFull("no room")

    with pytest.raises(CallFailed) as caught:
        ask(nobody, b'{"actor":"a"}')
    assert caught.value.code == "LookupError"
    with pytest.raises(StoreFull):
        ask(full, b'{"actor":"a"}')
