"""The command `understudy`: its table of commands, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn, cast

import typer

from understudy.cli.commands import lazy_group
from understudy.cli.errors import CommandError
from understudy.cli.lossy import close_pipe, open_closed_streams
from understudy.cli.screen import be_for_programs, print_error, remark
from understudy.node.errors import NodeError
from understudy.objects.errors import ObjectError
from understudy.store.errors import Missing, StoreError, StoreFull, StoreInUse

AS_JSON: Final = "--json"
# Typer has a click of its own, or uses the installed one: this is the class in both.
_UsageError: Final = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])
INTERRUPTED: Final = 130  # what shells say of a command that Ctrl-C ended
UNREAD: Final = 141  # and of one whose reader left, as in `understudy log greeter | head -1`
DEBUG: Final = "UNDERSTUDY_DEBUG"  # set, it lets tracebacks through

COMMANDS: Final = {  # where each is, in the order of the help
    "init": "understudy.cli.init:init",
    "new": "understudy.cli.new:new",
    "build": "understudy.cli.build:build",
    "serve": "understudy.cli.serve:serve",
    "run": "understudy.cli.run:run",
    "push": "understudy.cli.push:push",
    "send": "understudy.cli.send:send",
    "query": "understudy.cli.query:query",
    "wut": "understudy.cli.wut:wut",
    "actors": "understudy.cli.actors:actors",
    "open": "understudy.cli.open_:open_",
    "log": "understudy.cli.log:log",
    "show": "understudy.cli.show:show",
    "diff": "understudy.cli.diff:diff",
    "chain": "understudy.cli.chain:chain",
    "pending": "understudy.cli.pending:pending",
    "timers": "understudy.cli.timers:timers",
    "flows": "understudy.cli.flows:flows",
    "flow": "understudy.cli.flows:flow",
    "pause": "understudy.cli.pause:pause",
    "resume": "understudy.cli.pause:resume",
    "retry": "understudy.cli.retry:retry",
    "verify": "understudy.cli.verify:verify",
    "store": "understudy.cli.store_group:store",
    "fsck": "understudy.cli.fsck:fsck",
    "export": "understudy.cli.export:export",
    "import": "understudy.cli.import_:import_",
    "wit": "understudy.cli.wit:wit",
    "token": "understudy.cli.token:token",
    "secret": "understudy.cli.secret:secret",
}

app = typer.Typer(
    name="understudy",
    cls=lazy_group(COMMANDS),
    help="Actors whose every step can be replayed, and proved, by an understudy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback()(lambda: None)


def main() -> NoReturn:
    """Run the command of `sys.argv` and exit: 0 success, 1 the answer is no, 2 wrong use, 130 interrupted, 141 unread."""
    open_closed_streams()
    as_json = AS_JSON in sys.argv[1:]
    if as_json:
        be_for_programs()
    try:
        if _run(as_json) == INTERRUPTED:
            raise KeyboardInterrupt
    except BrokenPipeError:
        _end_unread()
    except _UsageError as error:
        _end("WrongUse", error.format_message(), 2, as_json=as_json)
    except (CommandError, NodeError, StoreError, ObjectError) as error:
        code = error.code if isinstance(error, CommandError) else type(error).__name__
        _end(code, _sentence(error), _exit_code(error), as_json=as_json)
    except KeyboardInterrupt:
        _end_interrupted(as_json)
    except SystemExit as error:
        if error.code == INTERRUPTED:
            _end_interrupted(as_json)
        # Rich and Typer make an exit of it that looks like a no.
        if isinstance(error.__context__, BrokenPipeError):
            _end_unread()
        raise
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        fault = "" if isinstance(error, OSError) else f"\nthis is a fault of Understudy; {DEBUG}=1 shows where"
        _end(type(error).__name__, f"{type(error).__name__}: {error}{fault}", 1, as_json=as_json)
    sys.exit(0)


def _run(as_json: bool) -> object:
    try:
        # By itself, Typer prints what was used wrongly in a box for people.
        return app(standalone_mode=not as_json)
    finally:
        # Here, where an error can still be told: at its exit Python says what it thinks of a closed pipe.
        sys.stdout.flush()


def _end(code: str, text: str, exit_code: int, *, as_json: bool) -> NoReturn:
    if as_json:
        print_error(code, text, exit_code)
    else:
        remark(f"understudy: {text}", style="red" if exit_code != INTERRUPTED else "dim")
    sys.exit(exit_code)


def _end_interrupted(as_json: bool) -> NoReturn:
    _end("Interrupted", "interrupted; everything acknowledged is in the store", INTERRUPTED, as_json=as_json)


def _end_unread() -> NoReturn:
    """End as a program does that the system ends when its reader has left: without a word."""
    close_pipe(sys.stdout)
    sys.exit(UNREAD)


def _sentence(error: Exception) -> str:
    match error:
        case StoreInUse():
            return f"{error}\nstop that process first, or let this one find it: `understudy actors` shows what it holds"
        case StoreFull():
            return f"{error}\nmake room; what was acknowledged is still there"
        case Missing():
            return f"{error}; `understudy actors` lists the actors, `understudy log ACTOR` their steps"
    return str(error)


def _exit_code(error: Exception) -> int:
    return int(getattr(error, "exit_code", 1))
