"""The comfortable form: handlers, their payloads, the state, and what becomes of what they return."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from understudy.actors.contract import StepResult
from understudy.actors.errors import WitError
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.settings import SETTINGS
from understudy.objects.ids import ActorId, node_id
from understudy.objects.wording import with_article
from understudy.testing.engine_suite import PARENT, Objects, WorldCalls, delivery, run, step_input

HEAD = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import Any, TypedDict
from msgspec import Struct
from understudy import *
wit = Wit()
class Greet(Struct):
    name: str
    times: int = 1
class Counter(Struct):
    count: int = 0
    names: list[str] = []
"""


class Actor:
    """A core that steps: each `send` is one step, and the next one goes on from there."""

    def __init__(self, code, files={}, engine=None):  # noqa: B006
        self.objects, self.engine = Objects(), engine or PythonEngine()
        self.core = self.objects.core({"wit": "/code:m:wit", "code/m.py": HEAD + code, **files})
        self.id = ActorId(self.core)
        self.seq = 0

    def send(self, *messages, parent=PARENT, entry="wit", calls=None, sender="out/test/caller", abi=None):
        """Messages are (type, content)."""
        deliveries = []
        for type, content in messages:
            self.seq += 1
            deliveries.append(delivery(self.objects, str(self.id), content, type=type, seq=self.seq, sender=sender))
        given = step_input(self.objects, self.core, deliveries, actor=self.id, parent=parent, calls=calls)
        given = msgspec.structs.replace(given, abi=abi)
        self.result = run(self.engine, given, entry)
        self.objects.keep(given.store)
        self.core = self.result.core
        return self.result

    def ok(self, *messages, **changes):
        result = self.send(*messages, **changes)
        assert result.outcome is None, result.outcome.text
        return result

    def genesis(self):
        return self.send(("genesis", self.core), parent=None)

    def read(self, path="state"):
        found = self.objects.find(self.core, path)
        return None if found is None else self.objects.blob(found)

    @property
    def sent(self):
        return [(each.to, each.type, self.objects.blob(each.content)) for each in self.result.sent]


def test_a_handler_gets_a_typed_payload_and_keeps_its_state():
    actor = Actor(
        "@wit.message('greet')\n"
        "def f(greet: Greet, state: Counter):\n"
        "    state.count += greet.times\n"
        "    state.names.append(greet.name)"
    )
    actor.ok(("greet", '{"name": "Ann"}'))
    actor.ok(("greet", '{"name": "Bob", "times": 3}'))
    assert actor.read() == b'{"count":4,"names":["Ann","Bob"]}'


def test_a_handler_by_payload_class_takes_messages_of_its_name():
    actor = Actor("@wit.message(Greet)\ndef f(ctx, anything): ctx.log(anything.name)")
    assert actor.ok(("Greet", '{"name": "Ann"}')).log == ["Ann"]


@pytest.mark.parametrize(
    ("parameter", "content", "expected"),
    [
        ("p: Greet", '{"name": "Ann"}', "Greet(name='Ann', times=1)"),
        ("p: Data", '{"n": 3}', "Data(n=3)"),
        ("p: Typed", '{"n": 3}', "{'n': 3}"),
        ("p: Model", '{"n": 3}', "n=3"),
        ("p: list[Model]", '[{"n": 3}]', "[Model(n=3)]"),
        ("p: int", "3", "3"),
        ("p: str", '"x"', "x"),
        ("p: list[int]", "[1, 2]", "[1, 2]"),
        ("p: dict[str, Greet]", '{"a": {"name": "b"}}', "{'a': Greet(name='b', times=1)}"),
        ("p: dict[int, int]", '{"1": 2}', "{1: 2}"),
        ("p: int | None", "null", "None"),
        ("p: Any", '{"a": [1]}', "{'a': [1]}"),
        ("p: bytes", "as it is", "b'as it is'"),
        ("p: ActorId", f'"{node_id(b"x")}"', str(node_id(b"x"))),
        ("payload", "[1]", "[1]"),
        ("content", "[1]", "[1]"),
        ("message: Greet", '{"name": "Ann"}', "Greet(name='Ann', times=1)"),
        ("*, p: int", "3", "3"),
        ("p: int, colour='red'", "3", "3"),
    ],
)
def test_a_payload_is_what_its_annotation_says(parameter, content, expected):
    types = (
        "from pydantic import BaseModel\nclass Model(BaseModel):\n    n: int\n"
        "@dataclass\nclass Data:\n    n: int\nclass Typed(TypedDict):\n    n: int\n"
    )
    name = parameter.removeprefix("*, ").partition(":")[0]
    actor = Actor(f"{types}@wit.message('t')\ndef f(ctx, {parameter}): ctx.log({name})")
    assert actor.ok(("t", content)).log == [expected]


