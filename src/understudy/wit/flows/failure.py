"""How a flow's failure is told to who began it, and how the failure of what it asked for is told to the flow."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from understudy.actors.errors import CallFailed, Refusal, WitError
from understudy.objects.step import FAILED, MAX_OUTCOME_BYTES, REFUSED
from understudy.wit.content import encode_json
from understudy.wit.flows.place import failing_place
from understudy.wit.requests import Failure

CANCELLED: Final = "Cancelled"


def describe_failure(error: BaseException, id: str, type_text: str) -> Failure:
    """What who began a flow hears of its failure."""
    refused = isinstance(error, Refusal)
    code, text = said(error)
    place = "" if refused else failing_place(error)
    if place:
        text = f"{text}\nat {place}"
    return Failure(code=code, kind=REFUSED if refused else FAILED, message=id, text=text, type=type_text)


def said(error: BaseException) -> tuple[str, str]:
    """The code and the text of an error, as a record can hold them: its class is the author's, and may say anything."""
    about: object
    if isinstance(error, Refusal | WitError) or (isinstance(error, CallFailed) and error.code == CANCELLED):
        code, about = str(error.code), error.text
    else:
        code, about = type(error).__name__, error
    try:
        text = str(about)
    except Exception:
        text = "(the exception has no readable message)"
    return _storable(code) or "Failed", _storable(text)


def _storable(text: str) -> str:
    # Cut first: of a text of megabytes nobody gets to see the rest.
    data = text[:MAX_OUTCOME_BYTES].encode("utf-8", "backslashreplace")
    return data[:MAX_OUTCOME_BYTES].decode("utf-8", "ignore")


def read_failure(content: bytes | CallFailed) -> CallFailed:
    """What a message of type `error` says."""
    if isinstance(content, CallFailed):
        return content
    try:
        failure = _read_failure(content)
        return CallFailed(failure.code, failure.text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return CallFailed("Error", content[:1000].decode("utf-8", "replace"))


def content_of(result: Any) -> bytes:
    """The content of the message with a flow's result. Raises TypeError, ValueError."""
    return bytes(result) if isinstance(result, bytes) else encode_json(result)


_read_failure: Final = msgspec.json.Decoder(Failure).decode
