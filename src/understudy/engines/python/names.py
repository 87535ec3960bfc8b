"""The names of what is in a core: modules have names that stay when the code changes, files have the version in theirs.

The law: `understudy_core.greeter` is the module `greeter` of whatever version runs. What one version keeps in
`sys.modules` is below a package of its own, `understudy_core_7`, which is bookkeeping: code never sees that name.
"""

from __future__ import annotations

import re
from typing import Final

from understudy.objects import ids
from understudy.objects.ids import Id

CORE: Final = "understudy_core"
PREFIX: Final = f"{CORE}_"
_FILE = re.compile(r"core-[a-z2-7]{10}/(.+)\Z", re.DOTALL)
_OUR_NAMES = re.compile(rf"\b{CORE}(_\w+)?\b\.?|\bcore-[a-z2-7]{{10}}/")
# As modules were called before: an id, and the folder of the code in hexadecimal digits. Pickles hold such names.
_FORMER = re.compile(rf"{PREFIX}bafk[a-z2-7]{{55}}(?:_[0-9a-f]+)?(?:\.(.+))?\Z")


def module_name(package: str, name: str) -> str:
    """The name of a module below a package; of the package itself for the empty name."""
    return f"{package}.{name}" if name else package


def name_below(package: str, module: str) -> str | None:
    """The inverse of `module_name`; None for a module that is not below the package."""
    if module == package:
        return ""
    return module[len(package) + 1 :] if module.startswith(f"{package}.") else None


def name_in_core(module: str) -> str | None:
    """The module of a core that a name which stays or a former one means; None for all other names."""
    former = _FORMER.match(module)
    return name_below(CORE, module) if former is None else former[1] or ""


def former_package(id: Id, path: str) -> str:
    """What modules were called below when a step was `python/1`: by the id of the code and the folder that it is in."""
    return f"{PREFIX}{id}_{path.encode().hex()}" if path else f"{PREFIX}{id}"


def is_of_core(name: str) -> bool:
    """True for every name of a module that can only be one of a core."""
    top = name.partition(".")[0]
    return top == CORE or top.startswith(PREFIX)


def file_name(version: Id, path: str) -> str:
    """The file name of a node's code: it names the version, so that the lines of two versions are not confused."""
    return f"core-{ids.short(version)}/{path}"


def source_path(filename: str) -> str | None:
    """The path in the core of a file name that our importer gave, None for other file names."""
    found = _FILE.match(filename)
    return found[1] if found else None


def clean(text: str) -> str:
    """The text without what our importer puts before names, and as well-formed Unicode."""
    return _OUR_NAMES.sub("", text).encode("utf-8", "replace").decode()
