"""Histories that were rewritten with care: the code gives what is recorded, and only the rules say that it is a lie."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.node.troupe import OWNER, Troupe, chain
from understudy.actors.errors import CallFailed, Retry
from understudy.judging.foreign import verify_car
from understudy.judging.verification import verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId, MessageId
from understudy.objects.journal import CallError, Entry, journal_block
from understudy.objects.message import message_block
from understudy.objects.step import Step
from understudy.store.car import write_car
from understudy.store.keys import head_ref, height_row
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move, Row, Unit
from understudy.store.reader import Staging
from understudy.store.walk import walk

CALLER = """
from understudy import Wit

wit = Wit()

@wit.message("ask")
async def ask(who: str, state: dict, ctx) -> None:
    try:
        state["found"] = (await ctx.verify(who)).verdict
    except Exception:
        state["found"] = "nothing"
"""
SPEAKER = """
from understudy import Wit

wit = Wit()

@wit.message("ask")
def ask(number: int, ctx) -> int:
    return number

@wit.message("tell")
def tell(to: str, ctx) -> None:
    ctx.send(to, 1, type="hear")

@wit.message("hear")
def hear(number: int, state: dict) -> None:
    state["heard"] = state.get("heard", 0) + number
"""


class Oracle:
    """A capability that knows one actor."""

    name = "verify"

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        wanted = msgspec.json.decode(request)["actor"]
        if wanted == "nobody":
            raise CallFailed("NotFound", "there is no such actor")
        if wanted == "later":
            raise Retry("not now")
        return b'{"verdict": "MATCH"}'


@pytest.fixture
def troupe() -> Troupe:
    return Troupe(capabilities={"verify": Oracle()})


@pytest.fixture
def caller(troupe: Troupe) -> ActorId:
    """An actor that asked for a verdict, got none, and took that for an answer."""
    actor = troupe.create({"wit": "/code:caller:wit", "code/caller.py": CALLER})
    troupe.tell(actor, "ask", "nobody")
    return actor


@pytest.fixture
def speaker(troupe: Troupe) -> ActorId:
    return troupe.create({"wit": "/code:speaker:wit", "code/speaker.py": SPEAKER})


def verify(troupe: Troupe, actor: ActorId, **more: Any) -> Verdict:
    return verify_targets(troupe.backend, [troupe.target(actor)], processes=1, **more)[0]


def found(verdict: Verdict) -> tuple[str, str | None, str | None]:
    return verdict.verdict, verdict.cause, verdict.path


def before(troupe: Troupe, actor: ActorId) -> Step:
    parent = troupe.step(actor).parent
    assert parent is not None
    return troupe.reader.step(parent)


def test_a_call_that_was_struck_from_the_journal_is_found_though_the_wit_swallows_its_failure(
    troupe: Troupe, caller: ActorId
):
    assert verify(troupe, caller).ok
    troupe.forge(caller, journal=None)
    assert found(verify(troupe, caller)) == ("MISMATCH", "journal", "data.journal.verify/0")


def test_an_answer_to_another_request_is_found_though_the_wit_swallows_the_failure(troupe: Troupe, caller: ActorId):
    staging = Staging(troupe.reader)
    other = Entry(path="verify/0", request="0" * 64, error=CallError("NotFound", "there is no such actor"))
    troupe.forge(caller, staging=staging, journal=staging.put(journal_block([other])))
    assert verify(troupe, caller).cause == "journal"


def test_a_call_that_the_code_never_makes_is_found(troupe: Troupe, speaker: ActorId):
    troupe.tell(speaker, "ask", 1)
    staging = Staging(troupe.reader)
    entry = Entry(path="verify/0", request="0" * 64, reply=staging.put_blob(b"{}"))
    troupe.forge(speaker, staging=staging, journal=staging.put(journal_block([entry])))
    assert found(verify(troupe, speaker)) == ("MISMATCH", "output", "data.journal[0]")


def test_a_failure_of_the_world_is_not_the_wits_to_swallow(troupe: Troupe, caller: ActorId):
    troupe.tell(caller, "ask", "later")
    step = troupe.step(caller)
    assert step.outcome is not None
    assert (step.outcome.code, step.outcome.text) == ("RetriesExhausted", "not now")
    # That the world was away no replay can show, as with a step that was cut: who forges it must get no MATCH.
    assert found(verify(troupe, caller)) == ("UNVERIFIABLE", "cut", "data.outcome.code")


def drop_sent(troupe: Troupe, actor: ActorId, to: str, type: str) -> None:
    """Say of the only message of the newest step that there was nobody to get it."""
    content = troupe.reader.message(troupe.step(actor).sent[0]).content
    staging = Staging(troupe.reader)
    request = sha256(f"{to}\n{type}\n{content}".encode()).hexdigest()
    entry = Entry(path="send/0", request=request, error=CallError("NoSuchActor", f"there is no actor {to}"))
    note = f"! message 0 ({type}) was not sent: there is no actor {to}\n"
    troupe.forge(
        actor,
        staging=staging,
        sent=[],
        outbox=before(troupe, actor).outbox,
        journal=staging.put(journal_block([entry])),
        log=staging.put_blob(note.encode()),
    )


def test_a_reply_to_somebody_outside_can_not_be_said_to_have_had_nobody_to_go_to(troupe: Troupe, speaker: ActorId):
    troupe.tell(speaker, "ask", 1)
    drop_sent(troupe, speaker, OWNER, "reply")
    assert found(verify(troupe, speaker)) == ("MISMATCH", "output", "data.sent[0]")


def test_nor_can_a_message_to_oneself(troupe: Troupe, speaker: ActorId):
    troupe.send(speaker, "tell", str(speaker))
    troupe._play(speaker)
    drop_sent(troupe, speaker, str(speaker), "hear")
    assert found(verify(troupe, speaker)) == ("MISMATCH", "output", "data.sent[0]")


def test_nor_can_a_message_to_an_actor_that_was_there_before(troupe: Troupe, speaker: ActorId):
    other = troupe.create({"wit": "/code:speaker:wit", "code/speaker.py": SPEAKER, "nonce": "other"})
    troupe.tell(speaker, "tell", str(other))
    troupe.tell(speaker, "tell", str(other))
    drop_sent(troupe, speaker, str(other), "hear")
    assert found(verify(troupe, speaker)) == ("MISMATCH", "output", "data.sent[0]")


def test_that_the_first_message_to_an_actor_had_nobody_to_go_to_is_taken_as_recorded(troupe: Troupe, speaker: ActorId):
    other = troupe.create({"wit": "/code:speaker:wit", "code/speaker.py": SPEAKER, "nonce": "other"})
    troupe.tell(speaker, "tell", str(other))
    drop_sent(troupe, speaker, str(other), "hear")
    assert verify(troupe, speaker).ok


def test_external_code_whose_digest_was_struck_out_is_unverifiable(troupe: Troupe, tmp_path: Path, monkeypatch):
    name = f"struck_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("def wit(ctx):\n    ctx.log(f'height {ctx.height}')\n")
    monkeypatch.syspath_prepend(tmp_path)
    actor = troupe.create({"wit": f"external:{name}:wit"})
    assert verify(troupe, actor).ok
    troupe.forge(actor, engine="python/1")
    assert found(verify(troupe, actor)) == ("UNVERIFIABLE", "source", "data.engine")


@pytest.mark.parametrize("seq", [1, 2])
def test_a_message_that_an_actor_never_sent_itself_is_found_in_an_export_too(
    troupe: Troupe, speaker: ActorId, seq: int
):
    troupe.send(speaker, "tell", str(speaker))
    troupe._play(speaker)
    staging = Staging(troupe.reader)
    true = troupe.step(speaker).sent[0]
    lie = msgspec.structs.replace(
        troupe.reader.message(true),
        content=staging.put_blob(b"1000"),
        seq=seq,
        previous=None if seq == 1 else str(true),
    )
    block = message_block(lie)
    troupe.backend.commit([Unit(blocks=[block, *staging.new.values()])])
    if seq > 1:
        troupe.play()
    troupe.play_these(speaker, [MessageId(block.id)])
    assert found(judge_alone(troupe, speaker)) == ("MISMATCH", "unsent", "data.consumed[0]")


def test_messages_that_an_actor_sent_itself_match_in_an_export(troupe: Troupe, speaker: ActorId):
    for _ in range(3):
        troupe.send(speaker, "tell", str(speaker))
        troupe._play(speaker)
    troupe.play()
    assert judge_alone(troupe, speaker).ok


def judge_alone(troupe: Troupe, actor: ActorId) -> Verdict:
    """The verdict on a machine that has nothing but this one history."""
    alone = MemoryBackend()
    alone.commit([Unit(blocks=list(walk(troupe.reader, troupe.head(actor))))])
    return verify_targets(alone, [troupe.target(actor)], processes=1)[0]


@pytest.fixture
def fork(troupe: Troupe, speaker: ActorId) -> ActorId:
    """An actor that heard from the speaker, whose history then became another one; the index still names the old."""
    hearer = troupe.create({"wit": "/code:speaker:wit", "code/speaker.py": SPEAKER, "nonce": "hearer"})
    born = troupe.head(speaker)
    told = troupe.tell(speaker, "tell", str(hearer))
    assert verify(troupe, hearer).ok
    troupe.backend.commit([Unit(moves=[Move(head_ref(speaker), told, born)])])
    for _ in range(2):
        troupe.tell(speaker, "hear", 5, sender="out/test/another")
    troupe.backend.commit([Unit(rows=[Row(height_row(speaker, 1), told)])])
    return hearer


def test_a_message_that_only_a_fork_of_its_senders_history_holds_is_found_whatever_the_index_says(
    troupe: Troupe, fork: ActorId
):
    assert found(verify(troupe, fork)) == ("MISMATCH", "unsent", "data.consumed[0]")


def test_the_histories_in_one_file_are_held_against_each_other(troupe: Troupe, speaker: ActorId, fork: ActorId):
    # The fork sent another message in the place of the one that was heard.
    troupe.tell(speaker, "tell", str(fork), sender="out/test/another")
    alone, together = _car(troupe, fork), _car(troupe, fork, speaker)
    assert [verdict.verdict for verdict in verify_car(alone)] == ["MATCH"]
    heard, spoken = verify_car(together)
    assert found(heard) == ("MISMATCH", "unsent", "data.consumed[0]") and heard.at_height == 1
    assert spoken.ok


def test_honest_histories_in_one_file_match_also_if_the_senders_is_the_older(troupe: Troupe, speaker: ActorId):
    hearer = troupe.create({"wit": "/code:speaker:wit", "code/speaker.py": SPEAKER, "nonce": "hearer"})
    troupe.tell(speaker, "tell", str(hearer))
    older = troupe.head(speaker)
    troupe.tell(speaker, "tell", str(hearer))
    for head in (older, troupe.head(speaker)):
        blocks = [*walk(troupe.reader, troupe.head(hearer)), *walk(troupe.reader, head)]
        file = BytesIO()
        write_car(file, [troupe.head(hearer), head], blocks)
        file.seek(0)
        assert [verdict.verdict for verdict in verify_car(file)] == ["MATCH", "MATCH"]


ECHO = """
from understudy import Wit

