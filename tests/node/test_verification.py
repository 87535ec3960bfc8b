"""Every lie about a history is caught and told apart, and a true history matches."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.node.troupe import OWNER, Troupe
from understudy.actors.errors import CallFailed
from understudy.judging import case
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.journal import Entry, journal_block
from understudy.objects.mailbox import SIGNAL, Cursor
from understudy.objects.message import message_block
from understudy.objects.step import Outcome, Step
from understudy.store.car import read_car, write_car
from understudy.store.keys import height_row
from understudy.store.maps import patch_tree
from understudy.store.memory import MemoryBackend
from understudy.store.port import Row, Unit
from understudy.store.reader import Staging
from understudy.store.walk import walk

COUNTER = """
from understudy import Refusal, Retry, Wit

wit = Wit()

@wit.message("add")
def add(number: int, state: dict, ctx) -> None:
    if number < 0:
        raise Refusal("Negative", "only upwards")
    if number == 13:
        raise ValueError("bad luck")
    if number == 99:
        raise Retry("not now")
    state["sum"] = state.get("sum", 0) + number
    ctx.log(f"now {state['sum']}")
    ctx.reply(state["sum"], type="sum")

@wit.message("forward")
def forward(order: dict, ctx) -> None:
    ctx.send(order["to"], order["number"], type="add")

@wit.message("child")
def child(number: int, ctx) -> None:
    made = ctx.spawn("prototype")
    ctx.send(made, number, type="add")

@wit.message("sum")
def keep(number: int, state: dict) -> None:
    state["child"] = number

@wit.message("lots")
def lots(count: int, ctx) -> None:
    for number in range(count):
        ctx.core[f"lots/{number}"] = str(number * count).encode()
"""
UPDATED = (
    COUNTER.replace("+ number", "+ 10 * number")
    + """
@wit.update
def update(state: dict) -> None:
    state["updated"] = True
"""
)
CORE = {
    "wit": "/code:counter:wit",
    "code/counter.py": COUNTER,
    "prototype/wit": "/code:counter:wit",
    "prototype/code/counter.py": COUNTER,
    "policy": '{"update": ["self"]}',
}


def verify(troupe: Troupe, *actors: ActorId, **more: Any) -> Verdict:
    more.setdefault("processes", 1)
    verdicts = verify_targets(troupe.backend, [troupe.target(actor) for actor in actors], **more)
    return verdicts[0]


def found(verdict: Verdict) -> tuple[str, str | None, str | None]:
    return verdict.verdict, verdict.cause, verdict.path


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.fixture
def counter(troupe: Troupe) -> ActorId:
    """An actor with four steps; the newest adds 3, logs and replies."""
    actor = troupe.create(CORE)
    for number in (1, 2, 3):
        troupe.tell(actor, "add", number)
    return actor


def inline(troupe: Troupe, body: str, *, times: int = 1, head: str = "") -> ActorId:
    """An actor whose wit runs this body at each message, with `ctx`, after the lines of `head`."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    code = f"{head}\ndef wit(ctx):\n    if ctx.step_id is None:\n        return\n{lines}"
    actor = troupe.create({"wit": "/code:odd:wit", "code/odd.py": code})
    for number in range(times):
        troupe.tell(actor, "go", number)
    return actor


# What is true matches.


