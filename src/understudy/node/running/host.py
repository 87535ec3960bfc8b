"""The host of a step: what the step and its calls ask of whoever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


class Host(ABC):
    """One for each run of a step. From the thread that runs it, and from those on which its calls wait."""

    __slots__ = ()

    @abstractmethod
    def owner(self) -> str:
        """Who sent the genesis of the actor. Raises StoreError."""

    @abstractmethod
    def when_durable(self, start: Callable[[], None], lose: Callable[[], None]) -> None:
        """Call the first once every step of the actor is durable, or the second if that can't be any more."""

    @abstractmethod
    def leave(self) -> bool:
        """Let the wit run on without holding up other steps; False if that can't be now."""

    def waiting(self) -> AbstractContextManager[object]:
        """To be open while a wit that can't await only waits for an answer."""
        return nullcontext()

    def effects(self) -> AbstractContextManager[object]:
        """To be open while a function of the actor runs on a thread of its own."""
        return nullcontext()
