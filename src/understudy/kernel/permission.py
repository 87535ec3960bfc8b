"""Permission: who may change an actor from outside its code, by an update or by an order to retry."""

from __future__ import annotations

from collections.abc import Callable

from understudy.actors.errors import WitError
from understudy.kernel.actor import Actor
from understudy.kernel.policy import SELF, read_policy
from understudy.objects.names import is_operator, is_outside
from understudy.store.reader import Reader


def check_permission(actor: Actor, sender: str, reader: Reader, owner: Callable[[], str]) -> None:
    """Raise WitError("NotPermitted") unless this is the sender of the genesis, or somebody whom `/policy` names."""
    if sender == owner():
        return
    allowed = read_policy(reader, actor.core).update
    if sender in allowed or (sender == actor.text and SELF in allowed):
        return
    if is_operator(sender) and not is_outside(owner()):
        # Who spawned it may never send an update, or be gone: somebody must be able to mend it.
        return
    raise WitError("NotPermitted", f"{sender} may not update this actor: only {owner()} may, and whom /policy names")
