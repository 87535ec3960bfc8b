"""Requests: each answer finds the handler that was named for it, whatever happened meanwhile, and is never passed over."""

from __future__ import annotations

import json

import pytest

from tests.node.living import Living
from tests.wit.test_handlers import Actor
from understudy.actors.errors import WitError
from understudy.judging.verification import Target
from understudy.objects.ids import node_id
from understudy.store.maps import edit_tree
from understudy.store.reader import Staging
from understudy.testing.engine_suite import PARENT, delivery, run, step_input

OTHER = str(node_id(b"other"))
ASKING = """
class Reserve(Struct):
    sku: str
class Reserved(Struct):
    shelf: int
@wit.message("order")
def order(sku: str, ctx: Context) -> None:
    ctx.request(OTHER, Reserve(sku), on_answer=reserved, on_error=failed, about={"sku": sku})
@wit.answer
def reserved(it: Reserved, request: Request, ctx: Context) -> None:
    ctx.log(f"{request.about['sku']} {request.type} shelf {it.shelf}")
    ctx.reply(it.shelf, to=request.origin)
@wit.answer
def failed(why: Failure, request: Request, ctx: Context) -> None:
    ctx.log(f"{request.about['sku']} {why.kind} {why.code}: {why.text}")
""".replace("OTHER", repr(OTHER))
FAILURE = '{"code":"SoldOut","kind":"refused","message":"m","text":"none left","type":"Reserve"}'


class Asker(Actor):
    """An actor that is answered, each answer a step."""

    def answer(self, type, content, re, *, sender=OTHER):
        message = delivery(self.objects, str(self.id), content, type=type, seq=1, sender=sender, re=re)
        given = step_input(self.objects, self.core, [message], actor=self.id, parent=PARENT)
        self.result = run(self.engine, given, "wit")
        self.objects.keep(given.store)
        self.core = self.result.core
        return self.result

    @property
    def waiting(self):
        folder = self.objects.find(self.core, "requests")
        return [] if folder is None else sorted(self.objects.tree(folder))


def ask(code=ASKING, *, sku="pen"):
    actor = Asker(code)
    actor.ok(("order", json.dumps(sku)))
    (id,) = actor.waiting
    return actor, id


def put(actor, core, folder):
    """Make a core with this folder of requests the actor's."""
    staging = Staging(actor.objects)
    actor.core = edit_tree(staging, core, {"requests": folder})
    actor.objects.keep(staging)


def test_an_answer_goes_to_the_handler_that_was_named_for_it_and_closes_the_request():
    actor, id = ask()
    asked = json.loads(actor.read(f"requests/{id}"))
    assert (asked["to"], asked["type"], asked["on_answer"], asked["on_error"]) == (
        OTHER,
        "Reserve",
        "reserved",
        "failed",
    )
    assert actor.answer("reply", '{"shelf": 3}', id).log == ["pen Reserve shelf 3"]
    assert actor.waiting == []
    (reply,) = actor.result.sent
    assert (reply.to, reply.re, actor.objects.blob(reply.content)) == ("out/test/caller", asked["origin"]["id"], b"3")


def test_an_error_goes_to_the_handler_of_errors_with_what_happened():
    actor, id = ask()
    assert actor.answer("error", FAILURE, id).log == ["pen refused SoldOut: none left"]
    assert actor.waiting == []


def test_only_the_actor_that_was_asked_can_answer():
    actor, id = ask()
    result = actor.answer("reply", '{"shelf": 666}', id, sender=str(node_id(b"a stranger")))
    assert result.outcome is None and "no request waits" in result.log[0]
    assert actor.waiting == [id]


def test_a_second_answer_changes_nothing_and_is_no_failure_of_its_sender():
    actor, id = ask()
    actor.answer("reply", '{"shelf": 3}', id)
    before = actor.core
    result = actor.answer("reply", '{"shelf": 4}', id)
    assert result.outcome is None and actor.core == before and "no request waits" in result.log[0]


