"""An actor's entry in the scheduler's table: its last step, what waits for it, and its status.

The thread that holds the step lock alone touches it, so nothing here is locked.
"""

from __future__ import annotations

from enum import Enum

from understudy.kernel.actor import Actor
from understudy.kernel.deliver import Waiting
from understudy.kernel.policy import Policy
from understudy.node.holds import Hold
from understudy.node.running.pace import Pace
from understudy.objects.ids import Id, TreeId


class Status(Enum):
    """What the scheduler does with an actor: nothing, it is in the run queue, it runs, or it waits for an update or a restart."""

    IDLE = "idle"
    READY = "ready"
    RUNNING = "running"
    STUCK = "stuck"


class ActorEntry:
    """An actor at its newest step, which may not be durable yet.

    - `ahead`: how many of its steps are submitted and not yet durable
    - `singles`: how many messages still run alone after a batch failed
    - `pace`: what the messages of its code cost (None: not needed yet)
    - `slow`: its last step blocked its thread for long, so its next one runs without the step lock from the beginning
    - `attempts`: of each inbox key that is tried again, how often
    - `host_errors`: of each such key, what the machine had too little of
    - `parked`: the keys whose messages are set aside, each until its moment
    - `open_calls`: what the step that runs waits for, by the paths of the calls
    - `overflow`, `more_updates`: the store holds waiting messages (in the update lane) that `waiting` does not
    - `held`: why it takes only updates
    - `suspect`: how many messages are tried alone, because the process ended while one of them ran
    - `slowed`: why it rests before it takes more than updates
    - `rests_until`: when the last of these rests ends, or ended
    - `timers`: the `/timers` that the index of timers stands for, empty for none (None: not looked up yet)
    - `error`: why it is stuck
    - `mark`: how it is marked while it runs one message that is no update (None: not needed yet)
    - `begins_again`: stuck, it is taken in from the store again as soon as none of its steps is ahead
    """

    __slots__ = (
        "actor",
        "ahead",
        "attempts",
        "begins_again",
        "error",
        "held",
        "host_errors",
        "mark",
        "more_updates",
        "open_calls",
        "overflow",
        "owner",
        "pace",
        "parked",
        "policy",
        "policy_core",
        "policy_id",
        "rests_until",
        "singles",
        "slow",
        "slowed",
        "status",
        "suspect",
        "timers",
        "waiting",
    )

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.ahead = 0
        self.status = Status.IDLE
        self.waiting = Waiting()
        self.singles = 0
        self.slow = False
        self.open_calls: list[str] = []
        self.pace: Pace | None = None
        self.attempts: dict[str, int] = {}
        self.parked: dict[str, float] = {}
        self.overflow = False
        self.more_updates = False
        self.held: Hold | None = None
        self.suspect = 0
        self.host_errors: dict[str, str] = {}
        self.slowed: str | None = None
        self.rests_until: float | None = None
        self.owner: str | None = None
        self.policy: Policy | None = None
        self.policy_id: Id | None = None
        self.timers: bytes | None = None
        self.policy_core: TreeId | None = None  # where it was looked for
        self.error: str | None = None
        self.begins_again = False
        self.mark: bytes | None = None

    @property
    def forgettable(self) -> bool:
        """True if it can be dropped, and loaded from the store when it is needed again."""
        return not (
            self.status is not Status.IDLE
            or self.slowed
            or self.ahead
            or len(self.waiting)
            or self.attempts
            or self.has_more
        )

    @property
    def has_more(self) -> bool:
        """True if there may be mail for it in the store that is not in memory."""
        return self.overflow or self.more_updates
