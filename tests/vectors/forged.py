"""Histories that are lies, each hashed again up to its head, and what no verdict can know."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from msgspec.structs import replace

from tests.node.troupe import OWNER
from tests.store.forged_maps import FORGED as FORGED_MAPS
from tests.vectors.story import Story
from understudy.objects.codec import raw_block
from understudy.objects.hamt import BigMap
from understudy.objects.ids import Id, MessageId, StepId, TreeId, node_id
from understudy.objects.journal import CallError, Entry, journal_block
from understudy.objects.mailbox import UPDATE, Cursor, mailbox_key, read_big_mailbox
from understudy.objects.message import GENESIS, Message, message_block
from understudy.objects.patch import patch_block
from understudy.objects.step import CUT, FAILED, NOOP, REFUSED, Outcome, Step, step_block
from understudy.objects.tree import read_tree_node
from understudy.store.maps import build_tree, edit_tree
from understudy.store.reader import Staging

Make = Callable[[], bytes]
Change = Callable[[Story, Step, Staging], Step]

FORGED: Final[dict[str, Make]] = {}


def _add(name: str, change: Change, *, height: int = 3, tell: Callable[[], Story] = lambda: Story().counted()) -> None:
    """A history, one step of which was changed."""

    def make() -> bytes:
        story = tell()
        return story.car(story.forged(height, lambda step, staging: change(story, step, staging)))

    assert name not in FORGED
    FORGED[name] = make


# What the code makes.


def _with_state(_: Story, step: Step, staging: Staging) -> Step:
    return replace(step, core=edit_tree(staging, step.core, {"state": staging.put_blob(b'{"count":40}')}))


def _with_code(_: Story, step: Step, staging: Staging) -> Step:
    return replace(step, core=edit_tree(staging, step.core, {"wit": staging.put_blob(b"def wit(ctx): ...")}))


def _failing() -> Story:
    story = Story().counted(1)
    story.tell(story.keeper, "fail")
    return story


def _rolling() -> Story:
    story = Story()
    story.did("roll", None)
    return story


def _telling() -> Story:
    story = Story()
    story.did("tell", OWNER)
    return story


_add("a state that the code does not make", _with_state, height=3)
_add("a state that the code does not make, in the middle", _with_state, height=1)
_add("code that nobody brought", _with_code, height=3)
_add("a log that the code does not write", lambda _, step, staging: replace(step, log=staging.put_blob(b" added 7\n")))
_add("a log that was struck", lambda _, step, staging: replace(step, log=None))
_add(
    "a failure that is called a success", lambda _, step, staging: replace(step, outcome=None), height=2, tell=_failing
)
_add(
    "a success that is called a failure",
    lambda story, step, staging: replace(
        step, outcome=Outcome(FAILED, "ValueError", "no"), core=story.reader.step(step.parent or b"").core
    ),
)
_add(
    "a failure of another name",
    lambda _, step, staging: replace(step, outcome=Outcome(FAILED, "KeyError", "no")),
    height=2,
    tell=_failing,
)
_add(
    "a step that is said to have been cut",
    lambda story, step, staging: replace(
        step,
        outcome=Outcome(CUT, "Deadline", "no"),
        core=story.reader.step(step.parent or b"").core,
        outbox=story.reader.step(step.parent or b"").outbox,
        sent=[],
        log=None,
    ),
)
_add(
    "a message that is said to be a late genesis",
    lambda _, step, staging: replace(step, outcome=Outcome(NOOP, "AlreadyAlive", "no")),
)
_add("a random number of another seed", lambda _, step, staging: replace(step, seed=1), height=1, tell=_rolling)
_add(
    "a component's hash without a component",
    lambda _, step, staging: replace(step, component_hash=sha256(b"").hexdigest()),
)
_add("a reply that was struck", lambda _, step, staging: replace(step, sent=[], outbox={}), height=1, tell=_telling)

_ENGINES: Final = {
    "of an unknown part": "python/2;x=y",
    "of a source that is no digest": "python/2;source=abc",
    "of another engine": "wasm/1;config=735c3e3b150f1f98",
    "of a configuration that there never was": "wasm/1;config=0000000000000000",
    "of a version to come": "python/99",
    "of an engine that nobody knows": "cobol/1",
    "of source that ran beside the core": "python/2;source=none",
}
for what, text in _ENGINES.items():
    _add(f"an engine text {what}", lambda _, step, staging, text=text: replace(step, engine=text))  # type: ignore[misc]
_add("a step that is said to have needed no engine", lambda _, step, staging: replace(step, engine="kernel/1"))


def _born_again() -> Story:
    story = Story().counted(1)
    story._accept(str(story.keeper), GENESIS, story.keeper, story.staged(), sender="out/test/other")
    story.play()
    return story


_add(
    "a late genesis that is said to have been cut",
    lambda _, step, staging: replace(step, outcome=Outcome(CUT, "Deadline", "no")),
    height=2,
    tell=_born_again,
)


def _updating() -> Story:
    story = Story().counted(1)
    story.update(story.keeper, {"notes": "by a patch alone"})
    return story


_add(
    "an update with an engine text of a version to come",
    lambda _, step, staging: replace(step, engine="python/99"),
    height=2,
    tell=_updating,
)
_add(
    "a refused update that moved the core, with an engine text of a version to come",
    lambda _, step, staging: replace(step, engine="python/99", outcome=Outcome(REFUSED, "NotPermitted", "no")),
    height=2,
    tell=_updating,
)
_add(
    "a patch alone that an engine is said to have run",
    lambda _, step, staging: replace(step, engine="python/2"),
    height=2,
    tell=_updating,
)

# Components.

_add(
    "a state that a component does not make",
    lambda _, step, staging: replace(step, core=edit_tree(staging, step.core, {"state": staging.put_blob(b"40")})),
    tell=lambda: Story().with_component().counted(),
)
_add(
    "a component of another hash",
    lambda _, step, staging: replace(step, component_hash=sha256(b"").hexdigest()),
    height=0,
    tell=lambda: Story().with_component().counted(),
)
_add(
    "a component that is said to be run by a configuration to come",
    lambda _, step, staging: replace(step, engine="wasm/2;config=0000000000000000"),
    tell=lambda: Story().with_component().counted(),
)

# The chain.

_add("a height that is skipped", lambda _, step, staging: replace(step, height=step.height + 1), height=3)
_add("a time before the parent's", lambda _, step, staging: replace(step, time=step.time - 10_000))
_add("another actor", lambda story, step, staging: replace(step, actor=story.other()), height=3)


def _consuming(number: int, **changes: Any) -> Change:
    """A step that consumed another message, with the inbox that follows from it."""

    def change(story: Story, step: Step, staging: Staging) -> Step:
        id = story.message(staging, number, **changes)
        message = staging.message(id)
        key = mailbox_key(message.sender, message.lane)
        return replace(step, consumed=[id], inbox={**dict(step.inbox), key: Cursor(message.seq, id)})  # type: ignore[arg-type]

    return change


_add("a gap in a queue", _consuming(3, seq=6, previous=str(node_id(b"the fifth"))), height=3)
_add("a message that was consumed twice", _consuming(2), height=3)
_add("a message that does not follow the last one", _consuming(3), height=2)
_add("a message to another actor", _consuming(3, to=OWNER), height=3)
_add("a message of another content", _consuming(3, content=raw_block(b"2").id), height=3)


def _messages_dropped() -> bytes:
    """A step was taken out, and the history closed above it."""
    story = Story().counted()
    first, second, _, last = (story.reader.step(id) for id in story.steps())
    staging = story.staged()
    head = StepId(staging.put(step_block(replace(last, parent=story.steps()[1], height=2))))
    assert first.height == 0
    assert second.height == 1
    story.keep(staging)
    return story.car(head)


FORGED["a step that was taken out"] = _messages_dropped


def _genesis_twice(story: Story, step: Step, staging: Staging) -> Step:
    """A second genesis message that has the effect of a first."""
    again = Message(to=str(story.keeper), sender="out/test/other", seq=1, type="genesis", content=story.keeper)
    id = MessageId(staging.put(message_block(again)))
    before = story.reader.step(story.steps()[1])
    inbox = {**dict(before.inbox), again.sender: Cursor(1, id)}  # type: ignore[arg-type]
    return replace(
        step,
        consumed=[id],
        inbox=inbox,
        core=TreeId(Id(story.keeper)),
        log=None,
        engine="kernel/1",
        sent=[],
        outbox=before.outbox,
    )


_add("a genesis that happened twice", _genesis_twice, height=2, tell=lambda: Story().counted(1, 2))


def _no_genesis(story: Story, step: Step, staging: Staging) -> Step:
    id = story.message(staging, 1, seq=1, previous=None)
    return replace(step, consumed=[id], inbox={OWNER: Cursor(1, id)})


def _genesis_of_another(story: Story, step: Step, staging: Staging) -> Step:
    other = story.other()
    id = story.message(staging, 0, to=str(other), content=other)
    return replace(step, consumed=[id], inbox={OWNER: Cursor(1, id)})


def _genesis_with_others(story: Story, step: Step, staging: Staging) -> Step:
    second = story.message(staging, 1)
    return replace(step, consumed=[*step.consumed, second], inbox={OWNER: Cursor(2, second)})


_add("a history that begins without a genesis", _no_genesis, height=0, tell=lambda: Story().counted(1))
_add("a history that begins with the genesis of another actor", _genesis_of_another, height=0, tell=Story)
_add("a genesis that is not alone", _genesis_with_others, height=0, tell=lambda: Story().counted(1))


def _update_with_others(story: Story, step: Step, staging: Staging) -> Step:
    patch = staging.put(patch_block({"notes": None}))
    update = Message(to=str(story.keeper), sender=OWNER, seq=1, type="update", content=patch, lane=UPDATE)
    id = MessageId(staging.put(message_block(update)))
    inbox = {**dict(step.inbox), mailbox_key(OWNER, UPDATE): Cursor(1, id)}  # type: ignore[arg-type]
    return replace(step, consumed=[*step.consumed, id], inbox=inbox)


_add("an update that is not alone", _update_with_others)


def _stranger_updates() -> bytes:
    story = Story()
    story.update(story.keeper, {"state": '{"count":40}'}, sender="out/test/other")
    return story.car(story.forged(1, lambda step, staging: replace(_with_state(story, step, staging), outcome=None)))


FORGED["an update by a stranger that was taken"] = _stranger_updates


# Mailboxes and what was sent.


_add(
    "an inbox that names another message",
    lambda _, step, staging: replace(step, inbox={OWNER: Cursor(9, step.consumed[0])}),
)
_add("an inbox that forgot a sender", lambda _, step, staging: replace(step, inbox={}))
_add(
    "an outbox that names what was not sent",
    lambda _, step, staging: replace(step, outbox={"out/test/other": Cursor(1, step.consumed[0])}),
)


def _sent(**changes: Any) -> Change:
    def change(story: Story, step: Step, staging: Staging) -> Step:
        staging.put_blob(b"7")
        message = replace(story.reader.message(step.sent[0]), **changes)
        id = MessageId(staging.put(message_block(message)))
        return replace(step, sent=[id], outbox={mailbox_key(message.to, message.lane): Cursor(message.seq, id)})

    return change


_add("a sent message of another sender", _sent(sender="out/test/owner", after=None), height=1, tell=_telling)
_add("a sent message that leaves out its step", _sent(after=None), height=1, tell=_telling)
_add(
    "a sent message with a number too high", _sent(seq=2, previous=str(node_id(b"the first"))), height=1, tell=_telling
)
_add("a sent message of another content", _sent(content=raw_block(b"7").id), height=1, tell=_telling)
_add("a sent message to another", _sent(to="out/test/other"), height=1, tell=_telling)


def _not_sent() -> bytes:
    """Two actors, one of which heard what the other did not say."""
    story = Story()
    other = story.other()
    story.send(other, "add", 7, sender=str(story.keeper))
    story.play()
    story.did("tell", str(other))
    return story.car(story.head(story.keeper), story.head(other))


FORGED["a message that its sender did not send"] = _not_sent

# Journals.


def _asking() -> Story:
    story = Story()
    other = story.other()
    story.did("add", 5, other)
    story.did("ask", str(other))
    return story


def _journal(**changes: Any) -> Change:
    def change(story: Story, step: Step, staging: Staging) -> Step:
        assert step.journal is not None
        [entry] = story.reader.journal(step.journal)
        return replace(step, journal=staging.put(journal_block([replace(entry, **changes)])))

    return change


_add("an answer that no step gave", _journal(step=None), height=1, tell=_asking)


def _failed_answer(story: Story, step: Step, staging: Staging) -> Step:
    """A failure that nobody's step gave, and the state that the code makes of it."""
    state = staging.put_blob(b'{"heard":"NotToday"}')
    error = CallError("NotToday", "never said")
    step = replace(step, core=edit_tree(staging, step.core, {"state": state}))
    return _journal(step=None, reply=None, error=error)(story, step, staging)


