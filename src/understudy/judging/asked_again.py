"""What other actors answered a step, asked again at the steps that the journal names.

A replay takes answers from the journal; this finds those that were never given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from understudy.actors.contract import Engine
from understudy.actors.errors import HostFailed, WitError
from understudy.actors.query import QUERY_TIMEOUT, Error, QueryRequest, Result, read_request, result_bytes
from understudy.judging.no_calls import NoCalls, ask_nobody
from understudy.judging.performer_process import PerformerLost
from understudy.kernel.compare import JSON, MAX_PREVIEW
from understudy.kernel.query import check_result, prepare_query
from understudy.kernel.replay import Record
from understudy.kernel.retries import RETRIES_EXHAUSTED
from understudy.kernel.seal import NO_SUCH_ACTOR
from understudy.kernel.verdict import (
    ANSWER,
    CLOCK,
    CUT,
    HOST,
    INTEGRITY,
    MISMATCH,
    MISSING,
    SOURCE,
    TIMEOUT,
    UNVERIFIABLE,
    Problem,
    reading_problem,
    worse,
)
from understudy.kernel.verify import Chains, knows_of
from understudy.objects import ids
from understudy.objects.errors import BadId, ObjectError, WrongKind
from understudy.objects.ids import ActorId, StepId, TreeId
from understudy.objects.journal import QUERY, CallError, Entry
from understudy.objects.mailbox import LANES, mailbox_key
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.maps import mailbox_get
from understudy.store.reader import Reader

_SHARED: Final = 7  # characters that all ids of actors begin with
BAD_REQUEST: Final = "BadRequest"


class AskedAgain:
    """Asks again, with code that is loaded anew."""

    def __init__(self, reader: Reader, chains: Chains, engines: Mapping[str, Engine]) -> None:
        self._reader = reader
        self._chains = chains
        self._engines = engines

    def judge(self, record: Record, requests: Mapping[str, bytes]) -> Problem | None:
        """What is wrong with the answers of a step; `requests` are the calls that its replay made, by their path.

        That there was nobody to ask is believed as far as nothing here speaks against it: no step can show it.
        """
        problem = None
        for entry in record.answers:
            if not entry.path.startswith(QUERY) or entry.path not in requests:
                continue
            try:
                found = self._judge(record, entry, requests[entry.path])
            except (StoreError, ObjectError) as error:
                # Of another history than the one that is judged: it need not be here.
                found = reading_problem(error, whole=False)
            problem = worse(problem, found)
        return problem

    def _judge(self, record: Record, entry: Entry, data: bytes) -> Problem | None:
        code = None if entry.error is None else entry.error.code
        try:
            request = read_request(data)
        except WrongKind:
            return None if code == BAD_REQUEST else _lie(entry, "what was asked is no question, and was answered")
        if code == QUERY_TIMEOUT:
            return _unshown(TIMEOUT, entry, "the answer did not come in time, which nothing can show again")
        if entry.step is None:
            return self._not_asked(record, entry, request)
        step_id = StepId(ids.parse(entry.step))
        step = self._reader.step(step_id)
        asked = _actor_of(request)
        if asked is not None and asked != step.actor:
            return _lie(entry, f"{entry.step}, which is said to have answered, is another actor's")
        if self._chains.head(step.actor) is None:
            return _unshown(MISSING, entry, f"the history of {step.actor}, which was asked, is not here")
        if self._chains.step_at(step.actor, step.height) != step_id:
            return _problem(MISMATCH, INTEGRITY, entry, f"{entry.step} is not in the history of {step.actor}")
        return (
            self._check_order(record, entry, step)
            or self._ask(entry, request, step_id)
            or self._check_name(entry, request.actor, step)
        )

    def _not_asked(self, record: Record, entry: Entry, request: QueryRequest) -> Problem | None:
        """What speaks against an error that says that no step was asked."""
        assert entry.error is not None
        code = entry.error.code
        if code == BAD_REQUEST:
            return _lie(entry, "the question is a good one, and is said to be none")
        if code != NO_SUCH_ACTOR:
            return _unshown(ANSWER, entry, f"that the node answered {code}, nothing can show again")
        actor = _actor_of(request) or self._chains.named(request.actor)
        if actor is None:
            return None
        actor = ActorId(TreeId(actor))
        if (actor == record.before.id and record.before.step is not None) or self._heard_from(record, actor):
            return _lie(entry, f"{actor} is said not to be there, and this history had heard from it")
        genesis = None if self._chains.head(actor) is None else self._chains.step_at(actor, 0)
        if genesis is not None and self._reader.step(genesis).time <= record.step.time:
            return _unshown(CLOCK, entry, f"{actor} is said not to be there, and was made before this step")
        return None

    def _heard_from(self, record: Record, actor: ActorId) -> bool:
        keys = (mailbox_key(str(actor), lane) for lane in LANES)
        return any(mailbox_get(self._reader, record.step.inbox, key) is not None for key in keys)

    def _check_order(self, record: Record, entry: Entry, asked: Step) -> Problem | None:
        """Whether the step that answered can have been there when it was asked."""
        ours = record.step
        if asked.actor == ours.actor:
            return (
                None
                if asked.height < ours.height
                else _lie(entry, "the step is said to have asked itself, or a later one")
            )
        if knows_of(self._reader, asked, record):
            return _lie(entry, f"{entry.step} answered before it was made: by then it had heard from this step")
        after = None if self._chains.head(ours.actor) is None else self._chains.step_at(ours.actor, ours.height + 1)
        if after is not None and asked.time > self._reader.step(after).time:
            return _unshown(CLOCK, entry, f"{entry.step} says that it was made after the step that follows this one")
        return None

    def _check_name(self, entry: Entry, text: str, asked: Step) -> Problem | None:
        """Whether what was asked is the id, or the beginning of the id, or a name of the actor that answered."""
        id = str(asked.actor)
        if id.startswith(text) or id[_SHARED:].startswith(text) or self._chains.named(text) == asked.actor:
            return None
        return _unshown(
            ANSWER, entry, f"{text!r} is no name of {id} here; names move, so whether it was can't be shown"
        )

    def _ask(self, entry: Entry, request: QueryRequest, step_id: StepId) -> Problem | None:
        calls = NoCalls()
        try:
            result = self._run(request, step_id, calls)
        except _External:
            return _unshown(SOURCE, entry, "external code answered, of which the chain knows nothing")
        except PerformerLost as lost:
            return _unshown(lost.cause, entry, str(lost))
        except HostFailed as failed:
            return _unshown(HOST, entry, str(failed))
        if calls.asked:
            reason = f"the query {request.name!r} asks other actors in turn, at steps that are not in the journal"
            return _unshown(ANSWER, entry, reason)
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


def world_gave_up(record: Record, requests: Mapping[str, bytes]) -> Problem | None:
    """A step that is said to have ended because the world failed too often: that no replay can repeat.

    Not so where all that the code asked for was answered: then it said itself that it wants to be tried again.
    """
    outcome = record.step.outcome
    if outcome is None or outcome.code != RETRIES_EXHAUSTED:
        return None
    unanswered = requests.keys() - {entry.path for entry in record.answers}
    if not unanswered:
        return None
    reason = f"the world is said to have failed the call {min(unanswered)} too often, and no replay can repeat that"
    return Problem(verdict=UNVERIFIABLE, cause=CUT, path="data.outcome.code", recorded=outcome.code, reason=reason)


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


def _lie(entry: Entry, reason: str) -> Problem:
    return _problem(MISMATCH, ANSWER, entry, reason)


def _unshown(cause: str, entry: Entry, reason: str) -> Problem:
    return _problem(UNVERIFIABLE, cause, entry, reason)


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
