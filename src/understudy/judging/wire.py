"""What a verification, its judges and their performers say to each other, as values; `pipe.py` carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from understudy.actors.contract import StepResult
from understudy.kernel.verdict import Problem
from understudy.objects.journal import CallError
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message


class Setup(Struct, tag=True, frozen=True, kw_only=True):
    """To a judge, first: what it needs to know for all spans.

    `modules` register wits when they are imported; `components` is the folder with compiled components. A step that
    replays longer than `step_seconds` is given up.
    """

    modules: Sequence[str]
    components: str
    integrity_only: bool
    deep: bool = False
    step_seconds: float = 60.0


class Span(Struct, tag=True, frozen=True, kw_only=True):
    """To a judge: judge the steps of an actor from the height `low` up to `top`, a step at the height `high`.

    `genesis` is said to be the first step, and `head` the last one of the history. `whole` means that the store claims to
    hold all of the history. `skip` are heights whose replay took a judge down before; with `each`, the judge says which
    step comes before it replays it. With `again`, nothing is replayed, and each message is looked up in the history of its
    sender by itself.
    """

    actor: bytes
    top: bytes
    high: int
    low: int
    genesis: bytes
    head: bytes
    whole: bool
    skip: Sequence[int] = ()
    each: bool = False
    again: bool = False


class Blocks(Struct, tag=True, frozen=True):
    """To a judge: blocks in the order asked for, None for one that is absent; `damaged` says why by their number."""

    data: Sequence[bytes | None]
    damaged: dict[int, str] = {}


class Value(Struct, tag=True, frozen=True):
    """To a judge: a ref's or a row's value."""

    value: bytes | None


class Values(Struct, tag=True, frozen=True):
    """To a judge: the values of rows in order."""

    values: Sequence[bytes]


class GetBlocks(Struct, tag=True, frozen=True):
    """From a judge: send these blocks."""

    ids: Sequence[bytes]


class GetRef(Struct, tag=True, frozen=True):
    """From a judge: what does this ref hold?"""

    ref: bytes


class GetSteps(Struct, tag=True, frozen=True, kw_only=True):
    """From a judge: which steps does the index of this actor name at the heights `low` to `high`?"""

    actor: bytes
    low: int
    high: int


class GetBefore(Struct, tag=True, frozen=True):
    """From a judge: which steps of other actors does the node's feed name before this step?"""

    step: bytes


class At(Struct, tag=True, frozen=True):
    """From a judge: it lives, and has gone through so many more steps. `height` is that of a step that it is at."""

    height: int
    steps: int = 0


class Preparing(Struct, tag=True, frozen=True):
    """From a judge: it is making code ready to run, which is no part of a step. A text, if any, is for people."""

    text: str


class Done(Struct, tag=True, frozen=True, kw_only=True):
    """From a judge: a span is judged. `lowest` is its lowest step, `below` the parent of that; None if not reached.

    `sound` says that nothing is wrong with any of its steps, as far as no replay is needed to see that.
    """

    lowest: bytes | None
    below: bytes | None
    replayed: int
    problem: Problem | None
    sound: bool = False


class Broken(Struct, tag=True, frozen=True):
    """From a judge: it failed itself."""

    text: str


class Run(Struct, frozen=True, kw_only=True):
    """Run the code that an entry of a core names, in one of the `WAYS`; `journal` is the block of the recorded answers.

    `keeps_room` says that the step records how deep its code could call, and `room` how many frames deeper it may go.
    `spot` are names, as `json.dumps`: who changes one is told with the line.
    `after` is the core that the record says came out. It has no part in the run, only in how runs follow each other.
    The judge has read the step before and the messages already, so they come as they are, and are not decoded and
    checked again.
    """

    entry: str
    way: str
    actor: bytes
    parent: bytes | None
    height: int
    time: int
    seed: int
    core: bytes
    inbox: Mapping[str, Cursor] | bytes
    outbox: Mapping[str, Cursor] | bytes
    consumed: Sequence[tuple[bytes, Message]]
    journal: bytes | None
    exhausted: str | None
    timers_first: int
    abi: str | None
    room: int = 0
    keeps_room: bool = False
    spot: Sequence[str] = ()
    after: bytes | None = None


