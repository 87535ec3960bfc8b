"""A message that nobody sends again, of the clock or the answer to a request, waits for code that loads."""

from __future__ import annotations

from tests.node.living import Living
from tests.node.test_timers_living import Clock
from understudy.node.looking.timetable import RANG
from understudy.objects.ids import ActorId

HELPER = """
from understudy import Wit
wit = Wit()

@wit.message("help")
def help(content: str) -> str:
    return content.upper()
"""
ASKER = """
from understudy import Context, Request, Wit
wit = Wit()

@wit.message("ask")
def ask(to: str, ctx: Context) -> None:
    ctx.request(to, "words", type="help", on_answer=heard)

@wit.answer
def heard(answer: str, state: dict) -> None:
    state["heard"] = [*state.get("heard", []), answer]

@wit.message("due")
def due(state: dict) -> None:
    state["rang"] = state.get("rang", 0) + 1
"""
BROKEN = "import nowhere_at_all\n" + ASKER


def kept(living: Living, actor: ActorId) -> list[tuple[str, str, str | None]]:
    """What waits for the actor, and why."""
    return [(one.type, one.state, one.error) for one in living.node.pending(actor)]


def test_a_timer_that_rings_while_the_code_does_not_load_is_kept_and_shown_and_rings_once_it_does() -> None:
    clock = Clock()
    with Living(clock=clock) as living:
        actor = living.create(wit=ASKER, timers__soon=clock.timer(3600))
        assert living.update(actor, wit=BROKEN) is None
        clock.ahead_us = 4000 * 1_000_000
        living.until(lambda: any(state == "retry" for _, state, _ in kept(living, actor)))
        ((type, state, why),) = kept(living, actor)
        assert (type, state) == ("due", "retry") and why is not None and "nowhere_at_all" in why
        assert [one.state for one in living.node.timers(actor)] == [RANG]
        # Whoever is told of it fails at once, as ever.
        outcome = living.ask(actor, "ask", "x").outcome
        assert outcome is not None and outcome.code == "ImportFailed"
        living.stop()
        with living.again() as again:
            again.until(lambda: any(state == "retry" for _, state, _ in kept(again, actor)))
            assert again.update(actor, wit=ASKER) is None
            again.until(lambda: again.state(actor).get("rang") == 1)
            again.come_to_rest()
            assert again.state(actor) == {"rang": 1} and kept(again, actor) == []
            assert again.node.timers(actor) == []
            # Its clock is ahead of the judge's.
            assert [verdict.verdict for verdict in again.run(again.node.verify())] != ["MISMATCH"]


def test_an_answer_that_comes_while_the_code_does_not_load_is_kept() -> None:
    with Living() as living:
        helper, asker = living.create(wit=HELPER), living.create(wit=ASKER)
        living.run(living.node.pause(helper))
        assert living.ask(asker, "ask", str(helper)).outcome is None
        assert living.update(asker, wit=BROKEN) is None
        living.run(living.node.resume(helper))
        living.until(lambda: any(state == "retry" for _, state, _ in kept(living, asker)))
        assert living.update(asker, wit=ASKER) is None
        living.until(lambda: living.state(asker).get("heard") == ["WORDS"])
        living.come_to_rest()
        assert living.state(asker) == {"heard": ["WORDS"]}
