"""Queries on a living node: which step they see, how they fail, what they can't do, and whom they never hold up.

Tests of kernel/query.py.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from tests.node.stage import PATIENCE, ClogStore, everything, gates
from understudy import Blob
from understudy.actors.query import TEXTS
from understudy.node.asking import query_pool
from understudy.node.asking.queries import Queried
from understudy.node.errors import (
    BadArguments,
    Busy,
    NoQueries,
    NotFound,
    NotThatStep,
    QueryFailed,
    QueryTimeout,
    TooLarge,
    UnknownQuery,
)
from understudy.objects.ids import ActorId, Id, StepId, TreeId
from understudy.objects.step import step_block
from understudy.store.port import Unit
from understudy.wit.asking import as_context

NOBODY = Id(b"\x01\x71\x12\x20" + bytes(32))

COUNTER = """
from dataclasses import dataclass, field
from tests.node.stage import gates
from understudy import Blob, Context, Error, Wit

wit = Wit()

@dataclass
class State:
    count: int = 0
    names: list[str] = field(default_factory=list)

@wit.message("add")
def add(state: State, amount: int) -> int:
    state.count += amount
    return state.count

@wit.query
def count(state: State) -> int:
    return state.count

@wit.query
def above(state: State, limit: int, name: str = "it", *, strict: bool = True) -> str:
    return f"{name}: {state.count > limit or (not strict and state.count == limit)}"

@wit.query
def fail(state: State) -> int:
    return state.count // 0

@wit.query
def spin(gate: str, mark: str) -> None:
    gates.arrive_at(mark)
    gates.spin_through(gate)

@wit.query
def hold(gate: str) -> None:
    gates.pass_through(gate)

@wit.query("wait")
async def wait_for_it(gate: str) -> str:
    await gates.wait_through(gate)
    return "done"