def test_a_history_with_every_kind_of_step_matches(troupe: Troupe):
    actor, other = troupe.create(CORE), troupe.create({**CORE, "nonce": "other"})
    troupe.tell(actor, "add", 1)
    troupe.tell(actor, "add", -1)
    troupe.tell(actor, "add", 13)
    troupe.tell(actor, "add", 99)
    troupe.tell(actor, "add", "no number")
    troupe.tell(actor, "unheard of")
    troupe.create(CORE)
    troupe.tell(actor, "forward", {"to": str(other), "number": 5})
    troupe.tell(actor, "forward", {"to": str(other), "number": 13})
    troupe.tell(actor, "forward", {"to": "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", "number": 5})
    troupe.tell(actor, "child", 8)
    troupe.tell(actor, "add", 1, lane=SIGNAL)
    troupe.update(actor, {"code/counter.py": UPDATED, "notes/today": "more"})
    troupe.tell(actor, "add", 4)
    troupe.update(actor, {"wit_update": "/code:counter:wit"})
    troupe.update(actor, {"wit": None})
    troupe.update(actor, {"code/counter.py": COUNTER}, sender="out/test/stranger")
    troupe.tell(actor, "lots", 200)
    troupe.tell(actor, "lots", 150)
    outcomes = {step.outcome.code for step in _history(troupe, actor) if step.outcome is not None}
    assert outcomes == {
        *("Negative", "ValueError", "RetriesExhausted", "BadPayload", "NoHandler"),
        *("AlreadyAlive", "NoWit", "NotPermitted"),
    }
    actors = {step.actor for step in _everything(troupe)}
    verdicts = verify_targets(troupe.backend, [troupe.target(each) for each in actors], processes=1)
    assert [verdict.verdict for verdict in verdicts] == ["MATCH"] * 3, verdicts
    assert sum(verdict.steps for verdict in verdicts) == sum(verdict.height + 1 for verdict in verdicts)


def test_a_genesis_that_was_refused_or_failed_matches(troupe: Troupe):
    refused = troupe.create({"data": "no wit at all"})
    failed = troupe.create({"wit": "/code:gone:wit"})
    assert verify(troupe, refused).ok
    assert verify(troupe, failed).ok


def test_steps_that_consumed_many_messages_of_many_senders_match():
    troupe = Troupe(batch=100)
    actor = troupe.create(CORE)
    for number in range(80):
        troupe.send(actor, "add", number, sender=f"out/test/caller-{number % 70}")
    troupe.play()
    assert isinstance(troupe.step(actor).inbox, bytes)
    troupe.tell(actor, "add", 1)
    assert verify(troupe, actor).ok


def test_a_wit_that_sleeps_matches(troupe: Troupe):
    body = "await asyncio.sleep(0.001)\nctx.log('a')\nawait asyncio.wait_for(asyncio.sleep(0), 86400)\nctx.log('b')"
    code = f"import asyncio\nasync def wit(ctx):\n    {body.replace(chr(10), chr(10) + '    ')}\n"
    actor = troupe.create({"wit": code})
    assert verify(troupe, actor).ok


class Answers:
    """A capability that answers in the order of its own choice, or fails."""

    name = "verify"

    def __init__(self) -> None:
        self.late = asyncio.Event()

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        wanted = msgspec.json.decode(request)["actor"]
        if wanted == "first":
            await self.late.wait()
        elif wanted == "second":
            self.late.set()
        elif wanted == "never":
            await asyncio.Event().wait()
        elif wanted == "nobody":
            raise CallFailed("NotFound", "there is no such actor")
        return msgspec.json.encode({"verdict": "MATCH", "head": wanted})


CALLER = """
import asyncio
from understudy import CallFailed, Wit

wit = Wit()

@wit.message("ask")
async def ask(who: list[str], state: dict, ctx) -> None:
    async def one(name):
        try:
            found = await asyncio.wait_for(ctx.verify(name), 0.05 if name == "never" else None)
        except CallFailed as error:
            ctx.log(f"{name}: {error.code}")
        except asyncio.TimeoutError:
            ctx.log(f"{name}: too late")
        else:
            ctx.log(f"{name}: {found.verdict} {found.head}")
    await asyncio.gather(*map(one, who))
    state["asked"] = state.get("asked", 0) + 1
"""


@pytest.fixture
def caller(troupe: Troupe) -> ActorId:
    """An actor that asked three others: the second answered before the first, the third is not there."""
    troupe.capabilities = {"verify": Answers()}
    actor = troupe.create({"wit": "/code:caller:wit", "code/caller.py": CALLER})
    troupe.tell(actor, "ask", ["first", "second", "nobody"])
    return actor


def test_a_replay_answers_calls_from_the_journal_in_the_order_in_which_they_completed(troupe: Troupe, caller: ActorId):
    log = troupe.step(caller).log
    assert log is not None
    assert troupe.reader.blob(log) == b" second: MATCH second\n nobody: NotFound\n first: MATCH first\n"
    assert verify(troupe, caller).ok


def test_a_call_that_was_given_up_is_given_up_again(troupe: Troupe, caller: ActorId):
    troupe.tell(caller, "ask", ["never", "nobody"])
    assert verify(troupe, caller).ok


