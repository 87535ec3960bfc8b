"""Verification: histories judged by fresh processes, many spans at once.

The law: nothing that comes from the store or from its index is believed before a judge has checked it. The steps of
a span are tied together by their hashes, and the spans of a history are tied together here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from understudy.engines.wasm.folder import default_folder
from understudy.judging.case import Case, Target
from understudy.judging.court import Court, Progress
from understudy.judging.wire import Setup
from understudy.kernel.verdict import INTACT, MATCH, Verdict
from understudy.store.port import Backend
from understudy.store.verified import Grit

__all__ = ["STEP_SECONDS", "Target", "verify_targets"]

STEP_SECONDS: Final = 60.0  # a step that replays longer is given up; live steps that compute so long are rare


def verify_targets(
    backend: Backend,
    targets: Sequence[Target],
    *,
    integrity_only: bool = False,
    deep: bool = False,
    progress: Progress | None = None,
    modules: Sequence[str] = (),
    paths: Sequence[str] | None = None,
    processes: int | None = None,
    step_seconds: float = STEP_SECONDS,
) -> list[Verdict]:
    """Judge histories that a store, or a memory backend filled from a CAR, holds; one verdict for each, in order.

    Blocks until done; `progress(done, total)` counts steps and is called on the calling thread. With `integrity_only`
    nothing is replayed, and what is right is INTACT; with `deep`, what other actors answered is asked again at the steps
    that the journals name.
    `paths` and `modules` are where code behind `external:` is found, by default where this process finds it. A history
    whose head the backend does not know (a CAR) is UNVERIFIABLE where a block is missing; where it does know it, a
    missing block is a MISMATCH. Raises StoreError if the store fails as a whole.
    """
    reader = Grit(backend)
    right = INTACT if integrity_only else MATCH
    cases = [Case(backend, reader, target, right) for target in targets]
    setup = Setup(
        modules=modules,
        components=str(default_folder()),
        integrity_only=integrity_only,
        deep=deep,
        step_seconds=step_seconds,
    )
    path = [os.path.abspath(entry) for entry in (*sys.path, *(paths or ()))]
    court = Court(backend, setup, path)
    count = processes or os.cpu_count() or 1
    try:
        for by_walking in (False, True):
            open_cases = [case for case in cases if case.is_open]
            for case in open_cases:
                case.plan(by_walking=by_walking)
            court.hear(open_cases, progress, count)
        for case in cases:
            case.plan_again()
        court.hear(cases, None, count)
    finally:
        court.close()
    return [case.verdict() for case in cases]
