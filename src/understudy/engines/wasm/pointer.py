"""The pointer in a core's `/wit` to its component. Nothing is run for it, and nothing of wasmtime loaded."""

from __future__ import annotations

import re
from typing import Final

from understudy.actors.errors import WitError
from understudy.objects.ids import Id, TreeId
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader

MAX_POINTERS: Final = 1024  # that are remembered
_WIT: Final = "wit"
_POINTER: Final = re.compile(r"/([^:\n]+):([^/:\n]+):handle\Z")


class Pointers:
    """Finds the components of cores, and remembers what the last pointers said."""

    def __init__(self) -> None:
        self._paths: dict[Id, str] = {}

    def component_id(self, core: TreeId, store: Reader) -> Id:
        """The component that a core's `/wit` names. Raises WitError, StoreError."""
        wit = tree_entry(store, core, _WIT)
        if wit is None:
            raise WitError("NoWit", "the core has no /wit: put a pointer there, such as /code:counter:handle")
        path = self._paths.get(wit)
        if path is None:
            path = _read_pointer(store, wit)
            if len(self._paths) >= MAX_POINTERS:
                self._paths.clear()
            self._paths[wit] = path
        found = store.find(core, path)
        if found is None:
            raise WitError("NoComponent", f"/wit names the component /{path}, and there is nothing")
        return found


def _read_pointer(store: Reader, wit: Id) -> str:
    """The path of the component that a `/wit` points to."""
    text = store.blob(wit).decode("utf-8", "replace").strip() if store.kind(wit) == "a blob" else ""
    found = _POINTER.match(text)
    if found is None:
        raise WitError("BadPointer", f"/wit says {text[:100]!r}: write /PATH:NAME:handle, e.g. /code:counter:handle")
    return f"{found[1]}/{found[2]}.wasm"
