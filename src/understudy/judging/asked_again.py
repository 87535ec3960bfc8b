"""What other actors answered a step, asked again at the steps that the journal names.

A replay takes answers from the journal; this finds those that were never given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from understudy.actors.contract import Engine
from understudy.actors.errors import HostFailed, WitError
from understudy.actors.query import QUERY_TIMEOUT, Error, QueryRequest, Result, read_request, result_bytes
from understudy.judging.no_calls import NoCalls, ask_nobody
from understudy.judging.performed import PerformerLost
from understudy.kernel.compare import JSON, MAX_PREVIEW
from understudy.kernel.query import check_result, prepare_query
from understudy.kernel.replay import Record
from understudy.kernel.verify import (
    ANSWER,
    HOST,
    INTEGRITY,
    MISMATCH,
    MISSING,
    SOURCE,
    TIMEOUT,
    UNVERIFIABLE,
    Chains,
    Problem,
    reading_problem,
    worse,
)
from understudy.objects import ids
from understudy.objects.errors import BadId, ObjectError
from understudy.objects.ids import StepId
from understudy.objects.journal import CallError, Entry
from understudy.store.errors import StoreError
from understudy.store.reader import Reader

_QUERY: Final = "query/"


class AskedAgain:
    """Asks again, with code that is loaded anew."""

    def __init__(self, reader: Reader, chains: Chains, engines: Mapping[str, Engine]) -> None:
        self._reader = reader
        self._chains = chains
        self._engines = engines

    def judge(self, record: Record, requests: Mapping[str, bytes]) -> Problem | None:
        """What is wrong with the answers of a step; `requests` are the calls that its replay made, by their path.

        That there was nobody to ask is believed: no step can show it.
        """
        problem = None
        for entry, request in _queries(record, requests):
            try:
                found = self._judge(entry, request)
            except (StoreError, ObjectError) as error:
                # Of another history than the one that is judged: it need not be here.
                found = reading_problem(error, whole=False)
            problem = worse(problem, found)
        return problem

    def _judge(self, entry: Entry, request: QueryRequest) -> Problem | None:
        if entry.error is not None and entry.error.code == QUERY_TIMEOUT:
            return _problem(
                UNVERIFIABLE, TIMEOUT, entry, "the answer did not come in time, which nothing can show again"
            )
        if entry.step is None:
            return None
        step_id = StepId(ids.parse(entry.step))
        step = self._reader.step(step_id)
        asked = _actor_of(request)
        if asked is not None and asked != step.actor:
            return _problem(
                MISMATCH, ANSWER, entry, f"{entry.step}, which is said to have answered, is another actor's"
            )
        if self._chains.head(step.actor) is None:
            return _problem(UNVERIFIABLE, MISSING, entry, f"the history of {step.actor}, which was asked, is not here")
        if self._chains.step_at(step.actor, step.height) != step_id:
            return _problem(MISMATCH, INTEGRITY, entry, f"{entry.step} is not in the history of {step.actor}")
        return self._ask(entry, request, step_id)

    def _ask(self, entry: Entry, request: QueryRequest, step_id: StepId) -> Problem | None:
        calls = NoCalls()
        try:
            result = self._run(request, step_id, calls)
        except _External:
            return _problem(UNVERIFIABLE, SOURCE, entry, "external code answered, of which the chain knows nothing")
        except PerformerLost as lost:
            return _problem(UNVERIFIABLE, lost.cause, entry, str(lost))
        except HostFailed as failed:
            return _problem(UNVERIFIABLE, HOST, entry, str(failed))
        if calls.asked:
            reason = f"the query {request.name!r} asks other actors in turn, at steps that are not in the journal"
            return _problem(UNVERIFIABLE, ANSWER, entry, reason)
        recorded, now = self._recorded(entry, result), _answer(result)
        if recorded == now:
            return None
        reason = f"asked again at {entry.step}, the query {request.name!r} answers something else"
        return _problem(MISMATCH, ANSWER, entry, reason, _shown(recorded), _shown(now))

    def _run(self, request: QueryRequest, step_id: StepId, calls: NoCalls) -> Result | WitError:
        try:
            plan = prepare_query(
                self._reader,
                step_id,
                self._reader.step(step_id),
                name=request.name,
                context=request.context,
                calls=calls,
                engines=self._engines,
            )
            if plan.program.is_external:
                raise _External
            return check_result(self._reader, ask_nobody(plan.program, plan.given))
        except WitError as error:
            return error

    def _recorded(self, entry: Entry, result: Result | WitError) -> bytes | CallError:
        if entry.error is None:
            assert entry.reply is not None
            return self._reader.blob(entry.reply)
        # The text of a failure is Python's, and other versions have other words for it.
        return CallError(entry.error.code, result.text) if isinstance(result, WitError) else entry.error


class _External(Exception):
    """The code is not in the core."""


def _queries(record: Record, requests: Mapping[str, bytes]) -> Iterator[tuple[Entry, QueryRequest]]:
    for entry in record.answers:
        if entry.path.startswith(_QUERY) and entry.path in requests:
            yield entry, read_request(requests[entry.path])


def _actor_of(request: QueryRequest) -> ids.Id | None:
    """The actor that was asked; None if it was asked by a name."""
    try:
        return ids.parse(request.actor)
    except BadId:
        return None


def _answer(result: Result | WitError) -> bytes | CallError:
    return CallError(result.code, result.text) if isinstance(result, Error | WitError) else result_bytes(result)


def _shown(answer: bytes | CallError) -> JSON:
    if isinstance(answer, CallError):
        return {"code": answer.code, "text": answer.text[:MAX_PREVIEW]}
    return answer[:MAX_PREVIEW].decode("utf-8", "backslashreplace")


def _problem(
    verdict: str, cause: str, entry: Entry, reason: str, recorded: JSON = None, replayed: JSON = None
) -> Problem:
    return Problem(
        verdict=verdict,
        cause=cause,
        reason=reason,
        path=f"data.journal.{entry.path}",
        recorded=recorded,
        replayed=replayed,
    )
