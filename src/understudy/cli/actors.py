"""`understudy actors`: the actors of a store."""

from __future__ import annotations

from typing import Any

from understudy.cli.looking import looking, store_to_look_at
from understudy.cli.options import AsJson, Store
from understudy.cli.running import Running, ask_running, find_running, node_token
from understudy.cli.screen import print_json, print_table, remark, say
from understudy.node.looking.look import Look
from understudy.node.looking.lookup import MAX_PAGE
from understudy.web.history import actor_view


def actors(store: Store = None, as_json: AsJson = False) -> None:
    """List the actors: name, id, height, engine, and what keeps them from working; a running node knows that best.

    Example: understudy actors
    """
    url = store_to_look_at(store)
    with looking(url) as node:
        found = _all(node)
    token = node_token(url)
    running = find_running(url, token=token)
    if running is not None:
        found = _all_of_running(running, token)
    if as_json:
        print_json({"actors": found, "next": None})
    elif not found:
        say("No actors yet. `understudy push` creates those of a project.")
    else:
        rows = [
            [actor["name"] or "", actor["id"], str(actor["height"]), actor["engine"], actor["status"]]
            for actor in found
        ]
        print_table(["NAME", "ID", "HEIGHT", "ENGINE", "STATUS"], rows)
        for actor in found:
            if actor["reason"]:
                remark(f"{actor['name'] or actor['id']} is {actor['status']}: {actor['reason']}", style="yellow")


def _all_of_running(running: Running, token: str | None) -> list[dict[str, Any]]:
    page = ask_running(running, f"/actors?limit={MAX_PAGE}", token=token)
    found: list[dict[str, Any]] = page["actors"]
    while page["next"] is not None:
        page = ask_running(running, f"/actors?limit={MAX_PAGE}&after={page['next']}", token=token)
        found += page["actors"]
    return found


def _all(node: Look) -> list[dict[str, Any]]:
    page = node.actors(limit=MAX_PAGE)
    found = list(page.items)
    while page.next is not None:
        page = node.actors(after=page.next, limit=MAX_PAGE)
        found += page.items
    return [actor_view(info) for info in found]