def test_a_handler_may_ask_for_everything_and_for_nothing():
    actor = Actor(
        "@wit.message('t')\n"
        "def f(core: Core, ctx: Context, message: Message, inbox: Inbox, outbox: Outbox, actor_id: ActorId,"
        " step_id: StepId, store: Reader, state: dict, payload: int):\n"
        "    ctx.log([message.text(), len(inbox), len(outbox), actor_id == ctx.actor_id, step_id == ctx.step_id])\n"
        "    ctx.log(['wit' in core, hasattr(store, 'blob'), state, payload])\n"
        "@wit.message('nothing')\ndef g(): pass"
    )
    assert actor.ok(("t", "7")).log == [
        "['7', 1, 0, True, True]",
        "[True, True, {}, 7]",
    ]
    assert actor.ok(("nothing", "no JSON")).outcome is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"name": 3}', "the content of the message 'greet': Expected `str`, got `int` - at `$.name`"),
        ("{}", "missing required field `name`"),
        ("", "truncated"),
        ("{", "truncated"),
        (b"\xff", "malformed"),
        ("[" * 100_000, "the content of the message 'greet': "),
        (b'{"name": "\xff"}', "utf-8"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_its_path(content, text):
    actor = Actor("@wit.message('greet')\ndef f(greet: Greet, state: Counter): state.count += 1")
    result = actor.send(("greet", content))
    assert (result.outcome.kind, result.outcome.code) == ("refused", "BadPayload")
    assert text.lower() in result.outcome.text.lower()
    assert actor.read() is None


def test_a_pydantic_payload_that_does_not_fit_is_refused_too():
    actor = Actor("from pydantic import BaseModel\nclass M(BaseModel):\n    n: int\n@wit.message(M)\ndef f(m: M): pass")
    result = actor.send(("M", '{"n": "x"}'))
    assert (result.outcome.kind, result.outcome.code) == ("refused", "BadPayload")
    assert "n\n  Input should be a valid integer" in result.outcome.text


def test_a_content_that_is_a_tree_is_refused_where_a_payload_is_asked_for():
    actor = Actor("@wit.message('greet')\ndef f(greet: Greet): pass")
    result = actor.send(("greet", actor.objects.core({"x": "y"})))
    assert (result.outcome.code, result.outcome.text) == (
        "BadPayload",
        "the content of the message 'greet' is a tree, not a blob",
    )


def test_an_unknown_type_is_refused_with_the_known_ones():
    result = Actor("@wit.message('b')\ndef f(): pass\n@wit.message('a')\ndef g(): pass").send(("c", ""))
    assert (result.outcome.kind, result.outcome.code) == ("refused", "NoHandler")
    assert result.outcome.text == "there is no handler for messages of type 'c'; there are: a, b"


def test_an_error_without_a_handler_passes_and_with_one_is_handled():
    actor = Actor("@wit.message('a')\ndef f(): pass")
    core = actor.core
    assert actor.ok(("error", '{"code": "x"}')).core == core
    handled = Actor("@wit.message('error')\ndef f(ctx, payload): ctx.log(payload['code'])")
    assert handled.ok(("error", '{"code": "x"}')).log == ["x"]


def test_nothing_answers_an_error():
    for body in ("return 1", "ctx.reply(1)"):
        result = Actor(f"@wit.message('error')\ndef f(ctx): {body}").send(("error", "{}"))
        assert result.outcome.code == "ValueError"
        assert "nothing answers a message of type 'error'" in result.outcome.text


def test_a_batch_is_handled_in_order_against_one_state():
    actor = Actor(
        "@wit.message('t')\n"
        "def f(state: Counter, core: Core, payload: str):\n"
        "    state.names.append(payload)\n"
        "    core['x'] = (core.get('x') or b'') + payload.encode()"
    )
    actor.ok(("t", '"a"'), ("t", '"b"'), ("t", '"c"'))
    assert actor.read() == b'{"count":0,"names":["a","b","c"]}'
    assert actor.read("x") == b"abc"


def test_one_message_that_is_refused_refuses_its_whole_batch():
    actor = Actor(
        "@wit.message('t')\ndef f(state: Counter, payload: int, ctx): state.count += payload; ctx.reply(payload)"
    )
    core = actor.core
    result = actor.send(("t", "1"), ("t", '"x"'), ("t", "2"))
    assert (result.outcome.code, result.core, list(result.sent)) == ("BadPayload", core, [])


@pytest.mark.parametrize(
    ("declared", "first", "changed"),
    [
        ("Counter", "Counter(count=0, names=[])", "state.count = 5"),
        ("dict", "{}", "state['a'] = 1"),
        ("dict[str, int]", "{}", "state['a'] = 1"),
        ("list[int]", "[]", "state.append(3)"),
        ("Counter | None", "None", "pass"),
        ("Data", "Data(n=0)", "state.n = 1"),
        ("Model", "n=0", "state.n = 1"),
        ("Any", "{}", "state['a'] = 1"),
    ],
)
def test_a_missing_state_begins_as_the_types_own_default(declared, first, changed):
    types = (
        "from pydantic import BaseModel\n"
        "class Model(BaseModel):\n"
        "    n: int = 0\n"
        "@dataclass\n"
        "class Data:\n"
        "    n: int = 0\n"
    )
    actor = Actor(f"{types}@wit.message('t')\ndef f(state: {declared}, ctx):\n    ctx.log(state)\n    {changed}")
    assert actor.ok(("t", "")).log == [first]
    again = actor.ok(("t", "")).log
    assert (again == [first]) is (changed == "pass")


def test_a_state_without_a_type_is_a_dictionary():
    actor = Actor("@wit.message('t')\ndef f(state): state['n'] = state.get('n', 0) + 1")
    actor.ok(("t", ""))
    actor.ok(("t", ""))
    assert actor.read() == b'{"n":2}'


def test_a_state_that_needs_arguments_comes_from_genesis():
    code = (
        "class Account(Struct):\n"
        "    owner: str\n"
        "    cents: int\n"
        "@wit.message('t')\n"
        "def f(state: Account): state.cents += 1\n"
    )
    result = Actor(code).send(("t", ""))
    assert result.outcome.code == "NoState"
    assert "return the first one from @wit.genesis" in result.outcome.text
    actor = Actor(code + "@wit.genesis\ndef born(): return Account('Ann', 10)")
    assert actor.genesis().outcome is None
    actor.ok(("t", ""))
    assert actor.read() == b'{"owner":"Ann","cents":11}'


POINT = "class Point(Struct, frozen=True):\n    x: int = 0\n@wit.message('t')\ndef f(state: Point): return "


def test_a_new_state_is_one_that_is_called_so_and_may_come_with_an_answer():
    actor = Actor(POINT + "NewState(Point(state.x + 1))")
    actor.ok(("t", ""), ("t", ""))
    assert (actor.read(), actor.sent) == (b'{"x":2}', [])
    answers = Actor(POINT + "NewState(Point(7), reply=state.x)")
    answers.ok(("t", ""))
    assert (answers.read(), answers.sent) == (b'{"x":7}', [("out/test/caller", "reply", b"0")])


@pytest.mark.parametrize(("kind", "first"), [("dict", "{'a': 1}"), ("int", "3"), ("list", "[1]"), ("Kept", "{'a': 1}")])
@pytest.mark.parametrize("arrow", ["", " -> {kind}"])
def test_what_a_message_handler_returns_is_its_answer_whatever_its_type(kind, first, arrow):
    actor = Actor(
        "class Kept(TypedDict):\n    a: int\n"
        f"@wit.message('begin')\ndef f(state: {kind}): return NewState({first})\n"
        f"@wit.message('look')\ndef g(state: {kind}){arrow.format(kind=kind)}: return type(state)({first})\n"
        f"@wit.message('tell')\ndef h(state: {kind}){arrow.format(kind=kind)}: return state"
    )
    actor.ok(("begin", ""))
    core = actor.core
    for type in ("look", "tell"):
        actor.ok((type, ""))
        assert (actor.core, [sent[1] for sent in actor.sent]) == (core, ["reply"])
        assert actor.sent[0][2] == actor.read()


def test_another_instance_of_the_states_own_class_is_neither_kept_nor_sent_but_named():
    actor = Actor(POINT + "Point(state.x + 1)")
    result = actor.send(("t", ""))
    assert (result.outcome.kind, result.outcome.code, list(result.sent)) == ("failed", "BadResult", [])
    text = "code/m.py:16 in f: a handler returned a Point that is not the state: NewState(Point(…)) makes it the state"
    assert text in result.outcome.text
    told = Actor(POINT + "state")
    told.ok(("t", ""))
    assert told.sent == [("out/test/caller", "reply", b'{"x":0}')]


def test_what_genesis_returns_is_the_first_state_and_nothing_else_will_do():
    for kind, made in (
        ("dict", "{'a': 1}"),
        ("Counter", "Counter(4)"),
        ("int", "3"),
        ("Counter", "NewState(Counter(4))"),
    ):
        actor = Actor(f"@wit.message('t')\ndef f(state: {kind}): pass\n@wit.genesis\ndef born(): return {made}")
        assert actor.genesis().outcome is None
        assert (actor.read() or b"")[:1] in (b"{", b"3")
    for kind, made in (("dict", "'hello'"), ("Counter", "{'count': 1}"), ("int", "'x'")):
        actor = Actor(f"@wit.message('t')\ndef f(state: {kind}): pass\n@wit.genesis\ndef born(): return {made}")
        outcome = actor.genesis().outcome
        assert (outcome.kind, outcome.code) == ("failed", "BadResult")
        assert f"what a genesis handler returns is the state, here {with_article(kind)}" in outcome.text


def test_a_step_of_the_first_abi_is_run_again_as_it_was_run_then():
    adds = "@wit.message('t')\ndef f(state: int, payload: int) -> int: return state + payload"
    point = POINT + "Point(state.x + 1)"
    looks = "@wit.message('t')\ndef f(payload: str, state: dict) -> dict: return {'a': float('nan')}"
    keeps = "@wit.message('t')\ndef f(state: Counter): state.count += 1"
    for code, content, state, after in (
        (adds, "3", "4", b"7"),
        (point, "", '{"x": 4}', b'{"x":5}'),
        (looks, '"q"', "{}", b'{"a":null}'),
        (keeps, "", '{"count": 1, "gone": 2}', b'{"count":2,"names":[]}'),
    ):
        actor = Actor(code, {"state": state})
        result = actor.ok(("t", content), abi="python/1")
        assert (result.engine, actor.read(), actor.sent) == ("python/1", after, [])
    assert Actor(adds).send(("t", "3"), abi="python/9").engine == f"python/2{SETTINGS}"


def test_a_field_that_the_type_of_the_state_does_not_know_stops_the_step_and_is_named():
    stored = '{"count": 1, "nam": ["Ann"], "more": {"a": 1}}'
    actor = Actor(
        "@wit.message('t')\ndef f(state: Counter): state.count += 1\n@wit.query\ndef look(state: Counter): return 1",
        {"state": stored},
    )
    result = actor.send(("t", ""))
    assert (result.outcome.kind, result.outcome.code) == ("failed", "BadState")
    assert "the wit's state, a Counter, has no place for what /state holds at $.nam, $.more; nothing was changed" in (
        result.outcome.text
    )
    assert actor.read() == stored.encode()


OLD = """
class Old(Struct):
    name: str
    total: int = 0
class State(Struct):
    title: str
    cents: int = 0
@wit.message('look')
def look(state: State): return state.title
@wit.update
def mend(old: Old) -> State: return State(old.name, old.total * 100)
"""


def test_a_migration_turns_the_old_state_into_the_new_one_once():
    actor = Actor(OLD, {"wit_update": "/code:m:wit", "state": '{"name": "shop", "total": 3}'})
    actor.ok(("update", ""), entry="wit_update")
    assert actor.read() == b'{"title":"shop","cents":300}'
    # Code is pushed again, with its migration still in it.
    actor.ok(("update", ""), entry="wit_update")
    assert actor.read() == b'{"title":"shop","cents":300}'
    actor.ok(("look", ""))


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ('{"name": "shop", "colour": 1}', "an Old, has no place for what /state holds at $.colour"),
        ('{"total": 1}', "Object missing required field `name`"),
        ("3", "Expected `object`, got `int`"),
    ],
)
def test_a_state_that_a_migration_can_not_read_in_full_is_left_as_it_is(state, text):
    actor = Actor(OLD, {"wit_update": "/code:m:wit", "state": state})
    result = actor.send(("update", ""), entry="wit_update")
    assert (result.outcome.kind, result.outcome.code) == ("failed", "BadState")
    assert text in result.outcome.text


