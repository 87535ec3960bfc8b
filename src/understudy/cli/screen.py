"""What commands print: results on standard output, remarks and progress on standard error, colours on terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[int, int], None]

# Not wrapped where it is no terminal: an id broken into two lines is of no use to the program that reads it.
_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def say(text: str = "", style: str | None = None) -> None:
    """A line of the result, as it is: brackets in it are no markup."""
    _out.print(escape(text), style=style)


def say_marked(text: str) -> None:
    """A line of the result with Rich's markup; what comes from outside must be escaped."""
    _out.print(text)


def remark(text: str, style: str | None = "dim") -> None:
    """A line beside the result."""
    _err.print(escape(text), style=style)


def print_json(value: Any) -> None:
    """A value as JSON, one document."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if _out.is_terminal:
        _out.print_json(data)
    else:
        _out.print(data, markup=False)


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table; nothing is cut off, whatever the width of the terminal."""
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    for number, row in enumerate([columns, *rows]):
        cells = [set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip(), style=None if number else "bold")


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Shows how far long work is, on a terminal; the function it gives takes how much is done, and of how much."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_err, disable=not _err.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
