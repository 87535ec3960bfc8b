"""Wits and queries that ask other actors: what they are told, what the journal keeps, and what a replay makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from io import BytesIO
from typing import Any

import msgspec
import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, gates
from understudy import Blob
from understudy.actors.contract import Reply
from understudy.actors.errors import CallFailed
from understudy.actors.query import read_result, result_bytes
from understudy.judging.foreign import verify_car
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import (
    ANSWER,
    CLOCK,
    INTEGRITY,
    JOURNAL,
    MATCH,
    MISMATCH,
    MISSING,
    TIMEOUT,
    UNVERIFIABLE,
    Verdict,
)
from understudy.node.asking.queries import Queried
from understudy.node.errors import QueryFailed
from understudy.objects.ids import ActorId, StepId
from understudy.objects.journal import CallError, Entry, journal_block
from understudy.objects.step import step_block
from understudy.store.car import write_car
from understudy.store.keys import head_ref, height_row
from understudy.store.port import Move, Row, Unit

COUNTER = """
from understudy import Blob, Error, Tree, Wit

wit = Wit()

@wit.message("add")
def add(state: dict, amount: int) -> int:
    state["count"] = state.get("count", 0) + amount
    return state["count"]

@wit.query
def count(state: dict, times: int = 1) -> int:
    return state.get("count", 0) * times

@wit.query
def files(core) -> Tree:
    return Tree({"wit": core.id("wit")})

@wit.query
def no() -> Error:
    return Error("NotToday", "come back tomorrow")

@wit.query
def fail() -> int:
    return 1 // 0
"""

ASKING = """
import asyncio
from understudy import Blob, CallFailed, Context, Error, Tree, Wit, query_a_wit

wit = Wit()

def shown(found):
    match found:
        case Blob(): return [found.media_type, found.text()]
        case Tree(): return {name: str(id) for name, id in found.entries.items()}
        case Error(): return {found.code: found.text}

@wit.message("ask")
def ask(asked: list, state: dict):
    return shown(query_a_wit(*asked))

@wit.message("ask later")
async def ask_later(asked: list, state: dict):
    await asyncio.sleep(0)
    return shown(await query_a_wit(*asked))

@wit.message("ask all")
async def ask_all(asked: list, ctx: Context):
    found = await asyncio.gather(*(ctx.query(actor, "count", times=times) for actor, times in asked))
    return [each.json() for each in found]

@wit.message("sugar")
def sugar(to: str, ctx: Context):
    try:
        ctx.query(to, "no")
    except CallFailed as error:
        return [ctx.query(to, "count", times=3).json(), error.code]

@wit.message("unasked")
def unasked(to: str, ctx: Context):
    ctx.query(to, "no")
"""

LOW_LEVEL = """
from understudy import query_a_wit

def wit(core, messages):
    for message in messages:
        if message.type == "ask":
            core["found"] = query_a_wit(message.text(), "count").data
