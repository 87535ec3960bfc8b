"""What is said of a step whose replay is known: that it agrees, what differs, and what excuses that."""

from __future__ import annotations

import msgspec
import pytest

from tests.node.troupe import Troupe
from understudy.actors.errors import NEEDS_WORLD, STUCK
from understudy.kernel.advance import KERNEL_ENGINE
from understudy.kernel.compare import Difference
from understudy.kernel.replay import Record, read_record
from understudy.kernel.replay_verdict import judge_replay
from understudy.kernel.seal import Sealed
from understudy.kernel.verdict import ENGINE, JOURNAL, MISMATCH, OUTPUT, SOURCE, UNVERIFIABLE
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import FAILED, Outcome, step_block
from understudy.store.port import Unit

KEEP = """
def wit(ctx):
    ctx.core["data/last"] = str(ctx.height)
"""


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.fixture
def keeper(troupe: Troupe) -> ActorId:
    actor = troupe.create({"wit": "/code:keep:wit", "code/keep.py": KEEP})
    troupe.tell(actor, "go")
    return actor


def test_code_whose_source_neither_side_knows_is_no_match(troupe: Troupe, keeper: ActorId):
    record = read_record(troupe.reader, troupe.head(keeper))
    record = msgspec.structs.replace(record, step=msgspec.structs.replace(record.step, engine="python/1;source=none"))
    same = Sealed(actor=record.after, id=record.id, step=record.step, consumed=(), sent=(), unit=Unit())
    problem = judge_replay(troupe.reader, record, same, engine="python/1;source=none")
    assert problem is not None
    assert (problem.verdict, problem.cause) == ("UNVERIFIABLE", "source")


def failed_alike(record: Record, code: str) -> tuple[Record, Sealed]:
    """The record as if the step had failed, and a replay that failed with the same words."""
    failed = msgspec.structs.replace(record.step, outcome=Outcome(FAILED, code, "it went wrong"))
    same = Sealed(actor=record.after, id=record.id, step=failed, consumed=(), sent=(), unit=Unit())
    return msgspec.structs.replace(record, step=failed), same


@pytest.mark.parametrize("code", [NEEDS_WORLD, STUCK])
def test_a_step_is_not_doubted_for_the_name_of_its_exception(troupe: Troupe, keeper: ActorId, code: str):
    record, same = failed_alike(read_record(troupe.reader, troupe.head(keeper)), code)
    assert judge_replay(troupe.reader, record, same, engine=record.step.engine) is None


def test_a_step_that_failed_as_a_replay_that_was_given_up_is_no_match_whatever_the_failure_is_called(
    troupe: Troupe, keeper: ActorId
):
    record, same = failed_alike(read_record(troupe.reader, troupe.head(keeper)), "Boom")
    problem = judge_replay(troupe.reader, record, same, engine=record.step.engine, stuck=True)
    assert problem is not None
    assert (problem.verdict, problem.cause, problem.recorded) == (UNVERIFIABLE, JOURNAL, "Boom")


def test_other_calls_are_a_mismatch_even_where_the_same_step_comes_out(troupe: Troupe, keeper: ActorId):
    record, same = failed_alike(read_record(troupe.reader, troupe.head(keeper)), "Boom")
    call = Difference(path="data.journal.world/0", recorded=None, replayed="00")
    problem = judge_replay(troupe.reader, record, same, engine=record.step.engine, call=call)
    assert problem is not None
    assert (problem.verdict, problem.cause, problem.path) == (MISMATCH, JOURNAL, "data.journal.world/0")


def not_loaded(record: Record, code: str) -> tuple[Record, Sealed]:
    """The record as if no engine had run the code where it was made, and a replay in which one did."""
    failed = msgspec.structs.replace(record.step, engine=KERNEL_ENGINE, outcome=Outcome(FAILED, code, "it went wrong"))
    ran = Sealed(actor=record.after, id=record.id, step=record.step, consumed=(), sent=(), unit=Unit())
    return msgspec.structs.replace(record, id=StepId(step_block(failed).id), step=failed), ran


