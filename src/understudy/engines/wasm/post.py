"""What a component sends: to an actor's id, or to a name, which the node is asked for once in each step."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from understudy.actors.calls import Calls
from understudy.actors.contract import Outgoing, StepInput, StepResult
from understudy.actors.errors import NEEDS_WORLD, CallFailed, CallNeedsWorld, Retry
from understudy.objects.errors import ObjectError
from understudy.objects.names import check_name, check_party
from understudy.objects.step import FAILED, Outcome
from understudy.wit.content import encode_json, put_bytes

MESSAGE: Final = "message"  # the type of all that a component sends by itself
REPLY: Final = "reply"  # and of its answers
NAMES: Final = "names"  # the capability that knows the names of actors


class Posted(NamedTuple):
    """A message from a component: the recipient as it wrote it, the bytes, and the message that it answers."""

    to: str
    content: bytes
    type: str = MESSAGE
    re: str | None = None


class _Name(msgspec.Struct, frozen=True):
    actor: str


_decode_name = msgspec.json.Decoder(_Name).decode


def address(
    result: StepResult, posted: Sequence[Posted], given: StepInput, named: Mapping[str, str | None]
) -> StepResult | Awaitable[StepResult]:
    """The result with its messages; awaitable if one of them goes to a name that is not among those `named` before."""
    names = dict.fromkeys(each.to for each in posted if not is_party(each.to) and each.to not in named)
    found = {name: actor for name, actor in named.items() if actor is not None}
    if not any(map(_is_name, names)):
        return _with_messages(result, posted, given, found)
    return _look_up(result, posted, given, list(filter(_is_name, names)), found)


def ask_for(calls: Calls, name: str) -> str | None:
    """The actor that a name means, None where there is none. Waits for the answer."""
    if not _is_name(name):
        return None
    try:
        return _decode_name(calls.call_and_wait(NAMES, encode_json({"name": name}))).actor
    except CallFailed:
        return None


async def _look_up(
    result: StepResult, posted: Sequence[Posted], given: StepInput, names: Sequence[str], found: dict[str, str]
) -> StepResult:
    for name in names:
        try:
            found[name] = _decode_name(await given.calls.call(NAMES, encode_json({"name": name}))).actor
        except CallFailed:
            # It is journalled, and what was sent to it is noted below.
            continue
        except Retry as error:
            return msgspec.structs.replace(result, core=given.core, retry=str(error))
        except CallNeedsWorld as error:
            return msgspec.structs.replace(result, core=given.core, outcome=Outcome(FAILED, NEEDS_WORLD, str(error)))
    return _with_messages(result, posted, given, found)


def _with_messages(
    result: StepResult, posted: Sequence[Posted], given: StepInput, found: Mapping[str, str]
) -> StepResult:
    sent: list[Outgoing] = []
    notes: list[str] = []
    for number, (to, content, type, re) in enumerate(posted):
        party = to if is_party(to) else found.get(to)
        if party is None:
            shown = to[:100]
            notes.append(f" message {number} of the component was not sent: there is no actor {shown!r}")
        else:
            sent.append(Outgoing(to=party, type=type, content=put_bytes(given.store, content), re=re))
    return msgspec.structs.replace(result, sent=sent, notes=notes)


# An actor talks to few others, again and again; the check of a party decodes base32.
@lru_cache(maxsize=16_384)
def is_party(text: str) -> bool:
    """True for an id of an actor, or a party outside."""
    try:
        check_party(text)
    except ObjectError:
        return False
    return True


def _is_name(text: str) -> bool:
    try:
        check_name(text, what="actor name")
    except ObjectError:
        return False
    return True