def test_an_exported_history_matches_on_its_own(troupe: Troupe, counter: ActorId):
    verdict = verify_targets(_exported(troupe, counter), [troupe.target(counter)], processes=1)[0]
    assert (verdict.verdict, verdict.steps, verdict.head) == ("MATCH", 4, str(troupe.head(counter)))


def test_a_history_in_many_spans_matches_and_every_step_is_counted(troupe: Troupe, counter: ActorId, monkeypatch):
    monkeypatch.setattr(case, "SPAN", 3)
    for number in range(8):
        troupe.tell(counter, "add", number)
    seen: list[tuple[int, int]] = []
    verdict = verify(troupe, counter, processes=2, progress=lambda done, total: seen.append((done, total)))
    assert (verdict.verdict, verdict.steps) == ("MATCH", 12)
    assert seen[-1] == (12, 12)
    assert seen == sorted(seen)


def test_a_wrong_index_does_not_change_the_verdict(troupe: Troupe, counter: ActorId, monkeypatch):
    monkeypatch.setattr(case, "SPAN", 2)
    wrong = [Row(height_row(counter, 0), troupe.head(counter)), Row(height_row(counter, 2), None)]
    troupe.backend.commit([Unit(rows=wrong)])
    troupe.update(counter, {"notes": "an update asks for the genesis"})
    assert verify(troupe, counter).ok


def test_without_replay_only_the_objects_are_checked(troupe: Troupe, counter: ActorId):
    troupe.forge(counter, log=None)
    verdict = verify(troupe, counter, integrity_only=True)
    assert (verdict.verdict, verdict.steps) == ("INTACT", 0)


def test_no_targets_get_no_verdicts(troupe: Troupe):
    assert verify_targets(troupe.backend, []) == []


# Damage.


@pytest.mark.parametrize("what", ["step", "message", "sent", "content", "code", "log", "inner step"])
def test_a_flipped_bit_is_found_and_its_block_named(troupe: Troupe, counter: ActorId, what: str):
    step = troupe.step(counter)
    code = troupe.reader.find(step.core, "code/counter.py")
    damaged = {
        "step": troupe.head(counter),
        "inner step": step.parent,
        "message": step.consumed[0],
        "sent": step.sent[0],
        "content": troupe.reader.message(step.consumed[0]).content,
        "code": code,
        "log": step.log,
    }[what]
    assert damaged is not None
    troupe.flip(damaged)
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "integrity", str(damaged))
    assert str(damaged) in str(verdict.reason)


def test_a_missing_block_is_damage_in_a_store_and_unverifiable_in_an_export(troupe: Troupe, counter: ActorId):
    troupe.tell(counter, "add", 41)
    lost = troupe.reader.message(troupe.step(counter).consumed[0]).content
    exported = _exported(troupe, counter, leave_out=lost)
    troupe.lose(lost)
    assert found(verify(troupe, counter)) == ("MISMATCH", "integrity", str(lost))
    verdict = verify_targets(exported, [troupe.target(counter)], processes=1)[0]
    assert found(verdict) == ("UNVERIFIABLE", "missing", str(lost))
    assert verdict.at_height == 4


def test_an_export_without_its_oldest_steps_is_unverifiable(troupe: Troupe, counter: ActorId):
    genesis = troupe.backend.row(height_row(counter, 0))
    assert genesis is not None
    verdict = verify_targets(_exported(troupe, counter, leave_out=Id(genesis)), [troupe.target(counter)], processes=1)[
        0
    ]
    assert found(verdict) == ("UNVERIFIABLE", "missing", str(Id(genesis)))


def test_an_unknown_head_is_unverifiable(troupe: Troupe, counter: ActorId):
    verdict = verify_targets(MemoryBackend(), [troupe.target(counter)])[0]
    assert (verdict.verdict, verdict.cause, verdict.height) == ("UNVERIFIABLE", "missing", -1)


def test_the_head_of_another_actor_is_a_mismatch(troupe: Troupe, counter: ActorId):
    other = troupe.create({**CORE, "nonce": "other"})
    verdict = verify_targets(troupe.backend, [Target(counter, troupe.head(other))], processes=1)[0]
    assert found(verdict) == ("MISMATCH", "integrity", "data.actor")


