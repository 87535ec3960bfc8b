"""One step, first half: what the engine is given, or that no engine is needed.

The law: `prepare` and `seal` depend on their arguments alone, so a replay makes the same plan and the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from understudy.actors.calls import Calls
from understudy.actors.contract import Delivery, Engine, Program, StepInput, StepResult
from understudy.actors.errors import HostFailed, WitError
from understudy.kernel.actor import Actor
from understudy.kernel.core import Engines, check_core, engine_of
from understudy.kernel.permission import check_permission
from understudy.kernel.retry import messages_to_retry, read_order
from understudy.kernel.timers import is_there, without_timer
from understudy.objects.clock import Ring, ring_of
from understudy.objects.errors import ObjectError
from understudy.objects.ids import StepId, TreeId
from understudy.objects.mailbox import UPDATE
from understudy.objects.message import Message, is_genesis
from understudy.objects.step import CUT, FAILED, NOOP, REFUSED, Outcome
from understudy.store.maps import patch_tree, tree_entry
from understudy.store.reader import Staging

KERNEL_ENGINE: Final = "kernel/1"  # the engine text of steps that need no engine
WIT: Final = "wit"
WIT_UPDATE: Final = "wit_update"


class Plan(Struct, frozen=True, kw_only=True):
    """What one step will do. Exactly one of `program` and `result` is set: run that, or it is decided already.

    `ring` is set if the step consumes a message from the clock, of a timer that is there.
    `order` is the message that orders to retry the step `retried`, whose messages are then those that are given.
    """

    actor: Actor
    given: StepInput
    program: Program | None = None
    result: StepResult | None = None
    ring: Ring | None = None
    order: Delivery | None = None
    retried: StepId | None = None

    @property
    def consumed(self) -> Sequence[Delivery]:
        """The messages that the step consumes."""
        return self.given.messages if self.order is None else [self.order]


def prepare(
    actor: Actor,
    messages: Sequence[Delivery],
    *,
    time: int,
    seed: int,
    staging: Staging,
    calls: Calls,
    engines: Engines | Mapping[str, Engine],
    owner: Callable[[], str],
    cut: Outcome | None = None,
    checked: Container[TreeId] = (),
    abi: str | None = None,
) -> Plan:
    """Plan the step that consumes these messages (as `Waiting.take` gave them); with `cut` nothing is run, and it ends so.

    `time` is the clock in microseconds; the step's is never before its parent's, nor before its timer is due. `owner`
    gives the sender of the actor's genesis and is asked only for an update. `checked` are cores that are known not to be
    nested too deep: at a birth they are not read as a whole to find out. `abi` names the rules that the code runs under,
    where those are not today's. Raises StoreError if the store can't be read.
    """
    first = messages[0].message
    ring = None if actor.step is None else ring_of(first)
    given = StepInput(
        actor=actor.id,
        parent=actor.head,
        height=actor.height + 1,
        time=earliest(actor, ring, time),
        seed=seed,
        core=actor.core,
        inbox=actor.inbox,
        outbox=actor.outbox,
        messages=messages,
        store=staging,
        calls=calls,
        abi=abi,
    )
    if ring is not None:
        return _plan_ring(actor, given, ring, engines, cut)
    if cut is not None:
        return _decided(actor, given, cut)
    if actor.step is not None and is_genesis(first):
        return _decided(actor, given, Outcome(NOOP, "AlreadyAlive", "a genesis message for an actor that lives"))
    if first.lane == UPDATE and actor.step is not None:
        retried = read_order(staging, first)
        if retried is not None:
            return _plan_retry(actor, given, retried, engines, owner)
        return _plan_update(actor, given, first, engines, owner)
    if actor.step is None:
        try:
            check_core(staging, given.core, given.core if given.core in checked else None)
        except WitError as error:
            return _decided(actor, given, Outcome(REFUSED, error.code, error.text))
    return _load(actor, given, WIT, engines)


def earliest(actor: Actor, ring: Ring | None, time: int) -> int:
    """The time of the actor's next step, at the given one or the first that it may have."""
    least = 0 if actor.step is None else actor.step.time
    return max(time, least if ring is None else max(least, ring.due))


