"""Seed 002, "Wit Queries", sentence by sentence: what is quoted above a test is what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, everything, gates
from understudy import Blob, Error, Tree
from understudy.actors.query import encoded
from understudy.node.errors import NoQueries, QueryRefused, UnknownQuery
from understudy.objects.codec import decode
from understudy.objects.ids import ActorId, Id

# An actor that keeps the last note it was sent.
WIT = """
def wit(core, messages):
    for message in messages:
        core["note"] = message.bytes()
"""

# The seed's own form, with its annotations, its names and nothing else.
LIBRARY = """
from understudy import Blob, Error, StepId, Tree, object_store

def wit_query(step:StepId, query_name:str, context:Blob) -> Blob | Tree | Error:
    core = object_store.step(step).core
    if query_name == "note":
        return Blob(object_store.blob(object_store.find(core, "note")), "text/plain")
    if query_name == "files":
        return Tree(dict(object_store.tree(core)))
    if query_name == "shout":
        return Blob(context.data.upper(), context.media_type)
    if query_name == "image":
        return Blob(b"\\x89PNG made up", "image/png")
    if query_name == "page":
        return Blob(b"<h1>Hello</h1>", "text/html")
    return Error("NotSupported", f"there is no query {query_name}")
"""


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def make(living: Living, query: str, **files: str) -> ActorId:
    """An actor with a `/wit_query`."""
    return living.create(wit=WIT, wit_query=dedent(query), **files)


def ask(living: Living, actor: ActorId, name: str = "any", context: Blob | None = None, **more: Any) -> Any:
    """The answer to a query."""
    given = [] if context is None else [context]
    return living.run(living.node.query(actor, name, *given, **more)).result


def outside() -> str:
    """What `external:` may point to."""
    return "here"


def json_blob(value: Any) -> Blob:
    return Blob(json.dumps(value).encode(), "application/json")


# "it queries grit, which uses IO, but it does not change grit"
# "A query does not write any data, it just retrieves data from the step"
# "This is because these results are *not* persisted in the object store when the query executes."
def test_a_query_changes_nothing_and_its_result_is_not_persisted(living: Living) -> None:
    actor = make(living, LIBRARY)
    living.tell(actor, "note", "a note")
    before = everything(living.backend)
    for name in ("note", "files", "shout", "image", "page"):
        ask(living, actor, name, Blob(b"whisper"))
    assert everything(living.backend) == before


# "Or more specifically it allows us to query a certain step that contains a wit."
def test_a_certain_step_can_be_queried(living: Living) -> None:
    actor = make(living, LIBRARY)
    steps = [living.ask(actor, "note", number).step for number in range(3)]
    assert [ask(living, actor, "note", at=step).data for step in steps] == [b"0", b"1", b"2"]


# "def wit_query(step) -> any:"
def test_the_most_simple_query_answers_anything(living: Living) -> None:
    query = """
        from understudy import object_store

        def wit_query(step) -> any:
            return {"height": object_store.step(step).height}
        """
    actor = make(living, query)
    assert ask(living, actor) == Blob(b'{"height":0}', "application/json")
    living.ask(actor, "note", "x")
    assert ask(living, actor).json() == {"height": 1}


# "The query function has access to grit, so it can read all the data that is inside the `step` object and its children
# (core, inbox, outbox, previous steps, etc)."
def test_a_query_reads_core_inbox_outbox_and_previous_steps(living: Living) -> None:
    wit = """
        def wit(core, ctx):
            core["height"] = str(ctx.height)
            for message in ctx.messages():
                ctx.reply("thanks", to=message)
        """
    query = """
        def wit_query(step, store):
            found = store.step(step)
            before = store.step(found.parent)
            return {
                "now": store.blob(store.find(found.core, "height")).decode(),
                "before": store.blob(store.find(before.core, "height")).decode(),
                "inbox": [store.message(cursor.message).type for cursor in found.inbox.values()],
                "outbox": [store.message(cursor.message).type for cursor in found.outbox.values()],
            }
        """
    actor = living.create(wit=dedent(wit), wit_query=dedent(query))
    living.ask(actor, "hello")
    assert ask(living, actor).json() == {"now": "1", "before": "0", "inbox": ["hello"], "outbox": ["reply"]}


# "def wit_query(step:StepId, query_name:str, context:Blob) -> Blob | Tree | Error:"
# "`query_name` is the name of the query that should be executed. This allows us to define multiple queries for a wit."
# "`context` is a blob that contains the context for the query."
def test_the_universal_interface_gets_step_name_and_context(living: Living) -> None:
    actor = make(living, LIBRARY)
    living.tell(actor, "note", "a note")
    assert ask(living, actor, "note") == Blob(b'"a note"', "text/plain")
    assert ask(living, actor, "shout", Blob(b"whisper", "text/plain")) == Blob(b"WHISPER", "text/plain")


# "It can be used to serve HTML pages, or a made up image, or whatever."
def test_a_query_serves_pages_and_pictures(living: Living) -> None:
    actor = make(living, LIBRARY)
    assert ask(living, actor, "page") == Blob(b"<h1>Hello</h1>", "text/html")
    assert ask(living, actor, "image").media_type == "image/png"


# "It does not strictly have to do anything with the step."
def test_a_query_may_ignore_the_step(living: Living) -> None:
    assert ask(living, make(living, "def wit_query(): return 42")) == Blob(b"42", "application/json")


# "`step` is the step id of the latest step"
def test_without_a_choice_the_latest_step_is_queried(living: Living) -> None:
    actor = make(living, "def wit_query(step): return str(step)")
    for number in range(3):
        step = living.ask(actor, "note", number).step
        assert ask(living, actor).json() == str(step)


# "This can be used to pass parameters to the query, or larger data for more heavy duty processing."
def test_a_context_may_be_large(living: Living) -> None:
    data = bytes(range(256)) * 40_000
    query = "def wit_query(step, query_name, context): return len(context.data)"
    assert ask(living, make(living, query), context=Blob(data)).json() == len(data)


# "It does not return the id of these objects, but the actual data, which is encoded in the standard object
# serilaization format that is used in the object store."
def test_the_result_is_the_data_in_the_serialisation_of_the_object_store(living: Living) -> None:
    actor = make(living, LIBRARY)
    living.tell(actor, "note", 7)
    core = living.chain(actor)[-1].core
    assert encoded(ask(living, actor, "note")) == b"7"
    assert encoded(ask(living, actor, "files")) == living.node.reader.block(core)
    with pytest.raises(QueryRefused) as refused:
        ask(living, actor, "nothing")
    assert decode(encoded(refused.value.error)) == {
        "error": {"code": "NotSupported", "text": "there is no query nothing"}
    }


# "A tree is used to return pointers to existing object_ids in the the step's core or mailboxes."
# "or if the query wants to return a single object_id that is already in the core or mailboxes"
def test_a_tree_points_to_what_exists(living: Living) -> None:
    query = """
        from understudy import Tree, object_store

        def wit_query(step):
            found = object_store.step(step)
            sender, cursor = next(iter(found.inbox.items()))
            return Tree({"wit": object_store.find(found.core, "wit"), "last": cursor.message})
        """
    actor = make(living, query)
    found = ask(living, actor)
    assert isinstance(found, Tree)
    assert living.node.reader.blob(found.entries["wit"]).decode() == WIT
    assert living.node.reader.message(found.entries["last"]).type == "genesis"


# "If the query is not supported, or does not exist, the result should be an error that indicates this."
def test_a_query_that_does_not_exist_is_an_error_that_says_so(living: Living) -> None:
    with pytest.raises(QueryRefused) as refused:
        ask(living, make(living, LIBRARY), "nothing")
    assert refused.value.error == Error("NotSupported", "there is no query nothing")
    comfortable = living.create(wit="from understudy import Wit\nwit = Wit()\n@wit.query\ndef one(): return 1")
    with pytest.raises(UnknownQuery, match="there is no query 'nothing'; there are: one, wut"):
        ask(living, comfortable, "nothing")
    with pytest.raises(NoQueries):
        ask(living, living.create(wit=WIT), "anything")


# "Queries are defined in the core of the actor, just like the wit state-transition function itself."
@pytest.mark.parametrize(
    "files",
    [
        {"wit_query": "def wit_query(step): return 'here'"},
        {"wit_query": "/code:queries:ask", "code__queries.py": "def ask(step): return 'here'"},
        {"wit_query": "/:lib.queries:ask", "lib__queries.py": "def ask(step): return 'here'"},
        {"wit_query": "external:tests.spec.test_seed_002:outside"},
        {"wit_query": "async def wit_query(step): return 'here'"},
        {"wit_query": "from understudy import Wit\nwit = Wit()\n@wit.query('any')\ndef one(): return 'here'"},
    ],
    ids=["inline", "code", "root", "external", "async", "Wit"],
)
def test_queries_are_defined_in_the_core_in_all_forms_of_wits(living: Living, files: dict[str, str]) -> None:
    assert ask(living, living.create(wit=WIT, **files)).json() == "here"


# What is in the core changes with it: an update gives other queries from its step on.
def test_an_update_changes_the_queries_and_earlier_steps_keep_theirs(living: Living) -> None:
    actor = make(living, "def wit_query(): return 'old'")
    first = living.node.actor(actor).head
    living.update(actor, wit_query="def wit_query(): return 'new'")
    assert ask(living, actor).json() == "new"
    assert ask(living, actor, at=first).json() == "old"


COUNTER = '''
"""Counts."""
from understudy import Wit

wit = Wit()

@wit.message("add")
def add(state: dict, amount: int) -> int:
    """Adds to the count."""
    state["count"] = state.get("count", 0) + amount
    return state["count"]

@wit.query
def above(state: dict, limit: int, inclusive: bool = False) -> bool:
    """True if the count is above a limit."""
    count = state.get("count", 0)
    return count > limit or (inclusive and count == limit)
'''


# "A wit *may* define a query called `wut`, which returns a JSON blob that defines what other queries it supports, what
# wit input messages it accepts, and what output messages it accepts. Plus, it may include natural language"
def test_wut_defines_queries_and_messages_in_json_with_natural_language(living: Living) -> None:
    found = ask(living, living.create(wit=COUNTER), "wut")
    assert found.media_type == "application/json"
    wut = found.json()
    assert wut["description"] == "Counts."
    assert wut["messages"]["add"]["description"] == "Adds to the count."
    assert wut["messages"]["add"]["payload"] == {"type": "integer"}
    assert wut["sends"]["reply"]["payload"] == {"type": "integer"}
    assert wut["queries"]["above"]["description"] == "True if the count is above a limit."
    assert set(wut["queries"]["above"]["arguments"]["properties"]) == {"limit", "inclusive"}
    assert wut["queries"]["above"]["result"] == {"type": "boolean"}


def test_a_wit_may_define_its_own_wut(living: Living) -> None:
    own = "from understudy import Wit\nwit = Wit()\n@wit.query\ndef wut(): return {'mine': True}"
    assert ask(living, living.create(wit=own), "wut").json() == {"mine": True}
    low = "def wit_query(step, query_name): return {'mine': query_name}"
    assert ask(living, make(living, low), "wut").json() == {"mine": "wut"}


# "most wit queries should accept a JSON blob as context that is strucutred as as key/value argument list. This list can
# then be expanded into normal function calls by the runtime to make query authoring more ergonomic."
def test_a_json_context_is_expanded_into_a_normal_function_call(living: Living) -> None:
    actor = living.create(wit=COUNTER)
    living.tell(actor, "add", 5)
    for context, answer in [({"limit": 4}, True), ({"limit": 5}, False), ({"limit": 5, "inclusive": True}, True)]:
        assert ask(living, actor, "above", json_blob(context)).json() is answer


ASKING = """
from understudy import query_a_wit