def test_a_step_before_its_parents_time_is_a_mismatch(troupe: Troupe, counter: ActorId):
    troupe.forge(counter, time=5)
    assert found(verify(troupe, counter)) == ("MISMATCH", "integrity", "data.time")


def test_a_lie_below_a_span_that_only_the_index_leads_around_is_found(troupe: Troupe, monkeypatch):
    monkeypatch.setattr(case, "SPAN", 2)
    actor = troupe.create(CORE)
    for number in (1, 2):
        troupe.tell(actor, "add", number)
    honest = troupe.head(actor)
    troupe.forge(actor, log=None)
    for number in (3, 4):
        troupe.tell(actor, "add", number)
    # Each span is right in itself; the step that the index names is not the one that the next span stands on.
    troupe.backend.commit([Unit(rows=[Row(height_row(actor, 2), honest)])])
    verdict = verify(troupe, actor)
    assert (verdict.verdict, verdict.at_height, verdict.path) == ("MISMATCH", 2, "data.log[0]")


# Messages.


def test_a_dropped_message_is_found(troupe: Troupe, counter: ActorId):
    _, second = troupe.send(counter, "add", 1), troupe.send(counter, "add", 2)
    troupe.play_these(counter, [second])
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "order", "data.consumed[0]")
    assert "left out" in str(verdict.reason)
    assert verdict.at_height == 4


def test_reordered_messages_are_found(troupe: Troupe, counter: ActorId):
    first, second = troupe.send(counter, "add", 1), troupe.send(counter, "add", 2)
    troupe.play_these(counter, [second, first])
    assert found(verify(troupe, counter)) == ("MISMATCH", "order", "data.consumed[0]")


def test_a_message_consumed_twice_is_found(troupe: Troupe, counter: ActorId):
    troupe.play_these(counter, [MessageId(troupe.step(counter).consumed[0])])
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "order", "data.consumed[0]")
    assert "before" in str(verdict.reason)


def test_a_redirected_message_is_found(troupe: Troupe, counter: ActorId):
    other = troupe.create({**CORE, "nonce": "other"})
    troupe.play_these(counter, [troupe.send(other, "add", 1)])
    assert found(verify(troupe, counter)) == ("MISMATCH", "order", "data.consumed[0].to")


def test_an_inbox_that_forgets_a_message_is_found(troupe: Troupe, counter: ActorId):
    troupe.forge(counter, inbox=troupe.reader.step(_parent(troupe, counter)).inbox)
    assert found(verify(troupe, counter)) == ("MISMATCH", "order", f"data.inbox.{OWNER}")


def test_a_message_that_its_sender_never_sent_is_found(troupe: Troupe, counter: ActorId):
    other = troupe.create({**CORE, "nonce": "other"})
    troupe.tell(counter, "add", 1, sender=str(other))
    assert found(verify(troupe, counter)) == ("MISMATCH", "unsent", "data.consumed[0]")


# Records.


def test_a_forged_state_is_found_with_both_values(troupe: Troupe, counter: ActorId):
    staging = Staging(troupe.reader)
    core = patch_tree(staging, troupe.step(counter).core, {"state": staging.put_blob(b'{"sum":1000}')})
    troupe.forge(counter, staging=staging, core=core)
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "output", "data.core/state")
    assert (verdict.recorded, verdict.replayed) == ({"sum": 1000}, {"sum": 6})
    assert (verdict.at_height, verdict.step) == (3, str(troupe.head(counter)))


def test_swapped_code_is_found(troupe: Troupe, counter: ActorId):
    staging = Staging(troupe.reader)
    code = staging.put_blob(COUNTER.replace("+ number", "+ 2 * number").encode())
    core = patch_tree(staging, troupe.step(counter).core, {"code/counter.py": code})
    troupe.forge(counter, staging=staging, core=core)
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "output", "data.core/code/counter.py")
    assert "2 * number" in str(verdict.recorded)


