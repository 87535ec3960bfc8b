"""Replay and comparison: the same record gives the same step, and the first difference is the one that explains most."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.troupe import OWNER, Troupe, chain
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.replayer import Replayer
from understudy.judging.stage import LocalStage
from understudy.kernel.compare import MAX_PREVIEW, Difference, first_difference, preview_pair
from understudy.kernel.replay import engine_name, engine_rules, engine_source
from understudy.kernel.seal import Sealed
from understudy.objects.blob import blob_id
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.mailbox import LANES, UPDATE
from understudy.objects.step import Outcome, step_block
from understudy.store.reader import Staging

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


# Comparison.


def compared(troupe: Troupe, actor: ActorId, staging: Staging, **changes: Any) -> Difference | None:
    """The difference between the newest step and one that claims something else."""
    record = chain(troupe, actor)[-1]
    step = msgspec.structs.replace(record.step, **changes)
    block = step_block(step)
    sent = [delivery for delivery in record.sent if delivery.id in step.sent]
    sealed = Sealed(
        actor=record.after, id=StepId(block.id), step=step, consumed=record.consumed, sent=sent, unit=_NO_UNIT
    )
    return first_difference(staging, record, sealed)


_NO_UNIT: Any = None


def test_equal_steps_have_no_difference(troupe: Troupe):
    actor = notes(troupe)
    assert compared(troupe, actor, Staging(troupe.reader)) is None


def test_the_outcome_goes_before_the_core_and_the_core_before_what_was_sent(troupe: Troupe):
    actor = notes(troupe)
    troupe.tell(actor, "note", "a")
    staging = Staging(troupe.reader)
    core = staging.put_tree({"wit": blob_id(b"other")})
    staging.put_blob(b"other")
    everything: dict[str, Any] = {"outcome": Outcome("failed", "X", "y"), "core": core, "sent": [], "log": None}
    paths = []
    for field in ("outcome", "core", "sent", "log"):
        difference = compared(troupe, actor, staging, **everything)
        assert difference is not None
        paths.append(difference.path)
        del everything[field]
    assert paths == ["data.outcome.kind", "data.core/code", "data.sent[0]", "data.log[0]"]


@pytest.mark.parametrize(
    ("ours", "theirs", "shown"),
    [
        (b'{"sum":1}', b'{"sum":2}', ({"sum": 1}, {"sum": 2})),
        (b"plain", b"text", ("plain", "text")),
        (b"", None, ("", None)),
    ],
)
def test_small_values_are_shown_as_they_are(ours: bytes, theirs: bytes | None, shown: tuple[Any, Any], troupe: Troupe):
    staging = Staging(troupe.reader)
    ids = [None if data is None else Id(staging.put_blob(data)) for data in (ours, theirs)]
    assert preview_pair(staging, ids[0], ids[1]) == shown


def test_long_texts_are_shown_around_their_first_difference(troupe: Troupe):
    staging = Staging(troupe.reader)
    ours, theirs = ("same " * 1000 + word + " more" * 1000 for word in ("LEFT", "RIGHT"))
    left, right = preview_pair(staging, staging.put_blob(ours.encode()), staging.put_blob(theirs.encode()))
    assert "LEFT" in left and "RIGHT" in right
    assert len(left) <= MAX_PREVIEW + 2


def test_what_is_no_text_is_described(troupe: Troupe):
    staging = Staging(troupe.reader)
    shown, _ = preview_pair(staging, staging.put_blob(b"\xff\x00"), None)
    assert (shown["kind"], shown["bytes"]) == ("a blob", 2)


def test_a_step_without_calls_has_none_to_complete(troupe: Troupe):
    calls = ReplayCalls([], troupe.reader)
    assert not calls.complete_next(False)
    assert not calls.fail_one()