class Runs(Struct, tag=True, frozen=True):
    """To a performer: do these, one after the other; `ahead` are blocks that it will need."""

    runs: Sequence[Run]
    ahead: dict[bytes, bytes]


class LoadQuery(Struct, tag=True, frozen=True):
    """To a performer: get ready to answer a core's queries."""

    core: bytes


class RunQuery(Struct, tag=True, frozen=True, kw_only=True):
    """To a performer: answer a query at a step, asking nobody."""

    step: bytes
    name: str
    context: bytes
    media_type: str


class GetStaged(Struct, tag=True, frozen=True):
    """To a performer: send the blocks that the code staged."""


class LoadedQuery(Struct, tag=True, frozen=True):
    """From a performer: the queries can be asked; `external` says that their code is not in the core."""

    external: bool


class Answered(Struct, tag=True, frozen=True, kw_only=True):
    """From a performer: a query's answer, or its own error. `asked` says that it tried to ask others, `tried` as in Ran."""

    reply: bytes | None
    error: CallError | None
    asked: bool
    tried: Sequence[str] = ()


class Refused(Struct, tag=True, frozen=True):
    """From a performer: why it can't be loaded, or why a query has no answer; the rest as in `Answered`."""

    code: str
    text: str
    asked: bool = False
    tried: Sequence[str] = ()


class Noted(Struct, frozen=True):
    """A line of the code with what it calls, and the cause that this stands for; `sure` if it was seen to happen itself."""

    text: str
    cause: str
    sure: bool = True


class Ran(Struct, tag=True, frozen=True, kw_only=True):
    """From a performer: what came out; `journal` is the block of the answers that were taken, `noted` a witness's words.

    `asked` and `stuck` are `problem` and `stuck` of its `ReplayCalls`.
    `raced`: timers of the code could have gone off before answers that it got. `tried`: what it tried of the world.
    `threads`: where it started threads, `outlive`: those that went on after it. `peeked`: what it tried to read of the
    world while it was imported.
    """

    result: StepResult
    journal: bytes | None
    asked: tuple[str, str | None, str] | None
    stuck: bool
    requests: dict[str, bytes]
    noted: Sequence[Noted]
    raced: bool
    tried: Sequence[str] = ()
    threads: Sequence[str] = ()
    outlive: Sequence[str] = ()
    peeked: Sequence[str] = ()


class Rans(Struct, tag=True, frozen=True):
    """From a performer: what came out of the next runs, in their order."""

    found: Sequence[Ran | Refused | Unreadable]


class Staged(Struct, tag=True, frozen=True):
    """From a performer: the blocks by their ids."""

    blocks: dict[bytes, bytes]


class Unreadable(Struct, tag=True, frozen=True):
    """From a performer: the code needs an object that is not there, or can't be read."""

    id: bytes
    text: str
    missing: bool


FRESH: Final = "fresh"
WATCHED: Final = "watched"
KEPT: Final = "kept"
MINGLED: Final = "mingled"
WAYS: Final = (FRESH, WATCHED, KEPT, MINGLED)
MAX_SAID: Final = 400  # characters of an error in a verdict

ToJudge = Setup | Span | Blocks | Value | Values
Question = GetBlocks | GetRef | GetSteps | GetBefore
FromJudge = Question | At | Preparing | Done | Broken
ToPerformer = Setup | Runs | LoadQuery | RunQuery | GetStaged | Blocks
FromPerformer = GetBlocks | Rans | LoadedQuery | Answered | Refused | Staged | Unreadable | Broken


def said_by(error: Exception) -> str:
    """An error of ours in a line, for a verdict: a traceback is none of its reader's business."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:MAX_SAID]
