"""What makes a core valid, and who may change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from understudy.actors.contract import Engine
from understudy.actors.errors import WitError
from understudy.kernel.policy import read_policy
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import TreeId
from understudy.store.errors import Missing
from understudy.store.maps import differ_in_blobs, same_entries, tree_entry
from understudy.store.nesting import check_nesting
from understudy.store.reader import Reader

DEFAULT_RUNTIME: Final = "python"
_CHECKED: Final = frozenset({"wit", "runtime", "policy"})


class Engines(Protocol):
    """The node's table of engines."""

    def get(self, name: str) -> Engine | None:
        """The engine with this name."""


def check_core(reader: Reader, core: TreeId, before: TreeId | None = None) -> None:
    """Raise WitError that names what is missing or wrong: no genesis, no update and no other step may produce such a core.

    Of what `before`, a valid core, held in the same place, it is not asked again how deep it is nested.
    """
    _check_nesting(reader, core, before)
    _check_parts(reader, core)


def check_next_core(reader: Reader, before: TreeId, after: TreeId) -> None:
    """Like `check_core`, for a core that comes after a valid one; most steps change nothing of what makes it valid."""
    if before == after or _changes_only_blobs(reader, before, after):
        return
    _check_nesting(reader, after, before)
    try:
        is_checked = same_entries(reader, before, after, _CHECKED)
    except WrongKind:
        is_checked = False
    if not is_checked:
        _check_parts(reader, after)


def runtime_of(reader: Reader, core: TreeId) -> str:
    """The name of the engine that runs a core: the text of `/runtime`, or "python". Raises WitError."""
    id = tree_entry(reader, core, "runtime")
    return DEFAULT_RUNTIME if id is None else _check_text(reader, id, "runtime").strip()


def engine_of(reader: Reader, core: TreeId, engines: Engines | Mapping[str, Engine]) -> Engine:
    """The engine that runs a core. Raises WitError, UnknownRuntime if there is none here."""
    runtime = runtime_of(reader, core)
    engine = engines.get(runtime)
    if engine is None:
        raise WitError("UnknownRuntime", f"/runtime says {runtime!r}, and there is no engine of that name here")
    return engine


def _changes_only_blobs(reader: Reader, before: TreeId, after: TreeId) -> bool:
    """True if all that changed between two small cores are blobs, none of them one that makes a core valid: most steps."""
    try:
        return differ_in_blobs(reader, before, after, but=_CHECKED)
    except (ObjectError, Missing):
        # It is looked at again, and named.
        return False


def _check_nesting(reader: Reader, core: TreeId, before: TreeId | None) -> None:
    try:
        check_nesting(reader, core, before)
    except (ObjectError, Missing) as error:
        raise WitError("InvalidCore", f"the core can't be: {error}") from error


def _check_parts(reader: Reader, core: TreeId) -> None:
    try:
        tree = reader.tree(core)
    except WrongKind as error:
        raise WitError("InvalidCore", f"the core is not a tree: {error}") from error
    wit = tree.get("wit")
    if wit is None:
        raise WitError("NoWit", "the core has no /wit: put a text there, code or a pointer such as /code:greeter:wit")
    _check_text(reader, wit, "wit")
    runtime_of(reader, core)
    read_policy(reader, core)


def _check_text(reader: Reader, id: bytes, name: str) -> str:
    if reader.kind(id) != "a blob":
        raise WitError(f"{name.capitalize()}NotBlob", f"/{name} is {reader.kind(id)}; it must be a blob of text")
    # A raw block has at most 1 MiB; a larger blob is not read to find out that it is too large.
    big = reader.blob_info(id)
    if big is not None:
        raise WitError(f"{name.capitalize()}TooLarge", f"/{name} has {big.size:,} bytes; at most 1 MiB is allowed")
    try:
        return reader.block(id).decode()
    except UnicodeDecodeError as error:
        raise WitError(f"{name.capitalize()}NotText", f"/{name} is not UTF-8: {error}") from error
