"""The node's table of capabilities: what wits may ask of the world, by the names that they call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from understudy.actors.contract import Capability
from understudy.actors.errors import CallFailed, Retry, WitError
from understudy.actors.query import QueryRequest, Result
from understudy.capabilities.effect import EffectCapability, EffectPart
from understudy.capabilities.http import HttpCapability
from understudy.capabilities.http_grants import Grants, Narrowing
from understudy.capabilities.names import NamesCapability
from understudy.capabilities.prototype import Found, PrototypeCapability
from understudy.capabilities.query import QueryCapability
from understudy.capabilities.secrets import Secrets
from understudy.capabilities.verify import VerifyCapability
from understudy.kernel.policy import read_policy
from understudy.kernel.verdict import Verdict
from understudy.node.asking.queries import Queries
from understudy.node.errors import Ambiguous, Busy, Held, NotFound
from understudy.node.looking.lookup import Lookup
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, StepId, TreeId
from understudy.store.open import store_folder
from understudy.store.reader import Reader


class Offered:
    """`table` is complete; `more` are those of whoever made the node, and go before our own of the same name."""

    def __init__(
        self,
        store_url: str,
        lookup: Lookup,
        reader: Reader,
        queries: Queries,
        *,
        verify: Callable[[ActorId], Awaitable[Verdict]],
        http: Grants | None,
        effects: EffectPart | None,
        more: Mapping[str, Capability] | None,
    ) -> None:
        """Raises BadEffects."""
        self._lookup = lookup
        self._reader = reader
        self._queries = queries
        self._verify_one = verify
        self._effects = EffectCapability(effects or EffectPart())
        self._http = HttpCapability(
            http,
            Secrets(store_folder(store_url)),
            name_of=lookup.names.name_of,
            narrowing_of=self._narrowing_of,
        )
        self.table: dict[str, Capability] = {
            "effect": self._effects,
            "http": self._http,
            "names": NamesCapability(lookup.names.actor_of),
            "prototype": PrototypeCapability(self._find),
            "query": QueryCapability(self._query),
            "verify": VerifyCapability(self._verify),
            **(more or {}),
        }

    def stop(self) -> None:
        """End what they have under way."""
        self._http.stop()
        self._effects.stop()

    def _find(self, text: str) -> Found:
        """The actor that is to be a prototype. Raises CallFailed."""
        try:
            actor = self._lookup.resolve(text)
        except NotFound as error:
            raise CallFailed("NoSuchActor", str(error)) from None
        except Ambiguous as error:
            raise CallFailed("Ambiguous", str(error)) from None
        step = self._lookup.newest(actor)
        try:
            now, born = (
                dict(self._reader.tree(core).items()) for core in (self._reader.step(step).core, TreeId(actor))
            )
        except ObjectError as error:
            raise CallFailed("InvalidCore", f"{text} was born of something else than a core: {error}") from None
        return Found(actor=actor, step=step, now=now, born=born)

    async def _verify(self, actor: str) -> Verdict:
        return await self._verify_one(self._lookup.resolve(actor))

    def _narrowing_of(self, actor: ActorId) -> Narrowing:
        """What the policy of an actor leaves of its grants; it asks for nothing before its newest step is durable."""
        head = self._lookup.head(actor)
        try:
            own = read_policy(self._reader, TreeId(actor) if head is None else self._reader.step(head).core).http
        except WitError:
            # Only a wit that writes its own /policy gets here: what it meant to leave nobody knows.
            return Narrowing(allow=())
        return Narrowing(allow=own.allow, methods=own.methods)

    async def _query(self, request: QueryRequest) -> tuple[Result, StepId]:
        try:
            answered = await self._queries.ask_for_a_step(request)
        except (Busy, Held) as error:
            raise Retry(str(error)) from error
        return answered.result, answered.step
