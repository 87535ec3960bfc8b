"""What messages and states hold: bytes as they are, everything else as JSON.

The law: equal values give equal bytes, whatever the hash seed and the order in which a dict or a set was filled.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, Final

import msgspec

from understudy.actors.errors import Refusal
from understudy.objects import ids
from understudy.objects.codec import raw_block
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import Id
from understudy.objects.wording import with_article
from understudy.store.errors import Missing
from understudy.store.reader import Reader, Staging
from understudy.wit.faults import MASK, find_fault, has_secret

SMALL = 64 * 1024  # below this, a blob is surely one raw block

_PLAIN = frozenset({dict, list, str, int, float, bool})
_BYTES = (bytes, bytearray, memoryview)

Decode = Callable[[bytes], Any]
Encode = Callable[[Any], bytes]


def encode_json(value: Any) -> bytes:
    """The JSON of plain values, Structs, dataclasses, TypedDicts, pydantic models, paths, ids (as text).

    Raises TypeError and ValueError with the path of what JSON can't hold, e.g. NaN, or two keys that are one text.
    """
    try:
        data = _encoder.encode(value)
    except TypeError:
        # The encoder sorts only dicts whose keys are text: two other keys may become one.
        data = _encode_with_text_keys(value)
        _check(value)
    except ValueError as error:
        raise _fault(value, error) from None
    # Whoever writes numbers that JSON does not have writes `null`; a secret of pydantic's writes stars.
    if (b"null" in data and not _is_finite(value)) or (MASK in data and has_secret(value)):
        _check(value)
    return data


def encode_loosely(value: Any) -> bytes:
    """Like `encode_json` where it fails on nothing: NaN becomes `null`. For those who read it again and compare."""
    try:
        return _encoder.encode(value)
    except TypeError:
        return _encode_with_text_keys(value)
    except ValueError as error:
        raise _fault(value, error) from None


def encode_as_python_1(value: Any) -> bytes:
    """The JSON that steps of `python/1` wrote: NaN as `null`, pydantic models by their fields' names and Python values."""
    try:
        return _encoder_1.encode(value)
    except TypeError:
        plain = msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_to_json_1)
        return _encoder_1.encode(plain)


def decoder_for(kind: Any) -> Decode:
    """What turns content into a type: JSON for all but `bytes`. Raises TypeError for a type that JSON can't become."""
    if kind is bytes:
        return bytes
    if isinstance(kind, type) and hasattr(kind, "model_validate_json"):
        decode: Decode = kind.model_validate_json
        return decode
    try:
        # Finding out what a type is made of costs more than all the rest, so not for those that are surely good.
        if not (isinstance(kind, type) and (kind in _PLAIN or issubclass(kind, msgspec.Struct))):
            _check_kind(kind)
        return msgspec.json.Decoder(kind, dec_hook=_from_json).decode
    except TypeError:
        raise
    except Exception as error:
        # The annotations of a class are code of the author's, which is run only now: a name may be nowhere.
        raise TypeError(f"{type(error).__name__}: {error}") from error


def argument_decoder(kind: Any, *, texts: bool) -> Decode:
    """What turns the JSON of an argument into a type; bytes are base64, as in msgspec. Raises TypeError like `decoder_for`.

    With `texts`, a JSON text may stand for what it spells: "5" is a number where one is wanted.
    """
    strict = msgspec.json.Decoder(bytes).decode if kind is bytes else decoder_for(kind)
    if not texts:
        return strict
    is_model = isinstance(kind, type) and hasattr(kind, "model_validate_json")
    lax = strict if is_model else msgspec.json.Decoder(kind, strict=False, dec_hook=_from_json).decode

    def decode(data: bytes) -> Any:
        try:
            return lax(data)
        except (ValueError, msgspec.MsgspecError):
            text = msgspec.json.decode(data)
            if not isinstance(text, str):
                raise
            with contextlib.suppress(ValueError, msgspec.MsgspecError, RecursionError):
                return strict(text.encode())
            raise

    return decode


def type_of(content: Any) -> str:
    """The message type that a payload has without being told. Raises TypeError for one of a builtin type."""
    kind: type = content.__class__
    if kind.__module__ == "builtins" or isinstance(content, Id):
        raise TypeError(f"{with_article(kind.__name__)} has no message type of its own: say type=…")
    return kind.__name__


def decode_or_refuse(decode: Decode, data: bytes, what: str) -> Any:
    """The decoded value. Raises Refusal("BadPayload") that names what it was and the path of what is wrong in it."""
    try:
        return decode(data)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise Refusal("BadPayload", f"{what}: {error}") from error


def read_content(store: Reader, id: Id, what: str) -> bytes:
    """The bytes of a message's content. Raises Refusal("BadPayload") if it is no blob."""
    if ids.is_raw(id):
        return store.block(id)
    try:
        return store.blob(id)
    except WrongKind as error:
        raise Refusal("BadPayload", f"{what} is {store.kind(id)}, not a blob") from error