wit = Wit()

@wit.message("start")
def start(to: str, ctx) -> None:
    ctx.send(to, 1, type="echo")

@wit.message("echo")
def echo(number: int, ctx) -> None:
    ctx.send(ctx.message.sender, number, type="hear")

@wit.message("hear")
def hear(number: int) -> None:
    pass
"""


@pytest.fixture
def echoed(troupe: Troupe) -> tuple[ActorId, ActorId, list[MessageId]]:
    """An actor that asked another one and got its answer; what it consumed."""
    asker, echoing = (troupe.create({"wit": "/code:e:wit", "code/e.py": ECHO, "nonce": name}) for name in ("a", "b"))
    troupe.tell(asker, "start", str(echoing))
    return asker, echoing, [record.consumed[0].id for record in chain(troupe, asker)[1:]]


def test_a_message_that_was_consumed_before_its_sender_could_send_it_is_found(troupe: Troupe, echoed):
    asker, _, (start, hear) = echoed
    genesis = chain(troupe, asker)[0].id
    troupe.backend.commit([Unit(moves=[Move(head_ref(asker), troupe.head(asker), genesis)])])
    # The answer and what led to the question, in one step: every hash is right.
    troupe.play_these(asker, [hear, start])
    assert found(verify(troupe, asker)) == ("MISMATCH", "order", "data.consumed[0]")
    assert found(verify(troupe, asker, integrity_only=True)) == ("MISMATCH", "order", "data.consumed[0]")


def test_a_step_that_is_said_to_be_older_than_a_message_that_it_consumed_is_unverifiable(troupe: Troupe, echoed):
    asker, _, _ = echoed
    # A clock that was set back does the same to an honest history: nobody is called a liar for it.
    troupe.forge(asker, time=before(troupe, asker).time)
    assert found(verify(troupe, asker)) == ("UNVERIFIABLE", "clock", "data.time")


def test_a_step_that_is_still_to_come_is_unverifiable(troupe: Troupe, speaker: ActorId):
    troupe.time = 4_000_000_000_000_000
    troupe.tell(speaker, "ask", 1)
    assert found(verify(troupe, speaker)) == ("UNVERIFIABLE", "clock", "data.time")


def test_a_strange_time_does_not_hide_what_the_code_gives(troupe: Troupe, speaker: ActorId):
    troupe.time = 4_000_000_000_000_000
    troupe.tell(speaker, "ask", 1)
    forge_log(troupe, speaker, "forged")
    assert verify(troupe, speaker).verdict == "MISMATCH"


@pytest.mark.parametrize(
    "engine",
    [
        "python/1;x=y",
        "python/1;source=abc",
        "python/0",
        "kernel/1",
        "kernel/1;x=y",
        "cobol/1",
        "wasm/1;config=735c3e3b150f1f98",
    ],
)
def test_an_engine_text_that_is_false_is_a_mismatch_also_where_nothing_is_run(
    troupe: Troupe, speaker: ActorId, engine: str
):
    troupe.tell(speaker, "ask", 1)
    troupe.forge(speaker, engine=engine)
    for integrity_only in (True, False):
        assert found(verify(troupe, speaker, integrity_only=integrity_only)) == ("MISMATCH", "engine", "data.engine")


def test_an_engine_of_a_later_abi_is_unverifiable_and_intact(troupe: Troupe, speaker: ActorId):
    troupe.tell(speaker, "ask", 1)
    troupe.forge(speaker, engine="python/2;new=part")
    assert found(verify(troupe, speaker)) == ("UNVERIFIABLE", "engine", "data.engine")
    assert verify(troupe, speaker, integrity_only=True).verdict == "INTACT"


def _car(troupe: Troupe, *actors: ActorId) -> BytesIO:
    file = BytesIO()
    heads = [troupe.head(actor) for actor in actors]
    write_car(file, heads, [block for head in heads for block in walk(troupe.reader, head)])
    file.seek(0)
    return file


# Code that sets out to deceive whoever judges it. In the process of the tests it behaves.

DECEIVER = """
import sys
if 'pytest' not in sys.modules:
    from msgspec.structs import replace
    from understudy.engines.python.program import PythonProgram
    honest = PythonProgram.run
    PythonProgram.run = lambda self, given: replace(honest(self, given), log=[' forged'])
    for name, module in sys.modules.copy().items():
        for judging in ('judge_replay', 'first_difference', 'check_record', 'check_senders'):
            if name.startswith('understudy.') and hasattr(module, judging):
                setattr(module, judging, lambda *args, **more: None)

