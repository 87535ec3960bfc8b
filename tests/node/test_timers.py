"""Timers on a node without threads: what is due rings once, whatever happens in between.

Of store/timer_rows.py and store/timer_files.py too.

The oracle is the history: what the index of timers must say follows from the cores and the clock's messages in it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from understudy.kernel.replay import Record, read_record
from understudy.node.running import timer_index
from understudy.node.running.timers import MAX_RUNG
from understudy.objects.clock import ring_of
from understudy.objects.errors import BadTimer
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.mailbox import UPDATE
from understudy.objects.message import GENESIS
from understudy.objects.patch import patch_block
from understudy.objects.schedule import next_due
from understudy.objects.timer import TIMERS as TREE
from understudy.store.fsck import fsck
from understudy.store.keys import WAITING
from understudy.store.maps import tree_entry
from understudy.store.memory import MemoryBackend
from understudy.store.port import Row, Unit
from understudy.store.reader import Reader, Staging
from understudy.store.timer_files import read_file
from understudy.store.timer_rows import BACKLOG, DUE, NEVER, TIMERS, read_due_row, read_timer_row, read_timer_value
from understudy.store.verified import Grit
from understudy.testing.faults import MOMENTS, CrashingStore, Moment
from understudy.testing.model_actors import stage_files
from understudy.testing.simulator import Simulator

WIT = """
import json
from understudy import Wit, Message

wit = Wit()

@wit.message("set")
def set_(files: dict, core) -> None:
    for name, file in files.items():
        if file is None:
            core.dir("timers").get(name) is not None and core.__delitem__("timers/" + name)
        else:
            core["timers/" + name] = file

@wit.message("ctx")
def by_context(order: list, ctx) -> None:
    how, name, seconds = order
    if how == "after":
        ctx.after(seconds, "due", name=name)
    elif how == "every":
        ctx.every(seconds + 1, "due", name=name)
    else:
        ctx.cancel(name)

@wit.message("drop")
def drop(content, core) -> None:
    del core["timers"]

@wit.message("due")
def due(content, state: list, message: Message) -> None:
    state.append([message.headers["timer"], int(message.headers["timer-due"]), int(message.headers.get("timer-missed", 0))])

@wit.message("again")
def again(content, core, message: Message) -> None:
    # It sets itself anew, and another one.
    core["timers/" + message.headers["timer"]] = core["timers/b"] = '{"every":7,"type":"due"}'

@wit.message("fails")
def fails() -> None:
    raise ValueError("this one always fails")