_add("a failure that no step gave", _failed_answer, height=1, tell=_asking)
_add("an answer to another question", _journal(request=sha256(b"").hexdigest()), height=1, tell=_asking)
_add("a call that was struck", lambda _, step, staging: replace(step, journal=None), height=1, tell=_asking)
_add(
    "a call that nobody made",
    lambda _, step, staging: replace(
        step,
        journal=staging.put(
            journal_block([Entry(path="verify/0", request=sha256(b"").hexdigest(), reply=staging.put_blob(b"{}"))])
        ),
    ),
)
_add("a journal that is a tree", lambda _, step, staging: replace(step, journal=staging.put_node({"tree": {}})))

# Large maps, and trees.


def _filled() -> Story:
    story = Story()
    story.did("fill", list(range(90)))
    return story


def _large(forge: Any) -> Change:
    def change(story: Story, step: Step, staging: Staging) -> Step:
        data = staging.find(step.core, "data")
        assert data is not None
        big = read_tree_node(staging.node(data))
        assert isinstance(big, BigMap)
        return replace(
            step, core=edit_tree(staging, step.core, {"data": forge(staging, "bigtree", big.root, big.count)})
        )

    return change


for name in (
    *("a count too high", "a name that is two dots", "a name of neither kind", "a value of the other kind"),
    *("a child that is a plain tree", "a child that belongs into a bucket", "two elements in each other's place"),
    *("a key that stands twice", "64 entries", "another bucket size", "nodes without an end"),
):
    _add(f"a large tree with {name}", _large(FORGED_MAPS[name]), height=1, tell=_filled)


