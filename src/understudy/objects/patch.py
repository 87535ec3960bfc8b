"""Patches: a change of a core, as paths to objects or to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.objects import ids
from understudy.objects.codec import Block, node_block
from understudy.objects.errors import BadName, ObjectError, WrongKind
from understudy.objects.ids import Id
from understudy.objects.names import split_path

Patch = Mapping[str, Id | None]  # None removes


def check_patch(patch: Patch) -> Patch:
    """The patch, if it has a path and no path lies below another. Raises BadName."""
    if not patch:
        raise BadName("an empty patch changes nothing")
    for path in patch:
        names = split_path(path)
        for depth in range(1, len(names)):
            above = "/".join(names[:depth])
            if above in patch:
                raise BadName(f"the patch names both {above!r} and {path!r} below it")
    return patch


def patch_block(patch: Patch) -> Block:
    """Encode a patch. Raises BadName, TooLarge (some 20,000 paths: send several)."""
    return node_block({"patch": dict(check_patch(patch))})


def read_patch(node: Any) -> Patch:
    """A patch out of its node. Raises WrongKind."""
    match node:
        case {"patch": dict(paths), **rest} if not rest:
            try:
                return check_patch({path: None if id is None else ids.from_bytes(id) for path, id in paths.items()})
            except (TypeError, ObjectError) as error:
                raise WrongKind(f"not a patch: {error}") from error
    raise WrongKind("not a patch: expected {patch: {path: link or null}}")