"""


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def journal(living: Living, actor: ActorId) -> list[Entry]:
    """What the newest step of an actor was answered."""
    step = living.chain(actor)[-1]
    return [] if step.journal is None else list(living.node.reader.journal(step.journal))


def verdicts(living: Living) -> list[str]:
    """The verdicts of fresh processes on all actors."""
    return [verdict.verdict for verdict in living.run(living.node.verify())]


@pytest.mark.parametrize("type", ["ask", "ask later"])
def test_the_journal_keeps_the_answer_and_its_step_and_a_fresh_process_agrees(living: Living, type: str) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    for count in (1, 2):
        living.tell(counter, "add", 1)
        assert living.tell(asking, type, [str(counter), "count", {"times": 10}]) == [
            "application/json",
            str(10 * count),
        ]
        [entry] = journal(living, asking)
        assert (entry.path, entry.step) == ("query/0", str(living.node.actor(counter).head))
        assert entry.reply is not None
        assert read_result(living.node.reader.blob(entry.reply)) == Blob(b"%d" % (10 * count), "application/json")
    assert verdicts(living) == [MATCH, MATCH]


@pytest.mark.parametrize("type", ["ask", "ask later"])
@pytest.mark.parametrize(
    ("name", "context", "code", "text"),
    [
        ("no", {}, "NotToday", "come back tomorrow"),
        ("nothing", {}, "UnknownQuery", "there is no query 'nothing'; there are: count, fail, files, no, wut"),
        ("count", {"times": "x"}, "BadArguments", "argument 'times': Expected `int`, got `str`"),
        ("fail", {}, "ZeroDivisionError", "integer division or modulo by zero\nat wit:25 in fail\n    return 1 // 0"),
    ],
)
def test_errors_are_answers_that_the_journal_keeps_too(
    living: Living, type: str, name: str, context: Any, code: str, text: str
) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    assert living.tell(asking, type, [str(counter), name, context]) == {code: text}
    [entry] = journal(living, asking)
    assert entry.error is not None
    assert (entry.error.code, entry.error.text, entry.step) == (code, text, str(living.node.actor(counter).head))
    assert verdicts(living) == [MATCH, MATCH]


def test_an_actor_that_is_not_there_is_an_error_of_no_step(living: Living) -> None:
    asking = living.create(wit=ASKING)
    assert list(living.tell(asking, "ask", ["nobody", "count", {}])) == ["NoSuchActor"]
    assert journal(living, asking)[0].step is None
    assert verdicts(living) == [MATCH]


def test_an_actor_is_asked_by_its_name(living: Living) -> None:
    counter = living.create(wit=COUNTER)
    living.run(living.node.set_name("counter", counter, expected=None))
    asking = living.create(wit=ASKING)
    assert living.tell(asking, "ask", ["counter", "count", {}]) == ["application/json", "0"]
    assert journal(living, asking)[0].step == str(living.node.actor(counter).head)


def test_a_tree_is_told_by_its_ids_and_owned_by_nobody(living: Living) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    wit = living.node.reader.find(living.chain(counter)[-1].core, "wit")
    assert living.tell(asking, "ask", [str(counter), "files", {}]) == {"wit": str(wit)}
    _, blocks = living.node.export(asking)
    assert wit not in {block.id for block in blocks}


def test_many_are_asked_at_once_and_a_replay_agrees(living: Living) -> None:
    counters = [living.create(wit=COUNTER, nonce=str(number)) for number in range(5)]
    for number, counter in enumerate(counters):
        living.tell(counter, "add", number)
    asking = living.create(wit=ASKING)
    asked = [[str(counter), times] for times, counter in enumerate(counters)]
    assert living.tell(asking, "ask all", asked) == [0, 1, 4, 9, 16]
    assert len(journal(living, asking)) == 5
    assert set(verdicts(living)) == {MATCH}


def test_ctx_query_takes_arguments_and_raises_errors(living: Living) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    living.tell(counter, "add", 2)
    assert living.tell(asking, "sugar", str(counter)) == [6, "NotToday"]
    outcome = living.ask(asking, "unasked", str(counter)).outcome
    assert outcome is not None
    assert outcome.code == "CallFailed"
    assert set(verdicts(living)) == {MATCH}


def test_a_low_level_wit_asks(living: Living) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=LOW_LEVEL)
    living.tell(counter, "add", 7)
    living.run(living.node.answer(asking, living.run(living.node.send(asking, str(counter).encode(), type="ask"))))
    found = living.node.reader.find(living.chain(asking)[-1].core, "found")
    assert found is not None
    assert living.node.reader.blob(found) == b"7"
    assert set(verdicts(living)) == {MATCH}


def test_a_wit_that_asks_itself_hears_of_its_last_step(living: Living) -> None:
    wit = """
from understudy import Context, Wit
wit = Wit()
@wit.message("add")
def add(state: dict, ctx: Context):
    state["count"] = state.get("count", 0) + 1
    return ctx.query(ctx.actor_id, "count").json()
@wit.query
def count(state: dict) -> int:
    return state.get("count", 0)