"""


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def begin(
    living: Living, actor: ActorId, name: str, /, *, at: StepId | None = None, **arguments: Any
) -> Future[Queried]:
    """Start to ask."""
    timeout = arguments.pop("timeout", PATIENCE)
    context = Blob(json.dumps(arguments).encode(), "application/json")
    return living.begin(living.node.query(actor, name, context, at=at, timeout=timeout))


def ask(living: Living, actor: ActorId, name: str, /, **more: Any) -> Any:
    """The JSON of the answer."""
    result = begin(living, actor, name, **more).result(PATIENCE).result
    assert isinstance(result, Blob)
    return result.json()


def make(living: Living, query: str, **files: str) -> ActorId:
    """An actor with a query of its own."""
    return living.create(wit_query=dedent(query), **files)


# What is asked, and how it fails.


def test_an_answer_says_which_step_gave_it(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    living.tell(actor, "add", 3)
    found = begin(living, actor, "count").result(PATIENCE)
    assert (found.actor, found.step, found.height, found.asked) == (actor, living.node.actor(actor).head, 1, [])


def test_nobody_is_asked_where_there_is_no_actor(living: Living) -> None:
    with pytest.raises(NotFound, match="there is no actor"):
        ask(living, ActorId(TreeId(NOBODY)), "count")


def test_an_actor_without_queries_says_so(living: Living) -> None:
    with pytest.raises(NoQueries, match="no /wit_query, and /wit is a function"):
        ask(living, living.create(wit="def wit(ctx): pass"), "count")


def test_a_query_that_is_not_there_is_answered_with_those_that_are(living: Living) -> None:
    with pytest.raises(UnknownQuery, match="'total'; there are: above, count, fail, hold, spin, wait, wut"):
        ask(living, living.create(wit=COUNTER), "total")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, r"the argument 'limit' is missing; it takes limit, name \(optional\), strict \(optional\)"),
        ({"limit": "5"}, "argument 'limit': Expected `int`, got `str`"),
        ({"limit": 5, "name": None}, "argument 'name': Expected `str`, got `null`"),
        ({"limit": 5, "most": 6}, "takes no argument 'most'"),
        ({"limit": 5, "state": {}}, "takes no argument 'state'"),
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected(
    living: Living, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadArguments, match=problem):
        ask(living, living.create(wit=COUNTER), "above", **arguments)


@pytest.mark.parametrize("data", [b"[1]", b"{", b"\xff", b'"limit"', b"[" * 10_000])
def test_a_context_that_is_no_object_is_refused(living: Living, data: bytes) -> None:
    actor = living.create(wit=COUNTER)
    with pytest.raises(BadArguments, match="the context is not a JSON object of arguments"):
        living.run(living.node.query(actor, "above", Blob(data)))


def test_a_query_that_takes_the_context_itself_gets_any_bytes(living: Living) -> None:
    wit = "from understudy import Wit\nwit = Wit()\n@wit.query\ndef size(context): return len(context.data)"
    answer = living.run(living.node.query(living.create(wit=wit), "size", Blob(b"{\xff"))).result
    assert answer == Blob(b"2", "application/json")


def test_texts_are_read_as_what_the_arguments_are(living: Living) -> None:
    query = """
        from understudy import Wit
        wit = Wit()

        @wit.query
        def show(number: int, flag: bool, text: str, many: list[int], maybe: float | None = None) -> list:
            return [number, flag, text, many, maybe]
        """
    actor = make(living, query)
    texts = {"number": "5", "flag": "true", "text": "5", "many": ["1", "2"], "maybe": "0.5"}
    context = Blob(json.dumps(texts).encode(), TEXTS)
    answer = living.run(living.node.query(actor, "show", context)).result
    assert isinstance(answer, Blob)
    assert answer.json() == [5, True, "5", [1, 2], 0.5]
    texts["many"] = "[1, 2]"
    answer = living.run(living.node.query(actor, "show", Blob(json.dumps(texts).encode(), TEXTS))).result
    assert isinstance(answer, Blob)
    assert answer.json()[3] == [1, 2]


def test_a_query_that_fails_is_told_with_place_and_line_and_nothing_of_the_server(living: Living) -> None:
    with pytest.raises(QueryFailed) as failed:
        ask(living, living.create(wit=COUNTER), "fail")
    assert failed.value.code == "ZeroDivisionError"
    assert "wit:28 in fail\n    return state.count // 0" in failed.value.text
    assert "understudy/" not in failed.value.text and "Traceback" not in failed.value.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("return object()", "TypeError"),
        ("return Tree({'a': step[:4] + bytes(32)})", "BadResult"),
        ("return Tree({'a/b': step})", "BadName"),
        ("return Blob('text')", "TypeError"),
        ("return Blob(b'', 'text/html\\r\\nSet-Cookie: a=b')", "ValueError"),
        ("return Error('', 'no word')", "TypeError"),
        ("return wit_query(step)", "RecursionError"),
    ],
)
@pytest.mark.parametrize("colour", ["", "async "])
def test_whatever_a_query_does_it_is_the_one_that_failed(living: Living, body: str, code: str, colour: str) -> None:
    if colour and code in ("RecursionError",):
        body = body.replace("return", "return await")
    source = f"from understudy import Blob, Error, Tree\n{colour}def wit_query(step):\n    {body}"
    with pytest.raises(QueryFailed) as failed:
        ask(living, make(living, source), "any")
    assert failed.value.code == code


def test_a_query_that_cancels_its_own_task_is_the_one_that_failed(living: Living) -> None:
    source = """
        import asyncio
        async def wit_query():
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        """
    with pytest.raises(QueryFailed) as failed:
        ask(living, make(living, source), "any")
    assert failed.value.code == "CancelledError"


def test_a_context_above_the_bound_is_refused(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    with pytest.raises(TooLarge, match="the context has 16,777,217 bytes"):
        living.run(living.node.query(actor, "count", Blob(bytes(16 * 1024 * 1024 + 1))))


# At which step.


def test_a_query_at_every_height_while_the_history_is_written_agrees_with_a_model(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    total, model = 0, [0]
    asking: list[tuple[int, Future[Queried]]] = []
    for number in range(1, 60):
        sent = living.begin_send(actor, "add", number)
        for height in range(len(model)):
            at = living.node.step_at(actor, height)
            asking.append((height, begin(living, actor, "count", at=at)))
        sent.result(PATIENCE)
        total += number
        model.append(total)
        living.come_to_rest()
    for height, future in asking:
        found = future.result(PATIENCE)
        assert isinstance(found.result, Blob)
        assert (found.height, found.result.json()) == (height, model[height])


def test_a_step_that_is_not_durable_is_seen_by_no_query() -> None:
    store = ClogStore()
    with Living(store) as living:
        actor = living.create(wit=COUNTER)
        head = living.node.actor(actor).head
        message = living.send(actor, "add", 5)
        living.come_to_rest()
        assert ask(living, actor, "count") == 5
        store.clog()
        sending = living.begin_send(actor, "add", 5)
        store.wait_until_clogged()
        assert ask(living, actor, "count") == 5
        assert ask(living, actor, "count", at=head) == 0
        store.unclog()
        sending.result(PATIENCE)
        assert message is not None


def test_at_is_a_durable_step_of_this_actor(living: Living) -> None:
    actor, other = living.create(wit=COUNTER), living.create(wit=COUNTER, nonce="other")
    first = living.chain(actor)[0]
    fork = step_block(msgspec.structs.replace(first, time=first.time + 1))
    living.backend.commit([Unit(blocks=[fork])])
    cases = {
        living.node.actor(other).head: "is a step of",
        StepId(NOBODY): "there is no .* here, or it is not durable yet",
        StepId(first.core): "is a tree, not a step",
        StepId(Id(fork.id)): "is not in the history of .* at height 0 is another step",
    }
    for step, problem in cases.items():
        with pytest.raises(NotThatStep, match=problem):
            ask(living, actor, "count", at=step)


def test_an_actor_whose_newest_code_is_broken_answers_at_an_older_step(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    good = living.ask(actor, "add", 2).step
    living.update(actor, wit="def wit(:")
    with pytest.raises(QueryFailed, match="SyntaxError"):
        ask(living, actor, "count")
    assert ask(living, actor, "count", at=good) == 2


def test_an_actor_whose_last_steps_failed_answers(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    living.tell(actor, "add", 2)
    for content in ("no number", None):
        assert living.ask(actor, "add", content).outcome is not None
    found = begin(living, actor, "count").result(PATIENCE)
    assert isinstance(found.result, Blob)
    assert (found.height, found.result.json()) == (3, 2)


# What a query can't do.

TRIES = """
from understudy import Wit, object_store