def test_an_actor_without_a_state_has_nothing_to_migrate():
    actor = Actor(OLD, {"wit_update": "/code:m:wit"})
    actor.ok(("update", ""), entry="wit_update")
    assert actor.read() is None


@pytest.mark.parametrize(
    ("migration", "code", "text"),
    [
        ("async def mend(old: Old) -> State: return State(old.name)", None, None),
        ("def mend(old: dict) -> State: return State(old['name'])", None, None),
        ("def mend(old: Old) -> State: return None", "BadResult", "it returned a NoneType"),
        (
            "def mend(old: Old) -> State: return {}",
            "BadResult",
            "what an update handler returns is the state, here a State",
        ),
        ("def mend(old: Old): return State(old.name)", "WrongSignature", "so the function must return the new one"),
        (
            "def mend(old: Old, state: State) -> State: return state",
            "WrongSignature",
            "so the function must return the new one",
        ),
        ("def mend(old: Old, older: Old) -> State: return State('')", "WrongSignature", "parameter 'older'"),
        ("def mend(state: Old) -> State: return State('')", "WrongSignature", "returns the new one: old: Old -> New"),
        ("def mend(state): state.title = 'x'", "BadState", "missing required field `title`"),
    ],
)
def test_a_migration_takes_the_old_state_and_returns_the_new_one(migration, code, text):
    source = OLD.replace("def mend(old: Old) -> State: return State(old.name, old.total * 100)", migration)
    core = {"wit_update": "/code:m:wit", "state": '{"name": "shop"}'}
    try:
        outcome = Actor(source, core).send(("update", ""), entry="wit_update").outcome
    except WitError as error:
        outcome = error
    assert (None if outcome is None else outcome.code) == code
    assert text is None or text in outcome.text


