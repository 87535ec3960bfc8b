"""Which names a new actor may have: people read them, so two names that look alike must not be two actors.

The profile is what PRECIS (RFC 8264, 8266) and UTS 39 ask of names that people compare by eye, by refusing and not by
mapping: NFKC, nothing that can't be seen, no scripts mixed within a word whose letters look alike.

The law: only new names are asked. Those of old stores stay, are found and can be removed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from understudy.objects.errors import BadName

# Formats (zero-width, direction of writing), private use, not assigned, lone surrogates, separators but the space.
_HIDDEN_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
# What else Unicode calls Default_Ignorable_Code_Point, and the blank Braille pattern: no width, or nothing but width.
_HIDDEN: Final = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Alphabets that have letters of the same form. Python names each letter by its script.
_LOOK_ALIKE: Final = frozenset(("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "COPTIC", "CHEROKEE", "LISU"))
_WORD: Final = re.compile(r"[^\W\d_]+")


def check_shown(name: str) -> None:
    """Raise BadName unless an actor may have this name, which is one of a tree's already."""
    if name.isascii():
        _check_spaces(name)
        return
    for character in name:
        if unicodedata.category(character) in _HIDDEN_CATEGORIES or _HIDDEN.match(character):
            raise _refused(name, f"it holds {_called(character)}, which can't be seen")
    normal = unicodedata.normalize("NFKC", name)
    if normal != name:
        raise _refused(name, f"it is not in the normal form NFKC; write {normal!a}")
    _check_spaces(name)
    if unicodedata.category(name[0]).startswith("M"):
        raise _refused(name, f"it begins with {_called(name[0])}, which belongs to a letter before it")
    for word in _WORD.findall(name):
        _check_word(name, word)


def _check_spaces(name: str) -> None:
    if name != name.strip() or "  " in name:
        raise _refused(name, "it begins or ends with a space, or has two in a row")


def _check_word(name: str, word: str) -> None:
    scripts = sorted({unicodedata.name(letter, "").partition(" ")[0] for letter in word} & _LOOK_ALIKE)
    if len(scripts) > 1:
        raise _refused(name, f"one word of it mixes letters of {' and '.join(scripts)}, which look alike")


def _refused(name: str, why: str) -> BadName:
    return BadName(f"actor name {name!a} is not allowed: {why}")


def _called(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