wit = Wit()
seen = []

@wit.message("see")
def see() -> list:
    return seen

@wit.query
def write(core): core["x"] = b"1"

@wit.query
def remove(core): del core["wit"]

@wit.query
def write_below(core): core.dir("data")["x"] = b"1"

@wit.query
def change_state(state: dict): state["x"] = 1; return state

@wit.query
def change_a_node(store, step_id):
    for shared in (store, object_store):
        node = shared.node(step_id)
        node["data"]["height"] = 99
        node["data"]["core"] = node["parent"]
    return store.step(step_id).height

@wit.query
def put(store): return store.put_blob(b"x")

@wit.query
def stage(core): return core.changes.store.put_blob(b"x")

@wit.query
def leave_something(ctx): seen.append(ctx.name)
"""


ATTEMPTS = ["write", "remove", "write_below", "change_state", "change_a_node", "put", "stage", "leave_something", "wut"]


@settings(max_examples=25)
@given(names=st.lists(st.sampled_from(ATTEMPTS), max_size=6))
def test_no_query_changes_one_byte_also_one_that_tries(names: list[str]) -> None:
    with Living() as living:
        actor = living.create(wit=TRIES)
        living.tell(actor, "see")
        before = everything(living.backend)
        for name in names:
            begin(living, actor, name).exception(PATIENCE)
        assert everything(living.backend) == before
        assert living.tell(actor, "see") == []


@pytest.mark.parametrize("name", ["write", "remove", "write_below"])
def test_a_query_that_writes_is_told_that_it_only_reads(living: Living, name: str) -> None:
    with pytest.raises(QueryFailed, match=r"a query can't write /(x|wit|data/x): it only reads") as failed:
        ask(living, living.create(wit=TRIES), name)
    assert failed.value.code == "ReadOnly"


# Whom it holds up.


def test_thousands_of_slow_queries_stop_no_step(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    slow = [begin(living, actor, "hold", gate="all") for _ in range(1_500)]
    gates.wait_for("all")
    for number in range(1, 50):
        assert living.tell(actor, "add", 1) == number
    gates.open("all")
    failures = [each.exception(PATIENCE) for each in slow]
    assert all(isinstance(failure, Busy | None) for failure in failures)
    assert failures.count(None) >= query_pool.MAX_WAITING
    assert ask(living, actor, "count") == 49


def test_a_query_that_never_ends_is_answered_for_and_takes_one_thread_with_it(
    living: Living, caplog: pytest.LogCaptureFixture
) -> None:
    actor = living.create(wit=COUNTER)
    lose(living, actor, "never", query_pool.MAX_AT_WORK)
    assert ask(living, actor, "count") == 0
    assert "its query 'spin' was given up and goes on, now at wit:" in caplog.text
    gates.open("never")


def test_a_query_without_an_answer_at_its_deadline_is_answered_for(living: Living) -> None:
    with pytest.raises(QueryTimeout, match=r"the query 'hold' of .* had no answer when its deadline passed"):
        ask(living, living.create(wit=COUNTER), "hold", gate="a query in time", timeout=0.01)
    gates.open("a query in time")


def lose(living: Living, actor: ActorId, gate: str, count: int) -> None:
    """Ask what does not end before the gate is open, and go away."""
    asking = [begin(living, actor, "spin", gate=gate, mark=f"{gate} {number}") for number in range(count)]
    for number, each in enumerate(asking):
        gates.wait_for(f"{gate} {number}")
        each.cancel()
    living.run(asyncio.sleep(0))


def test_when_all_threads_are_lost_who_asks_hears_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_pool, "MAX_AT_WORK", 1)
    monkeypatch.setattr(query_pool, "MAX_LOST", 1)
    monkeypatch.setattr(query_pool, "MAX_WAITING", 1)
    with Living() as living:
        actor = living.create(wit=COUNTER)
        lose(living, actor, "first lost", 1)
        lose(living, actor, "second lost", 1)
        waiting = begin(living, actor, "count")
        living.run(asyncio.sleep(0))
        with pytest.raises(
            Busy, match="1 queries wait already, and 2 of the threads are held by queries that never end"
        ):
            ask(living, actor, "count")
        gates.open("first lost")
        gates.open("second lost")
        assert waiting.result(PATIENCE).height == 0


def test_an_asynchronous_query_is_stopped_at_its_deadline_and_keeps_no_thread(
    living: Living, caplog: pytest.LogCaptureFixture
) -> None:
    actor = make(living, "import asyncio\nasync def wit_query(): await asyncio.sleep(3600)")
    with pytest.raises(QueryTimeout):
        ask(living, actor, "any", timeout=0.05)
    assert ask(living, living.create(wit=COUNTER), "count") == 0


def test_who_goes_away_leaves_nothing_waiting(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    held = [begin(living, actor, "hold", gate="leave") for _ in range(query_pool.MAX_AT_WORK)]
    gates.wait_for("leave")
    waiting = [begin(living, actor, "count") for _ in range(20)]
    living.run(asyncio.sleep(0))
    for each in waiting:
        each.cancel()
    living.run(asyncio.sleep(0))
    gates.open("leave")
    for each in held:
        each.result(PATIENCE)
    assert ask(living, actor, "count") == 0


# What is kept.

COUNTS_ITSELF = """
from understudy import CallFailed, Context, Wit

