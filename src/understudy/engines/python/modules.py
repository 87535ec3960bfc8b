"""Which `.py` nodes a tree holds, and how they become modules: packages, folders without `__init__.py`, plain files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import CodeType
from typing import Final, NamedTuple

from understudy.actors.errors import WitError
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id
from understudy.objects.tree import is_tree_node
from understudy.store.reader import Reader

MAX_MODULES: Final = 5_000
MAX_ENTRIES: Final = 100_000  # looked at in search of code: a tree may hold the same tree many times over
MAX_DEPTH: Final = 32
MAX_SOURCE: Final = 16 * 1024 * 1024
_SUFFIX: Final = ".py"
_INIT: Final = "__init__"


class Nodes:
    """The `.py` nodes below a tree, by path, and a digest that is the same for the same nodes."""

    __slots__ = ("by_path", "digest")

    def __init__(self, by_path: Mapping[str, Id]) -> None:
        self.by_path = by_path
        self.digest = sha256(b"".join(path.encode() + b"\0" + id for path, id in sorted(by_path.items()))).digest()

    def below(self, folder: str) -> Nodes:
        """Those below a folder, with paths from there; all of them for the empty path."""
        prefix = f"{folder}/" if folder else ""
        return Nodes({path[len(prefix) :]: id for path, id in self.by_path.items() if path.startswith(prefix)})


class Source:
    """One module: the path of its node (empty for a folder), its bytes, and the file name that its tracebacks show."""

    __slots__ = ("_code", "data", "filename", "is_package", "path")

    def __init__(self, path: str, filename: str, data: bytes | None, *, is_package: bool) -> None:
        self.path = path
        self.filename = filename
        self.data = data
        self.is_package = is_package
        self._code: CodeType | None = None

    def code(self) -> CodeType:
        """The compiled source. Raises SyntaxError."""
        if self._code is None:
            try:
                self._code = compile(self.data or b"", self.filename, "exec", dont_inherit=True)
            except (ValueError, SyntaxError) as error:
                # Of a null byte Python says no place.
                if isinstance(error, SyntaxError) and error.filename is not None:
                    raise
                raise SyntaxError(str(error), (self.filename, 1, 1, None)) from error
        return self._code


class Search:
    """Finds `.py` nodes. Remembers what is below each tree, so that looking again costs little."""

    def __init__(self) -> None:
        self._known: dict[bytes, Nodes] = {}

    def below(self, store: Reader, tree: bytes) -> Nodes:
        """The `.py` nodes below a tree. Raises WitError("TooMuchCode"), WrongKind."""
        found = self._known.get(tree)
        if found is None:
            if len(self._known) > MAX_ENTRIES:
                self._known.clear()
            found = self._look(store, tree, MAX_DEPTH, [MAX_ENTRIES])
        return found

    def _look(self, store: Reader, tree: bytes, depth: int, left: list[int]) -> Nodes:
        found: dict[str, Id] = {}
        for name, id in store.tree(tree).items():
            left[0] -= 1
            if left[0] < 0 or depth == 0 or len(found) > MAX_MODULES:
                raise WitError(
                    "TooMuchCode",
                    f"a search for code goes through at most {MAX_ENTRIES:,} entries, {MAX_MODULES:,} modules and "
                    f"{MAX_DEPTH} levels: point /wit to a folder that holds little but code, e.g. /code:greeter:wit",
                )
            if not ids.is_raw(id) and is_tree_node(store.node(id)):
                inner = self._known.get(id) or self._look(store, id, depth - 1, left)
                found.update({f"{name}/{path}": node for path, node in inner.by_path.items()})
            elif name.endswith(_SUFFIX):
                found[name] = id
        nodes = self._known[Id(tree)] = Nodes(found)
        return nodes


def read_sources(store: Reader, nodes: Nodes) -> dict[str, bytes]:
    """The bytes of `.py` nodes that are blobs. Raises WitError("TooMuchCode")."""
    found: dict[str, bytes] = {}
    left = MAX_SOURCE
    for path, id in nodes.by_path.items():
        try:
            info = store.blob_info(id)
        except WrongKind:
            continue
        data = b"" if info is not None and info.size > left else store.blob(id)
        left -= len(data) if info is None else info.size
        if left < 0:
            raise WitError("TooMuchCode", f"the code has more than {MAX_SOURCE // 2**20} MiB of Python source")
        found[path] = data
    return found


class Code(NamedTuple):
    """Modules by name (the empty one is the folder itself), and the paths of nodes whose names no module can have."""

    sources: Mapping[str, Source]
    skipped: Sequence[str] = ()


def arrange(folder: str, files: Mapping[str, bytes]) -> Code:
    """Make modules of files.

    A package goes before a module of the same name, a module before a folder without `__init__.py`, as Python has it.
    """
    sources: dict[str, Source] = {}
    good = {path: path.removesuffix(_SUFFIX).split("/") for path in sorted(files)}
    skipped = [path for path, parts in good.items() if not all(map(str.isidentifier, parts))]
    for path in skipped:
        del good[path]
    for path, parts in good.items():
        if parts[-1] == _INIT:
            sources[".".join(parts[:-1])] = Source(path, folder + path, files[path], is_package=True)
    for path, parts in good.items():
        if parts[-1] != _INIT:
            sources.setdefault(".".join(parts), Source(path, folder + path, files[path], is_package=False))
    for parts in good.values():
        for depth in range(len(parts)):
            above = "/".join(parts[:depth])
            sources.setdefault(".".join(parts[:depth]), Source("", folder + above, None, is_package=True))
    return Code(sources, skipped)


def module_paths(module: str) -> tuple[str, str]:
    """The two paths at which a module's code may stand."""
    path = module.replace(".", "/")
    return f"{path}{_SUFFIX}", f"{path}/{_INIT}{_SUFFIX}"