"""
    actor = living.create(wit=wit)
    assert [living.tell(actor, "add") for _ in range(3)] == [0, 1, 2]
    assert verdicts(living) == [MATCH]


def test_more_wits_wait_for_answers_than_the_scheduler_has_threads(living: Living) -> None:
    counter = living.create(wit=COUNTER)
    living.tell(counter, "add", 5)
    askers = [living.create(wit=ASKING, nonce=str(number)) for number in range(100)]
    sending = [living.begin_send(each, "ask", [str(counter), "count", {}]) for each in askers]
    answers = [living.begin_answer(each, sent.result(PATIENCE)) for each, sent in zip(askers, sending, strict=True)]
    for answer in answers:
        found = answer.result(PATIENCE)
        assert json.loads(living.node.reader.blob(found.replies[0].content)) == ["application/json", "5"]


def test_a_step_that_waits_for_an_answer_holds_up_no_other(living: Living) -> None:
    slow = living.create(
        wit=COUNTER, wit_query="from tests.node.stage import gates\ndef wit_query(): gates.pass_through('slow answer')"
    )
    asking, other = living.create(wit=ASKING), living.create(wit=COUNTER)
    waiting = living.begin_answer(asking, living.send(asking, "ask", [str(slow), "any", {}]))
    gates.wait_for("slow answer")
    assert living.tell(other, "add", 1) == 1
    assert not waiting.done()
    gates.open("slow answer")
    assert waiting.result(PATIENCE).outcome is None


# What a verdict says of answers.


class Lying:
    """A node's way to answer its wits what it likes, at a step that it likes."""

    name = "query"

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.failure: CallFailed | None = None

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> Reply:
        """What was prepared."""
        if self.failure is not None:
            raise self.failure
        assert self.reply is not None
        return self.reply


def deep(living: Living, actor: ActorId) -> Verdict:
    """The verdict of a fresh process that asks again."""
    [verdict] = living.run(living.node.verify([Target(actor, living.node.actor(actor).head)], deep=True))
    return verdict


def test_answers_that_were_given_match_when_they_are_asked_for_again(living: Living) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    for name in ("count", "no", "nothing", "fail", "files", "wut"):
        living.tell(counter, "add", 1)
        living.tell(asking, "ask", [str(counter), name, {}])
        living.tell(asking, "ask later", [str(counter), name, {}])
    living.tell(asking, "ask", ["nobody", "count", {}])
    assert deep(living, asking).verdict == MATCH


@pytest.mark.parametrize("what", ["reply", "media type", "error", "no error", "other step", "other actor", "fork"])
def test_an_answer_that_was_never_given_is_a_mismatch_of_its_own_cause(what: str) -> None:
    lying = Lying()
    with Living(capabilities={"query": lying}) as living:
        counter, other = living.create(wit=COUNTER), living.create(wit=COUNTER, nonce="other")
        first = living.node.actor(counter).head
        living.tell(counter, "add", 3)
        head, others = living.node.actor(counter).head, living.node.actor(other).head
        fork = step_block(msgspec.structs.replace(living.chain(counter)[1], time=2**50))
        living.backend.commit([Unit(blocks=[fork])])
        three = result_bytes(Blob(b"3", "application/json"))
        name = "no" if what == "error" else "count"
        lying.reply = {
            "reply": Reply(result_bytes(Blob(b"4", "application/json")), head),
            "media type": Reply(result_bytes(Blob(b"3", "text/plain")), head),
            "error": Reply(three, head),
            "other step": Reply(three, first),
            "other actor": Reply(three, others),
            "fork": Reply(three, StepId(fork.id)),
        }.get(what)
        lying.failure = CallFailed("NotToday", "never said", step=str(head)) if what == "no error" else None
        asking = living.create(wit=ASKING)
        living.tell(asking, "ask", [str(counter), name, {}])
        assert set(verdicts(living)) == {MATCH}
        found = deep(living, asking)
        assert (found.verdict, found.at_height, found.path) == (MISMATCH, 1, "data.journal.query/0")
        assert found.cause == (INTEGRITY if what == "fork" else ANSWER)