def test_an_answer_of_another_form_is_refused_and_the_request_waits_on():
    actor, id = ask()
    result = actor.answer("reply", '{"shelf": "top"}', id)
    assert (result.outcome.kind, result.outcome.code) == ("refused", "BadPayload")
    assert "what reserved is given" in result.outcome.text and actor.waiting == [id]


@pytest.mark.parametrize("type", ["reply", "error"])
@pytest.mark.parametrize("code", ["", "@wit.answer\ndef other(it: Any) -> None: ...\n"])
def test_an_answer_for_a_handler_that_the_code_has_no_longer_fails_by_name_and_is_not_passed_over(type, code):
    actor, id = ask()
    core = actor.objects.core(
        {"wit": "/code:m:wit", "code/m.py": "from understudy import *\nfrom typing import Any\nwit = Wit()\n" + code}
    )
    put(actor, core, actor.objects.find(actor.core, "requests"))
    result = actor.answer(type, FAILURE if type == "error" else '{"shelf": 3}', id)
    assert (result.outcome.kind, result.outcome.code) == ("failed", "NoHandler")
    assert ("'failed'" if type == "error" else "'reserved'") in result.outcome.text
    assert actor.waiting == [id]


def test_a_failure_that_nobody_was_named_for_goes_to_the_handler_of_errors_or_into_the_log():
    code = ASKING.replace(", on_error=failed", "")
    actor, id = ask(code)
    assert "no on_error" in actor.answer("error", FAILURE, id).log[0] and actor.waiting == []
    actor, id = ask(code + "@wit.message('error')\ndef e(why: Failure, ctx: Context): ctx.log(why.code)")
    assert actor.answer("error", FAILURE, id).log == ["SoldOut"] and actor.waiting == []


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("ctx.request(OTHER, 1, type='t', on_answer=print)", "TypeError", "print handles no answers"),
        ("ctx.request(OTHER, 1, type='t', on_answer='gone')", "TypeError", "there are: there"),
        ("ctx.request('out/n/c', 1, type='t', on_answer=there)", "ValueError", "is outside"),
        ("ctx.request(OTHER, 1, type='t', on_answer=there, about={1, object()})", "TypeError", "can't become JSON"),
    ],
)
def test_a_request_that_can_never_be_answered_fails_at_once(call, code, text):
    actor = Asker(
        f"OTHER = {OTHER!r}\n@wit.answer\ndef there(x: int): ...\n@wit.message('t')\ndef f(ctx: Context): {call}"
    )
    result = actor.send(("t", ""))
    assert result.outcome.code == code and text in result.outcome.text
    assert actor.waiting == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("@wit.answer\ndef a(x: int, y: int): ...", "second payload"),
        (
            "@wit.answer\ndef a(x: int): ...\n@wit.answer('a')\ndef b(x: int): ...",
            r"there is @wit.answer\('a'\) already",
        ),
        ("@wit.message('t')\ndef a(request: Request, x: int): ...", "second payload"),
    ],
)
def test_a_handler_that_can_t_be_is_named_when_the_code_loads(code, text):
    with pytest.raises(WitError, match=text):
        Asker(code).send(("t", ""))


def test_what_a_handler_of_answers_returns_is_its_state_or_a_mistake():
    returns = (
        "@wit.message('order')\ndef order(sku: str, ctx: Context): ctx.request(OTHER, 1, type='t', on_answer=back)\n"
    )
    returns = f"OTHER = {OTHER!r}\n{returns}"
    actor, id = ask(
        returns + "@wit.answer\ndef back(x: int, state: tuple[int, ...] = ()): return NewState((*(state or ()), x))"
    )
    actor.answer("reply", "7", id)
    assert actor.read() == b"[7]"
    actor, id = ask(returns + "@wit.answer\ndef back(x: int): return x")
    outcome = actor.answer("reply", "7", id).outcome
    assert outcome.code == "BadResult" and "to=request.origin" in outcome.text


def test_the_author_s_own_files_in_that_folder_stay_the_author_s():
    actor = Asker("@wit.message('reply')\ndef f(x: int, ctx: Context): ctx.log(x)")
    put(actor, actor.core, actor.objects.core({OTHER: "mine"}))
    assert actor.answer("reply", "1", OTHER).log == ["1"]


