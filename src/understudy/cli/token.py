"""`understudy token`: tokens for others, each with what it may do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from understudy.cli.errors import WrongUse
from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, remark, say
from understudy.cli.store import folder_of_made_store
from understudy.node.errors import BadRequest
from understudy.objects.errors import ObjectError
from understudy.objects.names import check_name
from understudy.web.authorization import ASK, SCOPES, SEND
from understudy.web.history import time_text
from understudy.web.tokens import Token, TokenFolder

token = typer.Typer(
    name="token",
    help="Make, list and revoke tokens. A token may ask, send, create and update, for all actors or for some.",
    no_args_is_help=True,
    add_completion=False,
)
May = Annotated[
    str, typer.Option("--may", metavar="SCOPES", help=f"What it may do, with commas between: {', '.join(SCOPES)}.")
]
Actors = Annotated[
    list[str] | None,
    typer.Option(
        "--actor", metavar="ACTOR", help="For this actor only, by name or id; again for more.", show_default=False
    ),
]
Note = Annotated[str | None, typer.Option("--note", help="What it is for; `list` shows it.", show_default=False)]
TokenId = Annotated[str, typer.Argument(metavar="ID", help="The id that `list` shows.", show_default=False)]
_DEFAULT: Final = f"{ASK},{SEND}"


@token.command()
def new(
    may: May = _DEFAULT, actor: Actors = None, note: Note = None, store: Store = None, as_json: AsJson = False
) -> None:
    """Make a token and print it, this once: only its hash is kept. A node that runs takes it at once.

    Example: understudy token new --may ask,send --actor greeter
    """
    scopes = [scope.strip() for scope in may.split(",") if scope.strip()]
    tokens = _tokens(store)
    try:
        actors = None if not actor else [check_name(each, what="actor") for each in actor]
        text = tokens.make(scopes=scopes, actors=actors, note=note, now=time.time_ns() // 1000)
    except (BadRequest, ObjectError) as error:
        raise WrongUse(str(error)) from error
    _warn_of_strangers(actors or [], store)
    if as_json:
        print_json({"token": text})
        return
    say(text)
    remark("this is shown once; whoever has it shows it as `Authorization: Bearer TOKEN`, or sets UNDERSTUDY_TOKEN")


@token.command("list")
def list_tokens(store: Store = None, as_json: AsJson = False) -> None:
    """List the tokens that were made, without the first one, which is in the file `token` in the store's folder.

    Example: understudy token list
    """
    tokens = _tokens(store).all()
    if as_json:
        print_json({"tokens": [_view(each) for each in tokens]})
        return
    for each in tokens:
        actors = "all actors" if each.actors is None else ", ".join(each.actors)
        say(f"{each.id}  {time_text(each.made)[:19]}  {','.join(each.scopes)}  {actors}  {each.note or ''}".rstrip())
    if not tokens:
        say("None yet: understudy token new --may ask,send")


@token.command()
def revoke(id: TokenId, store: Store = None, as_json: AsJson = False) -> None:
    """Revoke a token. A running node refuses it from the next request on.

    Example: understudy token revoke 0f3a9c21
    """
    gone = _tokens(store).revoke(id)
    if as_json:
        print_json({"revoked": _view(gone)})
    else:
        say(f"{gone.id}  revoked")


def _warn_of_strangers(actors: Sequence[str], store: str | None) -> None:
    """Say which actors are not there: they may come later, or the name has a typing mistake."""
    if not actors:
        return
    with looking(store) as node:
        known = {text for name, id in node.names().items() for text in (name, str(id))}
        for actor in actors:
            if actor not in known:
                remark(
                    f"careful: there is no actor {actor!r} here; the token is for one that will be called so", "yellow"
                )


def _tokens(given: str | None) -> TokenFolder:
    return TokenFolder(folder_of_made_store(given, to="keep tokens in; its node prints the one it has at its start"))


def _view(each: Token) -> dict[str, Any]:
    return {
        "id": each.id,
        "may": each.scopes,
        "actors": each.actors,
        "note": each.note,
        "made": time_text(each.made),
    }
