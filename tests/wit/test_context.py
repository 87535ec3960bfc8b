"""What a wit does through its context: time, random numbers, answers, messages, new actors."""

from __future__ import annotations

import pytest

from tests.wit.test_handlers import Actor
from understudy.objects.ids import node_id, parse

OTHER = str(node_id(b"other"))


def acts(body, *, files={}, messages=(("t", "{}"),), **changes):  # noqa: B006
    """An actor after one step whose handler has this body."""
    lines = "\n    ".join(body.splitlines())
    actor = Actor(f"@wit.message('t')\ndef f(ctx: Context, core: Core):\n    {lines}\n", files)
    actor.send(*messages, **changes)
    return actor


def logged(body, **changes):
    actor = acts(body, **changes)
    assert actor.result.outcome is None, actor.result.outcome.text
    return actor.result.log


def test_time_is_that_of_the_step_and_stands_still():
    assert logged("ctx.log(ctx.now().isoformat())\nctx.log(ctx.now() == ctx.now())\nctx.log(ctx.time_us)") == [
        "2023-11-14T22:13:20+00:00",
        "True",
        "1700000000000000",
    ]


def test_random_numbers_go_on_within_a_step():
    first = logged("ctx.log(ctx.random.random() == ctx.random.random())\nctx.log(ctx.random.randrange(1000))")
    assert first[0] == "False"
    assert first == logged("ctx.log(ctx.random.random() == ctx.random.random())\nctx.log(ctx.random.randrange(1000))")


def test_a_reply_answers_the_message_that_is_being_handled():
    actor = acts("ctx.reply('hi', 'greeting', {'lang': 'en'})", messages=[("t", ""), ("t", "")])
    assert actor.sent == [("out/test/caller", "greeting", b'"hi"')] * 2
    assert len({sent.re for sent in actor.result.sent}) == 2
    assert actor.result.sent[0].headers == {"lang": "en"}


def test_a_low_level_wit_with_several_messages_says_which_one_it_answers():
    code = "def wit(ctx, messages):\n    ctx.reply(1{})"
    for extra, count, outcome in (("", 1, None), ("", 2, "ValueError"), (", to=messages[1]", 2, None)):
        actor = Actor(code.format(extra))
        result = actor.send(*[("t", "")] * count)
        assert (result.outcome and result.outcome.code) == outcome


@pytest.mark.parametrize(
    ("arguments", "type", "content"),
    [
        (f"{OTHER!r}, Greet('x')", "Greet", b'{"name":"x","times":1}'),
        (f"ctx.actor_id.__class__({bytes(parse(OTHER))!r}), [1], type='t'", "t", b"[1]"),
        (f"{OTHER!r}, 'text', type='t'", "t", b'"text"'),
        (f"{OTHER!r}, b'text', type='t'", "t", b"text"),
        (f"{OTHER!r}, bytearray(b'text'), type='t'", "t", b"text"),
        (f"{OTHER!r}, core.id('wit'), type='t'", "t", b"/code:m:wit"),
        (f"{OTHER!r}, None, type='t'", "t", b"null"),
        (
            f"{OTHER!r}, {{'to': ctx.actor_id.__class__({bytes(parse(OTHER))!r})}}, type='t'",
            "t",
            f'{{"to":"{OTHER}"}}'.encode(),
        ),
        (f"{OTHER!r}, b'x' * 3_000_000, type='t'", "t", b"x" * 3_000_000),
    ],
)
def test_content_is_bytes_as_they_are_a_link_or_json(arguments, type, content):
    actor = acts(f"ctx.send({arguments})")
    assert actor.result.outcome is None, actor.result.outcome.text
    assert actor.sent == [(OTHER, type, content)]


def test_a_plain_value_has_no_message_type_of_its_own():
    actor = acts(f"ctx.send({OTHER!r}, {{'a': 1}})")
    assert actor.result.outcome.code == "TypeError"
    assert "a dict has no message type of its own: say type=…" in actor.result.outcome.text


def test_a_pydantic_model_may_be_sent():
    actor = acts(
        "from pydantic import BaseModel\nclass M(BaseModel):\n    s: set[str] = {'b', 'a'}\nctx.send('out/a/b', M())"
    )
    assert actor.sent == [("out/a/b", "M", b'{"s":["a","b"]}')]