def test_a_state_that_was_only_read_is_not_written_again():
    actor = Actor("@wit.message('t')\ndef f(state: Counter): pass", {"state": '{"count":1,"names":[]}'})
    core = actor.core
    assert actor.ok(("t", "")).core == core


def test_a_state_that_does_not_fit_its_type_is_a_failure_that_says_so():
    result = Actor("@wit.message('t')\ndef f(state: Counter): pass", {"state": '{"count": "x"}'}).send(("t", ""))
    assert (result.outcome.kind, result.outcome.code) == ("failed", "BadState")
    assert "mend it with an update: Expected `int`, got `str` - at `$.count`" in result.outcome.text


def test_a_state_that_goes_down_without_end_is_a_failure_that_says_so():
    result = Actor("@wit.message('t')\ndef f(state: list): pass", {"state": "[" * 9_999 + "]" * 9_999}).send(("t", ""))
    assert (result.outcome.kind, result.outcome.code) == ("failed", "BadState")


def test_a_handler_that_makes_something_else_the_state_has_failed():
    result = Actor("@wit.message('t')\ndef f(state: Counter): return NewState(3)").send(("t", ""))
    assert (result.outcome.kind, result.outcome.code) == ("failed", "BadResult")
    assert "returns a Counter, the state, returned an int" in result.outcome.text


