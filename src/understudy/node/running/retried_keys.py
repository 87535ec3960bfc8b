"""Idempotency keys of a retry: a service that supports them does nothing twice that the failed step already asked for.

The law: one request has one key in a step and in all its retries, wherever today's code makes it. Another one has another.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from hashlib import sha256

from understudy.actors.exchange import Aside
from understudy.objects.ids import StepId
from understudy.store.reader import Reader
from understudy.wit.secret import marker_of


class RetriedKeys:
    """Of one retry of a step. See docs/FORMAT.md, section 10."""

    def __init__(self, reader: Reader, retried: StepId) -> None:
        step = reader.step(retried)
        self._base = b"".join([step.parent or b"", *step.consumed])
        self._then = (step.actor, step.parent, step.seed)
        self._made: Counter[str] = Counter()
        self._paths: defaultdict[str, deque[str]] = defaultdict(deque)
        for entry in () if step.journal is None else reader.journal(step.journal):
            self._paths[entry.request].append(entry.path)

    def key(self, request: bytes, beside: object) -> str:
        """The key of the next call that asks for this."""
        digest = sha256(self._as_then(request, beside)).hexdigest()
        paths = self._paths.get(digest)
        if paths:
            return sha256(self._base + paths.popleft().encode()).hexdigest()
        number = self._made[digest]
        self._made[digest] += 1
        return sha256(self._base + f"{digest}{number}".encode()).hexdigest()

    def _as_then(self, request: bytes, beside: object) -> bytes:
        """The request with the markers that its secrets had in the failed step: they depend on the step."""
        if isinstance(beside, Aside):
            for marker, name in beside.secrets.items():
                request = request.replace(marker.encode(), marker_of(*self._then, name).encode())
        return request