def put_content(store: Staging, value: Any, encode: Encode = encode_json) -> Id:
    """Stage what is to be sent: an id as a link, bytes as they are, the rest as JSON.

    Raises Missing, and what `encode_json` raises.
    """
    if not isinstance(value, _BYTES):
        return put_bytes(store, encode(value))
    if not isinstance(value, Id):
        return put_bytes(store, bytes(value))
    # A link to nothing would make the step's history impossible to keep or to export.
    if not store.has(value):
        raise Missing(value)
    return value


def put_bytes(store: Staging, data: bytes) -> Id:
    """Stage a blob."""
    return store.put(raw_block(data)) if len(data) <= SMALL else store.put_blob(data)


def _check_kind(kind: Any) -> None:
    for part in _parts(msgspec.inspect.type_info(kind)):
        if isinstance(part, msgspec.inspect.CustomType):
            _check_class(part.cls)


def _check_class(kind: type) -> None:
    if kind is not Id and not hasattr(kind, "model_validate_json") and not issubclass(kind, PurePath):
        raise TypeError(f"JSON can't become {with_article(kind.__qualname__)}; make it a msgspec.Struct or a dataclass")


def _parts(info: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type | msgspec.inspect.Field]:
    """A type and all that it is made of, each once: a type may hold itself."""
    left: list[Any] = [info]
    seen: set[int] = set()
    while left:
        part = left.pop()
        if isinstance(part, tuple):
            left.extend(part)
        elif isinstance(part, msgspec.inspect.Type | msgspec.inspect.Field) and id(part) not in seen:
            seen.add(id(part))
            left.extend(getattr(part, name) for name in part.__struct_fields__)
            yield part


def _to_json(value: Any) -> Any:
    if isinstance(value, Id | PurePath):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        # What pydantic itself would read again: aliases, no computed fields, bytes as the model's configuration says.
        plain = dump(mode="json", by_alias=True, round_trip=True, warnings=False)
        return _with_sets_sorted(plain, dump(by_alias=True, round_trip=True, warnings=False))
    raise TypeError(_unknown(value))


def _with_sets_sorted(plain: Any, value: Any) -> Any:
    """The JSON values of a Python value; pydantic writes a set in an order that is another one in the next process."""
    if isinstance(value, dict) and isinstance(plain, dict):
        same = len(plain) == len(value)
        pairs = zip(plain.items(), value.values(), strict=True) if same else ()
        return {key: _with_sets_sorted(one, other) for (key, one), other in pairs} if same else plain
    if not isinstance(plain, list):
        return plain
    if isinstance(value, set | frozenset):
        some = next(iter(value), None)
        return sorted((_with_sets_sorted(one, some) for one in plain), key=_encoder.encode)
    if isinstance(value, list | tuple) and len(value) == len(plain):
        return [_with_sets_sorted(one, other) for one, other in zip(plain, value, strict=True)]
    return plain


def _to_json_1(value: Any) -> Any:
    if isinstance(value, Id):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump()
    raise TypeError(_unknown(value))


def _unknown(value: Any) -> str:
    name = with_article(type(value).__qualname__)
    return f"{name} can't become JSON; make it a msgspec.Struct, a dataclass or plain values"


def _from_json(kind: type, value: Any) -> Any:
    if issubclass(kind, Id):
        try:
            return ids.parse(value)
        except ObjectError as error:
            raise ValueError(str(error)) from error
    if issubclass(kind, PurePath):
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        return kind(value)
    _check_class(kind)
    # As JSON, since pydantic reads JSON and Python values by different rules.
    return kind.model_validate_json(_encoder.encode(value))  # type: ignore[attr-defined]


def _encode_with_text_keys(value: Any) -> bytes:
    # The keys become text first, at about twice the cost.
    try:
        plain = msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_to_json)
        return _encoder.encode(plain)
    except (TypeError, ValueError) as error:
        raise _fault(value, error) from None


def _fault(value: Any, error: TypeError | ValueError) -> TypeError | ValueError:
    text = find_fault(value, bytes_of_models=isinstance(error, UnicodeDecodeError)) or str(error)
    return TypeError(text) if isinstance(error, TypeError) else ValueError(text)


def _check(value: Any) -> None:
    fault = find_fault(value)
    if fault is not None:
        raise ValueError(fault)


def _is_finite(value: Any) -> bool:
    try:
        json.dumps(msgspec.to_builtins(value, str_keys=True, enc_hook=_to_json), allow_nan=False)
    except ValueError:
        return False
    return True


_encoder: Final = msgspec.json.Encoder(order="deterministic", enc_hook=_to_json)
_encoder_1: Final = msgspec.json.Encoder(order="deterministic", enc_hook=_to_json_1)
