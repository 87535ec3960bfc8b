"""Histories that are true."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from tests.engines.components import counter
from tests.vectors.story import Story
from understudy.objects.codec import node_block, raw_block
from understudy.objects.ids import ActorId, TreeId
from understudy.objects.mailbox import SIGNAL
from understudy.objects.message import GENESIS
from understudy.objects.patch import patch_block
from understudy.store.maps import build_tree

Make = Callable[[], bytes]


def _genesis() -> bytes:
    story = Story()
    return story.car(story.head(story.keeper))


def _counted() -> bytes:
    story = Story().counted()
    return story.car(story.head(story.keeper))


def _outcomes() -> bytes:
    story = Story().counted(1)
    story.tell(story.keeper, "fail")
    story.tell(story.keeper, "add", -1)
    story.tell(story.keeper, "unheard of")
    return story.counted(2).car(story.head(story.keeper))


def _born_again() -> bytes:
    story = Story().counted(1)
    story.did("roll", None)
    story._accept(str(story.keeper), GENESIS, story.keeper, story.staged(), sender="out/test/other")
    story.play()
    return story.car(story.head(story.keeper))


def _updated() -> bytes:
    story = Story().counted(1)
    story.update(story.keeper, {"notes/today": "warm", "notes/old": None})
    story.update(story.keeper, {"notes": None, "state": '{"count":40}'})
    story.update(story.keeper, {"wit": None})
    story.update(story.keeper, {"state": "{}"}, sender="out/test/other")
    return story.counted(2).car(story.head(story.keeper))


def _large_tree() -> bytes:
    story = Story()
    story.did("fill", list(range(64)))
    story.did("fill", list(range(60, 75)))
    story.did("drop", list(range(5)))
    story.did("drop", list(range(5, 15)))
    return story.car(story.head(story.keeper))


def _large_inbox() -> bytes:
    story = Story(batch=128)
    for number in range(70):
        story.send(story.keeper, "reply", 1, sender=f"out/test/caller-{number}")
    story.play()
    story.tell(story.keeper, "reply", 1, sender="out/test/caller-7")
    return story.car(story.head(story.keeper))


def _signals() -> bytes:
    story = Story().counted(1)
    first = story.send(story.keeper, "add", 1, lane=SIGNAL)
    story.send(story.keeper, "add", 2, lane=SIGNAL)
    third = story.send(story.keeper, "add", 3, lane=SIGNAL)
    story.play_these(story.keeper, [first])
    story.play_these(story.keeper, [third])
    return story.car(story.head(story.keeper))


def _answered() -> bytes:
    story = Story()
    other = story.other()
    story.did("add", 5, other)
    story.did("ask", str(other))
    return story.car(story.head(story.keeper))


def _two() -> bytes:
    story = Story()
    other = story.other()
    story.did("tell", str(other))
    story.did("tell", str(build_tree(story.staged(), {})), other)
    return story.car(story.head(story.keeper), story.head(other))


def _told_of_a_failure() -> bytes:
    story = Story()
    failing = story.create(
        {"wit": "/code:failing:wit", "code/failing.py": "def wit(ctx):\n    raise ValueError('no')\n"}
    )
    story.did("tell", str(failing))
    story.play()
    assert len(story.steps()) == 3
    return story.car(story.head(story.keeper), story.head(failing))


def _permitted() -> bytes:
    story = Story()
    policy = json.dumps({"update": ["out/test/other"]})
    keeper = story.create({"wit": "/code:kept:wit", "code/kept.py": "def wit(ctx): ...\n", "policy": policy})
    story.update(keeper, {"notes/a": "permitted"}, sender="out/test/other")
    story.update(keeper, {"notes": "where a tree was"})
    story.update(keeper, {"policy": None})
    story.update(keeper, {"notes": "not permitted any more"}, sender="out/test/other")
    return story.car(story.head(keeper))


def _with_a_handler() -> bytes:
    story = Story()
    code = "def wit(ctx): ...\n\ndef up(ctx): ...\n"
    keeper = story.create({"wit": "/code:kept:wit", "code/kept.py": code, "wit_update": "/code:kept:up"})
    story.update(keeper, {"notes": "by the handler"})
    story.update(keeper, {"wit_update": None})
    return story.car(story.head(keeper))


def _component() -> bytes:
    story = Story().with_component().counted()
    story.update(story.keeper, {"code/counter.wasm": b"no component"})
    story.update(story.keeper, {"code/counter.wasm": counter(text=True)})
    story.tell(story.keeper, "add", 4)
    return story.car(story.head(story.keeper))


def _of_no_tree() -> bytes:
    story = Story()
    staging = story.staged()
    patch = ActorId(TreeId(staging.put(patch_block({"a": None}))))
    story._accept(str(patch), GENESIS, patch, staging)
    story.play()
    return story.car(story.head(patch))


def _backwards() -> bytes:
    story = Story().counted()
    return story.car(story.head(story.keeper), backwards=True)


def _timers() -> bytes:
    story = Story()
    keeper = story.with_timers()
    due = story.time + 60_000_000
    story.ring(keeper, "hourly", "add", 1, due=due, missed=2, is_last=False)
    story.ring(keeper, "once", "add", 5, due=due + 1)
    story.ring(keeper, "failing", "fail", due=1)
    story.play()
    return story.car(story.head(keeper))


def _timers_that_are_gone() -> bytes:
    story = Story()
    keeper = story.with_timers()
    story.ring(keeper, "once", "add", 5)
    story.ring(keeper, "failing", "fail")
    story.update(keeper, {"timers/once": None, "timers/failing": '{"at":"2030-01-01T00:00:00Z","type":"fail"}'})
    return story.counted(2).car(story.head(keeper))


def _like_a_timer() -> bytes:
    # Whatever lacks a part of what a message of the clock has is a message like all others.
    story = Story()
    keeper = story.with_timers()
    story.ring(keeper, "once", "add", 5, sender="out/test/owner")
    story.ring(keeper, "once", "add", 5, without="timer-due")
    story.play()
    return story.car(story.head(keeper))


def _more_blocks() -> bytes:
    story = Story().counted()
    more = [raw_block(b"nobody links to me"), node_block({"tree": {"gone": raw_block(b"nowhere").id}})]
    twice = [*more, raw_block(b"nobody links to me")]
    return story.car(story.head(story.keeper), story.head(story.keeper), more=twice)


def _no_history() -> bytes:
    story = Story()
    return story.car(story.keeper)


def _retried() -> bytes:
    story = Story().counted(1)
    failed = story.tell(story.keeper, "fail")
    again = story.retry(story.keeper, failed)
    story = story.failed_and_retried()
    failed_too = story.steps()[5]
    for order in (failed, failed, failed_too, again, story.steps()[0], story.keeper, "no id of a step"):
        story.retry(story.keeper, order)
    story.retry(story.keeper, failed, sender="out/test/other")
    return story.counted(2).car(story.head(story.keeper))


HONEST: Final[dict[str, Make]] = {
    "a genesis": _genesis,
    "a keeper that counts to three": _counted,
    "messages that fail and that are refused": _outcomes,
    "a second genesis, and a random number": _born_again,
    "updates, of which two are refused": _updated,
    "a tree that grows above 64 entries and shrinks again": _large_tree,
    "an inbox of 71 senders": _large_inbox,
    "signals that skip": _signals,
    "an answer of another actor": _answered,
    "two actors, a message between them, and one to nobody": _two,
    "an actor that was born of no tree": _of_no_tree,
    "a failure that its sender is told of": _told_of_a_failure,
    "updates that a policy permits, and one that it did": _permitted,
    "an update that a handler takes": _with_a_handler,
    "a component that counts, and is updated": _component,
    "steps that are retried, and orders that are refused": _retried,
    "blocks in the opposite order": _backwards,
    "blocks that nobody needs, and a root that comes twice": _more_blocks,
    "a root that is no step": _no_history,
    "timers that ring": _timers,
    "timers that are gone before they ring": _timers_that_are_gone,
    "messages that are nearly those of a clock": _like_a_timer,
}
