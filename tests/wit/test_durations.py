"""Durations and times at every door of an author: what can't be is named, and nothing is set, sent or asked for.

Of objects/duration.py too.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wit.flow_stage import FlowActor
from tests.wit.test_handlers import Actor
from understudy.objects.duration import LAST_US, duration_us
from understudy.objects.errors import BadTimer

WRONG = [
    *("1e300", "1e305", "float('nan')", "float('inf')", "-float('inf')", "-1", "-0.5", "10**400", "10**5000"),
    *("-10**5000", "True", "''", "'   '", "'99999999999999 weeks'", "'1e300s'", "'soon'", "'1'*10**6", "'½ day'"),
    *("timedelta.max", "timedelta.min", "timedelta(days=-1)", "[]", "b'1s'", "Decimal('NaN')", "object()", "Odd()"),
]
HEAD = """
from datetime import timedelta
from decimal import Decimal

class Odd:
    def __repr__(self) -> str:
        raise ValueError("it does not say")
"""
CODE = (
    HEAD
    + """
@wit.answer("heard")
def heard(payload: dict) -> None:
    pass

@wit.message("t")
def t(texts: list, ctx, state: dict) -> None:
    eval(texts[0], {"ctx": ctx, "v": eval(texts[1]), "timedelta": timedelta})
"""
)
DOORS = [
    "ctx.after(v, 'due')",
    "ctx.every(v, 'due')",
    "ctx.every(5, 'due', start=v)",
    "ctx.at(v, 'due')",
    "ctx.at(v, 'due', zone='UTC')",
    "ctx.cron(v, 'due')",
    "ctx.cron('* * * * *', 'due', zone=v)",
    "ctx.request(ctx.actor_id, {}, on_answer='heard', type='x', timeout=v)",
]
FLOWS = ["ctx.sleep(v)", "ctx.wait('x', timeout=v)", f"ctx.request({'a' * 4!r}, 1, type='x', timeout=v)"]
NAMES = {"BadTimer", "TypeError"}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_duration_is_refused_by_name_at_each_door(door: str) -> None:
    for wrong in WRONG:
        actor = Actor(CODE)
        core = actor.core
        outcome = actor.send(("t", json.dumps([door, wrong]))).outcome
        assert outcome is not None and outcome.code in NAMES, (wrong, outcome)
        # A line that says which value it was, and not all of it.
        assert 0 < len(outcome.text.splitlines()[0]) < 400, wrong
        assert actor.core == core


@pytest.mark.parametrize("door", FLOWS)
def test_what_is_no_duration_is_refused_by_name_in_a_flow_which_has_asked_for_nothing(door: str) -> None:
    code = (
        HEAD
        + f"""
@wit.flow("t")
async def t(text: str, ctx) -> str:
    v = eval(text)
    try:
        await {door}
    except ({", ".join(NAMES)}) as error:
        return type(error).__name__
"""
    )
    for wrong in WRONG:
        actor = FlowActor(code)
        (answer,) = actor.ok("t", wrong)
        assert answer[1] == "reply" and answer[2] in NAMES, (wrong, answer)
        assert actor.names("timers") == []


@pytest.mark.parametrize("wrong", ["-1", "float('nan')", "'5s'", "[]", "timedelta(1)", "httpx.Timeout(5, read=b'')"])
def test_what_is_no_timeout_of_httpx_is_refused_before_anything_is_asked(wrong: str) -> None:
    actor = Actor("import httpx\n" + CODE)
    outcome = actor.send(("t", json.dumps(["ctx.http.get('http://x.example/', timeout=v)", wrong]))).outcome
    assert outcome is not None and outcome.code == "BadTimer" and "the timeout (" in outcome.text, outcome


values = st.one_of(
    *(st.integers(), st.integers(-(10**9000), 10**9000), st.floats(), st.text(), st.binary(), st.booleans()),
    *(
        st.timedeltas(),
        st.none(),
        st.decimals(),
        st.from_regex(r"[0-9]{1,20}(\.[0-9]+)? ?(s|min|weeks)", fullmatch=True),
    ),
)


@given(value=values)
def test_a_duration_is_within_its_bound_or_refused(value: Any) -> None:
    try:
        found = duration_us(value)
    except BadTimer as error:
        assert "\n" not in str(error) and len(str(error)) < 400
    else:
        assert 0 <= found <= LAST_US
        if isinstance(value, int | float):
            assert abs(found - int(value * 1_000_000)) <= 1
        if isinstance(value, timedelta):
            assert timedelta(microseconds=found) == value