def _plan_ring(
    actor: Actor, given: StepInput, ring: Ring, engines: Engines | Mapping[str, Engine], cut: Outcome | None
) -> Plan:
    """The step of a message from the clock: a timer that fires once is gone before its handler runs."""
    if not is_there(given.store, actor.core, ring):
        return _decided(actor, given, Outcome(NOOP, "TimerGone", f"the timer {ring.name!r} is gone, or another one"))
    given = replace(given, core=without_timer(given.store, actor.core, ring))
    plan = _load(actor, given, WIT, engines) if cut is None else _decided(actor, given, cut)
    return replace(plan, ring=ring)


def _plan_update(
    actor: Actor,
    given: StepInput,
    message: Message,
    engines: Engines | Mapping[str, Engine],
    owner: Callable[[], str],
) -> Plan:
    staging = given.store
    try:
        check_permission(actor, message.sender, staging, owner)
        patched = patch_tree(staging, given.core, staging.patch(message.content))
        check_core(staging, patched, given.core)
    except ObjectError as error:
        return _decided(
            actor, given, Outcome(REFUSED, "BadPatch", f"the update carries no patch of this core: {error}")
        )
    except WitError as error:
        return _decided(actor, given, Outcome(REFUSED, error.code, error.text))
    given = replace(given, core=patched)
    if tree_entry(staging, patched, WIT_UPDATE) is not None:
        return _load(actor, given, WIT_UPDATE, engines)
    try:
        program = engine_of(given.store, given.core, engines).load_update(actor.core, patched, staging)
    except (WitError, ObjectError) as error:
        if isinstance(error, WitError):
            return _decided(actor, given, Outcome(REFUSED, error.code, error.text), error.engine)
        return _decided(actor, given, Outcome(REFUSED, "InvalidCore", str(error)))
    except HostFailed as error:
        if error.again:
            raise
        # Another try would fail too, and all later updates wait for this one: the step ends here, as one that no replay repeats.
        return _decided(actor, given, Outcome(CUT, "HostLimit", str(error)))
    if program is not None:
        return Plan(actor=actor, given=given, program=program)
    return Plan(actor=actor, given=given, result=StepResult(engine=KERNEL_ENGINE, core=patched))


def _plan_retry(
    actor: Actor,
    given: StepInput,
    retried: StepId,
    engines: Engines | Mapping[str, Engine],
    owner: Callable[[], str],
) -> Plan:
    order = given.messages[0]
    try:
        check_permission(actor, order.message.sender, given.store, owner)
        messages = messages_to_retry(given.store, given, retried)
    except WitError as error:
        return _decided(actor, given, Outcome(REFUSED, error.code, error.text))
    plan = _load(actor, replace(given, messages=messages), WIT, engines)
    return replace(plan, order=order, retried=retried)


def _load(actor: Actor, given: StepInput, entry: str, engines: Engines | Mapping[str, Engine]) -> Plan:
    try:
        program = engine_of(given.store, given.core, engines).load(given.core, entry, given.store)
        return Plan(actor=actor, given=given, program=program)
    except WitError as error:
        return _decided(actor, given, Outcome(FAILED, error.code, error.text), error.engine)
    except ObjectError as error:
        # Who was born of something else than a tree has no code to run.
        return _decided(actor, given, Outcome(FAILED, "InvalidCore", f"the core can't be read: {error}"))


def _decided(actor: Actor, given: StepInput, outcome: Outcome, engine: str | None = None) -> Plan:
    result = StepResult(engine=engine or KERNEL_ENGINE, core=actor.core, outcome=outcome)
    return Plan(actor=actor, given=given, result=result)