def _crowded() -> Story:
    story = Story(batch=128)
    for number in range(66):
        story.send(story.keeper, "reply", 1, sender=f"out/test/caller-{number}")
    story.play()
    return story


def _miscounted(story: Story, step: Step, staging: Staging) -> Step:
    assert isinstance(step.inbox, bytes)
    big = read_big_mailbox(staging.node(step.inbox))
    return replace(step, inbox=FORGED_MAPS["a count too high"](staging, "bigmailbox", big.root, big.count))


_add("a large inbox with a count too high", _miscounted, height=1, tell=_crowded)


def _nested(_: Story, step: Step, staging: Staging) -> Step:
    tree = build_tree(staging, {})
    for _depth in range(300):
        tree = build_tree(staging, {"in": tree})
    return replace(step, core=edit_tree(staging, step.core, {"data": tree}))


_add("trees in trees, 300 deep", _nested)
_add(
    "a core that is a patch", lambda _, step, staging: replace(step, core=TreeId(staging.put(patch_block({"a": None}))))
)

# Timers.


def _ringing() -> Story:
    story = Story()
    keeper = story.with_timers()
    story.ring(keeper, "once", "add", 5, due=story.time + 60_000_000)
    story.ring(keeper, "failing", "fail")
    story.play()
    return story


