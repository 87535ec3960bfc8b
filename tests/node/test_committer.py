"""The committer: units become durable in their order, many with one commit, and nobody hears of one before."""

from __future__ import annotations

import threading

import pytest

from tests.node.stage import PATIENCE, ClogStore
from understudy.node.running.committer import MAX_BATCH, Committer
from understudy.node.running.done import Done
from understudy.store.errors import StoreClosed, StoreError
from understudy.store.port import Row, Unit


class Heard:
    """A committer on a store that can be clogged, and what is heard of it."""

    def __init__(self) -> None:
        self.store = ClogStore()
        self.done: list[Done[int]] = []
        self.failures: list[BaseException] = []
        self.changed = threading.Event()
        self.committer: Committer[int] = Committer(self.store, on_done=self._on_done, on_failure=self._on_failure)

    def _on_done(self, done: object) -> None:
        assert isinstance(done, list)
        for each in done:
            assert self.store.row(key(each.tag)) is not None, "told before it is durable"
        self.done += done
        self.changed.set()

    def _on_failure(self, error: BaseException) -> None:
        self.failures.append(error)
        self.changed.set()

    def submit(self, *numbers: int) -> None:
        self.committer.submit([(number, Unit(rows=[Row(key(number), b"there")])) for number in numbers])

    def tags(self) -> list[int]:
        return [each.tag for each in self.done]


def key(number: int) -> bytes:
    return b"x" + number.to_bytes(4, "big")


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_what_queues_during_a_commit_shares_the_next_one(heard: Heard) -> None:
    heard.store.clog()
    heard.committer.start()
    heard.submit(0)
    heard.store.wait_until_clogged()
    for number in range(1, 10):
        heard.submit(number)
    assert heard.committer.queued == 9 and heard.done == []
    heard.store.unclog()
    heard.committer.stop()
    assert heard.tags() == list(range(10)) and heard.store.commits == [1, 9]


def test_a_commit_has_at_most_so_many_units(heard: Heard) -> None:
    heard.submit(*range(MAX_BATCH + 1))
    heard.committer.start()
    heard.committer.stop()
    assert heard.store.commits == [MAX_BATCH, 1]


def test_a_stop_commits_what_is_queued_and_then_refuses(heard: Heard) -> None:
    heard.submit(1, 2)
    heard.committer.start()
    heard.committer.stop()
    assert heard.tags() == [1, 2]
    with pytest.raises(StoreClosed):
        heard.submit(3)


def test_after_a_failure_nothing_is_committed_and_who_submits_is_told_why(heard: Heard) -> None:
    heard.store.full = True
    heard.committer.start()
    heard.submit(1)
    assert heard.changed.wait(PATIENCE)
    heard.store.full = False
    with pytest.raises(StoreError, match="no room"):
        heard.submit(2)
    heard.committer.stop()
    assert heard.done == [] and len(heard.failures) == 1 and heard.store.row(key(2)) is None


def test_without_its_thread_a_commit_is_one_call(heard: Heard) -> None:
    heard.submit(1, 2, 3)
    assert heard.committer.commit(most=2) == 2 and heard.tags() == [1, 2]
    assert heard.committer.commit() == 1 and heard.committer.queued == 0
