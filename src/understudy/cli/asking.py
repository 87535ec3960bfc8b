"""A node that only runs queries. The store may be served by another process at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from understudy.cli.looking import store_to_look_at, usable_modules, warn_of_loss
from understudy.cli.turns import wait_until_made
from understudy.node.node import Node


@contextmanager
def asking(given: str | None) -> Iterator[Node]:
    """A node that only looks and is asked, with the modules of the project, which its code may need. Raises StoreError."""
    url = store_to_look_at(given)
    usable_modules()
    wait_until_made(url)
    node = Node.open(url, read_only=True)
    warn_of_loss(url)
    try:
        yield node
    finally:
        node.close()