def _gone() -> Story:
    story = Story()
    keeper = story.with_timers()
    story.ring(keeper, "once", "add", 5)
    story.update(keeper, {"timers/once": None})
    return story


def _in_company() -> bytes:
    story = Story()
    keeper = story.with_timers()
    both = [story.ring(keeper, "hourly", "add", number, is_last=False) for number in (1, 2)]
    return story.car(story.play_these(keeper, both))


def _core_before(story: Story, step: Step) -> TreeId:
    return story.reader.step(step.parent or b"").core


_add(
    "a step before its timer was due",
    lambda _, step, staging: replace(step, time=step.time - 1),
    height=1,
    tell=_ringing,
)
_add(
    "a timer that is there still after it failed",
    lambda story, step, _: replace(step, core=_core_before(story, step)),
    height=2,
    tell=_ringing,
)
_add(
    "a timer that is said to be gone",
    lambda story, step, _: replace(
        step, engine="kernel/1", outcome=Outcome(NOOP, "TimerGone", "no"), core=_core_before(story, step), log=None
    ),
    height=1,
    tell=_ringing,
)
_add(
    "a timer that rang although it was gone",
    lambda _, step, staging: replace(step, engine="python/2", outcome=None),
    height=2,
    tell=_gone,
)
FORGED["timers that rang in one step"] = _in_company