def test_an_answer_whose_step_was_struck_out_is_a_mismatch(living: Living) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    living.tell(asking, "ask", [str(counter), "count", {}])
    [entry] = journal(living, asking)
    blank = journal_block([msgspec.structs.replace(entry, step=None)])
    before, head = living.chain(asking)[-1], living.node.actor(asking).head
    forged = step_block(msgspec.structs.replace(before, journal=blank.id))
    moves = [Move(head_ref(asking), head, forged.id)]
    rows = [Row(height_row(asking, before.height), forged.id)]
    living.stop()
    living.backend.commit([Unit(blocks=[blank, forged], moves=moves, rows=rows)])
    for deep, integrity_only in [(False, False), (True, False), (False, True)]:
        target = Target(asking, StepId(forged.id))
        [found] = verify_targets(living.backend, [target], processes=1, deep=deep, integrity_only=integrity_only)
        assert (found.verdict, found.cause) == (MISMATCH, INTEGRITY)
        assert "query/0 has a reply, but not the step that gave it" in (found.reason or "")


def forge(living: Living, actor: ActorId, entry: Entry) -> list[Verdict]:
    """The verdicts on a history whose newest step has another journal: integrity alone, replayed, and asked again."""
    block = journal_block([entry])
    before, head = living.chain(actor)[-1], living.node.actor(actor).head
    forged = step_block(msgspec.structs.replace(before, journal=block.id))
    moves = [Move(head_ref(actor), head, forged.id)]
    living.stop()
    living.backend.commit(
        [Unit(blocks=[block, forged], moves=moves, rows=[Row(height_row(actor, before.height), forged.id)])]
    )
    target = Target(actor, StepId(forged.id))
    return [
        verify_targets(living.backend, [target], processes=1, deep=deep, integrity_only=integrity_only)[0]
        for deep, integrity_only in [(False, True), (False, False), (True, False)]
    ]


@pytest.mark.parametrize("code", ["UnknownQuery", "Busy", "Invented"])
def test_an_error_that_only_a_step_can_have_given_is_a_lie_without_one(living: Living, code: str) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
    living.tell(asking, "ask", [str(counter), "nothing", {}])
    [entry] = journal(living, asking)
    for found in forge(living, asking, msgspec.structs.replace(entry, step=None, error=CallError(code, "no"))):
        assert (found.verdict, found.cause, found.path) == (MISMATCH, JOURNAL, "data.journal.query/0")


@pytest.mark.parametrize(
    ("code", "verdict", "cause"),
    [
        ("BadRequest", MISMATCH, ANSWER),
        ("NoCapability", UNVERIFIABLE, ANSWER),
        ("Ambiguous", UNVERIFIABLE, ANSWER),
        ("QueryTimeout", UNVERIFIABLE, TIMEOUT),
        ("NoSuchActor", UNVERIFIABLE, CLOCK),
    ],
)
def test_an_error_that_says_that_no_step_was_asked_is_no_match_where_there_was_one(
    code: str, verdict: str, cause: str
) -> None:
    lying = Lying()
    with Living(capabilities={"query": lying}) as living:
        counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
        lying.failure = CallFailed(code, "no")
        living.tell(asking, "ask", [str(counter), "count", {}])
        found = deep(living, asking)
        assert (found.verdict, found.cause, found.path) == (verdict, cause, "data.journal.query/0")


def test_an_answer_to_a_name_is_unverifiable_where_the_name_is_anothers(living: Living) -> None:
    counter = living.run(living.node.create({"wit": COUNTER.encode()}, name="ann")).id
    other, asking = living.create(wit=COUNTER, nonce="other"), living.create(wit=ASKING)
    living.tell(asking, "ask", ["ann", "count", {}])
    living.tell(asking, "ask", [str(counter)[7:30], "count", {}])
    assert deep(living, asking).verdict == MATCH
    living.tell(asking, "ask", ["ann", "count", {}])
    [entry] = journal(living, asking)
    *_, found = forge(living, asking, msgspec.structs.replace(entry, step=str(living.node.actor(other).head)))
    assert (found.verdict, found.cause) == (UNVERIFIABLE, ANSWER)
    assert "'ann' is no name of" in str(found.reason)


BOTH = """
from understudy import Wit

wit = Wit()

@wit.message("go")
async def go(who: str, ctx) -> None:
    await ctx.query(who, "count")
    ctx.send(who, {"amount": 0}, type="add")

@wit.message("reply")
def reply() -> None:
    pass
"""