@pytest.mark.parametrize(
    ("code", "engine", "verdict", "cause"),
    [
        ("UnknownRuntime", "python/2", UNVERIFIABLE, ENGINE),
        ("MissingModule", "python/2", MISMATCH, OUTPUT),
        ("MissingModule", "python/2;source=" + "0" * 64, UNVERIFIABLE, SOURCE),
    ],
)
def test_a_step_whose_code_was_not_loaded_is_excused_by_what_may_have_been_missing_there_and_by_nothing_else(
    troupe: Troupe, keeper: ActorId, code: str, engine: str, verdict: str, cause: str
):
    record, ran = not_loaded(read_record(troupe.reader, troupe.head(keeper)), code)
    problem = judge_replay(troupe.reader, record, ran, engine=engine)
    assert problem is not None
    assert (problem.verdict, problem.cause) == (verdict, cause)


def differing(record: Record, *, engine: str, code: str | None = None) -> tuple[Record, Sealed]:
    """The record as this engine made it, failed with a code if one is given, and a replay that came out otherwise."""
    outcome = None if code is None else Outcome(FAILED, code, "it went wrong")
    made = msgspec.structs.replace(record.step, engine=engine, outcome=outcome)
    other = msgspec.structs.replace(made, time=made.time + 1, outcome=None)
    same = Sealed(actor=record.after, id=StepId(step_block(other).id), step=other, consumed=(), sent=(), unit=Unit())
    return msgspec.structs.replace(record, id=StepId(step_block(made).id), step=made), same


PYTHON = "python/2;python=3.11;room=1000"


@pytest.mark.parametrize(
    ("made_by", "code", "here", "cause"),
    [
        (PYTHON, None, PYTHON, OUTPUT),
        # Another ABI, and another interpreter where the record says which it was.
        ("python/1", None, PYTHON, ENGINE),
        (PYTHON, None, "python/2;python=3.12;room=1000", ENGINE),
        (PYTHON, None, "python/2;optimize=1;python=3.11;room=1000", ENGINE),
        ("python/2", None, PYTHON, OUTPUT),
        # Known configurations of components give the same; one may have refused what the other takes.
        ("wasm/1;config=aa", None, "wasm/1;config=bb", OUTPUT),
        ("wasm/1;config=aa", "BadComponent", "wasm/1;config=bb", ENGINE),
        ("wasm/1;config=aa", "Boom", "wasm/1;config=bb", OUTPUT),
        ("wasm/1;config=aa", "BadComponent", "wasm/1;config=aa", OUTPUT),
        (KERNEL_ENGINE, "WrongWorld", "wasm/1;config=bb", ENGINE),
        (KERNEL_ENGINE, "Boom", "wasm/1;config=bb", OUTPUT),
        (KERNEL_ENGINE, "UnknownRuntime", KERNEL_ENGINE, OUTPUT),
        # Another engine is no excuse for one that was there.
        (PYTHON, None, "wasm/1;config=bb", OUTPUT),
        (PYTHON, "WrongWorld", "wasm/1;config=bb", OUTPUT),
    ],
)
def test_a_step_that_differs_is_excused_only_by_an_engine_that_may_give_something_else(
    troupe: Troupe, keeper: ActorId, made_by: str, code: str | None, here: str, cause: str
):
    genesis = troupe.step(keeper).parent
    assert genesis is not None
    record, replay = differing(read_record(troupe.reader, genesis), engine=made_by, code=code)
    problem = judge_replay(troupe.reader, record, replay, engine=here)
    assert problem is not None
    assert (problem.verdict, problem.cause) == (MISMATCH if cause == OUTPUT else UNVERIFIABLE, cause)


@pytest.mark.parametrize(
    ("made_by", "here", "reason"),
    [
        ("python/2;source=none", "python/2;source=none", "was not known where it was made"),
        ("python/2;source=" + "0" * 64, "python/2;source=" + "1" * 64, f"is another one here (sha256 {'1' * 64})"),
        ("python/2;source=" + "0" * 64, "python/2", "is not here"),
        ("python/2", "python/2;source=" + "1" * 64, "does not say which"),
    ],
)
def test_other_external_code_is_no_match_though_the_same_step_comes_out(
    troupe: Troupe, keeper: ActorId, made_by: str, here: str, reason: str
):
    record = read_record(troupe.reader, troupe.head(keeper))
    record = msgspec.structs.replace(record, step=msgspec.structs.replace(record.step, engine=made_by))
    same = Sealed(actor=record.after, id=record.id, step=record.step, consumed=(), sent=(), unit=Unit())
    problem = judge_replay(troupe.reader, record, same, engine=here)
    assert problem is not None
    assert (problem.verdict, problem.cause) == (UNVERIFIABLE, SOURCE)
    assert (problem.path, problem.recorded, problem.replayed) == ("data.engine", made_by, here)
    assert reason in problem.reason