def wit(core, messages):
    for message in messages:
        if message.type == "ask":
            actor_id, query_name, context = message.json()
            results = query_a_wit(actor_id, query_name, context)
            core["results"] = results.data
"""


# "Any wit ... can call queries of known actor ids."
# "When a different wit issues a query it does not know the step_id. So this is usually supplied by the runtime."
# "results = query_a_wit(actor_id, query_name, context)"
@pytest.mark.parametrize("colour", ["", "async "])
def test_a_wit_queries_another_and_the_runtime_picks_the_step(living: Living, colour: str) -> None:
    counter = living.create(wit=COUNTER)
    wit = ASKING if not colour else ASKING.replace("def wit", "async def wit").replace("= query_a", "= await query_a")
    asking = living.create(wit=wit)
    for count in (1, 2):
        living.tell(counter, "add", 1)
        living.tell(asking, "ask", [str(counter), "above", {"limit": 1}])
        found = living.chain(asking)[-1]
        assert living.node.reader.blob(Id(living.node.reader.find(found.core, "results") or b"")) == (
            b"true" if count > 1 else b"false"
        )
        assert found.journal is not None
        assert living.node.reader.journal(found.journal)[0].step == str(living.node.actor(counter).head)


# "they can call the `wut` query to find out"
def test_a_wit_finds_out_by_wut(living: Living) -> None:
    asking = living.create(wit=ASKING)
    living.tell(asking, "ask", [str(living.create(wit=COUNTER)), "wut", {}])
    results = living.node.reader.find(living.chain(asking)[-1].core, "results")
    assert results is not None
    assert b"above" in living.node.reader.blob(results)


# "Queries can run completely independently. They just look at the step HEAD and then run the query."
def test_a_query_runs_beside_a_step_that_does_not_end(living: Living) -> None:
    actor = living.create(wit="external:tests.node.stage:wit", wit_query="def wit_query(ctx): return ctx.height")
    waiting = living.begin_answer(actor, living.send(actor, "wait", "a step of the seed"))
    gates.wait_for("a step of the seed")
    assert ask(living, actor).json() == 0
    gates.open("a step of the seed")
    waiting.result(PATIENCE)
    assert ask(living, actor).json() == 1
