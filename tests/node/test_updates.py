"""Changing the code while the actor runs: every step runs the version that its core holds, and nothing else is lost by it."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from concurrent.futures import Future

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE
from understudy.engines.python.names import PREFIX
from understudy.engines.python.program import PythonProgram
from understudy.node.errors import Rejected
from understudy.node.intake.answers import Answer
from understudy.objects.ids import ActorId, MessageId, StepId
from understudy.objects.mailbox import UPDATE
from understudy.objects.step import Step

UPDATES = 100
VERSIONS = 30  # of which more than can be held are over when memory is looked at first
AGENT = "code/agent.py"
WIT = """
from understudy import Wit
from words import VERSION

wit = Wit()

@wit.message("ask")
def ask(number: int, state: dict) -> list:
    state["asked"] = state.get("asked", 0) + 1
    return [VERSION, number]
"""
FAILING = """
def greet(new_messages, core):
    for message in new_messages:
        core["greeted"] = message.text().upper() + 1
"""
CURED = FAILING.replace(" + 1", "")
NAMELESS = """
from understudy import Wit
from msgspec import Struct

class Order(Struct):
    item: "Nope"

greet = Wit()
@greet.message("order")
def hear(order: Order): pass
"""


def create(living: Living, nonce: str = "") -> ActorId:
    files = {"wit": b"/code:asker:wit", "code/asker.py": WIT.encode(), "code/words.py": words(0)}
    return living.run(living.node.create(files, nonce=nonce)).id


def words(version: int) -> bytes:
    # A few kilobytes, so that a version that is kept shows.
    return f"VERSION = {version}\nTABLE = {{{', '.join(f'{n}: {n * version!r}' for n in range(500))}}}\n".encode()


def begin_update(living: Living, actor: ActorId, version: int) -> Future[MessageId]:
    return living.begin(living.node.patch(actor, {"code/words.py": words(version)}))


def version_in(living: Living, step: Step) -> int:
    """The version that a step's core holds."""
    id = living.node.reader.find(step.core, "code/words.py")
    assert id is not None
    return int(living.node.reader.blob(id).split()[2])


def loaded_versions() -> set[str]:
    return {name.partition(".")[0] for name in sys.modules if name.startswith(PREFIX)}


def limit_programs(living: Living, most: int) -> None:
    engine = living.node._engines["python"]
    engine._max_programs = most  # type: ignore[attr-defined]


def test_a_hundred_updates_under_load_lose_no_message_and_each_step_runs_what_its_core_holds() -> None:
    with Living() as living:
        actor = create(living)
        answers: list[Future[Answer]] = []
        for version in range(1, UPDATES + 1):
            asked = [living.begin_send(actor, "ask", version * 10 + number) for number in range(5)]
            update = begin_update(living, actor, version)
            answers += [living.begin_answer(actor, each.result(PATIENCE)) for each in asked]
            answers.append(living.begin_answer(actor, update.result(PATIENCE)))
        assert [answer.result(PATIENCE).outcome for answer in answers] == [None] * UPDATES * 6
        assert living.state(actor)["asked"] == UPDATES * 5
        check_versions(living, actor)
        verdicts = living.run(living.node.verify())
        assert [(one.verdict, one.reason) for one in verdicts] == [("MATCH", None)]
        assert verdicts[0].steps == len(living.chain(actor))


def check_versions(living: Living, actor: ActorId) -> None:
    """Each answer was given by the version in the core of the step before."""
    reader, before = living.node.reader, 0
    for step in living.chain(actor):
        for id in step.sent:
            version, _ = eval(reader.blob(reader.message(id).content))
            assert version == before
        before = version_in(living, step)
    assert before == UPDATES


