"""`make mutants`: how many small faults, put into the code one at a time, do the tests notice?

cosmic-ray makes the faults, in a copy of the tree. All of them would take days, so each room gets a sample; the first line
prints its seed, and `UNDERSTUDY_TEST_SEED` takes the same sample again. Annotations are left out: nothing runs them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from cosmic_ray.commands.init import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkItem

ROOT: Final = Path(__file__).parents[2]
TREE: Final = ROOT / ".build" / "mutants"
COPIED: Final = ("src", "tests", "examples", "docs", "bench", "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")
SECONDS: Final = 300  # for the tests of one mutant; one that hangs counts as noticed
# The tests that are asked, those that notice most first: the first that fails ends the run.
TESTS: Final = {
    "kernel": "tests/kernel tests/node/test_retry.py tests/node/test_bounces.py tests/node/test_queries.py tests/node/test_rules.py "
    "tests/node/test_forgeries.py tests/node/test_replay_calls.py",
    "store": "tests/store",
    "judging": "tests/node/test_forgeries.py tests/node/test_replay_calls.py tests/judging tests/node/test_older_copies.py "
    "tests/node/test_verification.py tests/node/test_asking.py",
}
# `a | b` in an annotation becomes `a + b`: nobody could notice.
LEFT_OUT: Final = "ReplaceBinaryOperator_BitOr"


class Score(NamedTuple):
    """What became of the mutants of a room: how many were noticed, and the diffs of the others."""

    killed: int
    survived: list[str]


def main() -> None:
    """Take the samples, run them, print the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="mutants of each room")
    parser.add_argument("--only", choices=TESTS, help="one room")
    parser.add_argument("--minutes", type=float, default=60, help="after so long no further mutant is begun")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="for the tests of one mutant: more where others work"
    )
    given = parser.parse_args()
    seed = int(os.environ.get("UNDERSTUDY_TEST_SEED") or time.time())
    print(f"seed {seed}: UNDERSTUDY_TEST_SEED={seed} takes the same sample again", flush=True)
    copy_tree()
    os.chdir(TREE)
    # Before what is installed, also for the processes that the tests start.
    os.environ["PYTHONPATH"] = str(TREE / "src")
    until = time.monotonic() + given.minutes * 60
    scores = {room: judge(room, given.each, seed, until, given.seconds) for room in TESTS if given.only in (None, room)}
    for room, score in scores.items():
        for diff in score.survived:
            print(f"\nsurvived in {room}:\n{diff}")
    print()
    for room, score in scores.items():
        print(f"{room}: {score.killed} of {score.killed + len(score.survived)} mutants killed")


def copy_tree() -> None:
    """The tree as it is now, so that nobody works on code with faults in it."""
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, TREE / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, TREE / name)


def judge(room: str, each: int, seed: int, until: float, seconds: float) -> Score:
    """Run a sample of the mutants of a room."""
    killed, survived = 0, []
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider {TESTS[room]}"
    if run_tests(command, seconds)[0] is not TestOutcome.SURVIVED:
        sys.exit(f"the tests of {room} fail without a mutant, or take more than {seconds:g} s: {command}")
    for item in choose(mutants(room), each, random.Random(seed)):
        if time.monotonic() >= until:
            break
        result = mutate_and_test(item.mutations, command, seconds)
        if result.test_outcome is None:
            continue
        killed += result.is_killed
        print(f"{room}: {'killed  ' if result.is_killed else 'SURVIVED'} {where(item)}", flush=True)
        if not result.is_killed:
            survived.append(result.diff or where(item))
    return Score(killed, survived)


def mutants(room: str) -> list[WorkItem]:
    """Every mutant that the library knows to make of a room."""
    with use_db(":memory:", WorkDB.Mode.create) as database:
        init(find_modules([Path("src/understudy") / room]), database, {})
        return list(database.work_items)


def choose(items: list[WorkItem], each: int, chance: random.Random) -> list[WorkItem]:
    """A sample, of each line of the code at most one."""
    some: dict[str, WorkItem] = {}
    for item in sorted(items, key=lambda item: repr(item.mutations)):
        if LEFT_OUT not in item.mutations[0].operator_name:
            some.setdefault(where(item), item)
    return chance.sample([some[place] for place in sorted(some)], min(each, len(some)))


def where(item: WorkItem) -> str:
    """The file and the line of a mutant."""
    mutation = item.mutations[0]
    return f"{mutation.module_path}:{mutation.start_pos[0]}"


if __name__ == "__main__":
    main()