def test_a_history_made_with_other_code_than_its_core_holds_is_found(troupe: Troupe):
    actor = troupe.create(CORE)
    troupe.tell(actor, "add", 1)
    staging = Staging(troupe.reader)
    swapped = patch_tree(staging, troupe.step(actor).core, {"code/counter.py": staging.put_blob(UPDATED.encode())})
    troupe.forge(actor, staging=staging, core=swapped)
    troupe.tell(actor, "add", 2)
    assert verify(troupe, actor).at_height == 1


def test_a_forged_reply_is_found(troupe: Troupe, counter: ActorId):
    staging = Staging(troupe.reader)
    step = troupe.step(counter)
    told = troupe.reader.message(step.sent[0])
    block = message_block(msgspec.structs.replace(told, content=staging.put_blob(b"1000")))
    staging.put(block)
    outbox = {OWNER: Cursor(told.seq, MessageId(block.id))}
    troupe.forge(counter, staging=staging, sent=[block.id], outbox=outbox)
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "output", "data.sent[0].content")
    assert (verdict.recorded, verdict.replayed) == (1000, 6)


def test_a_reply_that_was_left_out_is_found(troupe: Troupe, counter: ActorId):
    outbox = troupe.reader.step(_parent(troupe, counter)).outbox
    troupe.forge(counter, sent=[], outbox=outbox)
    assert found(verify(troupe, counter)) == ("MISMATCH", "output", "data.sent[0]")


def test_a_forged_log_is_found(troupe: Troupe, counter: ActorId):
    staging = Staging(troupe.reader)
    troupe.forge(counter, staging=staging, log=staging.put_blob(b" now 1000\n"))
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "output", "data.log[0]")
    assert (verdict.recorded, verdict.replayed) == (" now 1000", " now 6")


def test_a_forged_outcome_is_found(troupe: Troupe, counter: ActorId):
    before = troupe.reader.step(_parent(troupe, counter))
    outcome = Outcome("failed", "ValueError", "made up")
    troupe.forge(counter, outcome=outcome, core=before.core, sent=[], outbox=before.outbox, log=None)
    verdict = verify(troupe, counter)
    assert found(verdict) == ("MISMATCH", "output", "data.outcome.kind")
    assert verdict.replayed == "ok"


def test_the_text_of_an_error_is_taken_as_recorded(troupe: Troupe, counter: ActorId):
    troupe.tell(counter, "add", 13)
    troupe.forge(counter, outcome=Outcome("failed", "ValueError", "other words"))
    assert verify(troupe, counter).ok


def test_a_forged_update_is_found(troupe: Troupe, counter: ActorId):
    patch = troupe.send(counter, "update", lane="update", sender="out/test/stranger")
    troupe.play()
    assert troupe.step(counter).consumed == (patch,)
    staging = Staging(troupe.reader)
    core = patch_tree(staging, troupe.step(counter).core, {"code/counter.py": staging.put_blob(UPDATED.encode())})
    troupe.forge(counter, staging=staging, core=core, outcome=None)
    assert found(verify(troupe, counter)) == ("MISMATCH", "output", "data.outcome.kind")


def test_a_forged_journal_is_found(troupe: Troupe, caller: ActorId):
    step = troupe.step(caller)
    assert step.journal is not None
    entries = troupe.reader.journal(step.journal)
    staging = Staging(troupe.reader)
    more = Entry(path="verify/9", request="0" * 64, reply=staging.put_blob(b"{}"))
    troupe.forge(caller, staging=staging, journal=staging.put(journal_block([*entries, more])))
    assert found(verify(troupe, caller)) == ("MISMATCH", "output", "data.journal[3]")


def test_a_call_that_the_journal_does_not_hold_is_told_apart(troupe: Troupe, caller: ActorId):
    step = troupe.step(caller)
    assert step.journal is not None
    entries = troupe.reader.journal(step.journal)
    staging = Staging(troupe.reader)
    troupe.forge(caller, staging=staging, journal=staging.put(journal_block(entries[:-1])))
    assert found(verify(troupe, caller)) == ("MISMATCH", "journal", "data.journal.verify/0")


def test_the_first_mismatch_goes_before_what_is_unverifiable_below_it(troupe: Troupe, counter: ActorId):
    _cut(troupe, counter)
    assert found(verify(troupe, counter)) == ("UNVERIFIABLE", "cut", "data.outcome.kind")
    troupe.tell(counter, "add", 1)
    troupe.forge(counter, log=None)
    assert found(verify(troupe, counter)) == ("MISMATCH", "output", "data.log[0]")