def test_what_json_can_not_hold_is_a_failure_that_says_so():
    actor = acts("ctx.send('out/a/b', object(), type='t')")
    assert (actor.result.outcome.code, actor.result.outcome.text.splitlines()[0]) == (
        "TypeError",
        "$ is an object, which can't become JSON; make it a msgspec.Struct, a dataclass or plain values",
    )


def test_lanes_are_those_of_the_format():
    actor = acts(f"ctx.send({OTHER!r}, 1, type='t', lane='signal')")
    assert actor.result.sent[0].lane == "signal"


def test_an_update_of_another_actor_is_a_patch_in_its_update_lane():
    actor = acts(f"ctx.update({OTHER!r}, {{'code/m.py': 'x = 1', 'old': None, 'link': core.id('code')}})")
    (sent,) = actor.result.sent
    assert (sent.to, sent.type, sent.lane) == (OTHER, "update", "update")
    patch = actor.objects.patch(sent.content)
    assert (actor.objects.blob(patch["code/m.py"]), patch["old"], set(patch)) == (
        b"x = 1",
        None,
        {"code/m.py", "old", "link"},
    )


@pytest.mark.parametrize(
    "prototype",
    [
        "{'wit': '/code:m:wit', 'code/m.py': 'def wit(): pass', 'data/raw': b'1'}",
        "'children/one'",
        "'/children/one'",
        "core.dir('children/one')",
        "core.id('children/one')",
    ],
)
def test_a_spawned_actor_has_the_prototypes_core_and_its_id_at_once(prototype):
    files = {
        "children/one/wit": "/code:m:wit",
        "children/one/code/m.py": "def wit(): pass",
        "children/one/data/raw": "1",
    }
    actor = acts(f"ctx.log(ctx.spawn({prototype}, {{'name': 'Ann'}}))", files=files)
    (sent,) = actor.result.sent
    assert actor.result.log == [sent.to] == [str(sent.content)]
    assert sent.type == "genesis"
    tree = actor.objects.tree(sent.content)
    assert sorted(tree) == ["args", "code", "data", "nonce", "wit"]
    assert actor.objects.blob(tree["args"]) == b'{"name":"Ann"}'


def test_spawned_actors_are_different_ones_unless_they_are_given_the_same_nonce():
    spawned = "ctx.spawn(p), ctx.spawn(p), ctx.spawn(p, nonce='x'), ctx.spawn(p, nonce='x')"
    body = f"p = {{'wit': 'def f(): pass'}}\nctx.log(len({{{spawned}}}))"
    first, second = acts(body), acts(body)
    assert first.result.log == ["3"]
    assert first.result == second.result


def test_a_prototype_without_a_wit_or_from_nowhere_is_a_failure():
    assert acts("ctx.spawn({'x': 'y'})").result.outcome.code == "NoWit"
    assert acts("ctx.spawn({})").result.outcome.code == "NoWit"
    assert acts("ctx.spawn('nowhere')").result.outcome.code == "KeyError"
    assert acts("ctx.spawn('wit')").result.outcome.kind == "failed"
    for nothing in ("None", "b'wit'", "3"):
        assert "a prototype is paths" in acts(f"ctx.spawn({nothing})").result.outcome.text


def test_a_message_shows_what_it_is():
    actor = Actor(
        "@wit.message('t')\ndef f(ctx, message: Message):\n    m = message\n"
        "    ctx.log([m.sender, m.type, m.lane, m.seq, m.headers, m.re, m.json(), m.json(Greet)])\n"
        "    ctx.log(m.bytes() == m.text().encode())"
    )
    assert actor.ok(("t", '{"name":"Ann"}')).log == [
        "['out/test/caller', 't', 'queue', 1, {}, None, {'name': 'Ann'}, Greet(name='Ann', times=1)]",
        "True",
    ]
    for ask in ("text()", "json()", "json(int)"):
        result = Actor(f"@wit.message('t')\ndef f(message: Message): message.{ask}").send(("t", b"\xff"))
        assert (result.outcome.kind, result.outcome.code) == ("refused", "BadPayload")
