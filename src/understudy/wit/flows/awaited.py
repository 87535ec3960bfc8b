"""The messages that flows say they wait for, with `@wit.flow(Order, waits=[Approved])`: for `wut`, and to refuse what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from msgspec import Struct

from understudy.actors.errors import Refusal, WitError
from understudy.objects.errors import BadName
from understudy.objects.message import check_type
from understudy.wit.content import Decode, decode_or_refuse, decoder_for
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.parameters import kind_with_article, name_of, place_of

NOT_AWAITED: Final = "NotAwaited"


class Awaited(Struct, kw_only=True):
    """A type of messages that flows wait for; `flows` are the names of their functions."""

    type: str
    kind: Any
    decode: Decode
    flows: list[str]

    def check(self, content: bytes) -> None:
        """Raise Refusal("BadPayload") for a message that no flow can read."""
        decode_or_refuse(self.decode, content, f"the content of the message {self.type!r}")

    def refuse(self, content: bytes) -> NoReturn:
        """Raise the Refusal of a message that no flow waits for at this moment: "BadPayload", else NOT_AWAITED."""
        self.check(content)
        raise Refusal(
            NOT_AWAITED,
            f"no flow waits for this message {self.type!r} now: it came too early or too late, or names what no flow waits for",
        )


def awaited_by(flows: Mapping[str, FlowHandler]) -> dict[str, Awaited]:
    """What all flows of a wit wait for, by message type. Raises WitError("WrongSignature", "AmbiguousWit")."""
    found: dict[str, Awaited] = {}
    for flow in flows.values():
        for type, kind in flow.waits.items():
            known = found.get(type)
            if known is None:
                found[type] = Awaited(type=type, kind=kind, decode=_decoder(flow, type, kind), flows=[])
            elif known.kind != kind:
                here, there = kind_with_article(kind), kind_with_article(known.kind)
                text = f"waits for {type!r} messages that are {here}, and {known.flows[0]} for some that are {there}"
                raise WitError("AmbiguousWit", f"{place_of(flow.function)}: {text}")
            found[type].flows.append(name_of(flow.function))
    return found


def declared(what: Sequence[type] | Mapping[str, Any]) -> Mapping[str, Any]:
    """Payload classes, or message types with their payload's type, as the latter."""
    return what if isinstance(what, Mapping) else {each.__name__: each for each in what}


def _decoder(flow: FlowHandler, type: str, kind: Any) -> Decode:
    try:
        check_type(type)
        return decoder_for(kind)
    except (BadName, TypeError) as error:
        raise WitError("WrongSignature", f"{place_of(flow.function)}: waits={type!r}: {error}") from error
