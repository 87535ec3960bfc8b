"""Seeds, computed a second time after docs/FORMAT.md."""

from __future__ import annotations

import hmac
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.contract import Delivery
from understudy.kernel.seeds import Seeds
from understudy.objects.ids import MessageId, StepId, node_id, raw_id
from understudy.objects.message import Message


def delivery(number: int) -> Delivery:
    id = MessageId(node_id(bytes([number])))
    return Delivery(id, Message(to="out/a/b", sender="out/a/c", seq=1, type="x", content=raw_id(b"")))


@given(
    secret=st.binary(min_size=1, max_size=100), born=st.booleans(), numbers=st.lists(st.integers(0, 255), max_size=4)
)
def test_a_seed_is_the_first_53_bits_of_the_hmac(secret: bytes, born: bool, numbers: list[int]) -> None:
    parent = StepId(node_id(b"parent")) if born else None
    messages = [delivery(number) for number in numbers]
    text = (parent or b"") + b"".join(message.id for message in messages)
    bits = "".join(f"{byte:08b}" for byte in hmac.digest(secret, text, sha256))
    assert Seeds(secret).seed(parent, messages) == int(bits[:53], 2)