# The world behind our back.


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ("time.time_ns()", "time.time_ns"),
        ("datetime.datetime.now()", "datetime.now"),
        ("random.random()", "random.random"),
        ("random.randint(0, 10**9)", "random.randint"),
        ("os.urandom(8)", "os.urandom"),
        ("uuid.uuid4()", "uuid.uuid4"),
        ("secrets.token_hex()", "secrets.token_hex"),
    ],
)
def test_a_wit_that_asks_the_world_is_told_apart_and_its_line_named(troupe: Troupe, call: str, named: str):
    head = "import datetime, os, random, secrets, time, uuid"
    actor = inline(troupe, f"ctx.log({call})", head=head)
    verdict = verify(troupe, actor)
    assert found(verdict) == ("MISMATCH", "clock", "data.log[0]")
    assert verdict.reason == f"code/odd.py:5 calls {named}"
    assert verdict.at_height == 1


def test_the_environment_is_told_apart_from_the_clock(troupe: Troupe):
    actor = inline(troupe, "ctx.log(os.environ.get('PYTEST_CURRENT_TEST'))", head="import os")
    verdict = verify(troupe, actor)
    assert found(verdict) == ("MISMATCH", "world", "data.log[0]")
    assert (verdict.reason, verdict.at_height) == ("code/odd.py:5 calls os.environ", 1)


def test_a_clock_read_when_the_module_loads_is_named_too(troupe: Troupe):
    verdict = verify(troupe, inline(troupe, "ctx.log(START)", head="import time; START = time.time()"))
    assert (verdict.cause, verdict.reason) == ("clock", "code/odd.py:1 calls time.time")


def test_the_clock_and_the_random_numbers_of_the_context_match(troupe: Troupe):
    assert verify(troupe, inline(troupe, "ctx.log(ctx.now()); ctx.log(ctx.random.randint(0, 10**9))")).ok


def test_a_global_that_outlives_a_step_is_told_apart(troupe: Troupe):
    actor = inline(troupe, "SEEN.append(1)\nctx.log(len(SEEN))", head="SEEN = []", times=3)
    verdict = verify(troupe, actor)
    assert found(verdict) == ("MISMATCH", "global", "data.log[0]")
    assert (verdict.at_height, verdict.recorded, verdict.replayed) == (2, " 2", " 1")


def test_a_global_that_does_not_show_matches(troupe: Troupe):
    assert verify(troupe, inline(troupe, "SEEN.append(1)", head="SEEN = []", times=3)).ok


# What can't be judged.


@pytest.fixture
def external(troupe: Troupe, tmp_path: Path, monkeypatch) -> tuple[ActorId, Path]:
    """An actor whose code is in a module outside the chain."""
    name = f"outside_{tmp_path.name.replace('-', '_')}"
    file = tmp_path / f"{name}.py"
    file.write_text("SEEN = []\n\ndef wit(ctx):\n    ctx.log(f'height {ctx.height}')\n")
    monkeypatch.syspath_prepend(tmp_path)
    actor = troupe.create({"wit": f"external:{name}:wit"})
    troupe.tell(actor, "go")
    return actor, file


def test_external_code_that_is_here_matches(troupe: Troupe, external: tuple[ActorId, Path]):
    assert verify(troupe, external[0]).ok


def test_external_code_that_changed_or_is_gone_is_unverifiable(troupe: Troupe, external: tuple[ActorId, Path]):
    actor, file = external
    file.write_text(file.read_text() + "# the same but for this\n")
    assert found(verify(troupe, actor)) == ("UNVERIFIABLE", "source", "data.engine")
    file.unlink()
    verdict = verify(troupe, actor)
    assert found(verdict) == ("UNVERIFIABLE", "source", "data.engine")
    assert (verdict.at_height, "is not here" in str(verdict.reason)) == (0, True)


def test_a_step_that_failed_for_want_of_external_code_is_unverifiable_where_the_code_is(troupe: Troupe, tmp_path: Path):
    (tmp_path / "came_later.py").write_text("def wit(ctx):\n    ctx.log('here')\n")
    actor = troupe.create({"wit": "external:came_later:wit"})
    assert verify(troupe, actor).ok
    assert found(verify(troupe, actor, paths=[str(tmp_path)])) == ("UNVERIFIABLE", "source", "data.outcome.kind")


