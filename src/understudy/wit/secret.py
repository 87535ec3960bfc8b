"""Markers: what the author's code has instead of a secret.

The law: a marker says nothing about the value, and the sender of a message can't make one, since it depends on the step's
seed. Otherwise a message could contain a marker, and the host would put the value into whatever the actor passes on.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from understudy.objects.ids import ActorId, StepId

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


def marker_of(actor: ActorId, parent: StepId | None, seed: int, name: str) -> str:
    """The marker of a secret in the step of an actor; letters, digits, `_` and `-` alone. Raises ValueError for what can be no name."""
    check_secret_name(name)
    text = f"{actor}\n{'' if parent is None else parent}\n{seed}\n{name}"
    digest = sha256(text.encode()).hexdigest()
    return f"secret-{name}-{digest[:40]}"


def check_secret_name(name: str) -> None:
    """Raise ValueError for what can be no name of a secret."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"{name!r} is no name of a secret: letters, digits and _, like STRIPE_KEY")