def test_a_state_that_is_a_typed_dict_leaves_answers_alone():
    actor = Actor(
        "class Kept(TypedDict):\n    x: int\n"
        "@wit.message('t')\ndef f(state: Kept):\n    state['x'] = 1\n    return 'done'"
    )
    actor.ok(("t", ""))
    assert (actor.read(), actor.sent) == (b'{"x":1}', [("out/test/caller", "reply", b'"done"')])


def test_no_object_of_the_state_outlives_a_step():
    actor = Actor(
        "seen = []\n"
        "@wit.message('t')\n"
        "def f(state: Counter, ctx):\n"
        "    seen.append(state)\n"
        "    ctx.log(len(set(map(id, seen))) == len(seen))"
    )
    assert [actor.ok(("t", "")).log for _ in range(3)] == [["True"]] * 3


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("{'b': 1, 'a': 2}", b'{"a":2,"b":1}'),
        ("'text'", b'"text"'),
        ("b'raw'", b"raw"),
        ("b''", b""),
        ("0", b"0"),
        ("False", b"false"),
        ("[]", b"[]"),
        ("Greet('x')", b'{"name":"x","times":1}'),
    ],
)
def test_what_a_handler_returns_goes_to_the_sender(value, content):
    actor = Actor(f"@wit.message('t')\ndef f(): return {value}")
    actor.ok(("t", ""))
    assert actor.sent == [("out/test/caller", "reply", content)]
    assert actor.result.sent[0].re is not None