def test_an_answer_of_a_step_that_had_heard_from_the_one_that_asked_is_a_lie(living: Living) -> None:
    counter, asking = living.create(wit=COUNTER), living.create(wit=BOTH)
    answer = living.begin_answer(asking, living.send(asking, "go", str(counter)))
    answer.result(PATIENCE)
    living.come_to_rest()
    steps = [step for step in living.chain(asking) if step.journal is not None]
    assert steps[-1].journal is not None
    [entry] = living.node.reader.journal(steps[-1].journal)
    later = living.node.actor(counter).head
    # The step that asked is not the newest if an answer came back: what is judged ends with it.
    before = steps[-1]
    block = journal_block([msgspec.structs.replace(entry, step=str(later))])
    forged = step_block(msgspec.structs.replace(before, journal=block.id))
    living.stop()
    living.backend.commit([Unit(blocks=[block, forged])])
    [found] = verify_targets(living.backend, [Target(asking, StepId(forged.id))], processes=1, deep=True)
    assert (found.verdict, found.cause) == (MISMATCH, ANSWER)
    assert "before it was made" in str(found.reason)


@pytest.mark.parametrize("answer", [b"blob text/plain\n3", CallFailed("NotToday", "never said")])
def test_a_capability_that_answers_queries_without_a_step_counts_as_none(answer: bytes | CallFailed) -> None:
    class Nameless(Lying):
        async def call(self, request: bytes, *, caller: ActorId, key: str) -> Any:
            if isinstance(answer, CallFailed):
                raise answer
            return answer

    with Living(capabilities={"query": Nameless()}) as living:
        asking = living.create(wit=ASKING)
        told = living.tell(asking, "ask", ["anybody", "count", {}])
        assert told == {"NoCapability": "what this node offers as 'query' answers without naming a step"}
        assert [entry.error and entry.error.code for entry in journal(living, asking)] == ["NoCapability"]
        found = deep(living, asking)
        assert (found.verdict, found.cause) == (UNVERIFIABLE, ANSWER)


def test_the_true_answer_of_a_node_that_could_lie_matches() -> None:
    lying = Lying()
    with Living(capabilities={"query": lying}) as living:
        counter, asking = living.create(wit=COUNTER), living.create(wit=ASKING)
        living.tell(counter, "add", 3)
        lying.reply = Reply(result_bytes(Blob(b"3", "application/json")), living.node.actor(counter).head)
        living.tell(asking, "ask", [str(counter), "count", {}])
        assert deep(living, asking).verdict == MATCH


def test_what_can_not_be_asked_again_is_unverifiable_with_its_reason(living: Living) -> None:
    asking, relay, counter = living.create(wit=ASKING), living.create(wit=RELAY), living.create(wit=COUNTER)
    living.tell(asking, "ask", [str(relay), "total", {"of": [str(counter)]}])
    found = deep(living, asking)
    assert (found.verdict, found.cause) == (UNVERIFIABLE, ANSWER)
    assert "asks other actors in turn" in (found.reason or "")


def test_an_exported_history_does_not_hold_the_steps_that_were_asked(living: Living) -> None:
    asking, counter = living.create(wit=ASKING), living.create(wit=COUNTER)
    living.tell(asking, "ask", [str(counter), "count", {}])
    head, blocks = living.node.export(asking)
    file = BytesIO()
    write_car(file, [head], blocks)
    for is_deep, verdict, cause in [(False, MATCH, None), (True, UNVERIFIABLE, MISSING)]:
        file.seek(0)
        [found] = verify_car(file, deep=is_deep)
        assert (found.verdict, found.cause) == (verdict, cause), found.reason


# Queries that ask.

