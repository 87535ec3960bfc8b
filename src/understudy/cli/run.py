"""`understudy run`: one WebAssembly component as an actor behind `POST /`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.failures import failures_told
from understudy.cli.files import read_ordinary
from understudy.cli.node_process import (
    Listen,
    Place,
    answer_requests,
    build_face,
    claimed_place,
    living_node,
    run_until_stopped,
)
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, remark, say
from understudy.engines.wasm.component import MAX_COMPONENT_BYTES
from understudy.node.lead import Lead, Part, name_for, start_lead
from understudy.node.node import Node
from understudy.store.open import shown_store
from understudy.version import VERSION
from understudy.web.history import actor_view
from understudy.web.server import open_socket

Component = Annotated[
    Path, typer.Argument(metavar="ACTOR.wasm", help="The component; `understudy wit` prints what it must export.")
]
Nonce = Annotated[
    str | None, typer.Option("--nonce", metavar="TEXT", help="Makes another actor of the same component.")
]
Policy = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="The actor's /policy: who may update it, batches, retries."),
]


def run(
    component: Component,
    listen: Listen = None,
    nonce: Nonce = None,
    policy: Policy = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Run one WebAssembly component as an actor: POST a JSON object to it, and its state comes back.

    Started again on its store, it goes on where it was. Ctrl-C stops it; nothing that was acknowledged is lost.

    Example: understudy run counter.wasm --listen 127.0.0.1:8080
    """
    part = Part(
        component=_read(component),
        name=name_for(component.stem),
        nonce=nonce,
        policy=None if policy is None else _read(policy),
    )
    with claimed_place(listen, store) as place:
        run_until_stopped(_run(place, part, as_json=as_json))
    if not as_json:
        remark("stopped; everything acknowledged is in the store")


async def _run(place: Place, part: Part, *, as_json: bool) -> None:
    async with living_node(place) as node, failures_told(node, as_json=as_json):
        lead = await start_lead(node, part)
        if lead.failure is not None:
            raise CommandError(
                f"the first step of this actor {lead.failure.kind}: {lead.failure.code}: {lead.failure.text}\n"
                f"look at it: understudy show {lead.head}"
            )
        with open_socket(place.host, place.port) as opened:
            face = build_face(place, node, lead=lead.id)
            await answer_requests(
                place,
                node,
                face.app,
                opened,
                ready=lambda address: _announce(node, place.url, lead, address, face.untold, as_json=as_json),
            )


def _read(path: Path) -> bytes:
    try:
        return read_ordinary(path, most=MAX_COMPONENT_BYTES)
    except OSError as error:
        raise WrongUse(f"{path} can't be read: {error.strerror}") from error


def _announce(node: Node, url: str, lead: Lead, address: str, token: str | None, *, as_json: bool) -> None:
    if as_json:
        actor = {**actor_view(node.actor(lead.id)), "resumed": lead.resumed}
        about = {"address": address, "node": node.name, "pid": os.getpid(), "store": shown_store(url), "actor": actor}
        print_json(about if token is None else {**about, "token": token})
        return
    say(f"Understudy {VERSION}, node {node.name}, store {shown_store(url)}")
    say(f"actor {lead.name or ''} {lead.id}")
    say(f"goes on after step #{lead.height}" if lead.resumed else "its chain begins")
    if lead.replaced:
        say("an update gave it another component than this file; the chain goes on with that one")
    say(f"Listening on {address}", style="bold")
    if token is not None:
        say(f"token, until it stops: {token}")
    say(f"try: curl {address}/    curl {address}/chain    or send it a JSON object: curl -d JSON {address}/")
    say("Ctrl-C stops.")
    sys.stdout.flush()
