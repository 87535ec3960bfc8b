"""The resolver of `external:` pointers: registered functions, then loaded modules, then `sys.path`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from understudy.actors.errors import WitError
from understudy.engines.python.failure import in_package, loading
from understudy.engines.python.installed import is_authors_module
from understudy.engines.python.pointer import EXTERNAL, External, parse_pointer
from understudy.objects.wording import type_with_article
from understudy.wit.wit import Wit


class Resolver:
    """A table of functions by reference. A reference that is not in the table is looked up in Python's modules."""

    def __init__(self) -> None:
        self._registered: dict[str, Callable[..., Any]] = {}
        self._listed: set[str] = set()

    def register_wit(self, ref: str, function: Callable[..., Any]) -> None:
        """Let `external:REF` name a function. A reference may look like `module:function`; the table goes first.

        Raises WitError("BadPointer", "NotCallable").
        """
        if not callable(function):
            raise WitError(
                "NotCallable", f"{ref!r} can't be registered: it is {type_with_article(function)}, no function"
            )
        pointer = parse_pointer(EXTERNAL + ref.removeprefix(EXTERNAL), node="wit")
        assert isinstance(pointer, External)
        self._registered[pointer.ref] = function

    def unregister_wit(self, ref: str) -> None:
        """Take a reference out of the table; nothing happens if it is not there."""
        self._registered.pop(ref.removeprefix(EXTERNAL), None)

    def registered(self) -> dict[str, Callable[..., Any]]:
        """The table as it is now."""
        return dict(self._registered)

    def restore(self, registered: Mapping[str, Callable[..., Any]]) -> None:
        """Make the table what it was."""
        self._registered = dict(registered)

    def list_modules(self, names: Iterable[str]) -> None:
        """Let pointers name these modules and those in them, although they are installed libraries."""
        self._listed.update(names)

    def add_wit_path(self, path: str | os.PathLike[str]) -> None:
        """Let modules be imported from a folder, after everything that is in `sys.path` already."""
        folder = str(Path(path).resolve())
        if folder not in sys.path:
            sys.path.append(folder)
        importlib.invalidate_caches()

    def look_up(self, pointer: External) -> Any:
        """What the reference names now, without importing anything; None if that is not known yet."""
        found = self._registered.get(pointer.ref)
        if found is None and pointer.module is not None:
            module = sys.modules.get(pointer.module)
            return None if module is None else getattr(module, pointer.function, None)
        return found

    def resolve(self, pointer: External, *, node: str) -> Any:
        """What the reference names, imported if need be. Raises WitError."""
        found = self._registered.get(pointer.ref)
        if found is not None:
            return found
        if pointer.module is None:
            known = ", ".join(sorted(self._registered)) or "none"
            raise WitError(
                "UnknownReference",
                f"/{node} says 'external:{pointer.ref}', and no wit is registered under that name (only {known}); "
                "call resolver.register_wit, or write external:MODULE:FUNCTION",
            )
        self._check(pointer, pointer.module, node)
        module = sys.modules.get(pointer.module)
        return find_function(module or _import(pointer, node), pointer.module, pointer.function, node)

    def _check(self, pointer: External, module: str, node: str) -> None:
        """Refuse libraries before anything is imported: otherwise whoever may create an actor could call any function of them."""
        if any(module == name or module.startswith(f"{name}.") for name in self._listed):
            return
        if is_authors_module(module) is False:
            raise WitError(
                "NotListed",
                f"/{node} says 'external:{pointer.ref}', and {module!r} is a library: list it as one of the project's "
                "python.modules, or register the function with resolver.register_wit",
            )


def find_function(module: ModuleType, name: str, function: str, node: str) -> Any:
    """The function of a module. Raises WitError("MissingFunction")."""
    found = getattr(module, function, None)
    if found is None:
        public = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        there = ", ".join(public[:20]) or "nothing that can be called"
        raise WitError(
            "MissingFunction", f"/{node} names {name}:{function}, but {name} has no {function!r}; it has {there}"
        )
    return found


def home_of(function: Any) -> str:
    """The name of the module that defines a function, or the first handler of a Wit."""
    if isinstance(function, Wit):
        function = next(iter(function.functions), function)
    return str(getattr(inspect.unwrap(function), "__module__", None) or "")


def _import(pointer: External, node: str) -> ModuleType:
    name = pointer.module
    assert name is not None
    with loading(name, in_package(name)):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise
            raise WitError(
                "MissingModule",
                f"/{node} says 'external:{pointer.ref}', but Python finds no module {error.name!r}: "
                "install it, or add its folder with resolver.add_wit_path",
            ) from error


_default = Resolver()
register_wit = _default.register_wit
unregister_wit = _default.unregister_wit
add_wit_path = _default.add_wit_path
list_modules = _default.list_modules


def default_resolver() -> Resolver:
    """The resolver of this process, which `register_wit` and `add_wit_path` change."""
    return _default