def test_versions_that_are_no_longer_used_leave_memory() -> None:
    with Living() as living:
        limit_programs(living, 4)
        actors = [create(living, nonce) for nonce in ("a", "b")]
        before = loaded_versions()
        sizes = []
        tracemalloc.start()
        for version in range(1, VERSIONS + 1):
            for actor in actors:
                update = begin_update(living, actor, version).result(PATIENCE)
                assert living.begin_answer(actor, update).result(PATIENCE).outcome is None
                assert living.tell(actor, "ask", 1) == [version, 1]
            if version in (VERSIONS // 5, VERSIONS):
                sizes.append(traced_by_code())
        tracemalloc.stop()
        assert len(loaded_versions() - before) <= 4
        programs = [held for held in gc.get_objects() if isinstance(held, PythonProgram)]
        assert len([program for program in programs if "asker" in str(program.version and program.version.names)]) <= 4
        # Which of the four are held may differ by one or two, some 100 KB each; versions that never go would be five times as many.
        assert sizes[0] > 100_000 and sizes[1] < 3 * sizes[0]


def traced_by_code() -> int:
    """The bytes that loaded code, and what loads it, hold now; what the store in memory keeps is not among them."""
    gc.collect()
    places = ["core-*", "*/engines/python/*", "*linecache.py", "<frozen importlib*"]
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, place) for place in places])
    return sum(trace.size for trace in snapshot.traces)


def test_an_agent_that_fails_is_cured_by_an_update_and_the_messages_behind_it_are_answered() -> None:
    with Living() as living:
        actor = living.create(wit="/code:agent:greet", **{AGENT: FAILING})
        failed = living.ask(actor, "greet", "ada")
        assert failed.outcome is not None and failed.outcome.code == "TypeError"
        queued = [living.begin_send(actor, "greet", name) for name in ("grace", "joan")]
        assert living.update(actor, **{AGENT: CURED}) is None
        answers = [living.begin_answer(actor, each.result(PATIENCE)).result(PATIENCE) for each in queued]
        # Those that came before the update may have failed too; whoever comes after it is served.
        assert {answer.outcome.code for answer in answers if answer.outcome is not None} <= {"TypeError"}
        assert living.ask(actor, "greet", "mary").outcome is None
        assert greeted(living, actor) == b'"MARY"'


def greeted(living: Living, actor: ActorId) -> bytes:
    id = living.node.reader.find(living.chain(actor)[-1].core, "greeted")
    assert id is not None
    return living.node.reader.blob(id)


@pytest.mark.parametrize(
    ("source", "code", "place"),
    [
        ("def greet(:", "SyntaxError", "code/agent.py:1"),
        (
            NAMELESS,
            "WrongSignature",
            "code/agent.py:9 in hear: parameter 'order' can't be filled: NameError: name 'Nope'",
        ),
        ("from __future__ import annotations\ndef greet(core: exit()): pass", "ImportFailed", "SystemExit"),
    ],
)
def test_an_agent_whose_modules_do_not_even_load_is_cured_by_an_update(source: str, code: str, place: str) -> None:
    with Living() as living:
        actor = living.create(wit="/code:agent:greet", **{AGENT: CURED})
        assert living.update(actor, **{AGENT: source}) is None
        broken = living.ask(actor, "greet", "ada")
        assert broken.outcome is not None and broken.outcome.code == code
        assert place in broken.outcome.text
        assert living.update(actor, **{AGENT: CURED}) is None
        assert living.ask(actor, "greet", "ada").outcome is None
        assert greeted(living, actor) == b'"ADA"'


def test_an_update_that_would_take_the_wit_away_is_refused_and_the_actor_goes_on() -> None:
    with Living() as living:
        actor = living.create(wit="/code:agent:greet", **{AGENT: CURED})
        refused = living.update(actor, wit=None)
        assert refused is not None and (refused.kind, refused.code) == ("refused", "NoWit")
        assert living.ask(actor, "greet", "ada").outcome is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("del core['wit']", "NoWit"),
        ("del core['wit']; core['wit/x'] = 'y'", "WitNotBlob"),
        ("core['wit'] = b'\\xff'", "WitNotText"),
        ("core['runtime'] = b'\\xff'", "RuntimeNotText"),
        ("core['policy'] = 'no policy'", "BadPolicy"),
    ],
)
def test_no_step_leaves_a_core_behind_that_nobody_could_run(change: str, code: str) -> None:
    with Living() as living:
        spoils = f"def spoil(core, new_messages):\n    if new_messages[0].type != 'genesis':\n        {change}"
        actor = living.create(wit=spoils, wit_update="def restore(core): core['restored'] = 'yes'")
        core = living.chain(actor)[-1].core
        outcome = living.ask(actor, "any").outcome
        assert outcome is not None and (outcome.kind, outcome.code) == ("failed", code)
        # The update runs the code that it brings, and that must not do it either.
        outcome = living.update(actor, wit_update=f"def restore(core):\n    {change}")
        assert outcome is not None and (outcome.kind, outcome.code) == ("refused", code)
        assert living.chain(actor)[-1].core == core
        assert living.update(actor, wit="def f(): pass") is None
        (verdict,) = living.run(living.node.verify())
        assert verdict.ok, verdict


