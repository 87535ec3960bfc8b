"""What a verification says: verdicts about histories, problems of steps, and the causes of both.

The law: what can't be judged is UNVERIFIABLE with its reason, and never MATCH.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from understudy.kernel.compare import JSON, Difference
from understudy.objects.errors import ObjectError
from understudy.store.errors import Corrupt, Missing, StoreError

MATCH: Final = "MATCH"
INTACT: Final = "INTACT"  # hashes, links, order and engine are right; whether the code gives that was not asked
MISMATCH: Final = "MISMATCH"
UNVERIFIABLE: Final = "UNVERIFIABLE"

INTEGRITY: Final = "integrity"  # a block is damaged or gone, or the chain breaks its own rules
ORDER: Final = "order"  # a message was dropped, moved, doubled or redirected
UNSENT: Final = "unsent"  # the sender's history does not hold a message that was consumed
OUTPUT: Final = "output"  # the code does not give what is recorded: one of the two was changed
CLOCK: Final = "clock"  # the code asks the clock or chance behind our back, or times contradict each other
WORLD: Final = "world"  # the code reaches for the world behind our back: files, network, processes, the environment
HASH: Final = "hash"  # the code depends on hash() or on the order of a set, which differ from process to process
THREADS: Final = "threads"  # the code depends on when its own threads go on, which nothing records
GLOBAL: Final = "global"  # the code keeps something between steps outside its core
JOURNAL: Final = "journal"  # the code makes other calls than are recorded
ANSWER: Final = "answer"  # another actor, asked again at the step that the journal names, answers something else
SOURCE: Final = "source"  # code behind `external:` is not here, or is another
ENGINE: Final = "engine"  # no such engine here, or another version of it; or the engine text is false
CUT: Final = "cut"  # stopped by the host
MISSING: Final = "missing"  # a block is not in what we were given
TIMEOUT: Final = "timeout"  # the replay took too long
FILE: Final = "file"  # the file can't be read at all
DIED: Final = "died"  # the code took the process of the replay down
HOST: Final = "host"  # the machine that judges could not run the code


class Verdict(Struct, frozen=True, kw_only=True):
    """What was found about one history, relative to `head`.

    `height` is that of the head (-1 if it could not be read), `steps` counts those replayed. If the verdict is not
    MATCH: `step` and `at_height` of the first bad one, the cause (a constant of this module), the first differing path
    with both values, and the reason for a person. `file` is where it was read. A MISMATCH anywhere goes before what is UNVERIFIABLE.
    """

    verdict: str
    actor: str
    head: str
    height: int
    steps: int = 0
    step: str | None = None
    at_height: int | None = None
    cause: str | None = None
    path: str | None = None
    recorded: JSON = None
    replayed: JSON = None
    reason: str | None = None
    file: str | None = None

    @property
    def ok(self) -> bool:
        """True for MATCH, and for INTACT where nothing was to be run."""
        return self.verdict in (MATCH, INTACT)


class Problem(Struct, frozen=True, kw_only=True):
    """Why a step is not a match."""

    verdict: str
    cause: str
    reason: str
    step: str | None = None
    height: int | None = None
    path: str | None = None
    recorded: JSON = None
    replayed: JSON = None


def reading_problem(error: StoreError | ObjectError, *, whole: bool) -> Problem:
    """What it means that an object could not be read. `whole` says that the store claims to hold all of the history."""
    if isinstance(error, Missing) and not whole:
        return Problem(verdict=UNVERIFIABLE, cause=MISSING, path=str(error.id), reason=str(error))
    id = error.id if isinstance(error, Missing | Corrupt) else None
    return Problem(verdict=MISMATCH, cause=INTEGRITY, path=None if id is None else str(id), reason=str(error))


def worse(a: Problem | None, b: Problem | None) -> Problem | None:
    """The one that a verdict names: a MISMATCH before what is UNVERIFIABLE, then the lower step."""
    if a is None or b is None:
        return a or b
    return min(a, b, key=lambda each: (each.verdict != MISMATCH, -1 if each.height is None else each.height))


def unverifiable(cause: str, reason: str, difference: Difference) -> Problem:
    """What can't be judged, with what came out otherwise."""
    return Problem(
        verdict=UNVERIFIABLE,
        cause=cause,
        reason=reason,
        path=difference.path,
        recorded=difference.recorded,
        replayed=difference.replayed,
    )


def mismatch(cause: str, path: str, recorded: JSON, expected: JSON, reason: str) -> Problem:
    """What is wrong at a path, with what would be right there."""
    return Problem(verdict=MISMATCH, cause=cause, path=path, recorded=recorded, replayed=expected, reason=reason)
