"""The committer: one thread that makes units durable, as many as are queued with one sync.

The law: units become durable in the order in which they were submitted, and nobody is told of a unit before it is durable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from understudy.node.running.done import Done
from understudy.store.errors import StoreClosed, StoreError
from understudy.store.port import Backend, Unit

MAX_BATCH: Final = 512  # units to a commit: one sync of 100 units costs about 1.5 times that of one
MAX_QUEUED: Final = 4096  # above, nobody may submit work from outside, and the scheduler waits

Tag = TypeVar("Tag")


class Committer(Generic[Tag]):
    """`on_done` and `on_failure` are called on the committer's thread; after a failure nothing is committed any more."""

    def __init__(
        self,
        backend: Backend,
        *,
        on_done: Callable[[Sequence[Done[Tag]]], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._backend = backend
        self._on_done = on_done
        self._on_failure = on_failure
        self._queue: list[tuple[Tag, Unit]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="understudy-committer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def queued(self) -> int:
        """How many units wait for a commit that has not begun."""
        return len(self._queue)

    def submit(self, tagged: Sequence[tuple[Tag, Unit]]) -> None:
        """Queue units. Raises StoreError if the committer has failed or was stopped."""
        with self._changed:
            if self.failure is not None:
                raise StoreError(f"the store failed before: {self.failure}") from self.failure
            if self._stopping:
                raise StoreClosed("the node was stopped")
            self._queue.extend(tagged)
            self._changed.notify_all()

    def commit(self, *, most: int = MAX_BATCH) -> int:
        """Wait for units and make at most so many durable; gives how many, 0 when stopped. The thread's work, or a simulator's."""
        batch = self._next_batch(most)
        if batch:
            receipts = self._backend.commit([unit for _, unit in batch])
            self._on_done([Done(tag, unit, receipt) for (tag, unit), receipt in zip(batch, receipts, strict=True)])
        return len(batch)

    def _run(self) -> None:
        try:
            while self.commit():
                pass
        except BaseException as error:
            # If the committer died silently, everybody would wait for ever.
            with self._changed:
                self.failure = error
            self._on_failure(error)

    def _next_batch(self, most: int) -> list[tuple[Tag, Unit]]:
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            batch = self._queue[:most]
            del self._queue[:most]
            return batch