DESK = """
from understudy import *
wit = Wit()
@wit.message("order")
def order(sku: str, ctx: Context) -> None:
    ctx.request("store", sku, type="reserve", on_answer=reserved, on_error=failed, about=sku)
@wit.message("hire")
def hire(payload: int, ctx: Context) -> None:
    ctx.spawn({"wit": "def wit(ctx): ctx.reply('ready') if FINE else 1 / 0".replace("FINE", str(payload > 0))},
              nonce=str(payload), on_answer=reserved, on_error=failed, about="a hand")
@wit.answer
def reserved(what: str, request: Request, state: dict) -> None:
    state[request.about] = what
@wit.answer
def failed(why: Failure, request: Request, state: dict) -> None:
    state[request.about] = why.code
"""
STORE = """
from understudy import *
wit = Wit()
@wit.message("reserve")
def reserve(sku: str) -> str:
    if sku == "gold":
        raise Refusal("SoldOut", "no gold")
    return f"one {sku}"
"""


def test_answers_find_their_handlers_after_a_restart_and_an_update():
    node = Living()
    store = node.create(wit="/code:it:wit", **{"code/it.py": STORE})
    desk = node.create(wit="/code:it:wit", **{"code/it.py": DESK})
    node.run(node.node.set_name("store", store, expected=None))
    node.run(node.node.pause(store))
    node.ask(desk, "order", "pen")
    node.ask(desk, "order", "gold")
    node = node.again()
    assert node.update(desk, **{"code/it.py": DESK.replace("= what", "= what.upper()")}) is None
    node.run(node.node.resume(store))
    node.come_to_rest()
    assert node.state(desk) == {"pen": "ONE PEN", "gold": "SoldOut"}
    targets = [Target(actor, node.node.lookup.actor(actor).head) for actor in (desk, store)]
    verdicts = [verdict.verdict for verdict in node.run(node.node.verify(targets))]
    assert verdicts == ["MATCH"] * 2
    node.stop()


def test_a_request_is_given_up_when_its_time_is_over_and_a_late_answer_changes_nothing():
    late = DESK.replace("about=sku)", "about=sku, timeout=TIMEOUT)")
    with Living() as node:
        store = node.create(wit="/code:it:wit", **{"code/it.py": STORE})
        desk = node.create(wit="/code:it:wit", **{"code/it.py": late.replace("TIMEOUT", '"1 hour"')})
        node.run(node.node.set_name("store", store, expected=None))
        node.ask(desk, "order", "pen")
        node.come_to_rest()
        assert node.state(desk) == {"pen": "one pen"} and folders(node, desk) == [[], []]
        node.run(node.node.pause(store))
        node.update(desk, **{"code/it.py": late.replace("TIMEOUT", "0")})
        node.ask(desk, "order", "pencil")
        node.until(lambda: node.state(desk).get("pencil") == "Timeout")
        assert folders(node, desk) == [[], []]
        node.run(node.node.resume(store))
        node.come_to_rest()
        assert node.state(desk) == {"pen": "one pen", "pencil": "Timeout"}
        assert "no request waits for it" in node.log(node.chain(desk)[-1])
        target = Target(desk, node.node.actor(desk).head)
        assert [verdict.verdict for verdict in node.run(node.node.verify([target]))] == ["MATCH"]


def folders(node, actor):
    """What waits, and the timers of it."""
    core = node.chain(actor)[-1].core
    found = [node.node.reader.find(core, name) for name in ("requests", "timers")]
    return [[] if tree is None else list(node.node.reader.tree(tree)) for tree in found]


def test_an_actor_hears_of_the_birth_of_those_that_it_makes():
    with Living() as node:
        desk = node.create(wit="/code:it:wit", **{"code/it.py": DESK})
        node.ask(desk, "hire", 1)
        node.come_to_rest()
        assert node.state(desk) == {"a hand": "ready"}
        node.ask(desk, "hire", 0)
        node.come_to_rest()
        assert node.state(desk) == {"a hand": "ZeroDivisionError"}