def test_a_global_in_external_code_is_told_apart(troupe: Troupe, tmp_path: Path, monkeypatch):
    name = f"globals_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("SEEN = []\n\ndef wit(ctx):\n    SEEN.append(1)\n    ctx.log(len(SEEN))\n")
    monkeypatch.syspath_prepend(tmp_path)
    actor = troupe.create({"wit": f"external:{name}:wit"})
    troupe.tell(actor, "go")
    assert verify(troupe, actor).cause == "global"


def test_a_step_that_was_cut_is_unverifiable(troupe: Troupe, counter: ActorId):
    _cut(troupe, counter)
    verdict = verify(troupe, counter)
    assert found(verdict) == ("UNVERIFIABLE", "cut", "data.outcome.kind")
    assert "after 5 ms" in str(verdict.reason)


def test_a_cut_that_changed_the_core_is_a_mismatch(troupe: Troupe, counter: ActorId):
    core = troupe.step(counter).core
    _cut(troupe, counter, core=core)
    assert found(verify(troupe, counter)) == ("MISMATCH", "output", "data.core/state")


def test_an_unknown_engine_is_unverifiable(troupe: Troupe):
    actor = troupe.create({"runtime": "cobol", "wit": "MOVE 1 TO STATE."})
    troupe.forge(actor, engine="cobol/1", outcome=None)
    assert found(verify(troupe, actor)) == ("UNVERIFIABLE", "engine", "data.engine")


def test_a_replay_without_end_is_given_up(troupe: Troupe):
    body = "import sys\nwhile 'pytest' not in sys.modules and ctx.height == 1: pass\nctx.log('done')"
    actor = inline(troupe, body, times=3)
    verdict = verify(troupe, actor, step_seconds=2.0)
    assert (verdict.verdict, verdict.cause, verdict.at_height, verdict.steps) == ("UNVERIFIABLE", "timeout", 1, 3)


def test_code_that_takes_its_process_down_is_unverifiable(troupe: Troupe):
    body = "import os, sys\nif 'pytest' not in sys.modules: os._exit(3)\nctx.log('done')"
    verdict = verify(troupe, inline(troupe, body))
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "died", 1)
    assert "code 3" in str(verdict.reason)


def test_what_a_wit_prints_does_not_disturb_the_verdict(troupe: Troupe):
    assert verify(troupe, inline(troupe, "print('x' * 100_000, flush=True)")).ok


# Small helpers of this file.


def _history(troupe: Troupe, actor: ActorId) -> list[Step]:
    found = []
    at: StepId | None = troupe.head(actor)
    while at is not None:
        found.append(troupe.reader.step(at))
        at = found[-1].parent
    return found


def _everything(troupe: Troupe) -> list[Step]:
    return [troupe.reader.step(head) for _, head in troupe.backend.refs(b"head/")]


def _parent(troupe: Troupe, actor: ActorId) -> StepId:
    parent = troupe.step(actor).parent
    assert parent is not None
    return parent


def _exported(troupe: Troupe, actor: ActorId, *, leave_out: bytes | None = None) -> MemoryBackend:
    """What a machine has that was given nothing but the export."""
    file = BytesIO()
    head = troupe.head(actor)
    write_car(file, [head], (block for block in walk(troupe.reader, head) if block.id != leave_out))
    file.seek(0)
    backend = MemoryBackend()
    backend.commit([Unit(blocks=list(read_car(file)[1]))])
    return backend


def _cut(troupe: Troupe, actor: ActorId, **changes: Any) -> None:
    """Put a step that the host cut in the place of the newest one."""
    before = troupe.reader.step(_parent(troupe, actor))
    staging = Staging(troupe.reader)
    forged: dict[str, Any] = {
        "outcome": Outcome("cut", "Deadline", "the wit was stopped after 5 ms"),
        "core": before.core,
        "sent": [],
        "outbox": before.outbox,
        "log": staging.put_blob(b" so far\n"),
    }
    troupe.forge(actor, staging=staging, **{**forged, **changes})
