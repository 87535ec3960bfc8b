"""What a core says of its flows, for whoever looks: where each waits, in which line, since when. Runs no code."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from understudy.objects.ids import Id, is_raw
from understudy.objects.timer import TIMERS
from understudy.objects.tree import is_tree_node
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader
from understudy.wit.flows.asks import timer_name
from understudy.wit.flows.lines import Answered, Asked, Cancelled, open_asks
from understudy.wit.flows.record import BEGIN, CANCEL_TOLD, FOLDER, STOPPED, Record


class Waiting(Struct, frozen=True):
    """One thing that a flow waits for: what, in which line of its code, since when (microseconds since 1970).

    `is_lost` is true for a timer that is gone: the step failed that consumed its message, or somebody took it away.
    """

    what: str
    at: str
    since: int
    due: int | None
    is_lost: bool = False


class FlowView(Struct, frozen=True):
    """A flow. `asked` counts what it has asked for; `stopped` says why it stands still, None if it does not."""

    id: str
    type: str = ""
    sender: str | None = None
    begun: int = 0
    asked: int = 0
    waits: list[Waiting] = []
    stopped: str | None = None
    cancelled: bool = False


def flow_ids(reader: Reader, core: Id) -> list[str]:
    """The ids of the flows of a core, sorted. A wit without flows may have a file of that name."""
    folder = reader.find(core, FOLDER)
    return [] if folder is None else sorted(ids_in(reader, folder))


def has_flow(reader: Reader, core: Id, id: str) -> bool:
    """True if a flow is under way, or stands still, in a core."""
    flows = tree_entry(reader, core, FOLDER)
    return flows is not None and not is_raw(flows) and reader.find(flows, f"{id}/{BEGIN}") is not None


def ids_in(reader: Reader, folder: Id) -> Iterable[str]:
    """The same of what stands at `/flows`, in any order; reads no more of a large folder than is taken."""
    return () if is_raw(folder) or not is_tree_node(reader.node(folder)) else reader.tree(folder)


def look_at_flow(reader: Reader, core: Id, id: str) -> FlowView:
    """One flow of a core. Raises KeyError, WitError("BadFlow")."""
    tree = reader.find(core, f"{FOLDER}/{id}")
    if tree is None:
        raise KeyError(id)
    record = Record.read(reader, tree)
    lines = record.read_lines(reader)
    since, time = {}, record.begin.time
    for line in lines:
        if isinstance(line, Asked):
            since[line.n] = time
        elif isinstance(line, Answered | Cancelled):
            time = line.time
    return FlowView(
        id=id,
        type=record.begin.type,
        sender=record.begin.sender,
        begun=record.begin.time,
        asked=len(since),
        waits=[
            # One that rang while the flow stood still is made good when that goes on.
            Waiting(
                ask.what,
                ask.at,
                since[ask.n],
                ask.due,
                is_lost=record.stopped is None
                and ask.due is not None
                and reader.find(core, f"{TIMERS}/{timer_name(id, ask.n)}") is None,
            )
            for ask in open_asks(lines)
        ],
        stopped=None if record.stopped is None else record.stopped.why,
        cancelled=record.cancel is not None or any(isinstance(line, Cancelled) for line in lines),
    )


def why_stopped(reader: Reader, core: Id, id: str) -> str | None:
    """Why a flow of a core stands still, None if it does not. Raises WitError("BadFlow")."""
    folder = reader.find(core, FOLDER)
    return None if folder is None else why_stopped_in(reader, folder, id)


def why_stopped_in(reader: Reader, folder: Id, id: str) -> str | None:
    """The same of what stands at `/flows`."""
    if reader.find(folder, f"{id}/{STOPPED}") is None:
        return None
    tree = reader.find(folder, id)
    assert tree is not None
    stop = Record.read(reader, tree).stopped
    return None if stop is None else stop.why


def path_of_cancel(id: str) -> str:
    """The file of a core that cancels a flow, when an update puts it there."""
    return f"{FOLDER}/{id}/{CANCEL_TOLD}"
