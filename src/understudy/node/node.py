"""One living process, as web and cli see it: everything that can be asked of a node, and nothing that decides for them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from understudy.actors.contract import Capability, LiveEngine
from understudy.actors.query import NO_CONTEXT, Blob
from understudy.capabilities.effect import EffectPart
from understudy.capabilities.http_grants import Grants
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.seal import Sealed
from understudy.kernel.verdict import Verdict
from understudy.node.asking.queries import QUERY_SECONDS, Queried, Queries
from understudy.node.asking.watch import QueryWatch
from understudy.node.checked_cores import CheckedCores
from understudy.node.engines import default_engines
from understudy.node.errors import NodeFailed
from understudy.node.hold_rules import HoldRules
from understudy.node.holds import Holds
from understudy.node.intake.composing import Composer
from understudy.node.intake.core_checks import CoreChecks
from understudy.node.intake.creation import Creation
from understudy.node.intake.live_intake import LiveIntake
from understudy.node.intake.reception import Reception
from understudy.node.looking.feed import Event, Feed
from understudy.node.looking.look import read_meta
from understudy.node.looking.lookup import READY, ActorInfo, Unborn
from understudy.node.naming import Naming
from understudy.node.offered import Offered
from understudy.node.running.delays import Delays
from understudy.node.running.done import Done
from understudy.node.running.events import Tag
from understudy.node.running.forks import guard_forks
from understudy.node.running.impurity import Impure, ImpurityWatch
from understudy.node.running.last_resort import LastResort
from understudy.node.running.marks import Marks
from understudy.node.running.runner import Runner
from understudy.node.running.scheduler import MAX_AHEAD
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import NOOP, Step
from understudy.store.open import open_store, shown_store
from understudy.store.port import Backend
from understudy.store.verified import InFlight
from understudy.version import VERSION

Value = TypeVar("Value")

_log = logging.getLogger("understudy.node")


class Node(LiveIntake):
    """A node on one store. `start` makes it live; without it, it only looks.

    `modules` and `paths` are those that code behind `external:` needs in the processes that verify: the modules that
    register wits, and folders besides this process's `sys.path`. `http` is what actors may reach on the network,
    `effects` how long what they have the host run may take, `impure` what becomes of what their code does beside `ctx`.

    Raises StoreError where the store fails, NodeError (node/errors.py) where something can't be done.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        store_url: str = "memory:",
        engines: Mapping[str, LiveEngine] | None = None,
        capabilities: Mapping[str, Capability] | None = None,
        clock: Callable[[], int] | None = None,
        run_ahead: int = MAX_AHEAD,
        modules: Sequence[str] = (),
        paths: Sequence[str] = (),
        http: Grants | None = None,
        effects: EffectPart | None = None,
        impure: Impure = Impure.WARN,
    ) -> None:
        super().__init__(backend)
        self.store_url = store_url
        self.failure: BaseException | None = None
        self._failed: Future[None] = Future()
        self._engines = engines or default_engines()
        self._modules = modules
        self._paths = paths
        self._feed = Feed(backend, self.reader, self.lookup)
        self._holds = Holds(backend)
        clock = clock or (lambda: time.time_ns() // 1000)
        self._hold_rules = HoldRules(self._holds, self.lookup, clock)
        self._marks = Marks()
        checked = CheckedCores()
        self._checks = CoreChecks(self._engines, self.lookup, self.reader, self._holds, self._marks, checked)
        self._queries = Queries(self.lookup, self.reader, self._engines, QueryWatch(self._holds, self._marks))
        self._naming = Naming(backend, self.lookup, self._hold_rules.is_held_unborn)
        self._composer = Composer(self.name, self.lookup, self.reader)
        self._offered = Offered(
            store_url,
            self.lookup,
            self.reader,
            self._queries,
            verify=self._verify_one,
            http=http,
            effects=effects,
            more=capabilities,
        )
        self._runner = self._make_runner(clock, checked, run_ahead, impure)
        self._reception = Reception(backend, self._runner.committer)
        self._creation = Creation(
            self._composer, self._reception, self._checks, self._naming, self._hold_rules, self._runner.holds_changed
        )
        self._live = False
        self._last_resort = LastResort(self._marks)
        self._tell_failure: Callable[[StepId, Step], None] | None = None

    @classmethod
    def open(
        cls,
        store_url: str,
        *,
        read_only: bool = False,
        modules: Sequence[str] = (),
        paths: Sequence[str] = (),
        http: Grants | None = None,
        effects: EffectPart | None = None,
        impure: Impure = Impure.WARN,
    ) -> Node:
        """A node on the store at a URL. Raises StoreError, StoreInUse, StoreFormat."""
        backend = open_store(store_url, read_only=read_only)
        return cls(
            backend, store_url=store_url, modules=modules, paths=paths, http=http, effects=effects, impure=impure
        )

    async def start(self, *, only_updates: bool = False) -> None:
        """Begin to step; what is pending is found meanwhile.

        With `only_updates` only updates are taken, and new actors are born, until `let_all_step`: who pushes at the start
        must come before the messages that its update cures.
        """
        guard_forks()
        self._hold_rules.only_updates = only_updates
        await asyncio.to_thread(self._hold_rules.find_suspects, self.store_url, self._marks)
        await asyncio.to_thread(lambda: self._runner.start(only_updates=only_updates))
        self._live = True

    def let_all_step(self) -> None:
        """End what `start(only_updates=True)` began."""
        self._hold_rules.only_updates = False
        self._runner.let_all_step()

    def end_if_stuck(self) -> LastResort:
        """End the process if an author's code keeps the interpreter to itself for minutes. For who has a process for the node.

        Call it before `start`, which may run such code at once.
        """
        self._last_resort.start()
        return self._last_resort

    async def stop(self) -> None:
        """Finish what is begun, make it durable, close the store."""
        self._last_resort.stop()
        if self._live:
            self._live = False
            await asyncio.to_thread(self._runner.stop)
            self._reception.fail(NodeFailed("the node was stopped"))
        self._offered.stop()
        # After the steps: one that asks must not fail of the stop.
        self._queries.close()
        self.backend.close()

    # Looking, besides what every Look does.

    def events(self, *, actor: ActorId | None = None, after: int | None = None) -> AsyncIterator[Event]:
        """See Feed.follow."""
        return self._feed.follow(actor=actor, after=after)

    def health(self) -> dict[str, object]:
        """How the node does."""
        about = {"node": self.name, "version": VERSION, "store": shown_store(self.store_url)}
        if self.failure is not None:
            # A store that failed is not asked for anything, or there would be no answer at all.
            return {"status": "failed", **about, "feed": None, "error": str(self.failure)}
        feed = self.lookup.newest_feed_number()
        return {"status": "ok", **about, "feed": feed, "error": None, "holds": self.holds()}

    def delays(self, actor: ActorId | None = None) -> Delays | None:
        """What holds actors up at this moment, or one of them; None on a node that only looks."""
        return self._runner.delays(actor) if self._live else None

    async def wait_for_failure(self) -> None:
        """Returns once the node has stopped working, as its store failed it: only a new start on the store helps then."""
        await asyncio.shield(asyncio.wrap_future(self._failed))

    # Asking.

    async def query(
        self,
        actor: ActorId,
        name: str,
        context: Blob = NO_CONTEXT,
        *,
        at: StepId | None = None,
        timeout: float = QUERY_SECONDS,
    ) -> Queried:
        """Ask an actor at its newest durable step, or at an earlier one; also on a node that only looks.

        Raises NotFound, NotThatStep (`at`), NoQueries, UnknownQuery, BadArguments, QueryRefused (the query says no),
        QueryFailed (its code), QueryTimeout after `timeout` seconds, Busy, TooLarge.
        """
        return await self._queries.query(actor, name, context, at=at, timeout=timeout)

    # Doing.

    def watch_failures(self, tell: Callable[[StepId, Step], None]) -> None:
        """Hear of every durable step with an outcome that is neither ok nor noop. `tell` must be quick, from any thread."""
        self._tell_failure = tell

    async def between_steps(self, action: Callable[[], Value]) -> Value:
        """Run something quick while no wit is being loaded. Raises what it raises. Only on a living node."""
        return await asyncio.wrap_future(self._runner.ask(action))

    async def pause(self, actor: ActorId, *, reason: str = "") -> ActorInfo:
        """Let an actor take nothing but updates until it is resumed, restarts included. Raises NotFound, Rejected."""
        self.lookup.actor(actor)
        await asyncio.to_thread(self._hold_rules.pause, actor, reason)
        if self._live:
            self._runner.holds_changed(actor)
        return self.lookup.actor(actor)

    async def resume(self, actor: ActorId) -> ActorInfo | Unborn:
        """End a pause, and let an actor that is held or stuck try again. Harmless if nothing holds it. Raises NotFound.

        An actor that was never born is born then; on a node that takes only updates, it is left to the next one.
        """
        before = self.lookup.expected(actor)
        if not self._live:
            await asyncio.to_thread(self._holds.load)
        await asyncio.to_thread(self._hold_rules.release, actor)
        if self._live:
            self._runner.holds_changed(actor)
        if self.lookup.head(actor) is None and not self.lookup.is_expected(actor):
            # A core that was only ever checked: it may be sent again.
            return Unborn(id=actor, name=before.name, status=READY, reason=None)
        return self.lookup.expected(actor)

    async def set_name(self, name: str, actor: ActorId | None, *, expected: ActorId | None) -> None:
        """Move a name by compare-and-set; None removes it, or says that it is new. Raises Conflict, BadName."""
        await asyncio.to_thread(lambda: self._naming.move(name, actor, expected=expected))

    async def verify(
        self,
        targets: Sequence[Target] | None = None,
        *,
        integrity_only: bool = False,
        deep: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Verdict]:
        """Judge histories (None: of all actors) in fresh processes. With `deep`, what other actors answered is asked again."""
        chosen = targets if targets is not None else [Target(actor, head) for actor, head in self.lookup.all_actors()]
        return await asyncio.to_thread(
            verify_targets,
            self.backend,
            chosen,
            integrity_only=integrity_only,
            deep=deep,
            progress=progress,
            modules=self._modules,
            paths=self._paths,
        )

    # Its parts, and what they call back.

    def _make_runner(self, clock: Callable[[], int], checked: CheckedCores, run_ahead: int, impure: Impure) -> Runner:
        return Runner(
            backend=self.backend,
            reader=InFlight(self.reader),
            engines=self._engines,
            capabilities=self._offered.table,
            secret=read_meta(self.backend, "secret"),
            clock=clock,
            on_durable=self._on_durable,
            on_failure=self._on_failure,
            run_ahead=run_ahead,
            holds=self._holds,
            marks=self._marks,
            watch=ImpurityWatch(impure),
            checked=checked,
        )

    def _on_durable(self, done: Sequence[Done[Tag]]) -> None:
        # Names first: who hears that an actor lives may ask at once what it is called.
        for tag, unit, receipt in done:
            if unit.moves and receipt.conflict is None and not isinstance(tag, Sealed):
                for move in unit.moves:
                    self.lookup.names.moved(move)
        self._reception.on_durable(done)
        self._feed.wake({tag.step.actor for tag, _, _ in done if isinstance(tag, Sealed)})
        if self._tell_failure is not None:
            for tag, _, receipt in done:
                if isinstance(tag, Sealed) and receipt.conflict is None:
                    outcome = tag.step.outcome
                    if outcome is not None and outcome.kind != NOOP:
                        self._tell_failure(tag.id, tag.step)

    def _on_failure(self, error: BaseException) -> None:
        self.failure = error
        _log.critical("the node stopped working: %s", error)
        self._reception.fail(error)
        if not self._failed.done():
            self._failed.set_result(None)

    async def _verify_one(self, actor: ActorId) -> Verdict:
        return (await self.verify([Target(actor, self.lookup.actor(actor).head)]))[0]
