"""`understudy verify`: judge histories by running them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from msgspec.structs import replace

from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.files import open_ordinary
from understudy.cli.looking import reading, usable_modules
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import Advance, print_json, print_table, progress, say
from understudy.judging.foreign import verify_car
from understudy.judging.known_heads import check_known_heads
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import FILE, INTACT, MATCH, UNVERIFIABLE, Verdict
from understudy.node.errors import NotFound
from understudy.node.looking.look import Look
from understudy.objects import ids
from understudy.objects.errors import BadId
from understudy.objects.ids import ActorId, StepId

_STYLES = {MATCH: "green", INTACT: "green", UNVERIFIABLE: "yellow"}
Targets = Annotated[
    list[str] | None, typer.Argument(metavar="ACTOR… | FILE.car", help="Whom to judge.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="Every actor of the store.")]
Head = Annotated[
    str | None, typer.Option("--head", metavar="ID", help="The head that you hold: the history must go through it.")
]
IntegrityOnly = Annotated[bool, typer.Option("--integrity-only", help="Check hashes, links and order; run nothing.")]
Deep = Annotated[
    bool, typer.Option("--deep", help="Ask other actors again, at the steps that the journals say have answered.")
]


def verify(
    targets: Targets = None,
    every: All = False,
    head: Head = None,
    integrity_only: IntegrityOnly = False,
    deep: Deep = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Check every object of a history, run each step again in a fresh process and compare.

    MATCH, MISMATCH (with the first differing path) or UNVERIFIABLE (with the reason). Exits 1 unless all match.
    With --integrity-only nothing is run, and a history that is whole and in order is INTACT.

    Example: understudy verify greeter
    """
    texts = targets or []
    if bool(texts) == every:
        raise WrongUse("name actors or a FILE.car, or say --all")
    if head is not None and len(texts) != 1:
        raise WrongUse("--head is about one actor or file: name that one")
    if deep and integrity_only:
        raise WrongUse("--deep runs code, --integrity-only none: say one of them")
    # To import a module is to run it.
    how = _How(integrity_only=integrity_only, deep=deep, modules=[] if integrity_only else usable_modules())
    held = None if head is None else _parse_head(head)
    with progress("steps") as advance:
        verdicts = [*_judge_files(texts, held, how, advance)]
        actors = [text for text in texts if not _is_file(text)]
        if actors or every:
            verdicts += _judge_actors(actors, held, how, advance, store)
    if as_json:
        print_json({"verdicts": verdicts})
    else:
        _show(verdicts)
    bad = sum(not verdict.ok for verdict in verdicts)
    if bad:
        raise CommandError(f"{bad} of {len(verdicts)} do not match")


class _How(Struct, frozen=True):
    integrity_only: bool
    deep: bool
    modules: list[str]


def _parse_head(text: str) -> StepId:
    try:
        return StepId(ids.parse(text))
    except BadId as error:
        raise WrongUse(f"--head: {error}") from error


def _is_file(text: str) -> bool:
    return text.endswith(".car")


def _judge_files(texts: list[str], held: StepId | None, how: _How, advance: Advance) -> Iterator[Verdict]:
    for text in filter(_is_file, texts):
        for verdict in _judge_file(Path(text), held, how, advance):
            yield replace(verdict, file=text)


def _judge_file(path: Path, held: StepId | None, how: _How, advance: Advance) -> list[Verdict]:
    """The verdicts on a file; one that can't be read has one too, so that the others are still judged."""
    try:
        with open_ordinary(path) as file:
            return verify_car(
                file, held=held, integrity_only=how.integrity_only, deep=how.deep, progress=advance, modules=how.modules
            )
    except OSError as error:
        return [_unreadable(error.strerror or str(error))]


def _unreadable(why: str) -> Verdict:
    return Verdict(
        verdict=UNVERIFIABLE, actor="", head="", height=-1, cause=FILE, reason=f"the file can't be read: {why}"
    )


def _judge_actors(
    texts: list[str],
    held: StepId | None,
    how: _How,
    advance: Advance,
    store: str | None,
) -> list[Verdict]:
    with reading(store) as backend:
        look = Look(backend)
        targets = _targets(look, texts)
        verdicts = verify_targets(
            backend,
            targets,
            integrity_only=how.integrity_only,
            deep=how.deep,
            progress=advance,
            modules=how.modules,
        )
        if held is not None:
            verdicts = [check_known_heads(look.reader, verdicts[0], targets[0], held)]
    return verdicts


def _targets(node: Look, texts: list[str]) -> list[Target]:
    if not texts:
        return [Target(actor, head) for actor, head in node.heads()]
    actors = dict.fromkeys(_resolve(node, text) for text in texts)
    return [Target(actor, node.actor(actor).head) for actor in actors]


def _resolve(node: Look, text: str) -> ActorId:
    try:
        return node.resolve(text)
    except NotFound as error:
        if Path(text).exists():
            raise WrongUse(f"{error}; {text} is a file, and the name of one that is judged ends in .car") from error
        raise


def _show(verdicts: list[Verdict]) -> None:
    if not verdicts:
        say("There is nobody to judge: the store has no actors.")
        return
    rows = [
        [one.actor or one.file or "-", one.verdict, "-" if one.height < 0 else str(one.height), str(one.steps)]
        for one in verdicts
    ]
    print_table(["ACTOR", "VERDICT", "HEIGHT", "STEPS RUN"], rows)
    for one in verdicts:
        if not one.ok:
            _explain(one)
    matched = sum(one.ok for one in verdicts)
    word = "are intact; nothing was run" if any(one.verdict == INTACT for one in verdicts) else "match"
    say(f"{matched} of {len(verdicts)} {word}", style="green" if matched == len(verdicts) else "red")


def _explain(one: Verdict) -> None:
    say()
    say(f"{one.verdict}  {one.actor or one.head or one.file}", style=_STYLES.get(one.verdict, "red"))
    facts: dict[str, Any] = {
        "file": one.file,
        "why": one.reason,
        "cause": one.cause,
        "height": one.at_height,
        "step": one.step,
    }
    facts["path"] = one.path
    if one.path is not None:
        facts.update(recorded=_value(one.recorded), replayed=_value(one.replayed))
    for name, fact in facts.items():
        if fact is not None:
            say(f"  {name + ':':10}{fact}")


def _value(value: Any) -> str:
    return msgspec.json.encode(value).decode()
