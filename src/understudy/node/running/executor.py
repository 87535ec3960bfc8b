"""The executor: prepares a job and runs the wit, on the thread that calls it. It touches nothing of the scheduler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import NamedTuple

from understudy.actors.contract import LiveEngine, StepResult
from understudy.kernel.advance import Plan, prepare
from understudy.kernel.seeds import Seeds
from understudy.node.running.calls import CapabilityTable, LiveCalls
from understudy.node.running.events import Job
from understudy.node.running.host import Host
from understudy.node.running.impurity import Impure, ImpurityWatch
from understudy.node.running.retried_keys import RetriedKeys
from understudy.objects.ids import TreeId
from understudy.objects.step import CUT, Outcome
from understudy.store.reader import Reader, Staging


class Execution(NamedTuple):
    """The end of a job: a result, a wit that must be awaited, or a failure of the host (perhaps without a plan)."""

    plan: Plan | None
    result: StepResult | Awaitable[StepResult] | Exception


class Executor:
    """`clock` gives the time of steps, in microseconds; `secret` is what their seeds are derived from.

    `checked` as in `prepare`.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        engines: Mapping[str, LiveEngine],
        capabilities: CapabilityTable,
        secret: bytes,
        clock: Callable[[], int],
        watch: ImpurityWatch | None = None,
        checked: Container[TreeId] = (),
    ) -> None:
        self._reader = reader
        self._engines = engines
        self._capabilities = capabilities
        self._seeds = Seeds(secret)
        self._clock = clock
        self._watch = watch or ImpurityWatch(Impure.ALLOW)
        self._checked = checked

    def run(self, job: Job, host: Host) -> Execution:
        """Load the wit, which runs its modules, and run it: all of this may take for ever. Raises nothing."""
        plan: Plan | None = None
        try:
            actor = job.entry.actor
            calls = LiveCalls(self._capabilities, actor, job.taken, host, self._watch, job.open_calls)
            plan = prepare(
                actor,
                job.taken,
                time=self._clock(),
                seed=self._seeds.seed(actor.head, job.taken),
                staging=Staging(self._reader),
                calls=calls,
                engines=self._engines,
                owner=host.owner,
                cut=job.cut,
                checked=self._checked,
            )
            if plan.program is None:
                assert plan.result is not None
                return Execution(plan, plan.result)
            if plan.retried is not None:
                calls.retried = RetriedKeys(self._reader, plan.retried)
            look = self._watch.look_at(plan.program, job.taken[0].message.type)
            if look is None:
                return Execution(plan, plan.program.run(plan.given))
            with look:
                return Execution(plan, plan.program.run(plan.given))
        except Exception as error:
            return Execution(plan, error)


def cut_at_deadline(plan: Plan, deadline_ms: int) -> StepResult:
    """The result of a wit that took too long."""
    assert plan.program is not None
    outcome = Outcome(CUT, "Deadline", f"the wit was stopped after {deadline_ms:,} ms")
    return StepResult(engine=plan.program.engine, core=plan.actor.core, outcome=outcome)