def test_genesis_needs_no_handler_and_its_handler_gets_the_args():
    plain = Actor("@wit.message('t')\ndef f(): pass")
    core = plain.core
    assert (plain.genesis().outcome, plain.core) == (None, core)
    code = "@wit.genesis\ndef born(args: Greet, state: Counter): state.names.append(args.name)"
    actor = Actor(code, {"args": '{"name": "Ann"}'})
    actor.genesis()
    assert actor.read() == b'{"count":0,"names":["Ann"]}'
    assert Actor(code).genesis().outcome.text == "the core has no /args, which the genesis handler asks for"
    assert Actor(code, {"args": "3"}).genesis().outcome.code == "BadPayload"
    other = Actor("@wit.genesis\ndef born(ctx, args: Greet = None): ctx.log(args)")
    assert other.genesis().log == ["None"]


def test_a_genesis_message_goes_to_no_other_handler():
    actor = Actor("@wit.message('genesis')\ndef f(): raise ValueError")
    assert actor.genesis().outcome is None


def test_an_update_handler_gets_the_patched_core_and_the_old_state():
    actor = Actor(
        "@wit.update\n"
        "def mend(core: Core, state: dict, ctx): state['version'] = core.text('version'); ctx.log('mended')",
        {"wit_update": "/code:m:wit", "version": "2", "state": '{"version":"1"}'},
    )
    assert actor.ok(("update", ""), entry="wit_update").log == ["mended"]
    assert actor.read() == b'{"version":"2"}'


def test_asynchronous_and_plain_handlers_mix_in_one_batch_in_order():
    actor = Actor(
        "import asyncio\n@wit.message('slow')\n"
        "async def f(state: list, payload: int):\n"
        "    await asyncio.sleep(0)\n"
        "    state.append(payload)\n"
        "@wit.message('fast')\ndef g(state: list, payload: int): state.append(payload)"
    )
    actor.ok(("fast", "1"), ("slow", "2"), ("fast", "3"), ("slow", "4"))
    assert actor.read() == b"[1,2,3,4]"
    program = actor.engine.load(actor.core, "wit", actor.objects)
    given = step_input(actor.objects, actor.core, [delivery(actor.objects, str(actor.core), "5", type="fast")])
    assert isinstance(program.run(given), StepResult)


def test_an_asynchronous_handler_may_be_decorated():
    actor = Actor(
        "import functools\ndef same(f):\n"
        "    @functools.wraps(f)\n"
        "    def g(*a, **k): return f(*a, **k)\n"
        "    return g\n"
        "@wit.message('t')\n@same\n"
        "async def f(payload: int): return payload + 1"
    )
    actor.ok(("t", "1"))
    assert actor.sent == [("out/test/caller", "reply", b"2")]


def test_a_capability_that_fails_fails_the_step_and_verify_gives_a_verdict():
    code = (
        "@wit.message('t')\n"
        "async def f(ctx, payload: ActorId):\n"
        "    v = await ctx.verify(payload)\n"
        "    ctx.log((v.verdict, v.ok, v.reason))"
    )
    id = node_id(b"x")
    result = Actor(code).send(("t", f'"{id}"'))
    assert (result.outcome.code, result.outcome.text.splitlines()[0]) == (
        "CallFailed",
        "NoSuchCapability: there is no verify",
    )
    calls = WorldCalls({"verify": b'{"verdict": "UNVERIFIABLE", "reason": "cut", "more": 1}'})
    assert Actor(code).ok(("t", f'"{id}"'), calls=calls).log == ["('UNVERIFIABLE', False, 'cut')"]
    assert calls.requests == [("verify", f'{{"actor":"{id}"}}'.encode())]


def test_the_same_step_gives_the_same_bytes_under_every_hash_seed():
    script = (
        "from tests.wit.test_handlers import Actor\n"
        "a = Actor('''class S(Struct):\n"
        "    tags: set[str] = set()\n    by: dict[str, set[int]] = {}\n    n: dict[int, str] = {}\n"
        "@wit.message('t')\ndef f(state: S, ctx):\n    words = {chr(n) * 3 for n in range(97, 120)}\n"
        "    state.tags = words\n    state.by = {w: {1, 2, 99} for w in words}\n    state.n = {3: 'c', 1: 'a'}\n"
        "    ctx.reply({w: words for w in words}); ctx.send('out/a/b', words, type='t')''')\n"
        "a.ok(('t', ''))\nprint(a.core, a.sent)\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=os.getcwd(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_a_handler_can_be_called_by_its_own_test():
    # The decorators give the function back as it was.
    from understudy import Wit

    wit = Wit()

    @wit.message("t")
    def double(payload: int) -> int:
        return payload * 2

    assert double(4) == 8
