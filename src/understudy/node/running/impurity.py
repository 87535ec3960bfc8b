"""What wits of a living node do without `ctx`: it is not recorded, so the node tells the author when it happens, and where.

The laws: only the thread of a wit is watched; each place in the code is reported once; our own code, and functions that
`ctx.effect` runs, are not reported. What is seen is what Python's audit events show, and, in the first step of each
type of message, who asks the clock, chance or the environment. This is no protection: code can avoid it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import AbstractContextManager
from enum import Enum
from types import FrameType
from typing import Any, Final

from understudy.actors.contract import Program
from understudy.engines import room, tasks
from understudy.engines.python.externals import is_authors
from understudy.engines.python.failure import in_core
from understudy.engines.python.program import PythonProgram
from understudy.judging.author import find_author
from understudy.judging.shut_world import WorldShut, ask_what_machine
from understudy.judging.witness import Witness
from understudy.judging.world_events import WorldEvents
from understudy.kernel.verdict import CLOCK, WORLD
from understudy.wit.effect import IN_EFFECT
from understudy.wit.running import RUNNING

MAX_PLACES: Final = 10_000  # that are reported; code that makes up new ones is not reported for ever
MAX_TYPES: Final = 1_000  # of messages whose first step is looked at, for one version of the code
MAX_DEEP: Final = 500  # frames: what looks needs some itself, and would take them from code that goes as deep as it can
_OURS: Final = __name__.partition(".")[0]
_HTTP: Final = ("socket.", "http.", "urllib.", "ssl.")
_OF_THE_MACHINE: Final = ("socket.gethostname", "socket.sethostname")
_BY_HTTP: Final = "ask by ctx.http"
_BY_THE_HOST: Final = "have the host do it: ctx.effect(function, …)"
_REMEDIES: Final = (
    (("time.", "datetime.", "date."), "ctx.now() gives the step's time"),
    (("random.", "uuid.", "secrets.", "os.urandom"), "ctx.random gives numbers that a replay gives, too"),
    (("os.environ", "os.getenv"), "put it into the core or the message; ctx.secret is for passwords"),
    (("os.", "resource.", "signal.", "genericpath.", "posixpath.", "pathlib."), _BY_THE_HOST),
)

_log = logging.getLogger("understudy.impure")


class Impure(Enum):
    """What happens then: `[node] impure`."""

    WARN = "warn"
    REFUSE = "refuse"
    ALLOW = "allow"


class ImpurityWatch:
    """Watches the wits of one node. Made once; the hook that it needs stays for as long as the process lives."""

    def __init__(self, impure: Impure = Impure.WARN) -> None:
        self._impure = impure
        self._told: set[tuple[str, str]] = set()
        if impure is not Impure.ALLOW:
            _install()
            ask_what_machine()

    def look_at(self, program: Program, type: str) -> AbstractContextManager[object] | None:
        """What to run the first step of a version and a type in, which is looked at more closely and takes its time; else None."""
        if self._impure is Impure.ALLOW or not isinstance(program, PythonProgram):
            return None  # a component can reach only what it was given
        known = program.looked_at
        if type in known or len(known) >= MAX_TYPES or sys.getprofile() is not None:
            return None
        known.add(type)
        return _Look(self)

    def heard(self, where: str, what: str) -> None:
        """Code did something to the world. Raises WorldShut where that is refused."""
        if self._impure is Impure.ALLOW:
            return
        is_network = what.startswith(_HTTP) and not what.startswith(_OF_THE_MACHINE)
        remedy = _BY_HTTP if is_network else _BY_THE_HOST
        self._tell(f"{where} ({what})", remedy)
        if self._impure is Impure.REFUSE:
            raise WorldShut(f'{what}: [node] impure = "refuse" forbids what no record holds; {remedy}')

    def asked(self, where: str) -> None:
        """Code asked what is another thing in a replay: the clock, chance, the environment."""
        called = where.partition(" calls ")[2]
        remedy = next((remedy for names, remedy in _REMEDIES if called.startswith(names)), None)
        if remedy is not None:
            self._tell(where, remedy)

    def _tell(self, what: str, remedy: str) -> None:
        # One call of a library may be ten events.
        place = (what.partition(" ")[0], remedy)
        if place not in self._told and len(self._told) < MAX_PLACES:
            self._told.add(place)
            _log.warning("%s: no record holds that, so the history may not verify; %s", what, remedy)


class _Look:
    """A look at a step. What it finds is told when the step is over."""

    def __init__(self, watch: ImpurityWatch) -> None:
        self._watch = watch
        self._witness = Witness(path_of, skip=_is_ours)
        self._deep = 0

    def __enter__(self) -> None:
        # For this thread alone: others' threads are not this wit's.
        sys.setprofile(self._see)

    def _see(self, frame: FrameType, event: str, arg: Any) -> None:
        self._deep += (event == "call") - (event == "return")
        if self._deep > MAX_DEEP:
            sys.setprofile(None)
        else:
            self._witness.see(frame, event, arg)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        for noted in self._witness.noted:
            # A library that reads the environment for its own sake is not the author.
            if noted.sure and noted.cause in (CLOCK, WORLD):
                self._watch.asked(noted.text)


def path_of(frame: FrameType) -> str | None:
    """The path of an author's code that a frame runs, None for other code."""
    found = in_core(frame)
    if found is not None:
        return found
    name = str(frame.f_globals.get("__name__", ""))
    module = sys.modules.get(name)
    if _is_ours(frame) or module is None or not is_authors(module):
        return None
    return name.replace(".", "/") + ".py"


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _OURS


def _install() -> None:
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hear)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _world.knows(event):
        return
    given = getattr(RUNNING.get(None), "given", None)
    watch = getattr(getattr(given, "calls", None), "watch", None)
    if given is None or watch is None or IN_EFFECT.get() is not None:
        return
    what = _world.look(event, args)
    if what is None:
        return
    where, at_import = find_author(sys._getframe(1), path_of, skip=_is_ours)
    if where is None and _in_callback(sys._getframe(1)):
        # Its task has no frame of the code that began it.
        where = f"{given.actor}: a task or callback that its code began"
    # What a library does while it is imported says nothing of the author.
    if where is not None and not at_import:
        watch.heard(where, what)


def _in_callback(frame: FrameType) -> bool:
    """True if an event loop called what led here, and no code of ours did."""
    at: FrameType | None = frame
    while at is not None and (not _is_ours(at) or at.f_globals["__name__"] in _AROUND_TASKS):
        if at.f_code is _CALLBACK:
            return True
        at = at.f_back
    return False


_AROUND_TASKS: Final = (tasks.__name__, room.__name__)  # no code of theirs reaches out
_CALLBACK: Final = asyncio.Handle._run.__code__
_installed: list[bool] = []
_world: Final = WorldEvents()
