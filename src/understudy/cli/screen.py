"""What commands print: results on standard output, remarks and progress on standard error, colours on terminals.

The law: text of actors is shown unchanged, except that characters which control the terminal are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from understudy.cli.lossy import lossy_stderr

Advance = Callable[[int, int], None]

# Control characters but tab and line feed: an escape sequence in an error text could rewrite the reader's screen.
# Characters that change the direction of writing: in a diff, a line of code could look like another one. And lone
# surrogates, which can't be encoded.
_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# No line is wrapped where the output is no terminal: a program could not read an id on two lines.
_out = Console(soft_wrap=True, highlight=False, emoji=False)
# No command ends because a remark of it can't be written.
_stderr: Final = lossy_stderr()
_err = Console(file=_stderr, soft_wrap=True, highlight=False, emoji=False)


def say(text: str = "", style: str | None = None) -> None:
    """A line of the result: brackets in it are no markup."""
    _out.print(_shown(text), style=style, markup=False)


def say_marked(text: str) -> None:
    """A line of the result with Rich's markup; what comes from outside must be escaped."""
    _out.print(_shown(text))


def remark(text: str, style: str | None = "dim") -> None:
    """A line on standard error; with a colour it is a warning."""
    if _err.quiet and style != "dim":
        print_notice({"warning": text})
    _err.print(_shown(text), style=style, markup=False)


def print_error(code: str, text: str, exit_code: int) -> None:
    """An error for programs."""
    print_notice({"error": {"code": code, "detail": text, "exit_code": exit_code}})


def print_notice(value: Any) -> None:
    """Something beside the result for programs: one line of JSON on standard error."""
    _stderr.write(msgspec.json.encode(value).decode() + "\n")
    _stderr.flush()


def be_for_programs() -> None:
    """From now on, standard error is read by a program: warnings are lines of JSON, and there is nothing else."""
    _err.quiet = True


def print_json(value: Any) -> None:
    """A value as JSON, one document."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if _out.is_terminal:
        # JSON itself writes out those below 32; the others are valid in it, and a terminal heeds some of them.
        _out.print_json(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", data))
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


def _shown(text: str) -> str:
    return _STEERING.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