RELAY = """
import asyncio
from understudy import CallFailed, QueryContext, Wit, query_a_wit

wit = Wit()

@wit.message("add")
def add(state: dict, amount: int):
    state["count"] = state.get("count", 0) + amount

@wit.query
def count(state: dict) -> int:
    return state.get("count", 0)

@wit.query
def total(ctx: QueryContext, of: list[str]) -> int:
    return sum(ctx.query(each, "count").json() for each in of)

@wit.query
async def total_at_once(ctx: QueryContext, of: list[str]) -> int:
    return sum(each.json() for each in await asyncio.gather(*(ctx.query(one, "count") for one in of)))

@wit.query
def twice(ctx: QueryContext, of: str, mark: str) -> list:
    from tests.node.stage import gates
    first = ctx.query(of, "count").json()
    gates.pass_through(mark)
    return [first, ctx.query(of, "count").json()]

@wit.query
def again(ctx: QueryContext, depth: int = 1):
    found = query_a_wit(ctx.actor_id, "again", {"depth": depth + 1})
    return found.json() if hasattr(found, "json") else [depth, found.code, found.text]

@wit.query
async def again_later(ctx: QueryContext, depth: int = 1):
    found = await query_a_wit(ctx.actor_id, "again_mixed", {"depth": depth + 1})
    return found.json() if hasattr(found, "json") else [depth, found.code]

@wit.query
def again_mixed(ctx: QueryContext, depth: int):
    found = query_a_wit(ctx.actor_id, "again_later", {"depth": depth + 1})
    return found.json() if hasattr(found, "json") else [depth, found.code]
"""


def begin(living: Living, actor: ActorId, name: str, /, **arguments: Any) -> Future[Queried]:
    """Start to ask."""
    context = Blob(json.dumps(arguments).encode(), "application/json")
    return living.begin(living.node.query(actor, name, context, timeout=PATIENCE))


def answer(living: Living, actor: ActorId, name: str, /, **arguments: Any) -> Any:
    """The JSON of the answer."""
    result = begin(living, actor, name, **arguments).result(PATIENCE).result
    assert isinstance(result, Blob)
    return result.json()


@pytest.mark.parametrize("name", ["total", "total_at_once"])
def test_a_query_asks_others_and_says_at_which_steps(living: Living, name: str) -> None:
    counters = [living.create(wit=RELAY, nonce=str(number)) for number in range(3)]
    for counter in counters:
        living.ask(counter, "add", 5)
    found = begin(living, counters[0], name, of=[str(counter) for counter in counters]).result(PATIENCE)
    assert isinstance(found.result, Blob)
    assert found.result.json() == 15
    assert set(found.asked) == {living.node.actor(counter).head for counter in counters[1:]}


def test_a_query_sees_another_actor_at_one_step_however_often_it_asks(living: Living) -> None:
    relay, counter = living.create(wit=RELAY), living.create(wit=RELAY, nonce="counter")
    asking = begin(living, relay, "twice", of=str(counter), mark="between")
    gates.wait_for("between")
    living.ask(counter, "add", 1)
    gates.open("between")
    found = asking.result(PATIENCE)
    assert isinstance(found.result, Blob)
    assert found.result.json() == [0, 0]


def test_a_query_of_an_earlier_step_that_asks_its_own_actor_stays_there(living: Living) -> None:
    actor = living.create(wit=RELAY)
    first = living.node.actor(actor).head
    living.ask(actor, "add", 1)
    context = Blob(json.dumps({"of": [str(actor)]}).encode())
    found = living.run(living.node.query(actor, "total", context, at=first))
    assert isinstance(found.result, Blob)
    assert (found.result.json(), found.asked) == (0, [])


def test_queries_ask_each_other_eight_deep_and_then_hear_that_it_may_be_a_circle(living: Living) -> None:
    depth, code, text = answer(living, living.create(wit=RELAY), "again")
    assert (depth, code) == (8, "TooDeep")
    assert text == "the query 'again' was not asked: queries ask each other 8 deep at most; do they ask in a circle?"


def test_colours_may_alternate_in_a_chain_of_queries(living: Living) -> None:
    assert answer(living, living.create(wit=RELAY), "again_later") == [8, "TooDeep"]


def test_an_error_that_a_query_does_not_catch_is_its_own_failure(living: Living) -> None:
    with pytest.raises(QueryFailed, match=r"CallFailed: NoSuchActor: there is no actor 'nobody'"):
        answer(living, living.create(wit=RELAY), "total", of=["nobody"])
