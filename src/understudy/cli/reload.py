"""`understudy serve --reload`: watches a project's files, and pushes what changed to the running node.

The law: code that does not load is reported and not pushed. The code that ran before goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from understudy.actors.errors import WitError
from understudy.cli.access import Access, client_of
from understudy.cli.errors import CommandError
from understudy.cli.project import PROJECT_FILE, Project, open_project
from understudy.cli.push import Pushed, push_actor, show_pushed
from understudy.cli.screen import remark
from understudy.engines.python.reload import Reloader
from understudy.node.node import Node

# By polling: a look at a thousand files takes some milliseconds, and works on every system and disk.
LOOK_SECONDS: Final = 0.3

Seen = dict[Path, tuple[int, int]]


class Follower:
    """Follows a project from the moment it is made: so before the project is pushed and its modules are imported."""

    def __init__(self, project: Project, reloader: Reloader, *, quiet: bool) -> None:
        self._project = project
        self._reloader = reloader
        self._quiet = quiet
        self._acted = self._look()

    async def follow(self, node: Node) -> None:
        """Let a living node have what changes, until cancelled."""
        seen = self._acted
        while True:
            before, seen = seen, await asyncio.to_thread(self._look)
            # An editor may write several files, or one in parts: wait until nothing changes any more.
            if seen == before and seen != self._acted:
                acted, self._acted = self._acted, seen
                await self._act(node, {path for path, _ in acted.items() ^ seen.items()}, known=acted)
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> Seen:
        """Time and size of every file that matters."""
        seen: Seen = {}
        for path in self._files():
            try:
                found = path.stat()
            except OSError:
                continue
            seen[path] = (found.st_mtime_ns, found.st_size)
        return seen

    def _files(self) -> Iterable[Path]:
        yield self._project.folder / PROJECT_FILE
        # Both: what is not loaded yet may be next, and a module may come from elsewhere on `sys.path`.
        yield from (path.resolve() for path in self._project.module_files())
        yield from self._reloader.files()
        for name in self._project.actors:
            try:
                yield from self._project.files_of(name).values()
            except CommandError:
                # A folder that is gone; the push says so.
                continue

    async def _act(self, node: Node, changed: set[Path], *, known: Seen) -> None:
        """Take over what changed; report what can't be."""
        try:
            if self._project.folder / PROJECT_FILE in changed:
                self._project = open_project(self._project.folder)
                self._project.make_importable()
            # A module that was only now imported is new to us, not to the node.
            if changed & known.keys() & set(self._reloader.files()):
                await node.between_steps(self._reloader.reload)
                self._say("reloaded the modules behind external: wits")
        except (CommandError, WitError) as error:
            self._report("not reloaded", str(error))
        async with client_of(node) as client:
            access = Access(client, node)
            for name in self._project.actors:
                await self._push(access, name)

    async def _push(self, access: Access, name: str) -> None:
        try:
            pushed = await push_actor(access, self._project, name)
        except CommandError as error:
            self._report(f"{name} is not updated", str(error))
        else:
            self._show(pushed)

    def _show(self, pushed: Pushed) -> None:
        if pushed.error:
            self._report(f"{pushed.name} is not updated", pushed.error)
        elif pushed.what != "unchanged" and not self._quiet:
            show_pushed([pushed])

    def _report(self, what: str, error: str) -> None:
        remark(f"{what}: {error}\nthe code that ran before goes on", style="red")

    def _say(self, text: str) -> None:
        if not self._quiet:
            remark(text)
