"""The rules that a step of Python code runs under, named by the ABI in its engine text.

The law: they change only together with the name, and a replay runs a step under the rules that it was made under.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from understudy.wit.content import Encode, encode_as_python_1, encode_json


class Abi(Struct, frozen=True, eq=False):
    """`encode` makes the JSON of what is sent; `is_first`: a returned state is kept without a word, and nothing is checked."""

    name: str
    encode: Encode
    is_first: bool


PYTHON_1: Final = Abi("python/1", encode_as_python_1, True)
PYTHON_2: Final = Abi("python/2", encode_json, False)


def abi_of(name: str | None) -> Abi:
    """The rules with this name; the newest ones for a name that nobody here knows, and for a step that is new."""
    return PYTHON_1 if name == PYTHON_1.name else PYTHON_2
