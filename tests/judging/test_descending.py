"""A span is replayed from the top down; what does not come out so is judged where nothing ran before.

Tests of kernel/own_messages.py too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest

from tests.node.troupe import OWNER, Troupe, chain
from understudy.judging import case, started
from understudy.judging.fork_server import ForkServer, Performers
from understudy.judging.performed import PerformedStage
from understudy.judging.verification import verify_targets
from understudy.judging.wire import Setup
from understudy.kernel.own_messages import OwnMessages
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId, MessageId


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


def play(troupe: Troupe, body: str, *, head: str = "", times: int = 1) -> ActorId:
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    code = f"{head}\ndef wit(ctx):\n    if ctx.step_id is None:\n        return\n{lines}"
    actor = troupe.create({"wit": "/code:odd:wit", "code/odd.py": code})
    for number in range(times):
        troupe.tell(actor, "go", number)
    return actor


def judge(troupe: Troupe, actor: ActorId, **more: Any) -> Verdict:
    return verify_targets(troupe.backend, [troupe.target(actor)], processes=1, **more)[0]


@pytest.mark.parametrize("span", [3, 512])
@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("SEEN = []", "SEEN.append(1)\nctx.log(len(SEEN))"),
        ("import string", "string.seen = getattr(string, 'seen', 0) + 1\nctx.log(string.seen)"),
    ],
    ids=["in its module", "in a library's module"],
)
def test_what_code_keeps_shows_wherever_the_spans_begin(
    troupe: Troupe, monkeypatch: pytest.MonkeyPatch, head: str, body: str, span: int
):
    monkeypatch.setattr(case, "SPAN", span)
    try:
        verdict = judge(troupe, play(troupe, body, head=head, times=7))
    finally:
        vars(__import__("string")).pop("seen", None)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("MISMATCH", "global", 2), verdict


def test_a_global_that_another_step_only_reads_is_no_difference(troupe: Troupe):
    assert judge(troupe, play(troupe, "CACHE.setdefault('a', []).append(1)", head="CACHE = {}", times=9)).ok


def test_a_step_that_asks_the_store_for_ever_is_given_up(troupe: Troupe):
    body = "import sys\nwhile 'pytest' not in sys.modules:\n    for n in range(99): ctx.core.get(f'nothing/{n}')\nctx.log('x')"
    actor = play(troupe, body, times=2)
    began = time.monotonic()
    verdict = judge(troupe, actor, step_seconds=1.0)
    assert (verdict.verdict, verdict.cause) == ("UNVERIFIABLE", "timeout")
    assert time.monotonic() - began < 60


def test_after_some_steps_that_never_end_the_rest_is_not_waited_for(troupe: Troupe):
    body = "import sys\nwhile 'pytest' not in sys.modules: pass\nctx.log('done')"
    verdict = judge(troupe, play(troupe, body, times=9), step_seconds=0.5)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "timeout", 1)


@pytest.mark.parametrize("way", ["up", "down", "at random"])
def test_own_messages_are_found_in_any_order_of_the_steps(troupe: Troupe, way: str):
    code = (
        "from understudy import Wit\nwit = Wit()\n\n"
        "@wit.message('go')\ndef go(ctx):\n    for n in range(3): ctx.send(ctx.actor_id, n, type='mine')\n\n"
        "@wit.message('mine')\ndef mine(number: int, state: dict):\n    state['sum'] = state.get('sum', 0) + number\n"
    )
    actor = troupe.create({"wit": "/code:odd:wit", "code/odd.py": code})
    for _ in range(3):
        troupe.tell(actor, "go")
    records = chain(troupe, actor)
    assert len(records) == 1 + 3 + 9
    order = {"up": records, "down": records[::-1], "at random": sorted(records, key=lambda record: record.id)}[way]
    own = OwnMessages(troupe.reader)
    for record in order:
        for id, message, _ in record.consumed:
            if message.sender != OWNER:
                assert own.hold(record.before.outbox, id, message)
                assert not own.hold(record.before.outbox, MessageId(records[0].id), message)
    assert judge(troupe, actor).ok


def test_steps_of_the_first_rules_are_still_judged(troupe: Troupe):
    actor = play(troupe, "ctx.log('a')")
    troupe.forge(actor, engine="python/1")
    assert judge(troupe, actor).ok


def test_a_failure_of_a_performer_is_told_in_a_line(troupe: Troupe):
    body = "import sys\nif 'pytest' not in sys.modules: sys.modules['understudy.judging.performer'].Ran = None\nctx.log('a')"
    verdict = judge(troupe, play(troupe, body))
    assert verdict.verdict == "UNVERIFIABLE"
    assert "\n" not in str(verdict.reason) and "Traceback" not in str(verdict.reason)


def test_nothing_is_left_when_who_verifies_is_killed(tmp_path: Path):
    code = f"""
import os, sys, time
sys.path.insert(0, {os.getcwd()!r})
from tests.node.troupe import Troupe
from understudy.judging.verification import verify_targets
troupe = Troupe()
code = "def wit(ctx):\\n    import sys\\n    while sys.argv[0] == '-c': pass\\n"
sys.argv[0] = 'played'
actor = troupe.create({{"wit": code}})
print("playing", flush=True)
verify_targets(troupe.backend, [troupe.target(actor)], processes=2)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "playing\n"
        _until(lambda: len(_below(process.pid)) >= 3)
        left = _below(process.pid)
        process.kill()
    _until(lambda: not any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in left))


def _below(pid: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *_below(child)]
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _until(is_so: Any) -> None:
    pause = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < pause
        time.sleep(0.05)


class Counted:
    """Counts the performers that are ended; makes none."""

    living = None

    def __init__(self) -> None:
        self.ended = 0

    def end(self, *, kill: bool = True) -> None:
        self.ended += 1


def test_a_performer_is_kept_for_the_next_span_of_its_history_and_for_nothing_else():
    performers = Counted()
    stage = PerformedStage(cast(Performers, performers), Setup(modules=(), components="", integrity_only=False))
    found = []
    for history in ("a", "a", "b", "a", None, None, "a"):
        before = performers.ended
        stage.begin(history)
        found.append(performers.ended - before)
    assert found == [1, 0, 1, 1, 1, 1, 1]


def test_what_runs_components_is_loaded_by_who_judges_one():
    code = (
        "import sys, understudy.judging.started; print([name for name in sys.modules if name.startswith('wasmtime')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("forbidden", [False, True])
def test_what_the_processes_of_a_judge_import_is_compiled_once(tmp_path: Path, monkeypatch, forbidden: bool):
    package = Path(started.__file__).parents[1]
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__", "console"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    if forbidden:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    server = ForkServer([str(tmp_path), *sys.path])
    try:
        server.end_judge(server.make_judge()[0])
    finally:
        server.close()
    assert bool([*tmp_path.rglob("performer.*.pyc")]) is not forbidden
