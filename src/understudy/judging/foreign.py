"""Histories from elsewhere: a CAR file judged in a store of its own, which is gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import BinaryIO

from understudy.judging.known_heads import check_known_heads
from understudy.judging.together import check_against
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import INTEGRITY, MISMATCH, UNVERIFIABLE, Verdict
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import Id, StepId
from understudy.store.car import store_blocks
from understudy.store.errors import BadCar, Corrupt, Missing
from understudy.store.open import open_temporary
from understudy.store.port import Backend
from understudy.store.reader import Reader
from understudy.store.verified import Grit


def verify_car(
    file: BinaryIO,
    *,
    held: StepId | None = None,
    integrity_only: bool = False,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
    modules: Sequence[str] = (),
) -> list[Verdict]:
    """Judge the histories that a CAR file's roots are heads of. A file that is no CAR, or is damaged, is a MISMATCH."""
    # On disk: a history may be larger than memory.
    with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
        backend = open_temporary(folder)
        try:
            return _verify(backend, file, held, integrity_only, deep, progress, modules)
        except (BadCar, Corrupt, ObjectError) as error:
            return [_no_history("", MISMATCH, str(error))]
        finally:
            backend.close()


def _verify(
    backend: Backend,
    file: BinaryIO,
    held: StepId | None,
    integrity_only: bool,
    deep: bool,
    progress: Callable[[int, int], None] | None,
    modules: Sequence[str],
) -> list[Verdict]:
    reader = Grit(backend)
    verdicts = []
    found = [_target(reader, root) for root in dict.fromkeys(store_blocks(backend, file))]
    targets = [target for target in found if isinstance(target, Target)]
    judged = verify_targets(
        backend, targets, integrity_only=integrity_only, deep=deep, progress=progress, modules=modules
    )
    # A history that is wrong by itself, or not all here, is no evidence against another.
    sound = [target for target, verdict in zip(targets, judged, strict=True) if verdict.ok]
    waiting = iter(judged)
    for target in found:
        if isinstance(target, Verdict):
            verdicts.append(target)
            continue
        verdict = check_against(reader, next(waiting), target, sound)
        verdicts.append(verdict if held is None else check_known_heads(reader, verdict, target, held))
    return verdicts or [_no_history("", UNVERIFIABLE, "the file has no root: it holds no history")]


def _target(reader: Reader, root: Id) -> Target | Verdict:
    try:
        return Target(reader.step(root).actor, StepId(root))
    except WrongKind:
        return _no_history(str(root), UNVERIFIABLE, f"the root is {reader.kind(root)}, not a step: it has no history")
    except (Corrupt, ObjectError) as error:
        return _no_history(str(root), MISMATCH, str(error))
    except Missing:
        return _no_history(str(root), UNVERIFIABLE, "the root is not in the file")


def _no_history(head: str, verdict: str, reason: str) -> Verdict:
    return Verdict(verdict=verdict, actor="", head=head, height=-1, cause=INTEGRITY, reason=reason)
