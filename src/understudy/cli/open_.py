"""`understudy open`: the console of the node that serves this store."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Annotated, Final
from urllib.parse import quote

import typer

from understudy.cli.errors import CommandError
from understudy.cli.options import AsJson, Store
from understudy.cli.running import ask_running, find_running, node_token
from understudy.cli.screen import print_json, remark, say
from understudy.cli.store import store_url

_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")

Actor = Annotated[
    str | None,
    typer.Argument(metavar="[ACTOR]", help="Its page instead of the list of all: a name or an id.", show_default=False),
]


def open_(actor: Actor = None, store: Store = None, as_json: AsJson = False) -> None:
    """Print the address of the console, and show it in a browser where there is one.

    Example: understudy open greeter
    """
    url = store_url(store)
    token = node_token(url)
    running = find_running(url, token=token)
    if running is None:
        raise CommandError("no node serves this store, and the console is one of its pages: start `understudy serve`")
    address = f"{running.address}/console"
    if actor is not None:
        found = ask_running(running, f"/actors/{quote(actor, safe='')}", token=token)
        address += f"/actors/{found['id']}"
    opened = _has_browser(as_json) and webbrowser.open(address)
    if as_json:
        print_json({"address": address, "opened": opened})
        return
    say(address)
    if not opened:
        remark("there is no browser to open here: follow the address")


def _has_browser(as_json: bool) -> bool:
    """False for programs, and where a browser would take the terminal or have no screen."""
    if as_json or "BROWSER" in os.environ:
        return not as_json
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _DISPLAYS)