wit = Wit()
asked = []

@wit.message("go")
def go(state: dict) -> None:
    state["gone"] = True

@wit.query
def times(of: str = "all") -> int:
    asked.append(of)
    return len(asked)

@wit.query
def through(ctx: Context, actor: str) -> int:
    asked.append(actor)
    ctx.query(actor, "times")
    return len(asked)

@wit.query
def is_there(ctx: Context, actor: str) -> bool:
    try:
        ctx.query(actor, "times")
    except CallFailed:
        return False
    return True
"""


def test_the_same_question_at_the_same_step_is_answered_once(living: Living) -> None:
    actor = living.create(wit=COUNTS_ITSELF)
    first = living.node.actor(actor).head
    assert [ask(living, actor, "times") for _ in range(3)] == [1, 1, 1]
    assert ask(living, actor, "times", of="another") == 2
    living.tell(actor, "go")
    assert [ask(living, actor, "times") for _ in range(2)] == [3, 3]
    assert ask(living, actor, "times", at=first) == 1


def test_what_other_actors_have_a_part_in_is_asked_again(living: Living) -> None:
    actor, other = living.create(wit=COUNTS_ITSELF), living.create(wit=COUNTS_ITSELF, note="another")
    answers = [begin(living, actor, "through", actor=str(other)).result(PATIENCE) for _ in range(2)]
    assert [answer.result for answer in answers] == [Blob(b"2", "application/json"), Blob(b"4", "application/json")]
    assert not any(answer.is_fixed for answer in answers)


def test_who_was_not_there_is_asked_for_again(living: Living) -> None:
    actor = living.create(wit=COUNTS_ITSELF)
    assert ask(living, actor, "is_there", actor="later") is False
    living.run(living.node.set_name("later", living.create(wit=COUNTS_ITSELF, note="another"), expected=None))
    assert ask(living, actor, "is_there", actor="later") is True


def test_what_code_outside_of_the_core_answers_is_asked_again(
    living: Living, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counts_itself.py").write_text(COUNTS_ITSELF)
    monkeypatch.syspath_prepend(tmp_path)
    actor = living.create(wit="external:counts_itself:wit")
    answers = [begin(living, actor, "times").result(PATIENCE) for _ in range(2)]
    assert [answer.result for answer in answers] == [Blob(b"1", "application/json"), Blob(b"2", "application/json")]
    assert not any(answer.is_fixed for answer in answers)


def test_quick_queries_that_come_together_share_one_thread(living: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine thirty of them take longer than the moment after which one calls for another thread.
    monkeypatch.setattr(query_pool, "PATIENCE_SECONDS", PATIENCE)
    actor = living.create(wit=COUNTER)
    before = set(threading.enumerate())
    for _ in range(5):
        asked = [begin(living, actor, "above", limit=number) for number in range(30)]
        assert {each.result(PATIENCE).height for each in asked} == {0}
    new = [thread for thread in threading.enumerate() if thread not in before and thread.name == "understudy-query"]
    assert len(new) <= 1


def test_a_quick_query_passes_a_slow_one(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    slow = begin(living, actor, "hold", gate="slow")
    gates.wait_for("slow")
    assert ask(living, actor, "count") == 0
    gates.open("slow")
    slow.result(PATIENCE)


REACHING = """
from understudy import Wit
wit = Wit()

