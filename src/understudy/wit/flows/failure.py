"""How a flow's failure is told to who began it, and how the failure of what it asked for is told to the flow."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from understudy.actors.author_errors import code_and_text, is_a, name_of, storable, whole_text
from understudy.actors.errors import CallFailed, Refusal
from understudy.objects.step import FAILED, REFUSED
from understudy.wit.content import encode_json
from understudy.wit.flows.place import failing_place
from understudy.wit.requests import Failure

CANCELLED: Final = "Cancelled"


def describe_failure(error: BaseException, id: str, type_text: str) -> Failure:
    """What who began a flow hears of its failure."""
    refused = is_a(error, Refusal)
    code, text = code_and_text(error)
    if is_a(error, CallFailed) and code != CANCELLED:
        # What it asked for failed, and the flow with it: the text tells the code of that.
        code, text = storable(name_of(error)) or "Failed", storable(whole_text(error))
    place = "" if refused else failing_place(error)
    if place:
        text = f"{text}\nat {place}"
    return Failure(code=code, kind=REFUSED if refused else FAILED, message=id, text=text, type=type_text)


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