def wit(ctx):
    ctx.log('true')
"""
HONEST = "def wit(ctx):\n    ctx.log('true')\n"


def forge_log(troupe: Troupe, actor: ActorId, line: str) -> None:
    staging = Staging(troupe.reader)
    troupe.forge(actor, staging=staging, log=staging.put_blob(f" {line}\n".encode()))


def test_code_that_patches_the_judges_functions_is_judged_by_others(troupe: Troupe):
    deceiver = troupe.create({"wit": "/code:odd:wit", "code/odd.py": DECEIVER})
    troupe.tell(deceiver, "go")
    forge_log(troupe, deceiver, "something else")
    assert found(verify(troupe, deceiver)) == ("MISMATCH", "output", "data.log[0]")


def test_what_code_spoils_where_it_is_replayed_does_not_reach_the_code_after_an_update(troupe: Troupe):
    actor = troupe.create({"wit": "/code:odd:wit", "code/odd.py": "def wit(ctx): pass\n", "code/other.py": ""})
    troupe.update(actor, {"code/odd.py": DECEIVER.replace("ctx.log('true')", "pass").replace("[' forged']", "[]")})
    troupe.tell(actor, "go")
    troupe.update(actor, {"code/odd.py": HONEST})
    troupe.tell(actor, "go")
    assert verify(troupe, actor).ok
    forge_log(troupe, actor, "forged")
    verdict = verify(troupe, actor)
    assert found(verdict) == ("MISMATCH", "output", "data.log[0]")
    assert (verdict.recorded, verdict.replayed) == (" forged", " true")


def test_what_code_spoils_where_it_is_replayed_does_not_reach_other_histories(troupe: Troupe):
    deceiver = troupe.create({"wit": "/code:odd:wit", "code/odd.py": DECEIVER})
    honest = troupe.create({"wit": "/code:odd:wit", "code/odd.py": HONEST})
    troupe.tell(honest, "go")
    forge_log(troupe, honest, "forged")
    targets = [troupe.target(deceiver), troupe.target(honest)]
    verdicts = verify_targets(troupe.backend, targets, processes=1)
    assert found(verdicts[1]) == ("MISMATCH", "output", "data.log[0]")


def test_a_process_that_ends_in_the_middle_of_a_history_costs_only_the_steps_that_ended_it(troupe: Troupe):
    code = "import os, sys\ndef wit(ctx):\n    if ctx.height % 2 and 'pytest' not in sys.modules: os._exit(7)\n"
    actor = troupe.create({"wit": "/code:odd:wit", "code/odd.py": code})
    for _ in range(4):
        troupe.tell(actor, "go")
    forge_log(troupe, actor, "forged")
    verdict = verify(troupe, actor)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("MISMATCH", "output", 4)
