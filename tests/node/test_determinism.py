"""What a wit sees while it lives is what its replay shows it: nothing depends on where an object came from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, ClogStore

SENDER = """
from understudy import Wit
wit = Wit()

@wit.message("go")
def go(to: str, ctx) -> None:
    ctx.send(to, {"bb": 1, "a": 2}, type="look", headers={"bb": "1", "a": "2", "ccc": "3"})

@wit.message("tree")
def tree(to: str, ctx) -> None:
    made = ctx.given.store.put_tree({"bb": ctx.core.id("wit"), "a": ctx.core.id("wit"), "ccc": ctx.core.id("wit")})
    ctx.send(to, made, type="look")

@wit.message("many")
def many(to: str, ctx) -> None:
    made = ctx.given.store.put_tree({str(number): ctx.core.id("wit") for number in range(100)})
    ctx.send(to, made, type="look")

@wit.message("patch")
def patch(to: str, ctx) -> None:
    ctx.update(to, {"bb": "1", "a": "2", "ccc": "3"})
"""
LOOKER = """
def wit(messages, store, ctx):
    for message in messages:
        ctx.log(list(message.headers))
        id = message.content_id
        if message.type == "look" and store.kind(id) == "a tree":
            ctx.log(list(store.tree(id)))
        ctx.log(store.node(id) if store.kind(id) != "a blob" else store.blob(id))

def update(messages, store, ctx):
    ctx.log(list(store.patch(messages[0].content_id)))
"""


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def matches(living: Living) -> list[str]:
    """The verdicts on all actors, with what differs."""
    return [str(verdict.path) if not verdict.ok else "MATCH" for verdict in living.run(living.node.verify())]


@pytest.mark.parametrize("what", ["go", "tree", "many", "patch"])
def test_what_an_actor_was_sent_looks_the_same_in_its_replay(living: Living, what: str):
    sender = living.create(**{"wit": "/code:sender:wit", "code/sender.py": SENDER})
    policy = f'{{"update": ["{sender}"]}}'
    code = {"wit": "/code:looker:wit", "wit_update": "/code:looker:update", "code/looker.py": LOOKER}
    looker = living.create(**code, policy=policy)
    living.ask(sender, what, str(looker))
    living.come_to_rest()
    assert matches(living) == ["MATCH", "MATCH"]


OWN = """
from understudy import Wit
wit = Wit()

@wit.message("write")
def write(names: list[str], ctx) -> None:
    for name in names:
        ctx.core[name] = name

@wit.message("read")
def read(number: int, ctx, store) -> None:
    ctx.log(store.node(ctx.given.core))
"""


def test_a_core_that_is_not_durable_yet_looks_the_same_in_a_replay(living: Living):
    assert isinstance(living.backend, ClogStore)
    actor = living.create(**{"wit": "/code:own:wit", "code/own.py": OWN, "policy": '{"batch": 1}'})
    living.backend.clog()
    begun = [living.begin_send(actor, "write", ["zzz", "b", "aa"])]
    living.backend.wait_until_clogged()
    # These two are accepted in one commit, so the second runs on a step that is not durable.
    begun += [living.begin_send(actor, "write", ["yyy", "c", "bb"]), living.begin_send(actor, "read", 1)]
    living.until(lambda: living.runner.committer.queued == 2)
    living.backend.unclog()
    for sending in begun:
        sending.result(PATIENCE)
    living.come_to_rest()
    assert matches(living) == ["MATCH"]


DANGLING = """
from understudy import Wit
from understudy.objects import ids
wit = Wit()
NOTHING = ids.raw_id(b"nobody ever stored this")

@wit.message("tree")
def tree(store) -> None:
    store.put_tree({"wit": NOTHING})

@wit.message("core")
def core(core) -> None:
    core["data"] = NOTHING
"""


@pytest.mark.parametrize("what", ["tree", "core"])
def test_a_wit_can_not_make_a_link_to_nothing(living: Living, what: str):
    actor = living.create(**{"wit": "/code:d:wit", "code/d.py": DANGLING})
    outcome = living.ask(actor, what, None)
    assert outcome.outcome is not None and outcome.outcome.code == "Missing"
    for verdict in living.run(living.node.verify()):
        assert verdict.ok, verdict
