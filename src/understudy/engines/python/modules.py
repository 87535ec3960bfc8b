"""Which `.py` nodes a tree holds, and how they become modules: packages, folders without `__init__.py`, plain files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from types import CodeType
from typing import Any, Final, NamedTuple

from understudy.actors.errors import WitError
from understudy.objects.errors import WrongKind
from understudy.objects.hamt import open_big_map
from understudy.objects.ids import RAW, Id
from understudy.objects.tree import FLAT, describe_kind, is_tree_node
from understudy.store.maps import split_tree_node
from understudy.store.reader import Reader

MAX_MODULES: Final = 5_000
MAX_ENTRIES: Final = 100_000  # looked at in search of code: a tree may hold the same tree many times over
MAX_DEPTH: Final = 32
MAX_SOURCE: Final = 16 * 1024 * 1024
MAX_KNOWN: Final = 20_000  # trees and parts of trees that a search remembers; one of each takes about half a kilobyte
MAX_ARRANGED: Final = 1_000  # versions of code whose paths it remembers
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
                # An `assert` is part of the code, and how a node was started is not: PYTHONOPTIMIZE changes no step.
                self._code = compile(self.data or b"", self.filename, "exec", dont_inherit=True, optimize=0)
            except (ValueError, SyntaxError) as error:
                # Of a null byte Python says no place.
                if isinstance(error, SyntaxError) and error.filename is not None:
                    raise
                raise SyntaxError(str(error), (self.filename, 1, 1, None)) from error
        return self._code


class Summary(NamedTuple):
    """What a search would find below a tree: how much of it, and a digest that is the same for the same code."""

    digest: bytes
    entries: int
    modules: int
    depth: int


class Search:
    """Finds `.py` nodes. Remembers what is below each tree and each part of a large one, so that looking again costs
    as much as what changed.
    """

    def __init__(self) -> None:
        self._trees: dict[bytes, Summary] = {}
        self._parts: dict[bytes, _Part] = {}
        self._nodes: dict[bytes, Nodes] = {}

    def summary(self, store: Reader, tree: bytes) -> Summary:
        """The code below a tree in short. Raises WitError("TooMuchCode"), WrongKind."""
        if len(self._trees) > MAX_KNOWN or len(self._parts) > MAX_KNOWN:
            self._trees.clear()
            self._parts.clear()
        return self._tree(store, tree, 1)

    def below(self, store: Reader, tree: bytes) -> Nodes:
        """The `.py` nodes below a tree. Raises WitError("TooMuchCode"), WrongKind."""
        digest = self.summary(store, tree).digest
        found = self._nodes.get(digest)
        if found is None:
            if len(self._nodes) > MAX_ARRANGED:
                self._nodes.clear()
            found = self._nodes[digest] = Nodes(dict(self._paths(store, tree)))
        return found

    def _paths(self, store: Reader, tree: bytes) -> Iterator[tuple[str, Id]]:
        for name, id in store.tree(tree).items():
            if id[:4] != RAW and is_tree_node(store.node(id)):
                if self._tree(store, id, 1).modules:
                    yield from ((f"{name}/{path}", node) for path, node in self._paths(store, id))
            elif name.endswith(_SUFFIX):
                yield name, id

    def _tree(self, store: Reader, tree: bytes, level: int) -> Summary:
        known = self._trees.get(tree)
        if known is None:
            part = self._all(store, store.node(tree), level)
            digest = sha256(b"".join(name.encode() + b"\0" + what for name, what in sorted(part.code))).digest()
            known = self._trees[Id(tree)] = Summary(digest, part.entries, part.modules, part.depth + 1)
        _check_size(known.entries, known.modules, level + known.depth - 1)
        return known

    def _all(self, store: Reader, node: Any, level: int) -> _Part:
        # Of every step's core, so names are not checked here: `_paths` does it before anything of them is used.
        if not is_tree_node(node):
            raise WrongKind(f"not a tree: {describe_kind(node)}")
        flat = node.get("tree")
        if isinstance(flat, dict):
            return self._entries(store, flat.items(), level)
        return self._part(store, open_big_map(node.get("bigtree"), above=FLAT).root, level)

    def _part(self, store: Reader, node: Any, level: int) -> _Part:
        """What is below one node of a large tree. A change of one entry makes only the nodes above it new."""
        size, entries, below = split_tree_node(node, suffix=_SUFFIX.encode())
        code, count, modules, depth = self._entries(store, entries, level)
        count += size - len(entries)
        for id in below:
            part = self._parts.get(id)
            if part is None:
                part = self._parts[id] = self._part(store, store.node(id), level)
            if part.code:
                code += part.code
                modules += part.modules
            count += part.entries
            if part.depth > depth:
                depth = part.depth
            if count > MAX_ENTRIES:
                break
        _check_size(count, modules, level + depth)
        return _Part(code, count, modules, depth)

    def _entries(self, store: Reader, entries: Iterable[tuple[str, bytes]], level: int) -> _Part:
        code: list[tuple[str, bytes]] = []
        count = modules = depth = 0
        for name, id in entries:
            count += 1
            if id[:4] != RAW and is_tree_node(store.node(id)):
                inner = self._tree(store, id, level + 1)
                count, modules, depth = count + inner.entries, modules + inner.modules, max(depth, inner.depth)
                if inner.modules:
                    code.append((f"{name}/", inner.digest))
            elif name.endswith(_SUFFIX):
                modules += 1
                code.append((name, id))
        _check_size(count, modules, level + depth)
        return _Part(code, count, modules, depth)


class _Part(NamedTuple):
    """What some entries of a tree hold: the names that lead to code, with an id or the digest of what is below."""

    code: list[tuple[str, bytes]]
    entries: int
    modules: int
    depth: int


def _check_size(entries: int, modules: int, depth: int) -> None:
    # Of what is there and not of what was looked at: a search that remembers must refuse what a first one refuses.
    if entries > MAX_ENTRIES or modules > MAX_MODULES or depth > MAX_DEPTH:
        raise WitError(
            "TooMuchCode",
            f"a search for code goes through at most {MAX_ENTRIES:,} entries, {MAX_MODULES:,} modules and "
            f"{MAX_DEPTH} levels: point /wit to a folder that holds little but code, e.g. /code:greeter:wit",
        )


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
