"""Run the benchmarks: `python -m bench.run [--only NAME]… [--set NAME=NUMBER]…`, one line of JSON per result.

A benchmark is a module beside this one with `def run(params) -> list[Result]`. The ceiling is measured anew before
each of them: on a shared machine the figure of a minute ago is another machine's.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from bench import ceiling
from bench.result import Params, Result

_HELD_AGAINST_THE_CEILING = {"steps/s", "messages/s"}


def names() -> list[str]:
    """The benchmarks there are, the ceiling first: every module beside this one that defines `run`."""
    modules = Path(__file__).parent.glob("*.py")
    found = [module.stem for module in modules if "\ndef run(" in module.read_text(encoding="utf-8")]
    return sorted(found, key=lambda name: (name != "ceiling", name))


def line(result: Result, steps_per_second: float) -> dict[str, Any]:
    """A result as it is printed, with its share of the ceiling where it has one."""
    top, top_is = result.ceiling, result.ceiling_is
    if top is None and result.unit in _HELD_AGAINST_THE_CEILING:
        top, top_is = steps_per_second, ceiling.CEILING_IS
    return {
        "benchmark": result.benchmark,
        "params": dict(result.params),
        "rate": round(result.rate, 3),
        "unit": result.unit,
        "ceiling": None if top is None else round(top, 3),
        "ceiling_is": top_is,
        "ratio": None if not top else round(result.rate / top, 4),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a benchmark failed, after the others had their turn."""
    given = _parser().parse_args(arguments)
    failed = 0
    for name in given.only or names():
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            _print(_measure(importlib.import_module(f"bench.{name}"), dict(given.set)))
        except Exception:
            traceback.print_exc()
            failed = 1
    return failed


def _measure(module: ModuleType, params: Params) -> list[dict[str, Any]]:
    steps_per_second = ceiling.steps_per_second()
    return [line(result, steps_per_second) for result in module.run(params)]


def _print(lines: Iterable[dict[str, Any]]) -> None:
    for one in lines:
        print(msgspec.json.encode(one).decode(), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Run the benchmarks.")
    parser.add_argument(
        "--only",
        action="append",
        type=lambda name: name.replace("-", "_"),
        choices=names(),
        help="one benchmark; may be given several times",
    )
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="NAME=NUMBER", help="a parameter for benchmarks"
    )
    return parser


def _setting(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    return name, int(number)


if __name__ == "__main__":
    sys.exit(main())