"""
SECOND = 1_000_000
START = 1_700_000_000_000_000
FILES = {"wit": "/code:a:wit", "code/a.py": WIT, "state": "[]"}


def at(us: int, **more: Any) -> str:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return json.dumps({"at": instant.isoformat().replace("+00:00", "Z"), "type": "due", **more})


class Life:
    """A simulator and an actor on it. What is kept is in the memory backend; a restart begins a new process on it."""

    def __init__(self, *, wit: str = WIT, **timers: str) -> None:
        self.wit = wit
        self.inner = MemoryBackend(entropy=lambda size: bytes(size))
        self.now = START
        self.open()
        self.actor = self.create(**timers)

    def open(self, crash: int | None = None, moment: Moment = Moment.BEFORE) -> None:
        self.simulator = Simulator(CrashingStore(self.inner, at=crash, moment=moment), start_us=self.now)

    def create(self, *, nonce: str = "", **timers: str) -> ActorId:
        staging = Staging(Grit(self.inner))
        files = {**FILES, "code/a.py": self.wit, **{f"timers/{name}": text for name, text in timers.items()}}
        core = stage_files(staging, {**files, "nonce": nonce} if nonce else files)
        self.simulator.send(str(core), type=GENESIS, content=core, blocks=list(staging.new.values()))
        self.simulator.settle()
        return ActorId(core)

    def tell(self, type: str, content: Any = None, *, to: ActorId | None = None) -> None:
        staging = Staging(Grit(self.inner))
        id = staging.put_blob(json.dumps(content).encode())
        blocks = list(staging.new.values())
        self.simulator.send(str(to or self.actor), type=type, content=id, blocks=blocks)

    def update(self, **timers: str | None) -> None:
        staging = Staging(Grit(self.inner))
        patch = {
            f"timers/{name}": None if text is None else staging.put_blob(text.encode()) for name, text in timers.items()
        }
        id = staging.put(patch_block(patch))
        self.simulator.send(str(self.actor), type=UPDATE, lane=UPDATE, content=id, blocks=list(staging.new.values()))

    def pass_time(self, us: int) -> None:
        self.now += us
        self.simulator.pass_time(us)

    def restart(self, crash: int | None = None, moment: Moment = Moment.BEFORE) -> None:
        self.simulator.abandon()
        self.open(crash, moment)

    def settle(self) -> None:
        self.simulator.settle()

    @property
    def rang(self) -> list[list[Any]]:
        """What the wit says of the timers that it was told of."""
        head = self.simulator.lookup.head(self.actor)
        assert head is not None
        reader = Grit(self.inner)
        state = tree_entry(reader, reader.step(head).core, "state")
        assert state is not None
        found: list[list[Any]] = json.loads(reader.blob(state))
        return found


def timers_in(reader: Reader, core: bytes) -> dict[str, Id]:
    tree = tree_entry(reader, core, TREE)
    return {} if tree is None else dict(reader.tree(tree).items())


def first_due(reader: Reader, file: Id, after: int) -> int:
    try:
        return next_due(read_file(reader, file), after, ZoneInfo) or NEVER
    except BadTimer:
        return NEVER


def expected_of(reader: Reader, head: StepId) -> dict[str, tuple[int, Id]]:
    """Which timers there are, and when each is due next, as a history says it; and that each of its rings was right."""
    records: list[Record] = []
    step: StepId | None = head
    while step is not None:
        records.append(read_record(reader, step))
        step = records[-1].step.parent
    known: dict[str, tuple[int, Id]] = {}
    before: dict[str, Id] = {}
    for record in reversed(records):
        after = timers_in(reader, record.step.core)
        ring = ring_of(record.consumed[0].message) if record.step.parent else None
        if record.step.outcome is not None and record.step.outcome.code == "TimerGone":
            ring = None
        if ring is not None:
            due, file = known.pop(ring.name)
            timer = read_file(reader, file)
            assert file == ring.file
            assert due + ring.missed * (timer.every or 0) == ring.due <= record.step.time
            assert timer.every or not ring.missed
            if before[ring.name] == after.get(ring.name):
                known[ring.name] = first_due(reader, file, ring.due), file
        for name in before.keys() - after.keys():
            known.pop(name, None)
        for name, file in after.items():
            if before.get(name) != file:
                known[name] = first_due(reader, file, record.step.time), file
        before = after
    return known


def check_index(life: Life) -> None:
    """At rest, the index says what the histories say, and nothing that is due was left."""
    assert fsck(life.inner).findings == []
    reader = Grit(life.inner)
    expected = {
        (actor, name): timer
        for actor, head in life.simulator.lookup.all_actors()
        for name, timer in expected_of(reader, head).items()
    }
    rows = dict(life.inner.rows(TIMERS))
    named = {place: value for key, value in rows.items() if (place := read_timer_row(key))[1]}
    assert {
        place: (said.due, said.file) for place, value in named.items() for said in [read_timer_value(value)]
    } == expected
    order = {read_due_row(key): Id(value) for key, value in life.inner.rows(DUE)}
    assert order == {(due, *place): file for place, (due, file) in expected.items()}
    assert all(due > life.now for due, _ in expected.values())


def test_a_timer_rings_when_it_is_due_and_not_before():
    life = Life(once=at(START + 60 * SECOND))
    life.pass_time(59 * SECOND)
    life.settle()
    assert life.rang == []
    life.pass_time(SECOND)
    life.settle()
    assert life.rang == [["once", START + 60 * SECOND, 0]]
    check_index(life)


def test_a_timer_that_was_due_while_the_node_was_down_rings_once_and_says_how_often_it_was_missed():
    life = Life(once=at(START + 60 * SECOND), often='{"every":10,"from":"2023-11-14T22:13:20Z","type":"due"}')
    life.pass_time(125 * SECOND)
    for _ in range(3):
        life.restart()
        life.settle()
    assert sorted(life.rang) == [["often", START + 120 * SECOND, 11], ["once", START + 60 * SECOND, 0]]
    life.pass_time(10 * SECOND)
    life.settle()
    assert life.rang[-1] == ["often", START + 130 * SECOND, 0]
    check_index(life)


def test_an_actor_that_is_slower_than_its_schedule_gets_one_message_at_a_time():
    life = Life(often='{"every":10,"from":"2023-11-14T22:13:20Z","type":"due"}')
    for _ in range(3):
        life.pass_time(30 * SECOND)
        # The message is made durable, and the actor does not get to it.
        for _ in range(3):
            life.simulator.turn(burst=0)
            life.simulator.commit()
    life.settle()
    assert life.rang == [["often", START + 30 * SECOND, 2], ["often", START + 90 * SECOND, 5]]
    check_index(life)


def test_what_was_taken_back_does_not_ring_even_if_its_message_is_on_the_way():
    life = Life(once=at(START + 60 * SECOND), other=at(START + 61 * SECOND))
    life.tell("set", {"other": None})
    life.pass_time(70 * SECOND)
    life.simulator.turn(burst=0)
    life.simulator.commit()
    life.update(once=None)
    life.settle()
    assert life.rang == []
    check_index(life)


def test_a_timer_that_a_step_took_back_which_is_not_durable_yet_does_not_ring():
    life = Life(once=at(START + SECOND))
    life.tell("set", {"once": None})
    life.simulator.turn(burst=0)
    life.simulator.commit()
    life.simulator.turn()
    life.pass_time(SECOND)
    life.settle()
    # The genesis and the one that took it back; no message of the clock that comes too late.
    assert life.simulator.lookup.actor(life.actor).height == 1
    check_index(life)


def test_the_timers_of_all_actors_ring_in_the_order_of_time():
    life = Life(first=at(START + SECOND), third=at(START + 3 * SECOND))
    other = life.create(nonce="other", second=at(START + 2 * SECOND))
    for _ in range(3):
        life.pass_time(SECOND)
        life.settle()
    order = [life.simulator.reader.step(step).actor for _, step in life.inner.rows(b"f")]
    assert order == [life.actor, other, life.actor, other, life.actor]
    check_index(life)


def test_a_timer_that_is_replaced_rings_as_the_new_one():
    life = Life(once=at(START + 60 * SECOND))
    life.tell("set", {"once": at(START + 90 * SECOND)})
    life.pass_time(89 * SECOND)
    life.settle()
    assert life.rang == []
    life.pass_time(SECOND)
    life.settle()
    assert life.rang == [["once", START + 90 * SECOND, 0]]


def test_a_timer_of_the_past_rings_at_once():
    life = Life()
    life.tell("set", {"late": at(START - SECOND)})
    life.settle()
    assert life.rang == [["late", START - SECOND, 0]]
    check_index(life)


def test_a_timer_that_sets_itself_anew_and_another_one_leaves_both():
    life = Life(a=at(START + SECOND, type="again"))
    life.pass_time(SECOND)
    life.settle()
    check_index(life)
    life.pass_time(7 * SECOND)
    life.settle()
    assert sorted(name for name, _, _ in life.rang) == ["a", "b"]


def test_a_timer_whose_step_fails_rings_once():
    life = Life(once=at(START + SECOND, type="fails"))
    life.pass_time(SECOND)
    for _ in range(2):
        life.settle()
        life.restart()
    assert life.rang == []
    assert life.simulator.lookup.actor(life.actor).height == 1
    life.settle()
    check_index(life)


WRONG = {"json": "what?", "zone": '{"cron":"0 9 * * *","zone":"Mars/Olympus","type":"due"}', "never": '{"type":"due"}'}


def test_what_is_no_timer_stops_nothing_else():
    life = Life(**WRONG, once=at(START + SECOND))
    life.tell("set", {"deep/er": at(START), "fine": at(START + SECOND)})
    life.pass_time(SECOND)
    life.settle()
    assert sorted(name for name, _, _ in life.rang) == ["fine", "once"]
    check_index(life)
    life.update(json=at(life.now + SECOND), zone=None)
    life.pass_time(2 * SECOND)
    life.settle()
    assert life.rang[-1][0] == "json"
    check_index(life)


@pytest.mark.parametrize("text", ["no tree", None])
def test_timers_that_become_no_tree_are_gone(text: str | None):
    life = Life(once=at(START + SECOND))
    staging = Staging(Grit(life.inner))
    patch = staging.put(patch_block({"timers": None if text is None else Id(staging.put_blob(text.encode()))}))
    life.simulator.send(str(life.actor), type=UPDATE, lane=UPDATE, content=patch, blocks=list(staging.new.values()))
    life.pass_time(SECOND)
    life.settle()
    assert life.rang == []
    assert fsck(life.inner).findings == []
    left = [read_due_row(key) for key, _ in life.inner.rows(DUE)]
    assert left == ([] if text is None else [(NEVER, life.actor, "")])
    life.update(once=at(life.now + SECOND))
    life.settle()
    assert fsck(life.inner).findings == []


def test_more_timers_than_fit_into_one_turn_all_ring():
    many = MAX_RUNG * 2 + 7
    life = Life(**{f"t{number}": at(START + SECOND) for number in range(many)})
    life.pass_time(SECOND)
    life.settle()
    assert sorted(name for name, _, _ in life.rang) == sorted(f"t{number}" for number in range(many))
    check_index(life)


def test_missed_times_that_take_long_to_count_are_counted_in_several_turns():
    """As after a weekend in which the node was down: to count them all at once would hold up everybody."""
    many = 5
    cron = json.dumps({"cron": "* * * * *", "type": "due"})
    life = Life(**{f"t{number}": cron for number in range(many)})
    life.pass_time(3 * 24 * 3600 * SECOND)
    rang = 0
    while rang < many:
        life.simulator.turn(burst=0)
        life.simulator.commit()
        values = [read_timer_value(value) for key, value in life.inner.rows(TIMERS) if read_timer_row(key)[1]]
        before, rang = rang, sum(value.rang is not None for value in values)
        assert rang <= before + 1
    life.settle()
    assert sorted(name for name, _, _ in life.rang) == [f"t{number}" for number in range(many)]
    assert fsck(life.inner).findings == []


def test_timers_of_one_actor_that_are_due_together_wait_in_one_row_and_ring_after_a_restart_between_them():
    life = Life(a=at(START + SECOND), b=at(START + SECOND), c=at(START + SECOND))
    life.pass_time(SECOND)
    for _ in range(2):  # it looks at the timers, and submits what they say
        life.simulator.turn(burst=0)
    life.simulator.commit()
    assert len(list(life.inner.rows(WAITING))) == 1
    life.simulator.turn(burst=1)
    life.simulator.turn(burst=0)
    life.simulator.commit()
    assert len(life.rang) == 1
    life.restart()
    life.settle()
    assert [name for name, _, _ in life.rang] == ["a", "b", "c"]
    head = life.simulator.lookup.head(life.actor)
    assert head is not None and Grit(life.inner).step(head).height == 3
    assert list(life.inner.rows(WAITING)) == []
    check_index(life)


def test_a_change_of_many_timers_moves_the_index_in_pieces_and_others_step_between(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timer_index, "MAX_AT_ONCE", 10)
    monkeypatch.setattr(timer_index, "PIECE", 4)
    life = Life()
    other = life.create(nonce="other")
    core = {"often": '{"every":7,"type":"due"}', **{f"t{number}": at(START + 60 * SECOND) for number in range(30)}}
    life.tell("set", core)
    sizes: list[int] = []
    stepped_at, restarted = None, False
    for _ in range(100):
        life.simulator.turn()
        life.simulator.commit()
        sizes.append(sum(bool(read_timer_row(key)[1]) for key, _ in life.inner.rows(TIMERS)) - sum(sizes))
        if sum(sizes) == 8 and not restarted:
            restarted = True
            life.restart()
            life.tell("due", to=other)
        head = life.simulator.lookup.head(other)
        if stepped_at is None and head is not None and life.simulator.reader.step(head).height == 1:
            stepped_at = sum(sizes)
    assert sum(sizes) == len(core) and max(sizes) == 4
    assert stepped_at is not None and 8 <= stepped_at < len(core)
    life.settle()
    check_index(life)
    assert list(life.inner.rows(BACKLOG)) == []
    # Taken back with one link.
    life.tell("drop")
    life.settle()
    check_index(life)
    assert [key for key, _ in life.inner.rows(DUE) if read_due_row(key).actor == life.actor] == []


def test_a_backlog_that_can_not_be_read_is_named_and_stops_nothing_else():
    life = Life(soon=at(START + SECOND))
    life.inner.commit([Unit(rows=[Row(BACKLOG + bytes(40), bytes(36)), Row(BACKLOG + b"what", b"?")])])
    life.restart()
    life.pass_time(SECOND)
    life.settle()
    assert [name for name, _, _ in life.rang] == ["soon"]
    assert len(fsck(life.inner).findings) >= 2


def test_a_step_that_changes_no_timer_moves_no_row():
    life = Life(**{f"t{number}": at(START + 10**12) for number in range(100)})
    before = dict(life.inner.rows(TIMERS))
    life.tell("due", None)
    life.tell("nobody handles this")
    life.settle()
    assert dict(life.inner.rows(TIMERS)) == before


NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
delays = st.integers(0, 20)


class Schedules(RuleBasedStateMachine):
    """Timers are set, replaced and taken back, by messages and by updates; time passes; the process dies at any write."""

    @initialize(
        crash=st.none() | st.integers(1, 30),
        moment=st.sampled_from(MOMENTS),
        at_once=st.sampled_from([0, 1, 1000]),
        piece=st.integers(1, 2),
    )
    def begin(self, crash: int | None, moment: Moment, at_once: int, piece: int) -> None:
        # Whether a change moves the index with its step, or in pieces afterwards, is the same to everybody.
        self.bounds = timer_index.MAX_AT_ONCE, timer_index.PIECE
        timer_index.MAX_AT_ONCE, timer_index.PIECE = at_once, piece  # type: ignore[misc]
        self.life = Life()
        self.life.restart(crash, moment)

    @property
    def alive(self) -> bool:
        return not self.life.simulator.crashed

    def file(self, kind: str, seconds: int) -> str | None:
        moment = self.life.now + seconds * SECOND
        return {
            "once": at(moment),
            "fails": at(moment, type="fails"),
            "again": at(moment, type="again"),
            "often": json.dumps({"every": seconds + 1, "type": "due"}),
            "wrong": "what?",
            "gone": None,
        }[kind]

    kinds = st.sampled_from(["once", "once", "often", "fails", "again", "wrong", "gone"])

    @precondition(lambda self: self.alive)
    @rule(name=names, kind=kinds, seconds=delays)
    def set(self, name: str, kind: str, seconds: int) -> None:
        self.life.tell("set", {name: self.file(kind, seconds)})

    @precondition(lambda self: self.alive)
    @rule(how=st.sampled_from(["after", "after", "every", "cancel"]), name=names, seconds=delays)
    def set_by_context(self, how: str, name: str, seconds: int) -> None:
        self.life.tell("ctx", [how, name, seconds])

    @precondition(lambda self: self.alive)
    @rule(some=st.dictionaries(names, st.tuples(kinds, delays), min_size=2))
    def set_some(self, some: dict[str, tuple[str, int]]) -> None:
        self.life.tell("set", {name: self.file(*one) for name, one in some.items()})

    @precondition(lambda self: self.alive)
    @rule(name=names, kind=kinds, seconds=delays)
    def update(self, name: str, kind: str, seconds: int) -> None:
        self.life.update(**{name: self.file(kind, seconds)})

    @precondition(lambda self: self.alive)
    @rule(burst=st.integers(0, 3))
    def turn(self, burst: int) -> None:
        self.life.simulator.turn(burst=burst)

    @precondition(lambda self: self.alive)
    @rule(most=st.integers(1, 3))
    def commit(self, most: int) -> None:
        self.life.simulator.commit(most=most)

    @rule(seconds=delays)
    def pass_time(self, seconds: int) -> None:
        self.life.pass_time(seconds * SECOND)

    @rule(crash=st.none() | st.integers(1, 20), moment=st.sampled_from(MOMENTS))
    def die_and_come_back(self, crash: int | None, moment: Moment) -> None:
        self.life.restart(crash, moment)

    def teardown(self) -> None:
        if not hasattr(self, "life"):
            return
        try:
            self.come_to_rest()
        finally:
            timer_index.MAX_AT_ONCE, timer_index.PIECE = self.bounds  # type: ignore[misc]

    def come_to_rest(self) -> None:
        self.life.restart()
        self.life.settle()
        assert self.life.simulator.failure is None
        assert self.life.simulator.lookup.pending() == []
        check_index(self.life)
        self.life.simulator.abandon()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
