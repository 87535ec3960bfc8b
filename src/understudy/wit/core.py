"""The core as a wit's author sees it: a small file system that loads what is read and keeps what is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

import msgspec

from understudy.actors.errors import WitError
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id, TreeId
from understudy.objects.names import split_path
from understudy.objects.tree import FLAT, flat_tree_node, is_tree_node
from understudy.store.errors import Missing
from understudy.store.maps import edit_tree, patch_tree
from understudy.store.reader import Reader, Staging
from understudy.wit.content import Encode, encode_json, put_bytes, put_content
from understudy.wit.errors import step_over

Value = bytes | Id | None  # new bytes, a link, or nothing: the entry is removed


class Core:
    """A tree that can be read and changed by path: `core["data/x"]` is the bytes there. A leading slash is allowed.

    Reading what is not there raises KeyError, reading a tree as a blob WrongKind; an id that is put into the core must
    name something, or it is Missing. `dir(path)` is the tree at a path,
    seen in the same way; its changes are changes of this core.
    """

    __slots__ = ("_changes", "_encode", "_prefix")

    def __init__(self, store: Staging, root: TreeId, encode: Encode = encode_json) -> None:
        self._changes = Changes(store, root)
        self._encode = encode
        self._prefix = ""

    @classmethod
    def of(cls, changes: Changes, encode: Encode) -> Core:
        """A view of what is changed in other ways too."""
        core: Core = object.__new__(cls)
        core._changes = changes
        core._encode = encode
        core._prefix = ""
        return core

    @classmethod
    def frozen(cls, store: Reader, root: TreeId) -> Core:
        """A core that can only be read: writing raises WitError("ReadOnly")."""
        return cls.of(Unchangeable(Staging(store), root), encode_json)

    def __getitem__(self, path: str) -> bytes:
        found = self._changes.find(self._path(path))
        if found is None:
            raise KeyError(path)
        return self._changes.read(found, path) if isinstance(found, Id) else found

    def __setitem__(self, path: str, value: bytes | bytearray | str | Id) -> None:
        if isinstance(value, str):
            value = value.encode()
        elif not isinstance(value, (bytes, bytearray)):
            raise TypeError(f"core[{path!r}] takes bytes, text or an id, not {type(value).__name__}; see set_json")
        if isinstance(value, Id):
            value = put_content(self._changes.store, value)
        if isinstance(value, Id) and not self._changes.store.has(value):
            raise Missing(value)
        self._changes.write(self._path(path), value if isinstance(value, Id) else bytes(value))

    def __delitem__(self, path: str) -> None:
        if path not in self:
            raise KeyError(path)
        self._changes.write(self._path(path), None)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._changes.find(self._path(path)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._changes.names(self._prefix))

    def __len__(self) -> int:
        return len(self._changes.names(self._prefix))

    @overload
    def get(self, path: str) -> bytes | None: ...
    @overload
    def get(self, path: str, default: bytes) -> bytes: ...
    @overload
    def get(self, path: str, default: None) -> bytes | None: ...

    def get(self, path: str, default: bytes | None = None) -> bytes | None:
        """The bytes at a path, or the default if there is nothing."""
        found = self._changes.find(self._path(path))
        if found is None:
            return default
        return self._changes.read(found, path) if isinstance(found, Id) else found

    def text(self, path: str) -> str:
        """The UTF-8 text at a path. Raises KeyError, UnicodeDecodeError."""
        return self[path].decode()

    def json(self, path: str, kind: Any = Any) -> Any:
        """The JSON at a path, as a type if one is given. Raises KeyError, msgspec.DecodeError."""
        return msgspec.json.decode(self[path], type=kind)

    def set_json(self, path: str, value: Any) -> None:
        """Write a value as JSON, always the same bytes for the same value."""
        self[path] = self._encode(value)

    def dir(self, path: str) -> Core:
        """The tree at a path, to read and change; it need not exist yet."""
        inner: Core = object.__new__(Core)
        inner._changes = self._changes
        inner._encode = self._encode
        inner._prefix = self._path(path)
        return inner

    def id(self, path: str = "") -> Id | None:
        """The id at a path as it is now, of the tree itself without one; None if there is nothing."""
        self._changes.apply()
        return self._changes.find(self._path(path) if path else self._prefix)  # type: ignore[return-value]

    @property
    def changes(self) -> Changes:
        """The changes that this view shows."""
        return self._changes

    @property
    def changed(self) -> bool:
        """True if something was written or removed."""
        return self._changes.changed

    def seal(self) -> TreeId:
        """The id of the whole core with all changes, staged."""
        return self._changes.seal()

    def _path(self, path: str) -> str:
        path = path.removeprefix("/")
        return f"{self._prefix}/{path}" if self._prefix else path

    def __repr__(self) -> str:
        return f"<Core /{self._prefix}>"


class Changes:
    """A tree and what is to be changed in it. The law: no path of `edits` lies below another.

    `above` holds the paths that have edits below them, so that many writes cost the same each.
    """

    __slots__ = ("_entries", "above", "changed", "edits", "is_over", "root", "store")

    def __init__(self, store: Staging, root: TreeId) -> None:
        self.store = store
        self.root = root
        self.edits: dict[str, Value] = {}
        self.above: set[str] = set()
        self.changed = False
        self.is_over = False
        self._entries: dict[str, bytes] | None = None

    def find(self, path: str) -> Value:
        """What is at a path: new bytes, an id, or None for nothing."""
        if self.edits:
            if path in self.edits:
                return self.edits[path]
            if not path or path in self.above or any(above in self.edits for above in _above(path)):
                self.apply()
        return self._find_unedited(path)

    def read(self, id: Id, path: str) -> bytes:
        """The bytes of a blob."""
        if ids.is_raw(id):
            return self.store.block(id)
        try:
            return self.store.blob(id)
        except WrongKind as error:
            raise WrongKind(f"/{path} is {self.store.kind(id)}, not a blob; see core.dir and core.id") from error

    def write(self, path: str, value: Value) -> None:
        """Put bytes or a link at a path, or remove it with None."""
        if self.is_over:
            raise step_over("write")
        split_path(path)
        if path in self.above:
            self._forget_below(path)
        if any(above in self.edits for above in _above(path)):
            self.apply()
        for above in _above(path):
            found = self._find_unedited(above)
            if found is not None and ids.is_raw(found):
                raise WrongKind(f"/{path} can't be written: /{above} is a blob")
            self.above.add(above)
        self.edits[path] = value
        self.changed = True

    def read_top(self, name: str) -> bytes | None:
        """The bytes of a blob in the root, None if there is nothing. Cheaper than `find` and `read`."""
        found = self.find(name) if self.edits else self._entry(name)
        return self.read(found, name) if isinstance(found, Id) else found

    def had_top(self, name: str) -> bool:
        """True if the root had an entry before it was changed."""
        return self._entry(name) is not None

    def write_top(self, name: str, data: bytes) -> None:
        """Put bytes at a name in the root that was checked before. Cheaper than `write`."""
        if name in self.above:
            self._forget_below(name)
        self.edits[name] = data
        self.changed = True

    def names(self, path: str) -> list[str]:
        """The names in the tree at a path, sorted; none if it is not there."""
        self.apply()
        id = self.find(path)
        if id is not None and ids.is_raw(id):
            raise WrongKind(f"/{path} is a blob, not a tree")
        return [] if id is None else sorted(self.store.tree(id))

    def apply(self) -> None:
        """Make a tree of the changes so far, so that they can be read as one."""
        if self.edits:
            self.root = self.seal()
            self.edits = {}
            self.above.clear()
            self._entries = None

    def seal(self) -> TreeId:
        """The id of the tree with all changes, staged."""
        edits = self.edits
        if not edits:
            return self.root
        entries = None if self.above else self._flat_entries()
        if entries is None or len(entries) + len(edits) > FLAT:
            staged = {path: self._stage(value) for path, value in edits.items()}
            return (patch_tree if self.above else edit_tree)(self.store, self.root, staged)
        # Most steps change /state alone: a small tree is written here, without the checks that names from outside need.
        after = dict(entries)
        for name, value in edits.items():
            if value is None:
                after.pop(name, None)
            else:
                after[name] = put_bytes(self.store, value) if type(value) is bytes else value
        # Entries that stay keep their order, which is that of the block.
        node = {"tree": after} if after.keys() == entries.keys() else flat_tree_node(after)
        return TreeId(self.store.put_node(node))

    def _stage(self, value: Value) -> Id | None:
        return put_bytes(self.store, value) if type(value) is bytes else value  # type: ignore[return-value]

    def _flat_entries(self) -> dict[str, bytes] | None:
        if self._entries is None:
            node = self.store.node(self.root)
            if not is_tree_node(node):
                raise WrongKind(f"the core is {self.store.kind(self.root)}, not a tree")
            self._entries = node.get("tree")
        return self._entries

    def _entry(self, name: str) -> Id | None:
        entries = self._entries or self._flat_entries()
        if entries is None:
            return self.store.find(self.root, name)
        found = entries.get(name)
        return None if found is None else Id(found)

    def _find_unedited(self, path: str) -> Id | None:
        name, slash, rest = path.partition("/")
        id = self._entry(name) if name else self.root
        return self.store.find(id, rest) if id is not None and slash else id

    def _forget_below(self, path: str) -> None:
        below = f"{path}/"
        for edit in [edit for edit in self.edits if edit.startswith(below)]:
            del self.edits[edit]


class Unchangeable(Changes):
    """A tree that can't be changed. Its staging stores nothing."""

    __slots__ = ()

    def write(self, path: str, value: Value) -> None:
        """Raise WitError("ReadOnly")."""
        raise WitError("ReadOnly", f"a query can't write /{path}: it only reads; to change the core, handle a message")

    def write_top(self, name: str, data: bytes) -> None:
        """Raise WitError("ReadOnly")."""
        self.write(name, data)


def _above(path: str) -> Iterator[str]:
    """The paths above a path, the highest first."""
    end = path.find("/")
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)