def test_a_genesis_that_takes_its_own_wit_away_leaves_the_core_as_it_was() -> None:
    with Living() as living:
        made = living.made(wit="def f(core): del core['wit']")
        assert living.outcomes(made.id) == ["NoWit"]
        assert living.update(made.id, wit="def f(): pass") is None


def test_rolling_back_is_one_more_step_and_keeps_the_state() -> None:
    with Living() as living:
        actor = create(living)
        living.tell(actor, "ask", 1)
        for version in (1, 2):
            update = begin_update(living, actor, version).result(PATIENCE)
            living.begin_answer(actor, update).result(PATIENCE)
        assert living.tell(actor, "ask", 2) == [2, 2]
        height = len(living.chain(actor))
        roll_back(living, actor, to=living.node.step_at(actor, 2))
        assert len(living.chain(actor)) == height + 1
        assert living.tell(actor, "ask", 3) == [1, 3]
        assert living.state(actor) == {"asked": 3}
        assert [one.verdict for one in living.run(living.node.verify())] == ["MATCH"]


def roll_back(living: Living, actor: ActorId, *, to: StepId | None) -> None:
    """Send the code of an earlier step as an update."""
    assert to is not None
    reader = living.node.reader
    id = reader.find(reader.step(to).core, "code/words.py")
    assert id is not None
    message = living.run(living.node.patch(actor, {"code/words.py": reader.blob(id)}))
    assert living.begin_answer(actor, message).result(PATIENCE).outcome is None
    assert reader.message(message).lane == UPDATE


TYPED = """
from msgspec import Struct
from understudy import Wit
class Inner(Struct):
    x: int = 0
class State(Struct):
    {fields}
wit = Wit()
@wit.message("add")
def add(number: int, state: State): {body}
"""


@pytest.mark.parametrize(
    ("fields", "dropped", "error"),
    [
        ("count: int = 0; inner: list[Inner] = []", (), None),
        ("count: int = 0; inner: list[Inner] = []; more: str = ''", (), None),
        ("counted: int = 0; inner: list[Inner] = []", ("$.count",), None),
        ("count: int = 0; inner: list[dict[str, int]] = []", (), None),
        ("inner: list[Inner] = []", ("$.count",), None),
        ("count: int = 0", ("$.inner",), None),
        ("count: str = ''; inner: list[Inner] = []", (), "Expected `str`, got `int` - at `$.count`"),
        ("count: int; inner: list[Inner]; newer: str", (), "missing required field `newer`"),
    ],
)
def test_what_an_update_would_lose_of_the_state_is_known_before_it_is_sent(fields, dropped, error):
    def code(fields: str, body: str = "pass") -> str:
        return TYPED.format(fields=fields.replace("; ", "\n    "), body=body)

    with Living() as living:
        before = code("count: int = 0; inner: list[Inner] = []", "state.count += number; state.inner.append(Inner(1))")
        actor = living.create(wit="/code:m:wit", **{"code/m.py": before})
        living.ask(actor, "add", 3)
        head = living.node.actor(actor).head
        found = living.run(living.node.check_update(actor, [{"code/m.py": code(fields).encode()}]))
        assert (tuple(found.dropped), found.ok) == (dropped, not dropped and error is None)
        assert (found.error is None) is (error is None) and (error or "") in (found.error or "")
        # A migration of its own decides for itself.
        patch = {"code/m.py": code(fields).encode(), "wit_update": b"/code:m:wit"}
        assert living.run(living.node.check_update(actor, [patch])).ok
        with pytest.raises(Rejected, match="SyntaxError"):
            living.run(living.node.check_update(actor, [{"code/m.py": b"def"}]))
        assert living.node.actor(actor).head == head
