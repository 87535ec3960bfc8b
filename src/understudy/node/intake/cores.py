"""Cores out of files: what `create`, `push` and `spawn` hand in as a map of paths to bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from understudy.actors.errors import WitError
from understudy.node.errors import Rejected, TooLarge
from understudy.objects.codec import Block
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.objects.kinds import TREE
from understudy.objects.patch import patch_block
from understudy.store.closure import Closure
from understudy.store.errors import Corrupt, Missing
from understudy.store.maps import build_tree, patch_tree
from understudy.store.reader import Reader, Staging
from understudy.store.walk import walk

File = TypeVar("File", bytes, bytes | None)

MAX_FILES: Final = 10_000
MAX_CORE_BYTES: Final = 256 * 1024 * 1024


def stage_core(staging: Staging, files: Mapping[str, bytes], *, nonce: str | None) -> TreeId:
    """Stage the tree of these files, with `/nonce` if one is given. Raises Rejected, TooLarge."""
    if len(files) > MAX_FILES:
        raise TooLarge(f"a core of {len(files):,} files: at most {MAX_FILES:,} at once; the rest can follow as updates")
    size = sum(map(len, files.values()))
    if size > MAX_CORE_BYTES:
        raise TooLarge(f"a core of {size:,} bytes: at most {MAX_CORE_BYTES:,} at once")
    paths: dict[str, Id | None] = {path: staging.put_blob(data) for path, data in _by_path(files).items()}
    if nonce is not None:
        given = staging.put_blob(nonce.encode())
        if paths.setdefault("nonce", given) != given:
            raise Rejected("this core has another file 'nonce' than the nonce that is given with it: leave one out")
    empty = build_tree(staging, {})
    if not paths:
        return empty
    try:
        # The block itself is not needed; making it checks the paths against each other.
        patch_block(paths)
        return patch_tree(staging, empty, paths)
    except ObjectError as error:
        raise Rejected(f"this core can't be: {error}") from error


def whole_core(reader: Reader, blocks: Sequence[Block], core: TreeId) -> list[Block]:
    """Those blocks that belong to a core from elsewhere. Raises Rejected if something that it needs is nowhere or wrong."""
    staging = Staging(reader)
    for block in blocks:
        staging.put(block)
    try:
        Closure(staging).check(core, TREE)
        return [block for block in walk(staging, core) if block.id in staging.new]
    except (Missing, Corrupt, ObjectError) as error:
        raise Rejected(f"this core is not whole: {error}") from error


def stage_patch(staging: Staging, patch: Mapping[str, bytes | None]) -> Id:
    """Stage a patch of files, None deletes. Raises Rejected, TooLarge."""
    if len(patch) > MAX_FILES:
        raise TooLarge(f"a patch of {len(patch):,} files: at most {MAX_FILES:,} at once; the rest can follow")
    named = _by_path(patch).items()
    paths = {path: None if data is None else Id(staging.put_blob(data)) for path, data in named}
    try:
        return staging.put(patch_block(paths))
    except ObjectError as error:
        raise Rejected(f"this patch can't be: {error}") from error


def _by_path(files: Mapping[str, File]) -> dict[str, File]:
    """The files by their paths without slashes around them. Raises Rejected if two names are one path."""
    found: dict[str, File] = {}
    for name, data in files.items():
        path = name.strip("/")
        if path in found:
            raise Rejected(f"two files have the path {path!r}: with and without a slash it is the same; leave one out")
        found[path] = data
    return found


def rejected(error: WitError) -> Rejected:
    """A core that no actor can have, as an answer."""
    return Rejected(f"{error.code}: {error.text}")
