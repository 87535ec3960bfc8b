"""The clock of the system, for stores that have no other one."""

from __future__ import annotations

import time


def system_time_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
