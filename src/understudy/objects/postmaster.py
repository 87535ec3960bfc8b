"""The postmaster of a node: the party in whose name it says that a request reached nobody. No caller can be it."""

from __future__ import annotations

from typing import Final

from understudy.objects.names import is_caller

POSTMASTER: Final = "postmaster"


def is_postmaster(party: str) -> bool:
    """True for `out/NODE/postmaster`."""
    return is_caller(party, POSTMASTER)


def postmaster_of(node: str) -> str:
    """The postmaster of a node, as messages name it."""
    return f"out/{node}/{POSTMASTER}"
