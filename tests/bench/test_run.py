"""The benchmarks' frame: every result is one line, held against the ceiling where that makes sense."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import ceiling, run
from bench.result import Result


@pytest.fixture
def _small_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = ceiling.steps_per_second
    monkeypatch.setattr(ceiling, "steps_per_second", lambda **given: measure(**{"steps": 200, "rounds": 1} | given))


@pytest.mark.usefixtures("_small_ceiling")
def test_the_ceiling_is_measured_and_printed_as_one_line_per_commit_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--only", "ceiling", "--set", "steps=200"]) == 0
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["params"]["steps_per_commit"] for line in lines] == [1, 10, 100]
    assert all(
        list(line) == ["benchmark", "params", "rate", "unit", "ceiling", "ceiling_is", "ratio"] for line in lines
    )
    assert all(line["rate"] > 0 and line["ratio"] > 0 for line in lines)


@pytest.mark.usefixtures("_small_ceiling")
def test_a_measurement_leaves_nothing_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.result.SCRATCH", tmp_path)
    ceiling.steps_per_second()
    assert not list(tmp_path.iterdir())


def test_a_rate_of_messages_is_held_against_the_ceiling_of_the_run() -> None:
    result = run.line(Result(benchmark="grid", rate=15_000, unit="messages/s"), 50_000)
    assert (result["ceiling"], result["ratio"]) == (50_000, 0.3)


def test_seconds_are_held_against_nothing() -> None:
    result = run.line(Result(benchmark="history", rate=1.5, unit="s"), 50_000)
    assert (result["ceiling"], result["ceiling_is"], result["ratio"]) == (None, None, None)


def test_a_ceiling_of_its_own_goes_before_the_common_one() -> None:
    own = Result(benchmark="hot", rate=20, unit="steps/s", ceiling=10, ceiling_is="waiting for each sync")
    result = run.line(own, 50_000)
    assert (result["ceiling"], result["ceiling_is"], result["ratio"]) == (10, "waiting for each sync", 2)


def test_an_unknown_benchmark_is_wrong_use() -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(["--only", "nothing"])
    assert caught.value.code == 2
