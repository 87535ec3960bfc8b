"""Replay and comparison: the same record gives the same step, and the first difference is the one that explains most."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.troupe import OWNER, Troupe, chain
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.replayer import Replayer
from understudy.judging.stage import LocalStage
from understudy.kernel.replay import engine_name, engine_rules, engine_source
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import LANES, UPDATE

NOTES = """
from understudy import Refusal, Wit

wit = Wit()

@wit.message("note")
def note(text: str, core, ctx) -> None:
    if text == "no":
        raise Refusal("No", "no")
    if text == "fall":
        raise KeyError(text)
    core[f"notes/{text or 'empty'}"] = f"{ctx.random.random()} {ctx.now()}"
    ctx.log(text)
    ctx.reply(text)
    ctx.send("bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", text, type="lost")
"""
TEXTS = st.sampled_from(["", "a", "no", "fall", "note\nof\ntwo lines"])
MESSAGES = st.lists(st.tuples(TEXTS, st.sampled_from(LANES), st.sampled_from([OWNER, "out/test/b"])), max_size=8)


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


def notes(troupe: Troupe) -> ActorId:
    return troupe.create({"wit": "/code:notes:wit", "code/notes.py": NOTES})


@settings(max_examples=25)
@given(messages=MESSAGES, batch=st.integers(1, 4))
def test_every_step_replays_to_its_own_id(messages: list[tuple[str, str, str]], batch: int):
    troupe = Troupe(batch=batch)
    actor = notes(troupe)
    for text, lane, sender in messages:
        if lane == UPDATE:
            troupe.update(actor, {f"data/{len(text)}": text}, sender=sender)
        else:
            troupe.send(actor, "note", text, lane=lane, sender=sender)
    troupe.play()
    replayer = Replayer(troupe.reader, LocalStage())
    assert [replayer.judge(record, lambda: OWNER) for record in chain(troupe, actor)] == [None] * (
        troupe.step(actor).height + 1
    )


def test_a_message_to_nobody_is_left_out_again(troupe: Troupe):
    actor = notes(troupe)
    troupe.tell(actor, "note", "a")
    record = chain(troupe, actor)[-1]
    assert [entry.path for entry in record.journal] == ["send/1"]
    assert record.answers == []
    assert Replayer(troupe.reader, LocalStage()).judge(record, lambda: OWNER) is None


def test_the_record_after_a_step_is_the_record_before_the_next(troupe: Troupe):
    actor = notes(troupe)
    troupe.tell(actor, "note", "a")
    first, second = chain(troupe, actor)
    assert first.after == second.before
    assert first.before.step is None


@pytest.mark.parametrize(
    ("text", "name", "rules", "source"),
    [
        ("python/1", "python", "python/1", None),
        ("python/1;source=none", "python", "python/1", "none"),
        ("wasm/2;config=50;source=ab", "wasm", "wasm/2;config=50", "ab"),
        ("odd", "odd", "odd", None),
    ],
)
def test_an_engine_text_is_taken_apart(text: str, name: str, rules: str, source: str | None):
    assert (engine_name(text), engine_rules(text), engine_source(text)) == (name, rules, source)


def test_a_step_without_calls_has_none_to_complete(troupe: Troupe):
    calls = ReplayCalls([], troupe.reader)
    assert not calls.complete_next(False)
    assert not calls.fail_one()
