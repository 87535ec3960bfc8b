"""What the kernel does with a timer that rings: docs/FORMAT.md section 15.

The laws: a timer that is gone, or is another one by now, does not ring; one that rings for the last time is gone with the
step, whatever comes of it.
"""

from __future__ import annotations

from understudy.objects.clock import Ring
from understudy.objects.errors import WrongKind
from understudy.objects.ids import TreeId
from understudy.objects.timer import TIMERS
from understudy.store.maps import patch_tree, tree_entry
from understudy.store.reader import Reader, Staging


def is_there(reader: Reader, core: TreeId, ring: Ring) -> bool:
    """True if the core holds the timer that a message from the clock was made of."""
    try:
        timers = tree_entry(reader, core, TIMERS)
        return timers is not None and tree_entry(reader, timers, ring.name) == ring.file
    except WrongKind:
        return False


def without_timer(staging: Staging, core: TreeId, ring: Ring) -> TreeId:
    """The core without the timer, if it does not fire again."""
    return patch_tree(staging, core, {f"{TIMERS}/{ring.name}": None}) if ring.is_last else core
