"""How a component fails: a trap of wasmtime as a fixed word and a text for a person."""

from __future__ import annotations

from typing import Final

from understudy.actors.errors import HostFailed
from understudy.objects.step import FAILED, Outcome

OUT_OF_FUEL: Final = "OutOfFuel"

# What is said of each trap, and the word in the step's outcome. Held against real traps by the corpus in tests/vectors.
_TRAPS: Final = (
    ("all fuel consumed", OUT_OF_FUEL),
    ("call stack exhausted", "StackOverflow"),
    ("too much data is being copied", "OutputTooLarge"),
    ("exceeds memory limits", "OutOfMemory"),
    ("memory minimum size", "OutOfMemory"),
    ("table minimum size", "OutOfMemory"),
    ("resource limit exceeded", "OutOfMemory"),
    ("out of bounds memory access", "BadPointer"),
    ("misaligned memory access", "BadPointer"),
    ("unaligned pointer", "BadPointer"),
    ("pointer not aligned", "BadPointer"),
    ("out of bounds", "BadPointer"),
    ("unreachable", "Unreachable"),
    ("integer divide by zero", "DivideByZero"),
    ("integer overflow", "IntegerOverflow"),
    ("invalid conversion to integer", "BadConversion"),
    ("uninitialized element", "BadCall"),
    ("undefined element", "BadCall"),
    ("indirect call type mismatch", "BadCall"),
    ("invalid utf-8", "BadText"),
    ("incomplete utf-8", "BadText"),
    ("cannot enter component instance", "BadCall"),
)
# What is said where the machine could not give something.
_MACHINE: Final = ("cannot allocate memory", "mmap", "failed to allocate", "out of memory", "failed to reserve")


class Stopped(Exception):
    """A component can't go on: how its step ends, as a word and a text."""

    def __init__(self, code: str, text: str, *, kind: str = FAILED) -> None:
        super().__init__(text)
        self.outcome = Outcome(kind, code, text)


def stopped_by(message: str, *, used: int) -> Stopped | HostFailed:
    """What wasmtime's error means; `used` is the fuel that was used until then. HostFailed means that the machine lacked
    something: no replay can repeat that, so it ends no step.
    """
    # The text before it has names of the component's functions, which the author chooses.
    lowered = message.rpartition("Caused by:")[2].lower()
    for said, code in _TRAPS:
        if said in lowered:
            return Stopped(code, f"{message.strip()}\n({used:,} units of fuel were used)")
    if any(said in lowered for said in _MACHINE):
        return HostFailed(f"the machine could not give a component what it needs: {message.strip()}")
    return Stopped("Trap", f"{message.strip()}\n({used:,} units of fuel were used)")
