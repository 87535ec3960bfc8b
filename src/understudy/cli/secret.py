"""`understudy secret`: what actors may show to hosts without seeing it."""

from __future__ import annotations

import shlex
import sys
from getpass import getpass
from typing import Annotated, Any

import typer

from understudy.capabilities.secrets import BadSecret, Secret, Secrets
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, say
from understudy.cli.store import folder_of_made_store

secret = typer.Typer(
    name="secret",
    help="Keep, list and remove secrets. Code has a marker, `ctx.secret(NAME)`; the hosts that are named get the value.",
    no_args_is_help=True,
    add_completion=False,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What `ctx.secret` calls it, like STRIPE_KEY.")]
To = Annotated[list[str], typer.Option("--to", metavar="HOST[:PORT]", help="A host that may see it; again for more.")]
Actors = Annotated[
    list[str] | None,
    typer.Option(
        "--actor", metavar="ACTOR", help="For this actor only, by name or id; again for more.", show_default=False
    ),
]
Env = Annotated[
    str | None,
    typer.Option(
        "--env", metavar="VARIABLE", help="It is in this variable of the node's environment.", show_default=False
    ),
]
Command = Annotated[
    str | None, typer.Option("--command", metavar="COMMAND", help="The node runs this to get it.", show_default=False)
]


@secret.command("set")
def set_secret(
    name: Name,
    to: To,
    actor: Actors = None,
    env: Env = None,
    command: Command = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Keep a secret, in place of one with this name. The value is read from standard input, or asked for on a terminal.

    Without a value of its own, it is an environment variable (--env) or what a command prints (--command).
    A node that runs takes it at once.

    Example: understudy secret set STRIPE_KEY --to api.stripe.com < key.txt
    """
    secrets = _secrets(store)
    value = _read_value(name) if env is None and command is None else None
    made = Secret(
        name=name,
        to=tuple(to),
        actors=tuple(actor) if actor else None,
        value=value,
        env=env,
        command=None if command is None else tuple(_split(command)),
    )
    try:
        secrets.set(made)
    except BadSecret as error:
        raise WrongUse(str(error)) from error
    if as_json:
        print_json({"secret": _view(made)})
    else:
        say(f"{name}  kept, for {', '.join(made.to)}")


@secret.command("list")
def list_secrets(store: Store = None, as_json: AsJson = False) -> None:
    """List the secrets, without their values.

    Example: understudy secret list
    """
    try:
        found = _secrets(store).all()
    except BadSecret as error:
        raise CommandError(str(error)) from error
    if as_json:
        print_json({"secrets": [_view(each) for each in found]})
        return
    for each in found:
        actors = "all actors" if each.actors is None else ", ".join(each.actors)
        say(f"{each.name}  for {', '.join(each.to)}  {actors}  {each.source}")
    if not found:
        say("None yet: understudy secret set NAME --to HOST")


@secret.command()
def remove(name: Name, store: Store = None, as_json: AsJson = False) -> None:
    """Forget a secret. A node that runs refuses it from the next call on.

    Example: understudy secret remove STRIPE_KEY
    """
    if not _secrets(store).remove(name):
        raise CommandError(f"there is no secret {name!r}; `understudy secret list` shows those there are")
    if as_json:
        print_json({"removed": name})
    else:
        say(f"{name}  removed")


def _read_value(name: str) -> str:
    if sys.stdin.isatty():
        return getpass(f"{name}: ")
    return sys.stdin.read().rstrip("\r\n")


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise WrongUse(f"--command: {error}") from error


def _secrets(given: str | None) -> Secrets:
    return Secrets(folder_of_made_store(given, to="keep secrets in"))


def _view(each: Secret) -> dict[str, Any]:
    return {"name": each.name, "to": each.to, "actors": each.actors, "source": each.source}
