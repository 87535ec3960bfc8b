"""The policy in a core: what is not said is ours, and what can't be is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from understudy.actors.errors import WitError
from understudy.kernel.core import check_core
from understudy.kernel.policy import DEFAULT, MAX_MS, read_policy
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit


def read(policy: dict[str, Any] | None) -> Any:
    staging = Staging(Grit(MemoryBackend()))
    files = {} if policy is None else {"policy": staging.put_blob(json.dumps(policy).encode())}
    return read_policy(staging, staging.put_tree(files))


def test_a_core_without_a_policy_and_an_empty_one_mean_the_same():
    assert read(None) == read({}) == DEFAULT


def test_a_day_may_be_waited():
    policy = read({"retry": {"first_ms": MAX_MS, "most_ms": MAX_MS}, "deadline_ms": MAX_MS})
    assert policy.retry.delay_ms(1) == policy.retry.delay_ms(100) == policy.deadline_ms == MAX_MS


def test_each_delay_is_twice_the_one_before_up_to_the_most():
    policy = read({"retry": {"first_ms": 10, "most_ms": 35}})
    assert [policy.retry.delay_ms(attempt) for attempt in (1, 2, 3, 4)] == [10, 20, 35, 35]


@pytest.mark.parametrize(
    "policy",
    [
        {"deadline_ms": 0},
        {"deadline_ms": -1},
        {"deadline_ms": MAX_MS + 1},
        {"retry": {"attempts": 0}},
        {"retry": {"first_ms": 0}},
        {"retry": {"first_ms": 10**16, "most_ms": 10**16}},
        {"retry": {"most_ms": MAX_MS + 1}},
        {"batch": 0},
        {"batches": 1},
        {"update": "self"},
    ],
)
def test_a_policy_that_can_not_be_kept_is_refused(policy: dict[str, Any]):
    with pytest.raises(WitError) as raised:
        read(policy)
    assert raised.value.code == "BadPolicy"


def test_a_policy_of_many_bytes_is_refused_before_any_of_them_is_read():
    staging = Staging(Grit(MemoryBackend()))
    big = staging.put_blob(b" " * (1024 * 1024 + 1))
    info = staging.blob_info(big)
    assert info is not None
    for chunk in info.chunks:
        del staging.new[chunk]
    core = staging.put_tree({"policy": big, "wit": big})
    with pytest.raises(WitError, match="1,048,577 bytes") as refused:
        read_policy(staging, core)
    assert refused.value.code == "BadPolicy"
    with pytest.raises(WitError, match="1,048,577 bytes") as refused:
        check_core(staging, core)
    assert refused.value.code == "WitTooLarge"


def test_without_a_policy_a_message_is_tried_as_often_and_as_long_as_the_format_says():
    retry = read(None).retry
    assert (retry.attempts, retry.first_ms, retry.most_ms) == (8, 100, 60_000)