# A history that is wrong is no evidence against another.


def _accused() -> bytes:
    story = Story()
    other = story.other()
    story.did("tell", str(other))
    story.play()
    return story.car(story.forged(1, lambda step, _: replace(step, outbox={})), story.head(other))


FORGED["a forged history that denies what another one heard from it"] = _accused

# What is not there.


def _without(what: str) -> Make:
    def make() -> bytes:
        story = Story().counted()
        step = story.reader.step(story.steps()[1])
        gone = {"step": story.steps()[1], "message": step.consumed[0], "log": step.log or b"", "core": step.core}[what]
        return story.car(story.head(story.keeper), without=[gone])

    return make


FORGED["a step that is not there"] = _without("step")
FORGED["a message that is not there"] = _without("message")
FORGED["a log that is not there"] = _without("log")
FORGED["a core that is not there"] = _without("core")


def _cut() -> bytes:
    story = Story().counted()
    return story.car(story.head(story.keeper), without=[id for id in story.steps()[:2]])


FORGED["a history whose beginning is not there"] = _cut


def _came_back() -> bytes:
    story = Story().counted(1)
    story.update(story.keeper, {"state": None})
    core = story.reader.tree(story.keeper)
    assert story.step(story.keeper).core == story.keeper
    code = story.reader.tree(core["code"])["keeper.py"]
    return story.car(story.head(story.keeper), without=[code])


FORGED["code that is not there, of a core that comes back"] = _came_back

# What a verdict does not say: these are lies, and match.

_add("a later clock, which nothing shows", lambda _, step, staging: replace(step, time=step.time + 500), height=3)
_add("a seed of which the code made nothing", lambda _, step, staging: replace(step, seed=7))


# What an order to retry makes.


def _without_mark(story: Story, step: Step, staging: Staging) -> Step:
    return replace(step, core=edit_tree(staging, step.core, {"retried": None}))


def _with_another_mark(story: Story, step: Step, staging: Staging) -> Step:
    mark = build_tree(staging, {str(story.steps()[2]): staging.put_blob(str(step.parent).encode())})
    return replace(step, core=edit_tree(staging, step.core, {"retried": mark}))


def _refused_retry(story: Story, step: Step, staging: Staging) -> Step:
    outcome = Outcome("refused", "AlreadyRetried", "it was not")
    core = story.reader.step(story.steps()[3]).core
    return replace(step, outcome=outcome, core=core, engine="kernel/1", log=None, journal=None)


def _retried_twice() -> Story:
    story = Story().failed_and_retried()
    story.retry(story.keeper, story.steps()[2])
    return story


def _second_retry(story: Story, step: Step, staging: Staging) -> Step:
    order = str(Id(step.consumed[0])).encode()
    mark = build_tree(staging, {str(story.steps()[2]): staging.put_blob(order)})
    core = edit_tree(staging, step.core, {"retried": mark})
    return replace(step, outcome=None, core=core, engine=story.reader.step(story.steps()[4]).engine)


_add("a retry that its core does not say", _without_mark, height=4, tell=lambda: Story().failed_and_retried())
_add(
    "a retry that its core says of another order",
    _with_another_mark,
    height=4,
    tell=lambda: Story().failed_and_retried(),
)
_add("a retry that is said to be the second", _refused_retry, height=4, tell=lambda: Story().failed_and_retried())
_add("a second retry", _second_retry, height=5, tell=_retried_twice)
