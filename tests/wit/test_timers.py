"""Timers as the author of a wit sets them: which file each call writes, and how a wrong one is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.node.troupe import OWNER, Troupe, chain
from understudy.judging.replay_calls import ReplayCalls
from understudy.kernel.replay import finish_replay, prepare_replay
from understudy.objects.ids import ActorId
from understudy.objects.timer import instant_text
from understudy.store.maps import tree_entry
from understudy.store.reader import Staging
from understudy.wit import timers as timers_module

CODE = """
from datetime import UTC, datetime, timedelta, timezone
from understudy import BadTimer, Wit
import msgspec

wit = Wit()

class Remind(msgspec.Struct):
    order: int

@wit.message("run")
def run(line: str, ctx, state: dict) -> None:
    state["gave"] = eval(line, {**globals(), "ctx": ctx})

@wit.message("due")
def due(payload, ctx, state: dict) -> None:
    timer = ctx.timer
    state["rang"] = [timer.name, timer.due.isoformat(), timer.missed]

@wit.message(Remind)
def remind(payload: Remind, state: dict) -> None:
    state["order"] = payload.order
"""
NEXT = "2023-11-14T22:13:20.002000Z"  # the time of the troupe's second step


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.fixture
def actor(troupe: Troupe) -> ActorId:
    return troupe.create({"wit": "/code:a:wit", "code/a.py": CODE, "state": "{}"})


def files(troupe: Troupe, actor: ActorId) -> dict[str, Any]:
    tree = tree_entry(troupe.reader, troupe.step(actor).core, "timers")
    entries = {} if tree is None else dict(troupe.reader.tree(tree).items())
    return {name: json.loads(troupe.reader.blob(id)) for name, id in entries.items()}


def run(troupe: Troupe, actor: ActorId, line: str) -> Any:
    troupe.tell(actor, "run", line)
    assert troupe.step(actor).outcome is None, troupe.step(actor).outcome
    id = tree_entry(troupe.reader, troupe.step(actor).core, "state")
    assert id is not None
    [last] = chain(troupe, actor)[-1:]
    calls = ReplayCalls(last.answers, troupe.reader)
    plan = prepare_replay(
        last, staging=Staging(troupe.reader), calls=calls, engines=troupe.engines, owner=lambda: OWNER
    )
    assert finish_replay(last, plan, troupe._run(plan)).id == last.id
    return json.loads(troupe.reader.blob(id))["gave"]


def later(**more: float) -> str:
    since = datetime(2023, 11, 14, 22, 13, 20, 2000, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return instant_text((since + timedelta(**more)) // timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("ctx.after(3.5, 'due', name='t')", {"at": later(seconds=3.5), "type": "due"}),
        ("ctx.after(0, 'due', name='t')", {"at": NEXT, "type": "due"}),
        ("ctx.after('3 days', 'due', [1], name='t')", {"at": later(days=3), "type": "due", "content": [1]}),
        (
            "ctx.after(timedelta(hours=1), 'due', b'\\x00', name='t')",
            {"at": later(hours=1), "type": "due", "bytes": "AA=="},
        ),
        ("ctx.after(1, Remind(7), name='t')", {"at": later(seconds=1), "type": "Remind", "content": {"order": 7}}),
        (
            "ctx.after(1, Remind, {'order': 7}, name='t')",
            {"at": later(seconds=1), "type": "Remind", "content": {"order": 7}},
        ),
        ("ctx.at('2026-11-23 10:00+01:00', 'due', name='t')", {"at": "2026-11-23T09:00:00Z", "type": "due"}),
        (
            "ctx.at(datetime(2026, 11, 23, 9, tzinfo=UTC), 'due', name='t')",
            {"at": "2026-11-23T09:00:00Z", "type": "due"},
        ),
        (
            "ctx.at(datetime(2026, 11, 23, 9), 'due', zone='Europe/Berlin', name='t')",
            {"at": "2026-11-23T09:00:00", "zone": "Europe/Berlin", "type": "due"},
        ),
        ("ctx.every('10 min', 'due', name='t')", {"every": 600, "from": NEXT, "type": "due"}),
        (
            "ctx.every(0.5, 'due', start='2026-01-01T00:00Z', name='t')",
            {"every": 0.5, "from": "2026-01-01T00:00:00Z", "type": "due"},
        ),
        ("ctx.cron('30 9 * * MON-FRI', 'due', name='t')", {"cron": "30 9 * * MON-FRI", "zone": "UTC", "type": "due"}),
        (
            "ctx.cron('30 9 * * *', 'due', zone='Europe/Berlin', name='t')",
            {"cron": "30 9 * * *", "zone": "Europe/Berlin", "type": "due"},
        ),
    ],
)
def test_each_call_writes_a_file(troupe: Troupe, actor: ActorId, line: str, file: dict[str, Any]):
    assert run(troupe, actor, line) == "t"
    assert files(troupe, actor) == {"t": file}


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        ("ctx.after(-1, 'due')", "BadTimer", "must not be negative"),
        ("ctx.after('soon', 'due')", "BadTimer", "units are"),
        ("ctx.after(1e15, 'due')", "BadTimer", "year 10000"),
        ("ctx.after(1, '')", "BadTimer", "message type"),
        ("ctx.after(1, {'a': 1})", "TypeError", "say the message type"),
        ("ctx.after(1, 'due', name='a/b')", "BadTimer", "timer name"),
        ("ctx.after(1, 'due', object())", "TypeError", "object"),
        ("ctx.after(1, 'due', ctx.actor_id)", "TypeError", "no link"),
        ("ctx.after(1, 'due', 'x' * 2**20)", "BadTimer", "1 MiB"),
        ("ctx.at(datetime(2026, 11, 23, 9), 'due')", "BadTimer", "time zone"),
        ("ctx.at('2026-11-23 09:00', 'due')", "BadTimer", "end it with Z"),
        ("ctx.at('2026-11-23 09:00', 'due', zone='Mars')", "BadTimer", "Mars"),
        ("ctx.every(0, 'due')", "BadTimer", "0.1 seconds"),
        ("ctx.cron('every day', 'due')", "BadTimer", "no cron line"),
        ("ctx.cron('0 9 * * *', 'due', zone='Berlin')", "BadTimer", "Berlin"),
        ("ctx.cancel('a/b')", "BadTimer", "timer name"),
    ],
)
def test_a_wrong_call_fails_at_the_call_and_sets_nothing(
    troupe: Troupe, actor: ActorId, line: str, code: str, why: str
):
    troupe.tell(actor, "run", line)
    outcome = troupe.step(actor).outcome
    assert outcome is not None
    assert outcome.code == code
    assert why in outcome.text
    assert files(troupe, actor) == {}


def test_a_timer_without_a_name_gets_one_that_no_other_has(troupe: Troupe, actor: ActorId):
    gave = run(troupe, actor, "[ctx.after(5, 'due', name='1-1'), *(ctx.after(1, 'due') for _ in range(3))]")
    assert gave == ["1-1", "1-0", "1-2", "1-3"]
    assert run(troupe, actor, "ctx.after(1, 'due')") == "2-0"
    assert set(files(troupe, actor)) == {*gave, "2-0"}


def test_a_timer_takes_the_place_of_one_of_the_same_name_and_is_cancelled_by_it(troupe: Troupe, actor: ActorId):
    run(troupe, actor, "ctx.after(1, 'due', name='t')")
    run(troupe, actor, "ctx.cron('0 9 * * *', 'due', name='t')")
    assert list(files(troupe, actor)["t"]) == ["cron", "zone", "type"]
    assert run(troupe, actor, "[ctx.cancel('t'), ctx.cancel('t')]") == [True, False]
    assert files(troupe, actor) == {}


def test_there_is_a_most_of_timers(troupe: Troupe, actor: ActorId, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timers_module, "MAX_TIMERS", 2)
    run(troupe, actor, "[ctx.after(1, 'due', name=name) for name in 'aab']")
    troupe.tell(actor, "run", "ctx.after(1, 'due', name='c')")
    outcome = troupe.step(actor).outcome
    assert outcome is not None
    assert "at most 2 timers" in outcome.text
    run(troupe, actor, "ctx.after(2, 'due', name='b')")


def test_the_message_says_which_timer_it_is_from(troupe: Troupe, actor: ActorId):
    run(troupe, actor, "ctx.every(60, 'due', name='t')")
    troupe.ring(actor, "t", "due", due=120_000_000, missed=3, is_last=False)
    troupe.play()
    id = tree_entry(troupe.reader, troupe.step(actor).core, "state")
    assert id is not None
    assert json.loads(troupe.reader.blob(id))["rang"] == ["t", "1970-01-01T00:02:00+00:00", 3]
    assert run(troupe, actor, "ctx.timer") is None


def test_where_no_tree_can_stand_no_timer_can(troupe: Troupe, actor: ActorId):
    troupe.update(actor, {"timers": "a text"})
    troupe.tell(actor, "run", "ctx.after(1, 'due')")
    outcome = troupe.step(actor).outcome
    assert outcome is not None
    assert (outcome.code, "/timers is no tree" in outcome.text) == ("BadTimer", True)
