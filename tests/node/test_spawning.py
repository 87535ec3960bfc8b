"""Actors that are made like another one, by its name, and the handle that their maker keeps."""

from __future__ import annotations

import pytest

from tests.node.living import Living

TELLER = """
from understudy import CallFailed, Context, Message, Wit

wit = Wit()

@wit.message("open")
{colour} open_(owner: str, state: dict, ctx: Context) -> str:
    child = ctx.spawn(like="account", args={{"owner": owner}})
    state[str(child.message)] = owner
    return str(child)

@wit.message("reply")
def reply(greeting: str, state: dict, message: Message) -> None:
    state[message.re] = greeting

@wit.message("try")
{colour} try_(like: str, ctx: Context) -> str:
    try:
        return str(ctx.spawn(like=like))
    except CallFailed as error:
        return error.code

@wit.message("both")
def both(ctx: Context) -> None:
    ctx.spawn("here", like="account")
"""
ACCOUNT = """
from understudy import Context, Wit

wit = Wit()

@wit.genesis
def genesis(args: dict, ctx: Context) -> dict:
    ctx.reply(f"hello {args['owner']}, version {VERSION}")
    return {"owner": args["owner"]}

@wit.message("own")
def own(state: dict) -> str:
    return state["owner"]

@wit.message("keep")
def keep(ctx: Context) -> None:
    ctx.after("3 days", "own", name="mine")
    ctx.core["data/kept"] = b"1"
"""


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_an_actor_is_made_like_another_one_by_name_and_its_first_answer_names_its_handle(colour: str) -> None:
    with Living() as living:
        first = ACCOUNT.replace("VERSION", "1")
        account = living.create(wit=first, args='{"owner":"nobody"}', timers__born='{"every":"3 days","type":"own"}')
        living.run(living.node.set_name("account", account, expected=None))
        teller = living.create(wit=TELLER.format(colour=colour))
        assert living.ask(account, "keep").outcome is None
        assert living.update(account, wit=ACCOUNT.replace("VERSION", "2")) is None
        opened = living.tell(teller, "open", "Ann")
        living.come_to_rest()
        assert list(living.state(teller).values()) == ["hello Ann, version 2"]
        child = living.node.resolve(opened)
        assert living.tell(child, "own", None) == "Ann"
        core = living.node.reader.tree(living.chain(child)[0].core)
        # Its code of today and its data; not what the other one keeps for itself.
        assert sorted(living.node.reader.tree(core["timers"])) == ["born"]
        assert sorted(core) == ["args", "data", "nonce", "state", "timers", "wit"]
        journal = living.chain(teller)[1].journal
        assert journal is not None
        (entry,) = living.node.reader.journal(journal)
        assert (entry.path, entry.step) == ("prototype/0", str(living.node.actor(account).head))
        # It is looked up once, and never in a replay: the name may mean another actor by then.
        living.run(living.node.set_name("account", teller, expected=account))
        assert {verdict.verdict for verdict in living.run(living.node.verify())} == {"MATCH"}


def test_what_no_actor_can_be_made_of_is_said_and_makes_none() -> None:
    with Living() as living:
        teller = living.create(wit=TELLER.format(colour="def"))
        assert living.tell(teller, "try", "nobody") == "NoSuchActor"
        outcome = living.ask(teller, "open", "Ann").outcome
        # The author's line alone: how the name was looked up is nobody's business.
        assert outcome is not None and outcome.code == "CallFailed"
        assert "NotFound" not in outcome.text
        outcome = living.ask(teller, "both").outcome
        assert outcome is not None and outcome.code == "TypeError" and "say one of the two" in outcome.text
        assert [info.id for info in living.node.actors().items] == [teller]
