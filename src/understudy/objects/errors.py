"""How an object can be wrong. Every error says what was found and where."""

from __future__ import annotations


class ObjectError(Exception):
    """An object, an id or a name is not what the format (docs/FORMAT.md) allows."""


class BadId(ObjectError):
    """Text or bytes that are no id of ours."""


class BadName(ObjectError):
    """A name of a tree entry, an actor or a party that is not allowed."""


class NotCanonical(ObjectError):
    """A block that is not byte for byte what the encoder would have written."""


class WrongKind(ObjectError):
    """A good block of another kind than was asked for, or of none."""


class TooLarge(ObjectError):
    """Over one of the bounds of the format."""


class BadTimer(ObjectError):
    """What is at `/timers/NAME`, or was asked for, is no timer."""
