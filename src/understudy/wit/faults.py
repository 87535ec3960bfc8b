"""What JSON would not give back as it was: found and named, with its path.

Slow and thorough: asked only where a quick look found that something is wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from understudy.objects.wording import type_with_article, with_article

MASK: Final = b"**********"  # what pydantic writes in place of a secret
MAX_DEPTH: Final = 200  # of values looked into: the JSON of deeper ones can't be read again anyway
_LEAVES: Final = (str, bytes, bytearray, bool, int, float, type(None))
_LISTS: Final = (list, tuple)
_NUMBERS: Final = (float, int)
_SETS: Final = (set, frozenset)
NOWHERE: Final = object()


def find_fault(value: Any, *, bytes_of_models: bool = False) -> str | None:
    """Why a value has no JSON that says all of it: the path and the reason. None if it has.

    With `bytes_of_models`, a pydantic model said that some bytes are no text.
    """
    for path, part, of_model in _parts(value, "$", 0):
        fault = _fault_of_bytes(part) if bytes_of_models and of_model else None
        fault = fault or _fault(part, of_model)
        if fault is not None:
            return f"{path} {fault}"
    return None


def has_secret(value: Any) -> bool:
    """True if a value holds one of pydantic's secrets, which write stars instead of themselves."""
    return any(hasattr(part, "get_secret_value") for _, part, _ in _parts(value, "$", 0))


def find_difference(before: Any, after: Any) -> str | None:
    """The first place where a value was read back as something else. None if there is none.

    A tuple may come back as a list, since an untyped one has no other JSON; all else must be equal.
    """
    return _difference(before, after, "$", 0)


def _difference(before: Any, after: Any, path: str, depth: int) -> str | None:
    if before is after or depth > MAX_DEPTH or _is_equal(before, after):
        return None
    if isinstance(before, dict) and isinstance(after, dict):
        return _difference_of_dicts(before, after, path, depth)
    if isinstance(before, _LISTS) and isinstance(after, _LISTS) and len(before) == len(after):
        pairs = ((f"{path}[{n}]", one, other) for n, (one, other) in enumerate(zip(before, after, strict=True)))
        return _first(pairs, depth)
    fields, others = fields_of(before), fields_of(after)
    if fields is not None and others is not None and type(before) is type(after):
        return _first(((f"{path}.{n}", one, others.get(n, NOWHERE)) for n, one in fields.items()), depth)
    if after is NOWHERE:
        return f"{path} would not be kept"
    return f"{path} is {_shown(before)} and would be read back as {_shown(after)}"


def _difference_of_dicts(before: dict[Any, Any], after: dict[Any, Any], path: str, depth: int) -> str | None:
    for key in before:
        if key not in after:
            return f"{path} has the key {key!r}, {type_with_article(key)}, which would be read back as a text"
    return _first(((f"{path}.{key}", value, after[key]) for key, value in before.items()), depth)


def _first(pairs: Iterator[tuple[str, Any, Any]], depth: int) -> str | None:
    for path, before, after in pairs:
        found = _difference(before, after, path, depth + 1)
        if found is not None:
            return found
    return None


def _is_equal(before: Any, after: Any) -> bool:
    try:
        if isinstance(before, _NUMBERS) and isinstance(after, _NUMBERS):
            return before == after and math.copysign(1, before) == math.copysign(1, after)
        # Not a number of `decimal` is no more equal to itself than that of Python.
        return bool(before == after) or (type(before) is type(after) and before != before and after != after)
    except Exception:
        return False


def _fault(value: Any, of_model: bool) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value!r}: JSON has no such number; leave it out, or use None or a text"
    if isinstance(value, str) and not isinstance(value, Enum):
        return _fault_of_text(value)
    if hasattr(value, "get_secret_value"):
        return "is a secret, and what is stored can be read by everybody: keep secrets out of states and messages"
    if of_model:
        # Which classes and keys are good there is pydantic's to say.
        return None
    if isinstance(value, Mapping):
        return _fault_of_keys(value)
    try:
        msgspec.to_builtins(value, str_keys=True, enc_hook=_to_nothing)
    except TypeError as error:
        return f"is {error}" if str(error).startswith(("a ", "an ")) else f"can't become JSON: {error}"
    except Exception:
        # Of something inside it, which comes next.
        return None
    return None


def _to_nothing(value: Any) -> Any:
    if isinstance(value, bytes) or hasattr(value, "model_dump") or hasattr(value, "__fspath__"):
        return None
    name = with_article(type(value).__qualname__)
    raise TypeError(f"{name}, which can't become JSON; make it a msgspec.Struct, a dataclass or plain values")


def _fault_of_bytes(value: Any) -> str | None:
    try:
        if isinstance(value, bytes):
            value.decode()
    except UnicodeDecodeError:
        config = 'ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")'
        return f"is bytes that are no UTF-8 text, as a pydantic model wants them: give it model_config = {config}"
    return None


def _fault_of_text(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"is {text[:40]!r}, which holds half a character (a lone surrogate): there is no UTF-8 of it"
    return None


def _fault_of_keys(value: Mapping[Any, Any]) -> str | None:
    known: dict[str, Any] = {}
    for key in value:
        try:
            text = next(iter(msgspec.to_builtins({key: None}, str_keys=True)))
            text.encode()
        except (TypeError, UnicodeEncodeError):
            return f"has the key {key!r}: keys are texts, numbers, or what msgspec writes as one text"
        if isinstance(key, float) and not math.isfinite(key):
            return f"has the key {key!r}: JSON has no such number"
        if text in known:
            return f"has the keys {known[text]!r} and {key!r}, which are the same text in JSON"
        known[text] = key
    return None


def _parts(value: Any, path: str, depth: int, of_model: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """What a value is made of, and if it is part of a pydantic model. The innermost first: a fault is named where it is."""
    if depth > MAX_DEPTH:
        return
    fields = fields_of(value)
    within = of_model or hasattr(value, "model_dump")
    if fields is not None:
        for name, inner in fields.items():
            yield from _parts(inner, f"{path}.{name}", depth + 1, within)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _parts(inner, f"{path}.{key}", depth + 1, within)
    elif isinstance(value, (*_LISTS, *_SETS)):
        for number, inner in enumerate(value):
            yield from _parts(inner, f"{path}[{number}]", depth + 1, within)
    yield path, value, of_model


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a Struct, a dataclass, an attrs class or a pydantic model; None for anything else."""
    if isinstance(value, (type, *_LEAVES)):
        return None
    if isinstance(value, msgspec.Struct):
        names: Any = value.__struct_fields__
    elif dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    elif hasattr(value, "__attrs_attrs__"):
        names = [attribute.name for attribute in value.__attrs_attrs__]
    elif hasattr(value, "model_dump"):
        names = [*type(value).model_fields, *(getattr(value, "model_extra", None) or {})]
    else:
        return None
    return {name: getattr(value, name, NOWHERE) for name in names}


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) < 60 else text[:57] + '…'} ({type(value).__name__})"
