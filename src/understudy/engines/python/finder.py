"""Where the code of a core is: its pointer, the folder of its modules, and a key that changes only when the code does.

Runs none of the code.
"""

from __future__ import annotations

from typing import Any, Final

from understudy.actors.errors import WitError
from understudy.engines.python.modules import Nodes, Search, module_paths
from understudy.engines.python.pointer import External, InCore, Inline, Pointer, parse_pointer
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id, TreeId
from understudy.store.maps import small_entries, tree_entry
from understudy.store.reader import Reader

CODE: Final = "code"  # where the modules are that code in `/wit` itself may import
MAX_WIT: Final = 1024 * 1024
_MAX_POINTERS: Final = 10_000

Key = tuple[str, bytes, Any]  # of a program: the entry, the id of its text, and what it depends on beside that


class Finder:
    """Finds the code of cores, and remembers pointers and folders that it has seen. May be used from several threads."""

    def __init__(self) -> None:
        self._pointers: dict[bytes, Pointer] = {}
        self._search = Search()

    def find(self, core: TreeId, entry: str, store: Reader) -> tuple[Key, Pointer]:
        """The key of a program, and the pointer to it. Raises WitError, StoreError."""
        id = entry_of(core, entry, store)
        if id is None:
            raise WitError(
                "NoWit", f"the core has no /{entry}: put a text there, code or a pointer such as /code:greeter:wit"
            )
        pointer = self._pointers.get(id) or self._read_pointer(id, entry, store)
        return (entry, id, self._code(pointer, core, store)), pointer

    def find_at_once(self, core: TreeId, entry: str, store: Reader) -> Key | None:
        """What `find` gives, with one look at a small core: its pointer is known, and the code is in its root. Else None."""
        try:
            entries = small_entries(store, core)
        except WrongKind:
            return None
        if entries is None:
            return None
        id = entries.get(entry, b"")
        pointer = self._pointers.get(id)
        if isinstance(pointer, Inline):
            path = CODE
        elif isinstance(pointer, InCore) and pointer.path and "/" not in pointer.path:
            path = pointer.path
        else:
            return None
        return (entry, id, entries.get(path))

    def nodes(self, pointer: InCore, code: Any, core: TreeId, entry: str, store: Reader) -> tuple[Nodes, str]:
        """The `.py` nodes that a pointer's modules come from, and the path of the folder they are in."""
        if pointer.path:
            if code is None:
                raise WitError(
                    "MissingModule", f"/{entry} looks for code in /{pointer.path}, and the core has no such folder"
                )
            if not _is_tree(code, store):
                raise WitError(
                    "MissingModule", f"/{entry} looks for code in /{pointer.path}, which is a blob, not a folder"
                )
            nodes, folder = self._search.below(store, code), pointer.path
        else:
            nodes = self._search.below(store, core)
            folder = _folder_of(pointer.module, nodes, entry)
            nodes = nodes.below(folder)
        if not nodes.by_path:
            raise WitError("MissingModule", f"there is no code below /{pointer.path}: no node there ends in .py")
        return nodes, folder

    def beside(self, code: Id | None, store: Reader) -> Nodes:
        """The `.py` nodes that code in `/wit` itself may import."""
        return self._search.below(store, code) if code is not None and _is_tree(code, store) else Nodes({})

    def _code(self, pointer: Pointer, core: TreeId, store: Reader) -> Any:
        """What the program depends on beside the pointer's text; the same value as long as the code is the same."""
        if isinstance(pointer, Inline):
            return tree_entry(store, core, CODE)
        if isinstance(pointer, External):
            return None
        if pointer.path == "":
            return self._search.summary(store, core).digest
        if "/" in pointer.path:
            return store.find(core, pointer.path)
        return tree_entry(store, core, pointer.path)

    def _read_pointer(self, id: Id, entry: str, store: Reader) -> Pointer:
        pointer = parse_pointer(read_text(id, entry, store), node=entry)
        if isinstance(pointer, Inline):
            # The text itself is only needed to build: a cache of texts would be a cache of megabytes.
            pointer = Inline("")
        if len(self._pointers) >= _MAX_POINTERS:
            self._pointers.clear()
        self._pointers[id] = pointer
        return pointer


def entry_of(core: TreeId, name: str, store: Reader) -> Id | None:
    """What a core has under a name. Raises WitError("InvalidCore"), StoreError."""
    try:
        return tree_entry(store, core, name)
    except WrongKind as error:
        raise WitError("InvalidCore", f"the core is not a tree: {error}") from error


def read_text(id: Id, entry: str, store: Reader) -> str:
    """The text of a `/wit`. Raises WitError, StoreError."""
    try:
        info = store.blob_info(id)
    except WrongKind as error:
        raise WitError("WitNotBlob", f"/{entry} is {store.kind(id)}; it must be a blob of text") from error
    data = b"" if info is not None else store.block(id)
    if info is not None or len(data) > MAX_WIT:
        raise WitError("WitTooLarge", f"/{entry} has more than 1 MiB of text; put the code below /code and point to it")
    try:
        # Some editors begin every text with a byte order mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WitError("WitNotText", f"/{entry} is not UTF-8: {error}") from error


def _is_tree(id: bytes, store: Reader) -> bool:
    if ids.is_raw(id):
        return False
    node = store.node(id)
    return isinstance(node, dict) and ("tree" in node or "bigtree" in node)


def _folder_of(module: str, nodes: Nodes, entry: str) -> str:
    """Where a module is when the whole core is searched: in the root, or else in the only folder that has it."""
    paths = module_paths(module)
    if any(path in nodes.by_path for path in paths):
        return ""
    folders = sorted(
        {path.removesuffix(f"/{end}") for path in nodes.by_path for end in paths if path.endswith(f"/{end}")}
    )
    if len(folders) == 1:
        return folders[0]
    if not folders:
        there = ", ".join(sorted(nodes.by_path)[:20]) or "no .py node at all"
        raise WitError(
            "MissingModule", f"/{entry} names the module {module!r}, which is nowhere in the core; there is {there}"
        )
    text = f"/{entry} names the module {module!r}, which is in {' and in '.join('/' + folder for folder in folders)}"
    raise WitError("AmbiguousWit", f"{text}: say which, e.g. /{folders[0]}:{module}:…")
