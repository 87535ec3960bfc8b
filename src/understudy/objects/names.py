"""Names: of tree entries, of actors, of parties, of patch paths.

The law: no name holds a slash or a control character, so no name's UTF-8 can parse as a binary CID.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from understudy.objects import ids
from understudy.objects.errors import BadId, BadName
from understudy.objects.ids import ActorId, TreeId

OPERATOR: Final = "operator"  # the caller as whom a node updates actors that others made
MAX_NAME_BYTES: Final = 255  # what common file systems take, so that a core can be checked out
MAX_PATH_BYTES: Final = 4096
MAX_PATH_NAMES: Final = 64

_PLAIN_NAME: Final = r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._~+@=,-]{1,255}"
_PLAIN = re.compile(rf"{_PLAIN_NAME}\Z")
_PLAIN_LIST = re.compile(rf"{_PLAIN_NAME}(?:/{_PLAIN_NAME})*\Z")
_OUTSIDE = re.compile(r"out/[A-Za-z0-9._~-]{1,64}/[A-Za-z0-9._~-]{1,64}\Z")


def check_name(name: str, *, what: str = "name") -> str:
    """The name, if a tree entry may have it. Raises BadName that says why not."""
    if _PLAIN.match(name):
        return name
    if name in ("", ".", ".."):
        raise BadName(f"{what} {name!r} is not allowed: it is empty, '.' or '..'")
    if "/" in name:
        raise BadName(f"{what} {name!r} is not allowed: it holds a slash")
    if name.startswith("\ufeff"):
        # Readers in JavaScript drop it: two names would be one, and the tree would have another id.
        raise BadName(f"{what} {name!r} is not allowed: it begins with U+FEFF, which many readers drop")
    check_text(name, what=what, most=MAX_NAME_BYTES)
    return name


def check_names(names: Collection[str]) -> None:
    """Raise BadName unless a tree may have entries of all these names; for plain names much faster than one by one."""
    joined = "/".join(names)
    if not _PLAIN_LIST.match(joined) or joined.count("/") != len(names) - 1:
        for name in names:
            check_name(name)


def check_text(text: str, *, what: str, most: int) -> None:
    """Raise BadName unless this is text, 1 to `most` bytes of UTF-8 without control characters."""
    if not isinstance(text, str):
        raise BadName(f"{what} {text!r} is not text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise BadName(f"{what} {text!r} is not allowed: it is not well-formed Unicode") from error
    if not 1 <= size <= most:
        raise BadName(f"{what} {text[:40]!r} is not allowed: {size} bytes of UTF-8, 1 to {most} are allowed")
    # What is printable has no control characters, and most texts are.
    if not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text):
        raise BadName(f"{what} {text!r} is not allowed: it holds a control character")


def split_path(path: str) -> list[str]:
    """The names of a path such as `code/greeter.py`. Raises BadName."""
    if len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        raise BadName(f"path {path[:40]!r}… is not allowed: more than {MAX_PATH_BYTES} bytes")
    names = path.split("/")
    if len(names) > MAX_PATH_NAMES:
        raise BadName(f"path {path[:40]!r}… is not allowed: more than {MAX_PATH_NAMES} names deep")
    for name in names:
        check_name(name, what=f"path {path!r}: name")
    return names


def is_outside(party: str) -> bool:
    """True for `out/NODE/CALLER`, false for an actor."""
    return party.startswith("out/")


def is_operator(party: str) -> bool:
    """True for `out/NODE/operator`: the operator of a node."""
    return is_caller(party, OPERATOR)


def is_caller(party: str, caller: str) -> bool:
    """True for `out/NODE/CALLER`: this caller, of whichever node."""
    return is_outside(party) and party.split("/", 2)[2] == caller


@lru_cache(maxsize=4096)
def check_party(party: str) -> str:
    """The party, if it is an actor's text id or `out/NODE/CALLER`. Raises BadName."""
    if _OUTSIDE.match(party):
        return party
    try:
        id = ids.parse(party)
    except BadId as error:
        raise BadName(f"party {party[:80]!r} is neither an actor's id nor out/NODE/CALLER") from error
    if ids.is_raw(id):
        raise BadName(f"party {party!r} is the id of a blob, not of an actor")
    return party


@lru_cache(maxsize=65_536)
def actor_of(party: str) -> ActorId:
    """The actor that a party is. Raises BadId for somebody outside."""
    return ActorId(TreeId(ids.parse(party)))