@wit.query
def reach(name: str, ctx) -> str:
    return str(getattr(ctx, name))

@wit.query
async def reach_later(name: str, ctx) -> str:
    return str(getattr(ctx, name))

@wit.query
def has(name: str, ctx) -> bool:
    return hasattr(ctx, name)
"""


def test_what_only_a_step_has_is_named_in_a_query_and_nothing_happens():
    of_steps = ["http", "httpx2", "effect", "secret", "send", "reply", "spawn", "update", "log", "random", "verify"]
    with Living() as living:
        files = {"wit": b"/code:it:wit", "code/it.py": REACHING.encode()}
        actor = living.run(living.node.create(files)).id

        def ask(query: str, name: str) -> bytes:
            answered = living.run(living.node.query(actor, query, as_context({"name": name})))
            assert isinstance(answered.result, Blob)
            return answered.result.data

        for query in ("reach", "reach_later"):
            for name in of_steps:
                with pytest.raises(QueryFailed, match=f"ctx.{name} is for steps: a query changes nothing") as failed:
                    ask(query, name)
                assert failed.value.code == "NotInQuery" and "code/it.py:" in failed.value.text
        assert (ask("has", "http"), ask("has", "core"), ask("has", "nonsense")) == (b"false", b"true", b"false")
        with pytest.raises(QueryFailed, match="has no attribute 'nonsense'"):
            ask("reach", "nonsense")
        assert len(living.chain(actor)) == 1
