"""`understudy export`: an actor's whole history in one CAR file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.looking import looking
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.screen import print_json, remark, say
from understudy.node.looking.look import Look
from understudy.objects.ids import ActorId
from understudy.objects.wording import counted
from understudy.store.car import write_car

Target = Annotated[
    Path, typer.Option("-o", "--output", metavar="F.car", help="The file; - is standard output.", show_default=False)
]


def export(actor: ActorText, output: Target, store: Store = None, as_json: AsJson = False) -> None:
    """Write an actor's history with everything it needs, to be checked or imported elsewhere.

    Example: understudy export greeter -o greeter.car
    """
    with looking(store) as node:
        id = node.resolve(actor)
        head, count = _write(node, id, output)
    summary = {"actor": str(id), "head": str(head), "blocks": count, "file": str(output)}
    if output == Path("-"):
        remark(f"{counted(count, 'block')}, head {head}")
    elif as_json:
        print_json(summary)
    else:
        say(f"{output}: {counted(count, 'block')}, head {head}")
        remark(f"check it anywhere: understudy verify {output} --head {head}")


def _write(node: Look, actor: ActorId, output: Path) -> tuple[str, int]:
    if output == Path("-"):
        return _write_to(node, actor, sys.stdout.buffer)
    if output.is_dir():
        raise WrongUse(f"{output} is a folder; name a file in it, such as {output / 'actor.car'}")
    try:
        if output.exists() and not output.is_file():
            # A device or a pipe is written to. Renamed onto, /dev/null would be an ordinary file from then on.
            with output.open("wb") as file:
                return _write_to(node, actor, file)
        return _write_beside(node, actor, output)
    except BrokenPipeError as error:
        raise CommandError(f"{output}: the program that read it has ended") from error
    except OSError as error:
        raise CommandError(f"{output} can't be written: {error.strerror}") from error


def _write_beside(node: Look, actor: ActorId, output: Path) -> tuple[str, int]:
    """Written beside the target, then renamed: an interrupted export leaves no file that looks whole."""
    fresh = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    try:
        with fresh.open("wb") as file:
            written = _write_to(node, actor, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)
    return written


def _write_to(node: Look, actor: ActorId, file: BinaryIO) -> tuple[str, int]:
    head, blocks = node.export(actor)
    count = write_car(file, [head], blocks)
    file.flush()
    return str(head), count
