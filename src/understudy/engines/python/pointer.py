"""The text of `/wit`: a pointer to code outside, a pointer into the core, or the code itself."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from understudy.actors.errors import WitError
from understudy.objects.errors import BadName
from understudy.objects.names import split_path

EXTERNAL: Final = "external:"
_MODULE: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_IN_CORE = re.compile(rf"/([^:\n]*):({_MODULE}):([^\W\d]\w*)\Z")
_IN_MODULE = re.compile(rf"({_MODULE}):([^\W\d]\w*)\Z")
_REFERENCE = re.compile(r"[^\s]+\Z")


class External(NamedTuple):
    """`external:REF` or `external:MODULE:FUNCTION`; `module` is None if only a registered function can be meant."""

    ref: str
    module: str | None
    function: str


class InCore(NamedTuple):
    """`/PATH:MODULE:FUNCTION`; an empty path means that the whole core is searched."""

    path: str
    module: str
    function: str


class Inline(NamedTuple):
    """The text is code."""

    source: str


Pointer = External | InCore | Inline


def parse_pointer(text: str, *, node: str) -> Pointer:
    """What the text of `/wit` (the node's name is for the message) says. Raises WitError("BadPointer")."""
    stripped = text.strip()
    if stripped.startswith(EXTERNAL):
        return _external(stripped, node)
    if stripped.startswith("/"):
        return _in_core(stripped, node)
    return Inline(text)


def _external(text: str, node: str) -> External:
    ref = text[len(EXTERNAL) :]
    found = _IN_MODULE.match(ref)
    if found:
        return External(ref, found[1], found[2])
    if _REFERENCE.match(ref):
        return External(ref, None, "")
    raise _bad(text, node)


def _in_core(text: str, node: str) -> InCore:
    found = _IN_CORE.match(text)
    if found is None:
        raise _bad(text, node)
    try:
        if found[1]:
            split_path(found[1])
    except BadName as error:
        raise WitError("BadPointer", f"/{node} says {text!r}: {error}") from error
    return InCore(found[1], found[2], found[3])


def _bad(text: str, node: str) -> WitError:
    first = text.splitlines()[0][:200]
    return WitError(
        "BadPointer",
        f"/{node} begins with {first!r}, which is no pointer: write /PATH:MODULE:FUNCTION (e.g. /code:greeter:wit), "
        "external:NAME or external:MODULE:FUNCTION on one line; code begins with neither '/' nor 'external:'",
    )
