"""The versions of code that are loaded in this process, and which of them is running."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, ContextVar
from types import FrameType
from typing import Any, Final, Protocol

from understudy.engines.python.modules import Source


class Loaded(Protocol):
    """A version as far as others need to know it.

    `prefix` is the package of its modules in `sys.modules`, `package` the one that they have in their names. `builtins`
    are its own, which all functions of its modules have.
    """

    prefix: str
    package: str
    builtins: dict[str, Any]
    sources: Mapping[str, Source]
    context: Context

    def full_name(self, name: str) -> str:
        """The key of a module in `sys.modules`."""


def enter(version: Loaded, begun: Callable[[], None]) -> None:
    """Let a version be found, until it is dropped; `begun` then runs before another one can leave."""
    # Weak, so that modules do not keep their version alive.
    version.context.run(_RUNNING.set, weakref.ref(version))
    with _moving:
        _by_prefix[version.prefix] = version
        _by_builtins[id(version.builtins)] = version
        begun()


def leave(package: str, names: Iterable[str], left: Callable[[str], None]) -> None:
    """Call `left` for each of the names that no living version with this package has any more."""
    with _moving:
        living = [version for version in _by_prefix.values() if version.package == package]
        for name in names:
            if not any(name in version.sources for version in living):
                left(name)


def version_with(prefix: str) -> Loaded | None:
    """The living version whose modules are below this package."""
    return _by_prefix.get(prefix)


def running_version() -> Loaded | None:
    """The version whose code is running: that of the nearest caller which is code of a core, wherever it runs; else that
    whose step or query it is, when a library is at work on its own, or we are.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        version = _by_builtins.get(id(frame.f_builtins))
        if version is not None and version.builtins is frame.f_builtins:
            return version
        frame = frame.f_back
    running = _RUNNING.get(None)
    return None if running is None else running()


# One that is dropped may leave at any moment, also while this thread is within one of the two.
_moving = threading.RLock()
_by_prefix: Final[weakref.WeakValueDictionary[str, Loaded]] = weakref.WeakValueDictionary()
_by_builtins: Final[weakref.WeakValueDictionary[int, Loaded]] = weakref.WeakValueDictionary()
_RUNNING: Final[ContextVar[weakref.ref[Loaded]]] = ContextVar("understudy-version")
